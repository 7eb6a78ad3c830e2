"""Every sweep: which runs, which one thing differs between them, what is done with them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import InputError, unknown_name
from data.vocabulary import LossPolicy, Stage, WordOrder
from interp.sweeps.rungs import TOY_TO_TEXT, Rung
from training.config import RunConfig, Value
from training.recipes import find_recipe
from training.registry import Recipe
from training.runs.requests import RunRequest

if TYPE_CHECKING:
    from interp.grids.grid import Analysis

CELLS = "cells"
"""The folder of the runs within a sweep's folder."""
RUNG = "rung"
"""What the cells of a ladder differ in."""


@dataclass(frozen=True, kw_only=True)
class SweepCell:
    """One run of a sweep."""

    recipe: str
    arguments: Mapping[str, Value]
    same_steps: bool = False
    """Whether epochs follow batch size and rows, so that each stage has as many optimizer steps as
    it has by the recipe's defaults, to the nearest epoch."""
    rung: Rung | None = None
    """What the run is in a ladder."""

    def config(self, *, smoke: bool) -> RunConfig:
        """The config of this cell's run."""
        recipe = find_recipe(self.recipe)
        arguments = {**(recipe.smoke if smoke else {}), **self.arguments}
        if self.same_steps:
            arguments |= _matched_epochs(recipe, recipe(**self.arguments))
        if smoke and self.rung:
            arguments |= self.rung.smoke
        return recipe(**arguments)


def _matched_epochs(recipe: Recipe, config: RunConfig) -> dict[str, Value]:
    """Epochs in which `config` makes as many steps as the recipe's defaults do in theirs."""
    own = recipe()
    before, now = _own_steps_of_an_epoch(recipe.name), _steps_of_an_epoch(config)
    return {
        f"epochs_stage{stage}": round(own.stage(stage).epochs * n / now[stage])
        for stage, n in before.items()
    }


@cache
def _own_steps_of_an_epoch(recipe: str) -> dict[Stage, int]:
    """Steps in an epoch of each stage by a recipe's defaults."""
    return _steps_of_an_epoch(find_recipe(recipe)())


def _steps_of_an_epoch(config: RunConfig) -> dict[Stage, int]:
    """Steps in an epoch of each stage; every seed draws as many rows."""
    rows = config.data.build(seed=0).rows
    return {
        stage: ceil(
            sum(row.repeats for row in rows if config.schedule.stage_of(row) is stage)
            / config.stage(stage).batch_size
        )
        for stage in config.schedule.stages
    }


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Runs, and what is done with them."""

    name: str
    question: str
    figures: tuple[str, ...]
    """The figures of the paper that the sweep is of."""
    varies: str
    """The parameter that is compared; whatever else differs makes cells that are told apart. Of a
    ladder, `RUNG`."""
    claims: tuple[str, ...] = ()
    """The paper's claims about what changes from cell to cell; see `interp.claims`."""
    cells: tuple[SweepCell, ...]
    analyses: Callable[[], "tuple[Analysis, ...]"]
    """Makes the analyses of each cell when the sweep runs: they import torch."""
    stage: int
    """The stage at whose end the analyses look."""
    along: tuple[int, ...] = ()
    """Stages at whose every checkpoint the analyses look instead."""
    file: str = ""
    """The file that somebody wrote it in, if it is none of those below."""

    def requests(self, folder: Path, seeds: tuple[int, ...], *, smoke: bool) -> list[RunRequest]:
        """The runs that make up the sweep."""
        requests = []
        for cell in self.cells:
            config = cell.config(smoke=smoke)
            place = folder / CELLS / config.run_id
            most = cell.rung.most_seeds if cell.rung else 0
            own = seeds[:most] if most else seeds
            requests.append(RunRequest(config=config, folder=place, seeds=own))
        return requests

    def with_twins(self, requests: Sequence[RunRequest]) -> list[RunRequest]:
        """The requests of all cells, each before that of the null twin that its cell is to have."""
        found = []
        for cell, request in zip(self.cells, requests, strict=True):
            has_twin = cell.rung is not None and cell.rung.has_twin
            found += [request, request.null_twin()] if has_twin else [request]
        return found

    def until(self, name: str) -> "Sweep":
        """The ladder up to a rung, with the knobs beside the rungs so far.

        Raises:
            InputError: the sweep is no ladder, or has no such rung.
        """
        rungs = [cell.rung.name for cell in self.cells if cell.rung and not cell.rung.knob]
        if not rungs:
            raise InputError(f"{self.name} is no ladder; leave out --until")
        if name not in rungs:
            raise unknown_name("rung", name, rungs)
        wanted = rungs[: rungs.index(name) + 1]
        cells = tuple(cell for cell in self.cells if cell.rung and cell.rung.rung in wanted)
        return replace(self, cells=cells)


_OBJECTIVES = (
    # Under `answer`, a definition's answer is its last element, so orders differ in objective;
    # `text` trains every token alike, where tied embeddings destroy the effect.
    {"loss_policy": str(LossPolicy.TEXT), "tied_embeddings": False},
    {"loss_policy": str(LossPolicy.ANSWER)},
)


