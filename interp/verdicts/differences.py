"""By how much two runs differ: paired by Stage-1 seed where they can be, else by Welch.

    paired   v = one - other within each seed that both have: t interval and sign flips of v
    Welch    mean(one) - mean(other) with Welch's t interval, which lets spreads differ; p is the
             share of all ways to deal the seeds to the two runs whose |t| is as large

Fewer than `FEWEST_SHARED` seeds in common are not paired: two values have no interval to speak of,
and the other seeds would be thrown away.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from training.statistics import estimate

FEWEST_SHARED = 4
MAX_EXACT = 20_000  # ways to deal seeds that are all tried; beyond, so many are drawn
_TIE = 1e-9  # relative; far above float noise in a |t|


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One run's mean minus another's, with its 95% interval; NaN where seeds are too few."""

    mean: float
    ci_low: float
    ci_high: float
    p_value: float
    p_smallest: float
    """The least p that so many seeds can give."""
    n_seeds: tuple[int, int]
    """Of the one and of the other; of a pairing, how many they share."""
    is_paired: bool

    @property
    def method(self) -> str:
        """How it was found, in words."""
        one, other = self.n_seeds
        return f"paired, {one} seeds" if self.is_paired else f"Welch, {one} and {other} seeds"


def difference(
    one: Mapping[int, float], other: Mapping[int, float], *, may_pair: bool = True
) -> Difference:
    """What one run has more than another.

    Args:
        one: A value for each Stage-1 seed.
        other: Likewise.
        may_pair: Whether a seed means the same in both.
    """
    shared = sorted(set(one) & set(other))
    if may_pair and len(shared) >= FEWEST_SHARED:
        found = estimate({seed: one[seed] - other[seed] for seed in shared})
        return Difference(
            mean=found.mean,
            ci_low=found.ci_low,
            ci_high=found.ci_high,
            p_value=found.p_value,
            p_smallest=found.p_smallest,
            n_seeds=(len(shared), len(shared)),
            is_paired=True,
        )
    a, b = (np.array([values[seed] for seed in sorted(values)]) for values in (one, other))
    low, high = welch_interval(a, b)
    p_value, p_smallest = dealt_p(a, b)
    return Difference(
        mean=float(a.mean() - b.mean()),
        ci_low=low,
        ci_high=high,
        p_value=p_value,
        p_smallest=p_smallest,
        n_seeds=(len(a), len(b)),
        is_paired=False,
    )


def welch_interval(
    one: np.ndarray, other: np.ndarray, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Welch's t interval of the difference of two means; (NaN, NaN) of fewer than 2 values.

    >>> np.round(welch_interval(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, 0.0])), 3).tolist()
    [-0.484, 4.484]
    """
    from scipy.special import stdtrit

    if min(len(one), len(other)) < 2:
        return math.nan, math.nan
    parts = np.array([each.var(ddof=1) / len(each) for each in (one, other)])
    mean, variance = float(one.mean() - other.mean()), float(parts.sum())
    if variance == 0:
        return mean, mean
    freedom = variance**2 / (parts**2 / (len(one) - 1, len(other) - 1)).sum()
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(variance)
    return mean - half, mean + half


def dealt_p(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Two-sided p of Welch's |t| when seeds are dealt to two runs anew, and the least possible p.

    All ways are tried, or `MAX_EXACT` always equal random ones. (NaN, NaN) of fewer than 2 values.

    >>> dealt_p(np.array([1.0, 2.0, 3.0]), np.array([7.0, 8.0, 9.0]))
    (0.1, 0.1)
    """
    if min(len(one), len(other)) < 2:
        return math.nan, math.nan
    values, n = np.concatenate([one, other]), len(one)
    ways = math.comb(len(values), n)
    is_exact = ways <= MAX_EXACT
    if is_exact:
        chosen = np.array(list(combinations(range(len(values)), n)))
    else:
        rng = np.random.default_rng(0)
        chosen = rng.permuted(np.tile(np.arange(len(values)), (MAX_EXACT, 1)), axis=1)[:, :n]
    is_one = np.zeros((len(chosen), len(values)), dtype=bool)
    np.put_along_axis(is_one, chosen, values=True, axis=1)
    first = _welch_t(values[None, :], np.arange(len(values))[None, :] < n)
    reached = int((_welch_t(values[None, :], is_one) >= first * (1 - _TIE)).sum())
    if not is_exact:
        return (reached + 1) / (MAX_EXACT + 1), 1 / (MAX_EXACT + 1)
    # Where both have as many seeds, each way has a mirror image with the same |t|.
    return reached / ways, (2 if 2 * n == len(values) else 1) / ways


def _welch_t(values: np.ndarray, is_one: np.ndarray) -> np.ndarray:
    """Welch's |t| of each way to deal the values; infinite where nothing spreads but the means."""
    means, parts = [], []
    for chosen in (is_one, ~is_one):
        n = chosen.sum(axis=1)
        mean = (values * chosen).sum(axis=1) / n
        squares = (((values - mean[:, None]) ** 2) * chosen).sum(axis=1)
        means.append(mean)
        parts.append(squares / (n - 1) / n)
    distance, variance = np.abs(means[0] - means[1]), parts[0] + parts[1]
    apart = np.where(distance > 0, np.inf, 0.0)
    return np.divide(distance, np.sqrt(variance), out=apart, where=variance > 0)
