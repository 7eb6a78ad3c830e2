"""Patching over seeds: cells with their tests, and attribution against effect."""

import numpy as np
import pandas as pd

from data.pairs import PairKind
from interp.grids.seed_summary import summarize_over_seeds
from interp.patching.kept import is_counted, kept_pairs, kept_text
from training.columns import WITHOUT_SEED

GRID = ["pair_kind", "subset", "direction", "metric"]
CELL = ["pair_kind", "subset", "site", "layer", "head", "role", "direction", "metric"]


def summarize_patching(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell: mean effect, attribution and control over seeds.

    `difference` is effect minus control (of tag pairs `other_tag` minus control), over the seeds
    that have one, with its interval and its p values; see `interp.grids.seed_summary`. Seeds of too
    few pairs count in nothing but `dropped`, where a seed that answers no pair, and has no rows, is
    1; `kept_by_seed` says which (`interp.patching.kept`).
    Head 0 of one seed is not head 0 of another: over seeds, single heads say little, sites and
    roles much.
    """
    # Only tables of tag pairs have the first, and only newer ones the second.
    means = ["effect", "attribution", "control"]
    means += [name for name in ("other_tag", "gap") if name in table]
    tested = table.assign(specific=table["effect"] - table["control"])
    if "other_tag" in table:
        is_tag = table["pair_kind"] == PairKind.TAG
        tested["specific"] += (table["other_tag"] - table["effect"]).where(is_tag, 0)
    is_few = ~is_counted(table)
    tested.loc[is_few, [*means, "specific"]] = np.nan
    tested.loc[is_few, "n"] = 0
    summary = summarize_over_seeds(tested, cell=CELL, means=[*means, "dropped"], tested="specific")
    place = [*WITHOUT_SEED, "pair_kind"]
    texts = pd.DataFrame(
        [
            {name: grid[name].iloc[0] for name in place}
            | {"subset": subset, "all_dropped": of_subset["dropped"].mean()}
            | {"kept_by_seed": kept_text(of_subset)}
            for _, grid in table.groupby(place, sort=True)
            for subset, of_subset in kept_pairs(grid).groupby("subset")
        ]
    )
    summary = summary.merge(texts, on=[*place, "subset"], how="left", validate="many_to_one")
    return summary.assign(dropped=summary["all_dropped"]).drop(columns="all_dropped")


def attribution_correlation(table: pd.DataFrame) -> pd.DataFrame:
    """How the attribution follows the exact effect over the cells of each grid.

    Columns: run columns, `pair_kind, subset, direction, metric`, Pearson's `correlation`, then what
    it does not see: `slope` of the attribution on the effect (1 where it is as large), `mean_error`
    (of absolute values), and `n_cells`.
    """
    keys = ["run_id", "seed", "stage", "step", *GRID]
    present = [name for name in keys if name in table]
    records = []
    for key, grid in table.groupby(present, sort=True):
        both = pd.DataFrame(grid, columns=["effect", "attribution"]).dropna()
        (spread, shared), (_, spread_estimated) = (
            both.cov().to_numpy() if len(both) > 1 else np.zeros((2, 2))
        )
        # NaN of a grid of equal cells.
        correlation = shared / np.sqrt(spread * spread_estimated) if spread_estimated else np.nan
        slope = shared / spread if spread else np.nan
        error = (both["attribution"] - both["effect"]).abs().mean()
        of_grid = (correlation if spread else np.nan, slope, error, len(both))
        records.append((*key, *of_grid))  # pyright: ignore[reportGeneralTypeIssues]
    return pd.DataFrame(
        records, columns=[*present, "correlation", "slope", "mean_error", "n_cells"]
    )
