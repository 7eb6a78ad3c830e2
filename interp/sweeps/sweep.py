"""Many runs and their analyses: one variable changed at a time, tables joined.

A sweep's folder holds one run folder for each cell, `cells/<run_id>/`. At its top are
`cells.parquet` (each one's parameters and gap), the joined `metrics`, `probes`, `probes_summary`,
`lens` and `lens_summary` tables, and `sweep.json`, which says what sweep it is. The probes of all
cells are corrected together. Asking again finishes what is missing, and nothing else: seeds go on
from their checkpoints, and what was measured of a checkpoint is kept in the folder's `.measured`.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from interp.grids.grid import run_grid
from interp.grids.selection import GridSelection
from interp.grids.settings import joined
from interp.sweeps.folders import SWEEP_FILE, require_place_for, sweep_info
from interp.sweeps.plans import CELLS, Sweep
from training.executors.executor import Executor, Persistent
from training.executors.local import EXECUTOR as LOCAL
from training.files import json_bytes, table_bytes
from training.progress import Show, ShowCells, show_no_cells, show_nothing
from training.runs.publication import Files, listed, publish
from training.runs.requests import RunRequest
from training.runs.run import NULL_FOLDER, Run, read_table, write_null_verdict
from training.runs.runner import run_seeds, sole_runner

MEASURED = ".measured"
"""The folder of what was measured of single checkpoints; see `interp.grids.kept`."""
RETRIES = 2


def run_sweep(
    sweep: Sweep,
    folder: Path,
    seeds: tuple[int, ...],
    *,
    smoke: bool = False,
    workers: int | None = None,
    executor: Executor = LOCAL,
    retries: int = RETRIES,
    show: Show = show_nothing,
    show_cells: ShowCells = show_no_cells,
) -> pd.DataFrame:
    """Trains what is missing, runs every analysis, joins the tables; returns `cells.parquet`.

    Args:
        sweep: The sweep to run.
        folder: The folder of the sweep.
        seeds: Stage-1 seeds of every cell.
        smoke: Whether to run tiny cells, whose numbers mean nothing.
        workers: Most seeds or checkpoints at once; the executor chooses unless given.
        executor: What carries out the training and the analyses.
        retries: How often a seed or checkpoint that fails is begun again.
        show: What is told of training steps, then of the checkpoints of each analysis.
        show_cells: What is told how many seeds are done, running or failed, then checkpoints.

    Raises:
        InputError: the folder holds something else, or another call writes to it; nothing is
            written then.
        CellsFailedError: some failed as often as they may be begun again; the others are done.
    """
    require_place_for(sweep, folder, smoke=smoke)
    requests = sweep.requests(folder, seeds, smoke=smoke)
    for request in requests:
        request.require_inputs_of(list((folder / CELLS).glob("*")))
    with sole_runner([folder]):
        runs = _train(sweep, requests, workers, executor, retries, show, show_cells)
        selection = GridSelection(runs=tuple(runs), stage=sweep.stage, along=sweep.along)
        for analysis in sweep.analyses():
            with show(analysis.name, unit="checkpoint") as progress, show_cells() as watch:
                run_grid(
                    analysis,
                    selection,
                    workers=workers,
                    executor=Persistent(executor=executor, retries=retries, watch=watch),
                    progress=progress,
                    kept=folder / MEASURED,
                )
    return _join(sweep, folder, runs, smoke=smoke)


def _train(
    sweep: Sweep,
    requests: Sequence[RunRequest],
    workers: int | None,
    executor: Executor,
    retries: int,
    show: Show,
    show_cells: ShowCells,
) -> list[Run]:
    """Trains what is missing; the runs without their null twins."""
    with show(sweep.name) as progress, show_cells() as watch:
        trained = run_seeds(
            sweep.with_twins(requests),
            workers=workers,
            executor=Persistent(executor=executor, retries=retries, watch=watch),
            progress=progress,
        )
    runs = [run for run in trained if run.folder.name != NULL_FOLDER]
    for run in runs:
        write_null_verdict(run)
    return runs


def _join(sweep: Sweep, folder: Path, runs: list[Run], *, smoke: bool) -> pd.DataFrame:
    """Writes what lies at the top of the folder; returns `cells.parquet`."""
    cells = pd.DataFrame()

    def make() -> dict[Path, Files]:
        nonlocal cells
        cells = _cells(runs)
        files = {name: table_bytes(table) for name, table in _joined(runs).items()}
        files["cells.parquet"] = table_bytes(cells)
        return {folder: files | {SWEEP_FILE: json_bytes(sweep_info(sweep, runs, smoke=smoke))}}

    publish([folder, *(run.folder for run in runs)], make)
    return cells


def _joined(runs: list[Run]) -> dict[str, pd.DataFrame]:
    """Every table that commands wrote into the cells, joined, by file name."""
    tables = {
        run.folder: [n for n in listed(run.folder) or () if n.endswith(".parquet")] for run in runs
    }
    return {
        name: joined([read_table(folder / name) for folder in tables if name in tables[folder]])
        for name in sorted({name for names in tables.values() for name in names})
    }


def _cells(runs: list[Run]) -> pd.DataFrame:
    """Parameters and gap of each cell."""
    return pd.DataFrame(
        [
            {"run_id": run.config.run_id, "recipe": run.config.recipe, **run.config.identity}
            | {
                f"{run.design.main.name}{ending}_{key}": run.summary[run.design.main.name][metric][
                    key
                ]
                for ending, metric in _METRICS.items()
                for key in _ESTIMATE
            }
            for run in runs
        ]
    )


_METRICS = {"": "exact_match", "_nats": "answer_log_prob"}
_ESTIMATE = ("mean", "ci_low", "ci_high", "p_value", "n_seeds")
