"""An analysis's tables as a run folder has them, or measured anew: who looks writes nothing."""

import numpy as np
import pandas as pd

from interp.grids.grid import Analysis, measure_grid
from interp.grids.selection import GridSelection
from interp.grids.settings import measured_with, settings_of
from training.executors.executor import Progress
from training.runs.publication import exists
from training.runs.run import read_table

Tables = tuple[pd.DataFrame, pd.DataFrame]


def known_or_measured(
    analysis: Analysis,
    selection: GridSelection,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Tables:
    """Rows and summary of one run's checkpoints; the run folder stays as it is.

    Args:
        analysis: What to do where the folder lacks it.
        selection: Of one run.
        workers: As in `interp.grids.grid.run_grid`.
        progress: As there.

    Raises:
        InputError: the grid cannot be filled.
    """
    known = known_rows(analysis, selection)
    if known is not None:
        return known, analysis.summarize(known)
    return measure_grid(analysis, selection, workers=workers, progress=progress)


def known_rows(analysis: Analysis, selection: GridSelection) -> pd.DataFrame | None:
    """The rows that a run's folder has of a grid, if they are what measuring it would give.

    A command may have looked at one seed only, or again at a part with other settings, which took
    the place of what was there. So the rows are taken only if they are of every seed, and nothing
    was measured otherwise at these checkpoints.

    Args:
        analysis: With all that is taken from a design filled in.
        selection: Of one run.
    """
    (run,) = selection.runs
    path = run.folder / f"{analysis.name}.parquet"
    if not exists(path):
        return None
    table = read_table(path)
    wanted = {
        (seed, stage, run.steps(seed, stage)[-1] if step is None else step)
        for seed in selection.seeds_of(run)
        for stage, step in selection.places(run)
    }
    there = list(zip(table["seed"], table["stage"], table["step"], strict=True))
    is_of_run = (table["run_id"] == run.config.run_id).to_numpy()
    is_here = is_of_run & np.array([place in wanted for place in there], dtype=bool)
    found = {place for place, here in zip(there, is_here, strict=True) if here}
    alike = measured_with(table, settings_of(analysis, selection))
    if found < wanted or not alike[is_here].all():
        return None
    return table.loc[is_here].reset_index(drop=True)
