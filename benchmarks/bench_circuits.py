"""Speed of disruptions: every unit by itself against a loop of TransformerLens hooks, one thread.

What `iml circuit` does to a seed: each head and MLP, at the tokens of each role, takes its mean
over the rows that ask the same, and every behaviour's held-out rows (up to 100) are answered.
Random weights: of the toy's own shape, of 4 layers x 8 heads, and the latter on texts of 20
tokens, as of a language. TransformerLens makes a pass over a behaviour's rows for each unit that
is there; the means are charged to neither side. Effects must agree to 1e-4 nats before anything
is timed. Then 500 circuits of 12 units on the larger model, and, where a run of `alias-toy` is
named, every unit of 8 of its seeds, opening them included.

    python benchmarks/bench_circuits.py [--quick] [--run runs/alias-toy]
"""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from machine import describe_machine, time_in_turn
from random_neox import make_model
from torch import Tensor, nn

from data.rows import prompt_row
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from interp.circuits.ablated import Ablatable, AblatedRows
from interp.circuits.bench import Bench, DividedRows
from interp.circuits.disruption import solo_effects
from interp.circuits.units import Unit, token_roles, units_of
from interp.hooked.activations import pad_tokens
from interp.hooked.model import HookedModel, load_hooked
from interp.interventions.ablation import AblationKind
from interp.patching.unrolled import UnrolledModel
from training.recipes import find_recipe
from training.runs.run import Run

SMALL, LARGE = (2, 4, 64), (4, 8, 128)
"""Layers, heads, d_model."""
GATE, LIMIT, N_TEXT_WORDS = 1e-4, 100, 8000
N_CIRCUITS, SIZE, N_SEEDS = 500, 12, 8
TOY = find_recipe("alias-toy")()


class HookLoop:
    """The same effects on a behaviour's rows with TransformerLens's hooks, a pass for each unit."""

    def __init__(
        self,
        model: HookedModel,
        rows: list[TokenizedRow],
        units: list[Unit],
        reference: list[TokenizedRow],
    ) -> None:
        self.model = model
        self.tokens = pad_tokens([row.input_ids[:-1] for row in rows])
        self.answers = torch.tensor([row.input_ids[-1] for row in rows])
        roles = [token_roles(row)[: self.tokens.shape[1]] for row in rows]
        self.units = [unit for unit in units if any(unit.role in each for each in roles)]
        self.at = {
            u.role: torch.tensor([[r == u.role for r in each] for each in roles]) for u in units
        }
        self.means = self._means(rows, reference)

    def effects(self) -> Tensor:
        """Nats lost without each unit, `[unit, row]`."""
        with torch.no_grad():
            base = self._log_probs(self.model.bridge(self.tokens))
            return torch.stack([base - self._without(unit) for unit in self.units])

    def _means(self, rows: list[TokenizedRow], reference: list[TokenizedRow]) -> dict[str, Tensor]:
        """By hook the mean over the reference rows that ask what each row asks."""
        hooks = list(dict.fromkeys(map(self._hook, self.units)))
        kinds = [(row.row.kind, row.row.question) for row in rows]
        means: dict[str, Tensor] = {}
        for kind in dict.fromkeys(kinds):
            alike = [row for row in reference if (row.row.kind, row.row.question) == kind]
            with torch.no_grad():
                tokens = pad_tokens([row.input_ids[:-1] for row in alike])
                _, cache = self.model.bridge.run_with_cache(tokens, names_filter=hooks)
            chosen = torch.tensor([each == kind for each in kinds])
            for hook in hooks:
                mean = cache[hook].mean(0)
                into = means.setdefault(hook, mean.new_zeros(len(rows), *mean.shape))
                into[chosen] = mean
        return means

    def _without(self, unit: Unit) -> Tensor:
        at, means = self.at[unit.role], self.means[self._hook(unit)]

        def replace(activation: Tensor, hook: nn.Module) -> Tensor:
            changed = activation.clone()
            if unit.head is None:
                changed[at] = means[at]
            else:
                changed[:, :, unit.head][at] = means[:, :, unit.head][at]
            return changed

        logits = self.model.bridge.run_with_hooks(
            self.tokens, fwd_hooks=[(self._hook(unit), replace)]
        )
        return self._log_probs(logits)

    def _log_probs(self, logits: Tensor) -> Tensor:
        return logits[:, -1].log_softmax(-1).gather(1, self.answers[:, None])[:, 0]

    @staticmethod
    def _hook(unit: Unit) -> str:
        site = "hook_mlp_out" if unit.head is None else "attn.hook_z"
        return f"blocks.{unit.layer}.{site}"


