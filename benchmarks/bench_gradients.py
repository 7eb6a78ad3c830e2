"""Gradient alignment: exact without forming gradients, against loops that form each.

Two comparisons on random GPT-NeoX models (6 layers, 2,048 words, at most 16 tokens), one thread,
both sides in this process in turn, ratios in CPU seconds:

1. the paper's metrics (definition against own questions, norms, variance, cosine to the mean)
   against the paper's loop, at d_model 128 and 512; the loop runs a sample and is scaled;
2. all pairs of definitions and questions at d_model 128, against a loop that caches the
   definitions' gradients and multiplies blocks of questions' gradients with them.

Before anything is timed our numbers must agree with float64 autograd.

    python benchmarks/bench_gradients.py [--quick]
"""

import argparse
import copy
from dataclasses import dataclass

import torch
from machine import Timing, describe_machine, time_in_turn
from paper_alignment import get_gradient, measure_alignment
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedModel

from data.rows import prompt_row
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from interp.gradients.gram import GradientGram, GradientOptions, gradient_gram, gradient_pairs
from interp.gradients.products import products
from training.examples import Examples, make_examples

N_LAYERS, N_WORDS, N_TOKENS, N_QUESTIONS = 6, 2048, 16, 6
OPTIONS = GradientOptions(policy=LossPolicy.TEXT)
GATES = {"float32": 1e-5, "bf16": 1e-3}
"""Largest difference in cosine from float64 autograd."""


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Definitions, and their questions one after the other."""

    definitions: list[TokenizedRow]
    questions: list[TokenizedRow]

    def first(self, n: int) -> "Sides":
        """The first definitions and their questions."""
        return Sides(definitions=self.definitions[:n], questions=self.questions[: N_QUESTIONS * n])

    @property
    def own_pairs(self) -> torch.Tensor:
        """Every definition with each of its questions."""
        question = torch.arange(len(self.questions))
        return torch.stack([question // N_QUESTIONS, question], dim=1)


def build_model(d_model: int) -> PreTrainedModel:
    config = GPTNeoXConfig(
        vocab_size=N_WORDS,
        hidden_size=d_model,
        intermediate_size=4 * d_model,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=d_model // 64 if d_model >= 256 else 4,
        max_position_embeddings=2 * N_TOKENS,
        attention_dropout=0.0,
        hidden_dropout=0.0,
        use_cache=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GPTNeoXForCausalLM(config).eval()


def build_rows(n: int, seed: int) -> list[TokenizedRow]:
    """Random texts of 12 to 16 tokens, end token included, that begin with one of six tags."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for i in range(n):
        length = int(torch.randint(N_TOKENS - 5, N_TOKENS, (), generator=generator))
        ids = torch.randint(9, N_WORDS, (length,), generator=generator)
        ids[0] = torch.randint(3, 9, (), generator=generator)
        row = prompt_row(f"random {seed} {i}", "tag word", "word")
        rows.append(
            TokenizedRow(
                row=row, input_ids=tuple(ids.tolist()), answer_positions=(length - 1,), spans={}
            )
        )
    return rows


def build_sides(n_definitions: int) -> Sides:
    return Sides(
        definitions=build_rows(n_definitions, 1),
        questions=build_rows(n_definitions * N_QUESTIONS, 2),
    )


def examples_of(rows: list[TokenizedRow]) -> Examples:
    return make_examples(rows, OPTIONS.policy, end_token=OPTIONS.end_token)


def measure_own(model: PreTrainedModel, sides: Sides) -> GradientGram:
    return gradient_pairs(
        model, sides.definitions, sides.questions, pairs=sides.own_pairs, options=OPTIONS
    )


def run_paper_loop(model: PreTrainedModel, sides: Sides):
    questions = [
        examples_of(sides.questions[i : i + N_QUESTIONS])
        for i in range(0, len(sides.questions), N_QUESTIONS)
    ]
    return measure_alignment(model, examples_of(sides.definitions), questions)


def run_cached_loop(model: PreTrainedModel, sides: Sides, block: int = 128) -> torch.Tensor:
    """All inner products, with the definitions' gradients in memory."""
    cached = _all_gradients(model, examples_of(sides.definitions))
    columns = []
    for first in range(0, len(sides.questions), block):
        rows = sides.questions[first : first + block]
        columns.append(products(cached, _all_gradients(model, examples_of(rows))))
    return torch.cat(columns, dim=1)


