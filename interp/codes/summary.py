"""Codes over seeds: every measurement beside its nulls, and the share of the gap that is explained.

The share of an edit is 1 - remaining / original gap, in nats, as a ratio of seed means (half of
that where the gap is to turn round), with a bootstrap over seeds. `set` is the mean of those that
set amounts: lowered, raised, equal, exchanged. A share *counts* where

- after the edit both subsets are answered better (in nats) than aliases that were never defined,
  and not nearly always rightly (of `set`: after the amounts were made equal),
- the same edit along the vectors of every null (one is the other tag's code) leaves the gap, for
  which there must be nulls, and
- codes that are estimated on entities' names predict aliases held out better than their mean does.

Replacing a whole change by a code would make any gap vanish, so that no such edit is made.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import pandas as pd

from interp.codes.edited import GAP, SHARE, SMALLEST_GAP
from interp.codes.edits import EQUAL, EXPLAINING, REVERSING, SETTING
from interp.codes.nulls import NULLS
from interp.codes.rows import BY_NULL, COORDINATES
from interp.codes.shape import FIT
from interp.grids.seed_summary import summarize_over_seeds
from training.columns import WITHOUT_SEED
from training.designs import design_of
from training.statistics import detectable_mean, t_interval

SET = "set"
OFF, CEILING = 0.5, 0.95
"""Nats by which answers must be better than those about aliases never defined, to be off the floor;
the exact match at which the ceiling begins."""
LEAVES = 0.25
"""The largest share of the gap that a null may take away if it is to leave the gap."""
N_BOOTSTRAP = 2000
LEVELS = ["value", "control", *BY_NULL]
KEYS = [*WITHOUT_SEED, *COORDINATES]
PLACE = [*WITHOUT_SEED, "site", "layer", "role"]


def summarize_codes(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each place, code, subset, edit and quantity.

    Columns: run columns without the seed, `COORDINATES`, the means over seeds of `value`, `control`
    and `null_other null_permuted null_random null_tag`, the 95% interval `value_low value_high` of
    the first (of shares by a bootstrap over seeds), then those of `summarize_over_seeds` for value
    minus control (for the value where there is no control), corrected over all cells of a quantity,
    and of shares alone (NaN of all else) `counts`, whether they count (1 or 0), and `detectable`:
    the smallest true share that an interval of so many seeds as uneven leaves out 0 for in 9 of
    10 cases.
    """
    shares, original = shares_of(table)
    rows = pd.concat([table.loc[table["quantity"] != SHARE], shares], ignore_index=True)
    rows["tested"] = rows["value"] - rows["control"].fillna(0.0)
    summaries = [
        summarize_over_seeds(family, cell=COORDINATES, means=LEVELS, tested="tested")
        for _, family in rows.groupby("quantity", sort=True)
    ]
    summary = pd.concat(summaries, ignore_index=True)
    ends = pd.DataFrame(_intervals(rows, original))
    summary = summary.merge(ends, on=KEYS, how="left", validate="one_to_one")
    return summary.assign(counts=_counting(summary))