def own_effects(ablated: Ablatable) -> Tensor:
    """Nats lost without each unit, `[unit, row]`."""
    n = len(ablated.units)
    alone = torch.cat([torch.zeros(1, n, dtype=torch.bool), torch.eye(n, dtype=torch.bool)])
    said = ablated.answers(alone)[..., 1]
    return said[0] - said[1:]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A model, groups of rows with their reference rows, and units."""

    model: HookedModel
    groups: list[list[TokenizedRow]]
    reference: list[TokenizedRow]
    units: list[Unit]

    @classmethod
    def of(
        cls, shape: tuple[int, int, int], groups: list[list[TokenizedRow]], n_words: int
    ) -> Self:
        """Every unit that the rows have, in a model of this shape."""
        model, every = make_model(*shape, n_words), [row for rows in groups for row in rows]
        units = units_of(model, every)
        return cls(model=model, groups=groups, reference=every, units=units)

    def ours(self) -> list[Ablatable]:
        """A group each."""
        unrolled = UnrolledModel(self.model)
        how: Mapping[str, Any] = {"reference": self.reference, "by_question": True}
        return [
            AblatedRows(unrolled, rows, self.units, AblationKind.MEAN, **how)
            for rows in self.groups
        ]


def toy(shape: tuple[int, int, int]) -> Workload:
    """The held-out rows of every behaviour of `alias-toy`."""
    drawn = TOY.data.build(0)
    tokenizer = TOY.data.tokenizer(drawn)
    rows = tokenize_rows(drawn.rows, tokenizer)
    divided = DividedRows.of(rows, TOY.design, TOY.design.main, limit=LIMIT, seed=0)
    return Workload.of(shape, list(divided.tested_on.values()), len(tokenizer))


def text(shape: tuple[int, int, int]) -> Workload:
    """As many texts of 20 tokens, their alias and question near the end, an answer of one token."""
    words = [f"w{i}" for i in range(N_TEXT_WORDS)]
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randint(len(words), (LIMIT, 21), generator=generator)
    texts = [" ".join(words[i] for i in each) for each in drawn.tolist()]

    def spans(text: str) -> dict[str, tuple[int, int]]:
        starts = [len(" ".join([*text.split()[:i], ""])) for i in range(21)]
        return {"alias": (starts[12], starts[14] - 1), "question": (starts[16], starts[20] - 1)}

    rows = [
        replace(prompt_row(each, each, each.split()[-1], spans=spans(each)), alias=each)
        for each in texts
    ]
    tokenizer = word_tokenizer(words)
    return Workload.of(shape, [tokenize_rows(rows, tokenizer)], len(tokenizer))


def compare(name: str, work: Workload, rounds: int) -> None:
    """Checks, then times both sides in turn; on the larger model, 500 circuits, too."""
    ours = work.ours()
    loops = [HookLoop(work.model, rows, work.units, work.reference) for rows in work.groups]
    error = max(
        (own_effects(own)[[work.units.index(unit) for unit in loop.units]] - loop.effects())
        .abs()
        .max()
        .item()
        for own, loop in zip(ours, loops, strict=True)
    )
    n_passes = sum(len(loop.units) for loop in loops)
    print(f"{name}: {n_passes} disruptions; largest difference {error:.1e} nats")
    if not error <= GATE:
        raise SystemExit("the two sides differ: nothing is timed")
    sides: dict[str, Callable[[], object]] = {
        "hooks": lambda: [loop.effects() for loop in loops],
        "ours": lambda: [own_effects(own) for own in ours],
    }
    times = time_in_turn(sides, rounds=rounds)
    slow, own = times["hooks"].cpu, times["ours"].cpu
    print(f"  TransformerLens {slow:.2f} s, ours {own:.2f} s: {slow / own:.1f} times as fast")
    if work.model.n_layers > 2:
        draws = torch.rand(N_CIRCUITS, len(work.units), generator=torch.Generator().manual_seed(2))
        circuits = draws.argsort(1).argsort(1) < SIZE
        start = time.process_time()
        for each in ours:
            each.answers(circuits)
        spent = time.process_time() - start
        print(f"  {N_CIRCUITS} circuits of {SIZE} units on all rows: {spent:.1f} s")


def run_of_seeds(folder: Path) -> None:
    """Every unit of several seeds of a run, on every behaviour's held-out rows."""
    run = Run.load(folder)
    start, n_units = time.process_time(), 0
    for seed in run.seeds[:N_SEEDS]:
        rows, model = run.tokenized_rows(seed), load_hooked(run, seed, 2)
        compared = run.compared_at(2)
        divided = DividedRows.of(rows, run.design, compared, limit=100, seed=seed)
        bench = Bench.of(model, divided, AblationKind.MEAN, seed=seed)
        behaviours = {each.measured: bench.right(each) for each in divided.tested_on}
        solo_effects(behaviours)
        n_units += len(bench.units) * len(behaviours)
    spent = time.process_time() - start
    n_seeds = len(run.seeds[:N_SEEDS])
    print(f"{folder.name}: {n_units} disruptions of single units, {n_seeds} seeds: {spent:.1f} s")


def main() -> None:
    """Compares both shapes, then times a run if one is named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one round instead of three")
    parser.add_argument("--run", type=Path, help="a finished run of alias-toy")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(describe_machine("torch", "transformers", "transformer-lens"))
    works = {
        "alias toy, 2 layers x 4 heads": toy(SMALL),
        "alias toy, 4 layers x 8 heads": toy(LARGE),
        "texts of 20 tokens, 4 layers x 8 heads": text(LARGE),
    }
    for name, work in works.items():
        compare(name, work, rounds=1 if arguments.quick else 3)
    if arguments.run is not None:
        run_of_seeds(arguments.run)


if __name__ == "__main__":
    main()
