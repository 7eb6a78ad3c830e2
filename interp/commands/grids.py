"""How a command fills the grid of an analysis, and prints what it found."""

import argparse
from typing import TYPE_CHECKING

from training.executors.executor import find_executor

if TYPE_CHECKING:
    import pandas as pd

    from interp.grids.grid import Analysis
    from interp.grids.selection import GridSelection

TESTED = ["control", "difference", "ci_low", "ci_high", "p_corrected", "n_seeds"]
"""The columns of a summary that tell what was found from its control."""


def fill(
    analysis: "Analysis", selection: "GridSelection", arguments: argparse.Namespace
) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Runs the grid, on what `arguments` say, behind a progress bar; its rows and its summary."""
    from interp.grids.grid import run_grid
    from training.progress import show_progress

    with show_progress(analysis.name, unit="checkpoint") as progress:
        return run_grid(
            analysis,
            selection,
            workers=arguments.workers,
            executor=find_executor(arguments.executor),
            progress=progress,
        )


def print_summary(
    summary: "pd.DataFrame",
    columns: list[str],
    selection: "GridSelection",
    *,
    interval_of: str = "diff",
) -> None:
    """A table on the terminal; a run's folder is told only where several are compared.

    Args:
        summary: Of an analysis.
        columns: Which to show.
        selection: Of the grid.
        interval_of: What the interval is of: the column `difference`, unless another is named.
    """
    ends = {end: f"{interval_of}_{end}" for end in ("ci_low", "ci_high")}
    shown = summary[columns].round(3).rename(ends, axis="columns")
    if len(selection.runs) > 1:
        folders = {run.config.run_id: str(run.folder) for run in selection.runs}
        shown.insert(0, "run", [folders[run_id] for run_id in summary["run_id"]])
    print(shown.to_string(index=False))
