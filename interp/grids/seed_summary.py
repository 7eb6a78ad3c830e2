"""Cells of an analysis over seeds: mean, interval, sign flips, correction over the whole grid.

The one place where an intervention's table becomes its summary. The tested column is a difference
that is 0 where nothing happens: an effect minus its control, say.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from training.columns import WITHOUT_SEED
from training.statistics import max_sign_flip_p, sign_flip_p, smallest_sign_flip_p, t_interval


def summarize_over_seeds(
    table: pd.DataFrame, *, cell: Sequence[str], means: Sequence[str], tested: str
) -> pd.DataFrame:
    """One row for each cell and checkpoint.

    Columns: the run columns without the seed, `cell`, the mean of each of `means`, then
    `difference` (the mean of `tested`), its 95% t interval `ci_low ci_high` over seeds, `p_value`
    by sign flips, `p_corrected` by the largest |t| of all rows returned, `p_smallest` (the least p
    that so many seeds can give), `n` (summed, where the table counts one) and `n_seeds`. A seed
    whose `tested` is NaN, for want of a control, counts in the means and in nothing else.

    Args:
        table: One row for each seed and cell, with run columns.
        cell: Columns that tell the cells of one checkpoint apart.
        means: Columns to average over seeds.
        tested: Column whose mean is held against 0.
    """
    keys = [*WITHOUT_SEED, *cell]
    groups = [group for _, group in table.groupby(keys, sort=True, dropna=False)]
    seeds = sorted(set(table["seed"]))
    # A seed that a cell lacks is a 0 whose sign does not matter: the cell counts with its others.
    values = np.zeros((len(groups), len(seeds)))
    for row, group in zip(values, groups, strict=True):
        row[[seeds.index(seed) for seed in group["seed"]]] = group[tested].fillna(0.0)
    records = []
    for group, p_corrected in zip(groups, max_sign_flip_p(values), strict=True):
        known = group[tested].dropna()
        low, high = t_interval(known)
        records.append(
            {name: group[name].iloc[0] for name in keys}
            | {name: group[name].mean() for name in means}
            | {
                "difference": known.mean(),
                "ci_low": low,
                "ci_high": high,
                "p_value": sign_flip_p(known) if len(known) else np.nan,
                "p_corrected": p_corrected if len(known) else np.nan,
                "p_smallest": smallest_sign_flip_p(len(known)) if len(known) else np.nan,
            }
            | ({"n": group["n"].sum()} if "n" in group else {})
            | {"n_seeds": len(known)}
        )
    return pd.DataFrame(records)