def shares_of(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Of each seed what an edit takes of the mean gap, and the gap itself.

    Both tables have the run columns and the place; their mean over seeds is the ratio of means.
    """
    gaps = table.loc[table["quantity"] == GAP]
    whole = gaps.loc[gaps["edit"] == "", [*PLACE, "seed", "value"]].rename(columns={"value": "gap"})
    mean = whole.groupby(PLACE)["gap"].mean().rename("mean_gap").reset_index()
    whole = whole.merge(mean, on=PLACE)
    whole = whole.loc[whole["mean_gap"] >= SMALLEST_GAP]
    found = gaps.loc[gaps["edit"].isin(EXPLAINING)].merge(whole, on=[*PLACE, "seed"])
    due = np.where(found["edit"].isin(REVERSING), 2.0, 1.0)
    for name in LEVELS:
        found[name] = (found["gap"] - found[name]) / due / found["mean_gap"]
    found = found.assign(quantity=SHARE).drop(columns=["gap", "mean_gap"])
    setting = found.loc[found["edit"].isin(SETTING)]
    keys = [name for name in [*PLACE, "seed", *COORDINATES] if name != "edit"]
    keys = list(dict.fromkeys(keys))
    together = setting.groupby(keys, as_index=False)[[*LEVELS, "n"]].mean().assign(edit=SET)
    return pd.concat([found, together], ignore_index=True), whole


def _intervals(rows: pd.DataFrame, original: pd.DataFrame) -> Iterator[dict[str, object]]:
    """The ends of each cell's interval, beside its coordinates."""
    gaps = {
        place: dict(zip(group["seed"], group["gap"] / group["mean_gap"], strict=True))
        for place, group in original.groupby(PLACE)
    }
    for key, cell in rows.groupby(KEYS, sort=False):
        where: dict[str, object] = dict(zip(KEYS, tuple(key), strict=True))  # pyright: ignore[reportArgumentType]
        if where["quantity"] == SHARE:
            of_seed = gaps[tuple(where[name] for name in PLACE)]
            above = cell["value"].to_numpy()
            below = np.array([of_seed[seed] for seed in cell["seed"]])
            low, high = ratio_interval(above, below)
            shown = detectable_share(above, below)
        else:
            low, high = t_interval(cell["value"].dropna())
            shown = np.nan
        yield where | {"value_low": low, "value_high": high, "detectable": shown}


def detectable_share(above: np.ndarray, below: np.ndarray) -> float:
    """The smallest true share that so many seeds, as uneven as these, tell from 0 in 9 of 10 cases.

    Of a ratio of means: seeds differ by what they lie off the line through it. NaN of one seed.
    """
    n = len(above)
    if n < 2:
        return float("nan")
    off = above - above.mean() / below.mean() * below
    return float(off.std(ddof=1) / below.mean()) * _detectable_of_one(n)


@cache
def _detectable_of_one(n_seeds: int) -> float:
    return detectable_mean(1.0, n_seeds)


def ratio_interval(
    above: np.ndarray, below: np.ndarray, *, n: int = N_BOOTSTRAP
) -> tuple[float, float]:
    """The middle 95% of mean(above) / mean(below) when seeds are drawn anew; NaN of one seed.

    Draws in which the lower mean is not positive, so that there is nothing to take a share of,
    are left out.
    """
    if len(above) < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(0).integers(len(above), size=(n, len(above)))
    tops, bottoms = above[drawn].mean(1), below[drawn].mean(1)
    kept = bottoms > 0
    low, high = np.quantile(tops[kept] / bottoms[kept], [0.025, 0.975])
    return float(low), float(high)


def _counting(summary: pd.DataFrame) -> pd.Series:
    """Of each share whether it counts."""
    main = design_of(summary).main
    baseline = "" if main.baseline is None else main.baseline.name
    keys = [*PLACE, "code", "edit", "subset", "quantity"]
    cells = summary.to_dict("records")
    known = {tuple(cell[name] for name in keys): cell["value"] for cell in cells}
    counts = []
    for cell in cells:
        if cell["quantity"] != SHARE:
            counts.append(np.nan)
            continue
        place = tuple(cell[name] for name in PLACE)
        floor = known.get((*place, "", "", baseline, "answer_log_prob"), -np.inf)
        edit = EQUAL if cell["edit"] == SET else cell["edit"]
        is_open = all(
            known[*place, cell["code"], edit, name, "answer_log_prob"] > floor + OFF
            and known[*place, cell["code"], edit, name, "exact_match"] < CEILING
            for name in main.names
        )
        nulls = [cell[f"null_{kind}"] for kind in NULLS if not np.isnan(cell[f"null_{kind}"])]
        left = bool(nulls) and max(nulls) <= LEAVES
        is_told = known.get((*place, cell["code"], "", "", FIT), np.inf) > 0
        counts.append(float(is_open and left and is_told))
    return pd.Series(counts, index=summary.index)
