"""Gradient alignment of all pairs on a GPU, at the shapes of Pythia with random bf16 weights.

Definitions of 12 tokens and questions of 20. Ours measures all pairs; the paper's loop measures
own pairs only, on a sample of definitions with their questions, scaled to all of them. Ours is
compared with the loop in cosine before a ratio is printed. For more pairs than fit an hour a block
is measured and scaled, which the output says.

    python benchmarks/bench_gradients_gpu.py [--shape 2.8b|1b|410m|tiny] [--quick] [--no-loop]

Without a GPU only the tiny shape runs, as a check of this script.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from machine import describe_machine
from paper_alignment import measure_alignment
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedModel

from data.rows import prompt_row
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from interp.gradients.gram import GradientGram, GradientOptions, gradient_gram
from training.examples import Examples, make_examples

T = TypeVar("T")
N_QUESTIONS = 6
COSINE_GATE = 0.02
"""Largest difference from the loop, whose own gradients and sums are bf16."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A model's size, and how many definitions are wanted of it."""

    d_model: int
    n_layers: int
    n_heads: int
    n_words: int = 50304
    n_definitions: int = 256
    scaled_to: int | None = None
    """More definitions than are measured."""


SHAPES = {
    "2.8b": Shape(d_model=2560, n_layers=32, n_heads=32),
    "1b": Shape(d_model=2048, n_layers=16, n_heads=8, n_definitions=512, scaled_to=4000),
    "410m": Shape(d_model=1024, n_layers=24, n_heads=16),
    "tiny": Shape(d_model=64, n_layers=2, n_heads=2, n_words=512, n_definitions=8),
}


def build_model(
    shape: Shape, device: torch.device, dtype: torch.dtype = torch.bfloat16
) -> PreTrainedModel:
    config = GPTNeoXConfig(
        vocab_size=shape.n_words,
        hidden_size=shape.d_model,
        intermediate_size=4 * shape.d_model,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        max_position_embeddings=64,
        attention_dropout=0.0,
        hidden_dropout=0.0,
        use_cache=False,
    )
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), device:
        torch.manual_seed(0)
        model = GPTNeoXForCausalLM(config).eval()
        torch.nn.Module.to(model, dtype)  # in place
        return model


def build_rows(n: int, length: int, n_words: int, seed: int) -> list[TokenizedRow]:
    generator = torch.Generator().manual_seed(seed)
    row = prompt_row("random", "tag word", "word")
    return [
        TokenizedRow(
            row=row,
            input_ids=tuple(torch.randint(3, n_words, (length,), generator=generator).tolist()),
            answer_positions=(length - 1,),
            spans={},
        )
        for _ in range(n)
    ]


def timed(run: Callable[[], T], device: torch.device) -> tuple[T, float]:
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    result = run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return result, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="2.8b")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-loop", action="store_true")
    parser.add_argument("--memory", type=int, default=24, help="GiB for records of examples")
    arguments = parser.parse_args()
    has_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if has_gpu else "cpu")
    name = arguments.shape if has_gpu else "tiny"
    shape = SHAPES[name]
    if arguments.quick:
        shape = replace(shape, n_definitions=min(shape.n_definitions, 32), scaled_to=None)
    print(describe_machine("torch", "transformers"))
    print(f"device: {torch.cuda.get_device_name() if has_gpu else 'no GPU at hand, CPU'}")
    run(name, shape, device, memory=arguments.memory << 30, with_loop=not arguments.no_loop)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one shape took."""

    n_pairs: int
    seconds: float
    peak_gb: float | None
    """Most memory of the GPU; None without one."""
    loop: "Loop | None"


@dataclass(frozen=True, kw_only=True)
class Loop:
    """The paper's loop on the same rows."""

    seconds: float
    """Scaled from a few definitions to all, own pairs only."""
    difference: float
    """The largest, in cosine."""


def run(name: str, shape: Shape, device: torch.device, *, memory: int, with_loop: bool) -> Measured:
    model = build_model(shape, device)
    definitions = build_rows(shape.n_definitions, 11, shape.n_words, 1)
    questions = build_rows(shape.n_definitions * N_QUESTIONS, 19, shape.n_words, 2)
    options = GradientOptions(policy=LossPolicy.TEXT, memory=memory)
    gradient_gram(model, definitions[:4], questions[:24], options=options)  # warm-up
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    gram, seconds = timed(
        lambda: gradient_gram(model, definitions, questions, options=options), device
    )
    n_pairs = len(definitions) * len(questions)
    print(f"{name}: {len(definitions)} x {len(questions)} = {n_pairs} pairs in {seconds:.2f} s")
    peak_gb = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None
    if peak_gb is not None:
        print(f"  peak memory {peak_gb:.1f} GB")
    if shape.scaled_to:
        hours = seconds * (shape.scaled_to / shape.n_definitions) ** 2 / 3600
        print(
            f"  {shape.scaled_to} x {shape.scaled_to * N_QUESTIONS} would take at most"
            f" {hours:.2f} h: extrapolated from this block as if every part grew with the pairs"
        )
    loop = compare(model, definitions, questions, gram, seconds, device) if with_loop else None
    return Measured(n_pairs=n_pairs, seconds=seconds, peak_gb=peak_gb, loop=loop)


def compare(
    model: PreTrainedModel,
    definitions: list[TokenizedRow],
    questions: list[TokenizedRow],
    gram: GradientGram,
    seconds: float,
    device: torch.device,
    n_sample: int = 2,
) -> Loop:
    """The paper's loop on the first definitions, scaled to all."""

    def examples(rows: list[TokenizedRow]) -> Examples:
        made = make_examples(rows, LossPolicy.TEXT)
        return Examples(tokens=made.tokens.to(device), targets=made.targets.to(device))

    own = [examples(questions[i * N_QUESTIONS : (i + 1) * N_QUESTIONS]) for i in range(n_sample)]
    first = examples(definitions[:n_sample])
    measure_alignment(model, first, own)  # warm-up
    loop, loop_seconds = timed(lambda: measure_alignment(model, first, own), device)
    ours = [gram.cosine[i, i * N_QUESTIONS : (i + 1) * N_QUESTIONS] for i in range(n_sample)]
    difference = (torch.stack(ours) - torch.tensor(loop.cosine)).abs().max().item()
    print(f"  largest difference in cosine from the loop: {difference:.1e}")
    assert difference <= COSINE_GATE, "cosines differ: no ratio"
    whole = loop_seconds * len(definitions) / n_sample
    print(
        f"  the paper's loop, own pairs only: {whole:.1f} s scaled from {n_sample} definitions;"
        f" ours, all pairs, is {whole / seconds:.0f} times as fast"
    )
    return Loop(seconds=whole, difference=difference)


if __name__ == "__main__":
    main()
