"""Codes over seeds."""

import pandas as pd

from interp.codes.rows import COORDINATES
from interp.grids.seed_summary import summarize_over_seeds


def summarize_codes(table: pd.DataFrame) -> pd.DataFrame:
    tested = table.assign(tested=table["value"] - table["control"].fillna(0.0))
    return summarize_over_seeds(
        tested, cell=COORDINATES, means=["value", "control"], tested="tested"
    )
