"""Many runs and their analyses: one variable changed at a time, tables joined.

A sweep's folder holds one run folder for each cell, `cells/<run_id>/`. At its top are
`cells.parquet` (each one's parameters and gap), the joined `metrics`, `probes`, `probes_summary`,
`lens` and `lens_summary` tables, and `sweep.json`, which says what sweep it is. The probes of all
cells are corrected together. Asking again finishes what is missing.
"""

from pathlib import Path

import pandas as pd

from interp.grids import run_grid
from interp.selection import GridSelection
from interp.sweep_folders import SWEEP_FILE, sweep_info
from interp.sweep_plans import CELLS, Sweep
from training.files import require_writable, write_json, write_manifest, write_table
from training.progress import Show, show_nothing
from training.runner import run_seeds
from training.runs import Run, read_table


def run_sweep(
    sweep: Sweep,
    folder: Path,
    seeds: tuple[int, ...],
    *,
    smoke: bool = False,
    workers: int | None = None,
    show: Show = show_nothing,
) -> pd.DataFrame:
    """Trains what is missing, runs every analysis, joins the tables; returns `cells.parquet`.

    Args:
        sweep: What to run.
        folder: Where.
        seeds: Stage-1 seeds of every cell.
        smoke: Tiny cells, whose numbers mean nothing.
        workers: Processes; as many as cores unless given.
        show: Tells of training steps, then of the checkpoints of each analysis.
    """
    require_writable(folder)
    requests = sweep.requests(folder, seeds, smoke=smoke)
    for request in requests:
        request.require_inputs_of(list((folder / CELLS).glob("*")))
    with show(sweep.name) as progress:
        runs = run_seeds(requests, workers=workers, progress=progress)
    selection = GridSelection(runs=tuple(runs), stage=sweep.stage)
    for analysis in sweep.analyses():
        with show(analysis.name, unit="checkpoint") as progress:
            run_grid(analysis, selection, workers=workers, progress=progress)
    cells = _join(runs, folder)
    write_json(folder / SWEEP_FILE, sweep_info(sweep, runs, smoke=smoke))
    write_manifest(folder)
    return cells


def _join(runs: list[Run], folder: Path) -> pd.DataFrame:
    """Writes the joined tables of a sweep."""
    names = sorted({path.name for run in runs for path in run.folder.glob("*.parquet")})
    for name in names:
        tables = [read_table(run.folder / name) for run in runs if (run.folder / name).exists()]
        write_table(folder / name, pd.concat(tables, ignore_index=True))
    cells = pd.DataFrame(
        [
            {"run_id": run.config.run_id, "recipe": run.config.recipe, **run.config.identity}
            | {
                f"{prefix}_{key}": run.summary["iml_gap"][metric][key]
                for prefix, metric in _GAPS.items()
                for key in _ESTIMATE
            }
            for run in runs
        ]
    )
    write_table(folder / "cells.parquet", cells)
    return cells


_GAPS = {"iml_gap": "exact_match", "iml_gap_nats": "answer_log_prob"}
_ESTIMATE = ("mean", "ci_low", "ci_high", "p_value", "n_seeds")
