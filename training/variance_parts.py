"""Where does the spread of a gap over seeds come from, and how many seeds would narrow it?

A contrast is measured on nested draws: Stage-1 seeds, Stage-2 seeds (data orders) within each, and
aliases, of which each side of the contrast has its own. Those of a Stage-1 seed are asked about
after each of its Stage-2 trainings, so that beside what an alias is in all of them (`aliases`)
there is what it is in one (`rest`). The gap of one Stage-1 seed is a mean over the draws below it:

    variance of a seed's gap  =  stage1 + (stage2 + rest) / Stage-2 seeds + aliases

Each part is estimated by the method of moments from unweighted means, which is unbiased whatever
the numbers of Stage-2 seeds and aliases: a mean of k draws has 1/k of the variance within them, and
that much is taken off the variance between means. A part can so come out below 0, where it is
small beside its error; it counts as 0 then, and `raw` says what was found. Where there is one draw
of a kind, its part cannot be told from the next larger one, is NaN, and counts there.

The interval of the mean stays that of `training.statistics`: Student's t over the seeds' gaps.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from training.statistics import t_interval

MOST_SEEDS = 100_000
PARTS: Mapping[str, str] = {
    "stage1": "Stage-1 seeds",
    "stage2": "Stage-2 seeds within them",
    "aliases": "aliases",
    "rest": "aliases within a Stage-2 training",
}
"""What each part is due to."""


@dataclass(frozen=True, kw_only=True)
class VarianceParts:
    """The variance of one Stage-1 seed's gap, by what it is due to; in squares of its unit."""

    raw: Mapping[str, float]
    """What was found of each of `PARTS`; NaN where it cannot be told from the one before."""
    n_seeds: int
    n_stage2: float
    """Stage-2 seeds of each Stage-1 seed (harmonic mean)."""
    n_aliases: int
    """Aliases that were asked about, in all seeds; 0 where they are not told apart."""

    @property
    def parts(self) -> dict[str, float]:
        """The parts that could be told, none below 0, as they are in the gap of one seed."""
        known = {name: max(value, 0.0) for name, value in self.raw.items() if value == value}
        return {
            name: value / (self.n_stage2 if name in ("stage2", "rest") else 1)
            for name, value in known.items()
        }

    @property
    def shares(self) -> dict[str, float]:
        """Of the variance of a seed's gap, the share of each part that could be told."""
        total = sum(self.parts.values())
        return {name: value / total if total else math.nan for name, value in self.parts.items()}

    def to_json(self) -> dict[str, object]:
        """Variances and shares by part; None for what could not be told."""
        return {
            "raw": {name: value if value == value else None for name, value in self.raw.items()},
            "parts": self.parts,
            "shares": {name: None if s != s else s for name, s in self.shares.items()},
            "n_seeds": self.n_seeds,
            "n_stage2": self.n_stage2,
            "n_aliases": self.n_aliases,
        }


def variance_parts(
    values: pd.DataFrame, *, higher: str, lower: str, value: str = "value"
) -> VarianceParts:
    """Parts of the variance of a contrast.

    Args:
        values: One row for each `seed`, `stage2_seed`, `subset` and, if aliases are told apart,
            `alias`. Within a Stage-1 seed every alias has a row of every Stage-2 seed.
        higher: The subset from which the other is subtracted.
        lower: The other.
        value: The column that is measured.

    Raises:
        ValueError: there are fewer than two Stage-1 seeds, or an alias lacks a Stage-2 seed.
    """
    has_aliases = "alias" in values
    seeds = [
        _seed_moments(
            [_cells(rows, side, value, has_aliases=has_aliases) for side in (higher, lower)]
        )
        for _, rows in values.groupby("seed", sort=True)
    ]
    if len(seeds) < 2:
        raise ValueError(f"{len(seeds)} Stage-1 seeds have no variance; give 2 or more")
    table = {name: np.array([each[name] for each in seeds]) for name in seeds[0]}
    per_stage2 = 1 / table["n_stage2"]
    freedom = table["n_stage2"] - 1
    rest = _weighted(table["rest"], freedom)
    below = 0.0 if math.isnan(rest) else rest
    stage2 = _weighted(table["between_stage2"], freedom) - below
    # Aliases of one Stage-2 training cannot be told from what they are in that training.
    aliases = float((table["aliases"] - below * per_stage2).mean())
    own = [0.0 if math.isnan(part) else part for part in (stage2, aliases)]
    within = (own[0] + below) * float(per_stage2.mean()) + own[1]
    found = {
        "stage1": float(np.var(table["gap"], ddof=1)) - within,
        "stage2": stage2,
        "aliases": aliases,
        "rest": rest,
    }
    return VarianceParts(
        raw=found,
        n_seeds=len(seeds),
        n_stage2=float(1 / per_stage2.mean()),
        n_aliases=int(table["n_aliases"].sum()) if has_aliases else 0,
    )


