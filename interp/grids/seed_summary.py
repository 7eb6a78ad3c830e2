"""Cells of an analysis over seeds: mean, interval, sign flips, correction over the whole grid.

The one place where an intervention's table becomes its summary. The tested column is a difference
that is 0 where nothing happens: an effect minus its control, say.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int

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
    groups = _places_by_group(table, keys)
    columns = {name: table[name].to_numpy() for name in dict.fromkeys((*keys, *means, tested))}
    of_seed = {seed: place for place, seed in enumerate(sorted(set(table["seed"])))}
    place_of_seed = np.array([of_seed[seed] for seed in table["seed"]], dtype=int)
    # A seed that a cell lacks is a 0 whose sign does not matter: the cell counts with its others.
    values = np.zeros((len(groups), len(of_seed)))
    differences = columns[tested].astype(float)
    filled = np.where(np.isnan(differences), 0.0, differences)
    counts = table["n"].to_numpy() if "n" in table else None
    for row, places in zip(values, groups, strict=True):
        row[place_of_seed[places]] = filled[places]
    records = []
    for places, p_corrected in zip(groups, max_sign_flip_p(values), strict=True):
        given = differences[places]
        known = given[~np.isnan(given)]
        low, high = t_interval(known)
        records.append(
            {name: columns[name][places[0]] for name in keys}
            | {name: _mean(columns[name][places]) for name in means}
            | {
                "difference": _mean(known),
                "ci_low": low,
                "ci_high": high,
                "p_value": sign_flip_p(known) if len(known) else np.nan,
                "p_corrected": p_corrected if len(known) else np.nan,
                "p_smallest": smallest_sign_flip_p(len(known)) if len(known) else np.nan,
            }
            | ({} if counts is None else {"n": counts[places].sum()})
            | {"n_seeds": len(known)}
        )
    return pd.DataFrame(records)


def _places_by_group(table: pd.DataFrame, keys: list[str]) -> list[Int[np.ndarray, " row"]]:
    """The rows of each group in order of its keys, as positions: pandas is slow on many groups."""
    numbers = table.groupby(keys, sort=True, dropna=False).ngroup().to_numpy()
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    return np.split(order, starts[1:]) if len(order) else []


def _mean(values: np.ndarray) -> float:
    """The mean of what is known; NaN of nothing."""
    numbers = np.asarray(values, dtype=float)
    is_known = ~np.isnan(numbers)
    # Summed with 0 in place of what is not known, as pandas does, so that the bytes are the same.
    return (
        float(np.where(is_known, numbers, 0.0).sum() / is_known.sum()) if is_known.any() else np.nan
    )
