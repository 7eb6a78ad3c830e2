"""Dictionaries over seeds: every measurement beside its control.

Features of two seeds are not the same, so that rows about single features are in no summary.
"""

import pandas as pd

from interp.dictionaries.rows import COORDINATES, OF_PAGE
from interp.grids.seed_summary import summarize_over_seeds
from training.columns import WITHOUT_SEED
from training.statistics import t_interval

KEYS = [*WITHOUT_SEED, *COORDINATES]


def summarize_dictionaries(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each place, dictionary, sparsity, target, subset and quantity.

    Columns: run columns without the seed, `COORDINATES`, the means over seeds of `value` and
    `control`, the 95% t interval `value_low value_high` of the first, then those of
    `summarize_over_seeds` for value minus control, corrected over all cells of a quantity.
    """
    rows = table.loc[~table["quantity"].isin(OF_PAGE)]
    rows = rows.assign(tested=rows["value"] - rows["control"])
    families = [family for _, family in rows.groupby("quantity", sort=True)]
    summaries = [
        summarize_over_seeds(family, cell=COORDINATES, means=["value", "control"], tested="tested")
        for family in families
    ]
    summary = pd.concat(summaries, ignore_index=True)
    ends = [
        {**dict(zip(KEYS, key, strict=True)), "value_low": low, "value_high": high}
        for key, values in rows.groupby(KEYS, sort=False)["value"]
        for low, high in [t_interval(values.dropna())]
    ]
    return summary.merge(pd.DataFrame(ends), on=KEYS, how="left", validate="one_to_one")