def seeds_needed(sd: float, half_width: float, *, confidence: float = 0.95) -> int:
    """Least number of Stage-1 seeds whose t interval is expected to reach `half_width`.

    Args:
        sd: Of one seed's value.
        half_width: What the interval is to be on either side of the mean.
        confidence: Of the interval.

    Raises:
        ValueError: sd or width are no positive numbers, or more than `MOST_SEEDS` are needed.

    >>> seeds_needed(1.0, 1.0), seeds_needed(1.0, 0.5)
    (7, 18)
    """
    from scipy.special import stdtrit

    if not (0 <= sd < math.inf and half_width > 0):
        raise ValueError(f"sd is {sd}, half_width {half_width}; choose positive numbers")
    low, high = 1, 2
    while high <= MOST_SEEDS:
        if stdtrit(high - 1, (1 + confidence) / 2) * sd / math.sqrt(high) <= half_width:
            break
        low, high = high, 2 * high
    else:
        raise ValueError(f"more than {MOST_SEEDS:,} seeds are needed; choose a wider interval")
    while high - low > 1:  # the expected width falls with every seed
        middle = (low + high) // 2
        reached = stdtrit(middle - 1, (1 + confidence) / 2) * sd / math.sqrt(middle) <= half_width
        low, high = (low, middle) if reached else (middle, high)
    return high


def sd_interval(values: np.ndarray, *, confidence: float = 0.95) -> tuple[float, float]:
    """The chi-square interval of the standard deviation of one value per Stage-1 seed."""
    from scipy.stats import chi2

    if len(values) < 2:
        return math.nan, math.nan
    freedom = len(values) - 1
    squares = freedom * float(np.var(values, ddof=1))
    tails = chi2.ppf([(1 + confidence) / 2, (1 - confidence) / 2], freedom)
    return math.sqrt(squares / tails[0]), math.sqrt(squares / tails[1])


@dataclass(frozen=True, kw_only=True)
class SeedsNeeded:
    """How many Stage-1 seeds a run needs for an interval of a wanted width."""

    half_width: float
    """What is wanted on either side of the mean."""
    n_needed: int
    at_most: int
    """Where the true spread of seeds is at the upper end of its 95% interval."""
    n_seeds: int
    """How many there are."""
    half_width_now: float

    @property
    def n_still(self) -> int:
        """How many are to be trained yet."""
        return max(self.n_needed - self.n_seeds, 0)

    def to_json(self) -> dict[str, object]:
        """The numbers."""
        return {**vars(self), "n_still": self.n_still}


def seeds_for(per_seed: Mapping[int, float], half_width: float) -> SeedsNeeded:
    """How many seeds are needed in all, judged by those that there are (2 or more)."""
    values = np.array(list(per_seed.values()), dtype=float)
    low, high = t_interval(values)
    sd, largest = float(np.std(values, ddof=1)), sd_interval(values)[1]
    return SeedsNeeded(
        half_width=half_width,
        n_needed=seeds_needed(sd, half_width),
        at_most=seeds_needed(largest, half_width),
        n_seeds=len(values),
        half_width_now=(high - low) / 2,
    )


def _cells(rows: pd.DataFrame, subset: str, value: str, *, has_aliases: bool) -> np.ndarray:
    """The values of one side of one Stage-1 seed: `[alias, Stage-2 seed]`."""
    chosen = rows.loc[rows["subset"] == subset]
    index = chosen["alias"] if has_aliases else pd.Series("all", index=chosen.index)
    cells = chosen.assign(alias=index).pivot(index="alias", columns="stage2_seed", values=value)
    if cells.empty or cells.isna().to_numpy().any():
        seed = rows["seed"].iloc[0]
        raise ValueError(
            f"seed {seed} lacks a value of {subset}; give every alias and Stage-2 seed"
        )
    return cells.to_numpy(dtype=float)


def _seed_moments(sides: list[np.ndarray]) -> dict[str, float]:
    """Mean and variances of one Stage-1 seed's gap; NaN where there is one draw of a kind."""
    gaps = sides[0].mean(axis=0) - sides[1].mean(axis=0)
    n_stage2 = len(gaps)
    rest = aliases = 0.0
    for cells in sides:
        n = len(cells)
        own = cells.mean(axis=1)
        aliases += own.var(ddof=1) / n if n > 1 else math.nan
        left = cells - own[:, None] - cells.mean(axis=0) + cells.mean()
        freedom = (n - 1) * (n_stage2 - 1)
        rest += float((left**2).sum()) / freedom / n if freedom else math.nan
    return {
        "gap": float(gaps.mean()),
        "n_stage2": n_stage2,
        "n_aliases": sum(map(len, sides)),
        "between_stage2": float(gaps.var(ddof=1)) if n_stage2 > 1 else math.nan,
        "aliases": aliases,
        "rest": rest,
    }


def _weighted(values: np.ndarray, weights: np.ndarray) -> float:
    """The mean of the values that are known, by degrees of freedom; NaN of none."""
    known = ~np.isnan(values) & (weights > 0)
    if not known.any():
        return math.nan
    return float(np.average(values[known], weights=weights[known]))