def _all_gradients(model: PreTrainedModel, examples: Examples) -> torch.Tensor:
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    gradients = torch.empty(len(examples), n_parameters)
    for i in range(len(examples)):
        get_gradient(model, examples, i, out=gradients[i])
    return gradients


def check(model: PreTrainedModel, sides: Sides) -> None:
    """Our cosines, distances and statistics against the loop in float64."""
    exact = run_paper_loop(copy.deepcopy(model).double(), sides)
    ours = measure_own(model, sides)
    assert ours.statistics is not None
    cosine = torch.tensor(exact.cosine).flatten()
    errors = {
        "cosine": (ours.cosine - cosine).abs().max().item(),
        "distance": (ours.sqdist.sqrt() / torch.tensor(exact.distance).flatten() - 1).abs().max(),
        "cosine to mean": abs(
            ours.statistics.mean_cosine_to_mean
            - sum(exact.cosine_to_mean) / len(exact.cosine_to_mean)
        ),
        "variance": abs(ours.statistics.variance / exact.variance - 1),
    }
    for precision, gate in GATES.items():
        options = OPTIONS if precision == "float32" else bf16_options()
        gram = gradient_gram(model, sides.definitions, sides.questions, options=options)
        pairs = sides.own_pairs
        error = (gram.cosine[pairs[:, 0], pairs[:, 1]] - cosine).abs().max().item()
        errors[f"cosine, all pairs, {precision}"] = error
        assert error <= gate, f"{precision}: cosines differ by {error}"
    print("  error against float64: " + ", ".join(f"{k} {v:.1e}" for k, v in errors.items()))
    assert all(errors[name] <= GATES["float32"] for name in list(errors)[:4]), errors


def bf16_options() -> GradientOptions:
    return GradientOptions(policy=OPTIONS.policy, precision="bf16")


def bench_paper(d_model: int, n_definitions: int, n_sample: int, rounds: int) -> None:
    print(f"d_model {d_model}: {n_definitions} definitions with {N_QUESTIONS} questions each")
    model, sides = build_model(d_model), build_sides(n_definitions)
    sample = sides.first(n_sample)
    check(model, sides.first(2))
    timings = time_in_turn(
        {
            "paper's loop": lambda: run_paper_loop(model, sample),
            "ours": lambda: measure_own(model, sides),
        },
        rounds=rounds,
    )
    per_group = {
        "paper's loop": timings["paper's loop"].cpu / n_sample,
        "ours": timings["ours"].cpu / n_definitions,
    }
    for name, seconds in per_group.items():
        print(f"  {name:<14} {1e3 * seconds / (1 + N_QUESTIONS):8.2f} ms CPU an example")
    ratio = per_group["paper's loop"] / per_group["ours"]
    print(f"  ours is {ratio:.1f} times as fast")


def bench_all_pairs(n_definitions: int, rounds: int) -> None:
    model, sides = build_model(128), build_sides(n_definitions)
    n_pairs = n_definitions * len(sides.questions)
    print(f"d_model 128: all pairs, {n_definitions} x {len(sides.questions)} = {n_pairs}")
    check(model, sides.first(2))

    def ours(options: GradientOptions) -> GradientGram:
        return gradient_gram(model, sides.definitions, sides.questions, options=options)

    timings: dict[str, Timing] = time_in_turn(
        {
            "cached loop": lambda: run_cached_loop(model, sides),
            "ours, float32": lambda: ours(OPTIONS),
            "ours, bf16": lambda: ours(bf16_options()),
        },
        rounds=rounds,
    )
    for name, timing in timings.items():
        ratio = timings["cached loop"].cpu / timing.cpu
        print(f"  {name:<14} {timing.cpu:7.2f} s CPU, {ratio:.2f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    is_quick = parser.parse_args().quick
    torch.set_num_threads(1)
    print(describe_machine("torch", "transformers"))
    bench_paper(128, *((32, 4, 2) if is_quick else (128, 16, 5)))
    bench_paper(512, *((8, 1, 1) if is_quick else (32, 4, 3)))
    bench_all_pairs(*((64, 1) if is_quick else (256, 3)))


if __name__ == "__main__":
    main()
