"""An analysis's tables as a run folder has them, or measured anew: notebooks only look."""

from collections.abc import Sequence

import pandas as pd
from pandas.errors import UndefinedVariableError

from interp.grids.grid import Analysis, measure_grid
from interp.grids.selection import GridSelection
from training.executors.executor import Progress
from training.runs.publication import exists
from training.runs.run import Run, read_table

Tables = tuple[pd.DataFrame, pd.DataFrame]


def known_or_measured(
    analysis: Analysis,
    selection: GridSelection,
    *,
    needs: Sequence[str],
    workers: int | None = None,
    progress: Progress | None = None,
) -> Tables:
    """Rows and summary of one run's checkpoints; the run folder stays as it is.

    The folder's own rows are taken where they have what is needed of every seed: a command may have
    looked at one seed, layer or subset only. Else the grid is measured, and written nowhere.

    Args:
        analysis: What to do where the folder lacks something.
        selection: Of one run.
        needs: Queries, each of which some row of each seed meets.
        workers: As in `interp.grids.grid.run_grid`.
        progress: As there.

    Raises:
        InputError: the grid cannot be filled.
    """
    (run,) = selection.runs
    known = known_rows(run, analysis.name, selection)
    seeds = set(selection.seeds_of(run))
    if known is not None and all(seeds <= _seeds_that_meet(known, need) for need in needs):
        return known, analysis.summarize(known)
    return measure_grid(analysis, selection, workers=workers, progress=progress)


def _seeds_that_meet(table: pd.DataFrame, need: str) -> set[int]:
    """Of which seeds some row meets a query; none if the table is older than one of its columns."""
    try:
        return set(table.query(need)["seed"])
    except UndefinedVariableError:
        return set()


def known_rows(run: Run, name: str, selection: GridSelection) -> pd.DataFrame | None:
    """The rows that a run's folder has of a grid's checkpoints, if there is such a table.

    Args:
        run: Whose folder is read.
        name: Stem of the file's name.
        selection: Which seeds, and which stage and step.
    """
    path = run.folder / f"{name}.parquet"
    if not exists(path):
        return None
    table = read_table(path)
    table = table.loc[table["run_id"] == run.config.run_id]
    tables = [
        table.loc[
            (table["seed"] == seed)
            & (table["stage"] == selection.stage)
            & (table["step"] == (selection.step if selection.step is not None
                                 else run.steps(seed, selection.stage)[-1]))
        ]
        for seed in selection.seeds_of(run)
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)
