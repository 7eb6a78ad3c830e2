"""How a command fills the grid of an analysis, and reads it run by run."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from interp.commands.executor import chosen_executor

if TYPE_CHECKING:
    import pandas as pd

    from interp.grids.grid import Analysis
    from interp.grids.selection import GridSelection
    from training.runs.run import Run


def fill(
    analysis: "Analysis", selection: "GridSelection", arguments: argparse.Namespace
) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Runs the grid, on what `arguments` say, behind a progress bar; its rows and its summary."""
    from interp.grids.grid import run_grid

    return run_grid(
        analysis,
        selection,
        workers=arguments.workers,
        executor=chosen_executor(arguments),
        device=arguments.device,
    )


def by_checkpoint(
    selection: "GridSelection", summary: "pd.DataFrame", table: "pd.DataFrame | None" = None
) -> "Iterator[tuple[Run, int, int, pd.DataFrame, pd.DataFrame]]":
    """Of each run and checkpoint its stage and step, the cells of the summary and its seeds' rows.

    Args:
        selection: Of the grid.
        summary: What an analysis found over seeds.
        table: The rows of its seeds; without them there are the cells in their place.
    """
    for run in selection.runs:
        cells = summary.loc[summary["run_id"] == run.config.run_id]
        places = list(cells.groupby(["stage", "step"], sort=True))
        # Along training what came out is said first.
        for (stage, step), at_step in places[::-1] if selection.along else places:  # pyright: ignore[reportGeneralTypeIssues]
            rows = at_step
            if table is not None:
                of_run = table.loc[table["run_id"] == run.config.run_id]
                rows = of_run.loc[(of_run["stage"] == stage) & (of_run["step"] == step)]
            yield run, int(stage), int(step), at_step, rows
