"""Many runs and their analyses: one variable changed at a time, tables joined.

A sweep's folder holds one run folder for each cell, `cells/<run_id>/`, and at its top `cells.parquet`
(the parameters of each), and the joined `metrics`, `probes`, `probes_summary`, `lens` and
`lens_summary` tables. Every cell's probes are corrected together. Asking again finishes what is
missing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from data.errors import InputError
from data.vocabulary import LossPolicy, WordOrder
from interp.grids import Analysis, GridSelection, run_grid
from interp.lenses import LensAnalysis
from interp.probes import ProbeAnalysis
from training.config import Value
from training.files import require_writable, write_table
from training.registry import find_recipe
from training.requests import RunRequest
from training.runner import run_seeds
from training.runs import Run, read_table, write_run_manifest

CELLS = "cells"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of a sweep."""

    recipe: str
    arguments: Mapping[str, Value]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Runs, and what is done with them."""

    name: str
    question: str
    figures: tuple[str, ...]
    cells: tuple[Cell, ...]
    analyses: tuple[Analysis, ...]
    stage: int
    """The stage at whose end the analyses look."""

    def requests(self, folder: Path, seeds: tuple[int, ...], *, smoke: bool) -> list[RunRequest]:
        """The runs that make up the sweep."""
        requests = []
        for cell in self.cells:
            recipe = find_recipe(cell.recipe)
            config = recipe(**{**(recipe.smoke if smoke else {}), **cell.arguments})
            place = folder / CELLS / config.run_id
            requests.append(RunRequest(config=config, folder=place, seeds=seeds))
        return requests


_OBJECTIVES = (
    # Under `answer`, a definition's answer is its last element, so orders differ in objective;
    # `text` trains every token alike, where tied embeddings destroy the effect.
    {"loss_policy": str(LossPolicy.TEXT), "tied_embeddings": False},
    {"loss_policy": str(LossPolicy.ANSWER)},
)

SWEEPS: dict[str, Sweep] = {
    sweep.name: sweep
    for sweep in (
        Sweep(
            name="toy-word-orders",
            question="In which word orders is there implicit meta-learning, and what is readable?",
            figures=("4b", "7"),
            cells=tuple(
                Cell(recipe="alias-toy", arguments={"word_order": str(order), **objective})
                for objective in _OBJECTIVES
                for order in WordOrder
            ),
            analyses=(ProbeAnalysis(quick=True), LensAnalysis()),
            stage=1,
        ),
    )
}


def find_sweep(name: str) -> Sweep:
    """The sweep of this name.

    Raises:
        InputError: there is none.
    """
    if name not in SWEEPS:
        near = get_close_matches(name, SWEEPS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(SWEEPS)}"
        raise InputError(f"no sweep {name!r}; {hint}")
    return SWEEPS[name]


def run_sweep(
    sweep: Sweep,
    folder: Path,
    seeds: tuple[int, ...],
    *,
    smoke: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """Trains what is missing, runs every analysis, joins the tables; returns `cells.parquet`.

    Args:
        sweep: What to run.
        folder: Where.
        seeds: Stage-1 seeds of every cell.
        smoke: Tiny cells, whose numbers mean nothing.
        workers: Processes; as many as cores unless given.
        progress: Told of training steps done, and of all there are.
    """
    require_writable(folder)
    requests = sweep.requests(folder, seeds, smoke=smoke)
    runs = run_seeds(requests, workers=workers, progress=progress)
    selection = GridSelection(runs=tuple(runs), stage=sweep.stage)
    for analysis in sweep.analyses:
        run_grid(analysis, selection, workers=workers)
    return _join(runs, folder)


def _join(runs: list[Run], folder: Path) -> pd.DataFrame:
    """Writes the joined tables of a sweep."""
    names = sorted({path.name for run in runs for path in run.folder.glob("*.parquet")})
    for name in names:
        tables = [read_table(run.folder / name) for run in runs if (run.folder / name).exists()]
        write_table(folder / name, pd.concat(tables, ignore_index=True))
    cells = pd.DataFrame(
        [
            {"run_id": run.config.run_id, "recipe": run.config.recipe, **run.config.parameters}
            | {f"iml_gap_{key}": run.summary["iml_gap"]["exact_match"][key] for key in _GAP}
            for run in runs
        ]
    )
    write_table(folder / "cells.parquet", cells)
    write_run_manifest(folder)
    return cells


_GAP = ("mean", "ci_low", "ci_high", "p_value", "n_seeds")