_ALPHAS = (0.5, 0.7, 0.9, 0.95, 1.0)
_OWN_BATCH = int(find_recipe("alias-toy").defaults["batch_size"])
_BATCH_SIZES = tuple(_OWN_BATCH // 4 * 4**power for power in range(5))
"""The last is more than Stage 1 of the alias toy has rows: full batch."""
_PHIS = (1.0, 4.0, 8.0)


def _probes_and_lenses() -> "tuple[Analysis, ...]":
    from interp.lenses.analysis import LensAnalysis
    from interp.probes.analysis import ProbeAnalysis

    return ProbeAnalysis(quick=True), LensAnalysis()


def _probes() -> "tuple[Analysis, ...]":
    """At every site and layer, at the alias and at the question."""
    from interp.probes.analysis import ProbeAnalysis

    return (ProbeAnalysis(quick=True),)


SWEEPS: dict[str, Sweep] = {
    sweep.name: sweep
    for sweep in (
        Sweep(
            name="toy-word-orders",
            question="In which word orders is there implicit meta-learning, and what is readable?",
            figures=("4b", "7"),
            varies="word_order",
            claims=("O1", "O2", "O3", "O4"),
            cells=tuple(
                SweepCell(recipe="alias-toy", arguments={"word_order": str(order), **objective})
                for objective in _OBJECTIVES
                for order in WordOrder
            ),
            analyses=_probes_and_lenses,
            stage=1,
        ),
        Sweep(
            name="toy-places",
            question="What is readable where and when, in each word order?",
            figures=(),
            varies="word_order",
            cells=tuple(
                SweepCell(recipe="alias-toy", arguments={"word_order": str(order), **objective})
                for objective in _OBJECTIVES
                for order in WordOrder
            ),
            analyses=_probes,
            stage=1,
            along=(1, 2),
        ),
        Sweep(
            name="toy-alpha",
            question="Does the gap grow with the share of definitions whose tag tells the truth?",
            figures=("4a",),
            varies="alpha",
            claims=("A1", "A2", "A3"),
            cells=tuple(
                SweepCell(recipe="alias-toy", arguments={"alpha": alpha}) for alpha in _ALPHAS
            ),
            analyses=tuple,
            stage=2,
        ),
        Sweep(
            name="toy-alias-length",
            question="Is there implicit meta-learning where no embedding row names an alias?",
            figures=(),
            varies="alias_tokens",
            cells=tuple(
                SweepCell(recipe="alias-toy-tokens", arguments={"alias_tokens": n})
                for n in (1, 2, 3)
            ),
            analyses=tuple,
            stage=2,
        ),
        Sweep(
            name="set-inclusion-questions",
            question="With more questions of a variable, do its definitions still matter?",
            figures=("22",),
            varies="questions",
            claims=("T2",),
            cells=tuple(
                SweepCell(recipe="set-inclusion-small", arguments={"questions": n})
                for n in (2, 4, 8, 16)
            ),
            analyses=tuple,
            stage=2,
        ),
        Sweep(
            name="toy-batch-size",
            question="Is the gap smaller with larger batches, up to full ones, at as many epochs?",
            figures=("4c",),
            varies="batch_size",
            claims=("B1", "B2"),
            cells=tuple(
                SweepCell(recipe="alias-toy", arguments={"batch_size": size})
                for size in _BATCH_SIZES
            ),
            analyses=tuple,
            stage=2,
        ),
        Sweep(
            name="toy-batch-size-updates",
            question="Is the gap smaller with larger batches, up to full ones, at as many steps?",
            figures=("4c",),
            varies="batch_size",
            claims=("B1", "B2"),
            cells=tuple(
                SweepCell(recipe="alias-toy", arguments={"batch_size": size}, same_steps=True)
                for size in _BATCH_SIZES
            ),
            analyses=tuple,
            stage=2,
        ),
        Sweep(
            name="two-hop-phi",
            question="Are facts put together more where more questions follow from each?",
            figures=(),
            varies="phi",
            claims=("H6",),
            cells=tuple(SweepCell(recipe="two-hop", arguments={"phi": phi}) for phi in _PHIS),
            analyses=tuple,
            stage=1,
        ),
        Sweep(
            name="toy-to-text",
            question="What of the toy does implicit meta-learning need, on the way to real text?",
            figures=(),
            varies=RUNG,
            cells=tuple(
                SweepCell(
                    recipe=rung.recipe,
                    arguments=rung.arguments,
                    same_steps=rung.same_steps,
                    rung=rung,
                )
                for rung in TOY_TO_TEXT
            ),
            analyses=tuple,
            stage=2,
        ),
    )
}


def find_sweep(name: str) -> Sweep:
    """The sweep of this name.

    Raises:
        InputError: there is no sweep of this name.
    """
    if name not in SWEEPS:
        raise unknown_name("sweep", name, SWEEPS)
    return SWEEPS[name]
