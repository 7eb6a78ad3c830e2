"""Writes the curves of a run and their order into its folder."""

from pathlib import Path

import pandas as pd

from data.errors import InputError
from interp.figures.grid_tables import table_of
from interp.orders.curves import curves_of
from interp.orders.summary import summarize_orders
from training.files import table_bytes
from training.runs.publication import Files, require_intact
from training.runs.run import Run, publish_runs

CURVES_TABLE, ORDERS_TABLE = "orders", "orders_summary"


def write_orders(run: Run, stage: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Writes `orders.parquet` and `orders_summary.parquet`, what they have of other stages kept.

    Args:
        run: A finished run.
        stage: Whose curves.

    Returns:
        The curves of the stage and the order of each pair.

    Raises:
        InputError: the run was measured at too few checkpoints of the stage.
    """
    require_intact(run.folder)
    table = curves_of(run, stage)
    if table.empty:
        raise InputError(
            f"{run.folder} has too few checkpoints in stage {stage} for a curve; run it with "
            "--set evaluations=20"
        )
    summary = summarize_orders(table)

    def make() -> dict[Path, Files]:
        files = {}
        for name, new in ((CURVES_TABLE, table), (ORDERS_TABLE, summary)):
            old = table_of(run, name)
            kept = None if old is None else old.loc[old["stage"] != stage]
            both = new if kept is None or kept.empty else pd.concat([kept, new])
            files[f"{name}.parquet"] = table_bytes(both.reset_index(drop=True))
        return {run.folder: files}

    publish_runs([run.folder], make)
    return table, summary
