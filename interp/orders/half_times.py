"""When has a curve made half of its own change, and does one curve do so before another?

Curves of different units are compared by the time at which each has made half of the change that
it makes over the stage, in each seed. Measurements are noisy, and the first of many noisy values to
cross a line crosses it too soon, so a curve is first made monotone (isotonic least squares). One
that goes up and comes back has no such time. Between two checkpoints it is read along the logarithm
of 1 + step, in which checkpoints are evenly spaced.

Over seeds the log half times of two curves are subtracted: exp of the mean is how many times later
the one is (of 1 + step). Sign flips test it, the largest |t| of all pairs corrects it. A curve that
is a threshold of another (exact match of log-probability) lags behind it whatever the model does,
so what is compared is to be smooth: nats, cosines, coefficients.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

from training.statistics import max_sign_flip_p, smallest_sign_flip_p, t_interval

FEWEST_SEEDS = 4
FEWEST_STEPS = 4
ALPHA = 0.05
MOST_SPAN = 2.0
"""How many times as far as it changes in the end a curve may have gone."""
BEFORE, AFTER, TOGETHER, OPEN = "before", "after", "together", "no order"
"""What may be said of two curves; the last where neither an order nor its absence is shown."""


def half_time(
    steps: Sequence[int], values: Float[np.ndarray, " step"], *, sign: float = 1.0
) -> float:
    """The step at which a curve has made half of its change.

    NaN where it does not change that way, or goes far beyond and comes back.

    Args:
        steps: Ascending.
        values: The curve.
        sign: 1 for a rise, -1 for a fall.

    >>> half_time([0, 1, 3], np.array([0.0, 0.0, 1.0]))  # half-way between log 2 and log 4
    1.8284271247461898
    """
    from scipy.optimize import isotonic_regression

    fitted = isotonic_regression(sign * np.asarray(values, dtype=float)).x
    half, times = (fitted[0] + fitted[-1]) / 2, np.log1p(np.asarray(steps, dtype=float))
    change = sign * (values[-1] - values[0])
    if not 0 < np.ptp(values) <= MOST_SPAN * change:
        return math.nan
    after = int(np.argmax(fitted >= half))
    share = (half - fitted[after - 1]) / (fitted[after] - fitted[after - 1])
    return math.expm1(times[after - 1] + share * (times[after] - times[after - 1]))


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A curve over the seeds: whether it changes, and when by half."""

    change: float
    """From the first to the last checkpoint, the mean over seeds."""
    ci_low: float
    ci_high: float
    half_times: Mapping[int, float]
    """By seed, of those in which it changes the way it does on average."""

    @property
    def is_shown(self) -> bool:
        """Whether it is shown to change, one way, in enough seeds."""
        is_change = self.ci_low > 0 or self.ci_high < 0
        return is_change and len(self.half_times) >= FEWEST_SEEDS

    @property
    def typical(self) -> float:
        """The middle seed's half time."""
        return float(np.median(list(self.half_times.values()))) if self.half_times else math.nan


def timed(steps: Sequence[int], curves: Mapping[int, Float[np.ndarray, " step"]]) -> Timed:
    """The half times of one curve.

    Args:
        steps: Of the checkpoints, ascending.
        curves: The values of each seed.
    """
    changes = np.array([values[-1] - values[0] for values in curves.values()])
    low, high = t_interval(changes)
    sign = 1.0 if changes.mean() >= 0 else -1.0
    found = {seed: half_time(steps, values, sign=sign) for seed, values in curves.items()}
    return Timed(
        change=float(changes.mean()),
        ci_low=low,
        ci_high=high,
        half_times={seed: time for seed, time in found.items() if not math.isnan(time)},
    )


@dataclass(frozen=True, kw_only=True)
class Order:
    """Two curves that both change, and which is first."""

    first: str
    second: str
    ratio: float
    """How many times later `second` is half-way (in 1 + step)."""
    ci_low: float
    ci_high: float
    p_value: float
    """By sign flips over seeds, corrected over all pairs."""
    p_smallest: float
    resolution: float
    """By how many times two checkpoints around the half time are apart."""
    n_seeds: int
    verdict: str


def orders(steps: Sequence[int], curves: Mapping[str, Timed]) -> list[Order]:
    """Every pair of the curves that are shown to change, of four or more seeds in common.

    The verdict is an order where the corrected p is at most .05; `together` where the 90% interval
    shows them less than one checkpoint apart; else `no order`, which is no evidence that there is
    none.
    """
    shown = [name for name, curve in curves.items() if curve.is_shown]
    differences: dict[tuple[str, str], dict[int, float]] = {}
    for one, other in combinations(shown, 2):
        times = curves[one].half_times, curves[other].half_times
        shared = sorted(times[0].keys() & times[1].keys())
        if len(shared) >= FEWEST_SEEDS:
            differences[one, other] = {
                seed: math.log1p(times[1][seed]) - math.log1p(times[0][seed]) for seed in shared
            }
    seeds = sorted({seed for each in differences.values() for seed in each})
    # A seed that a pair lacks is a 0 whose sign does not matter: the pair counts with its others.
    grid = np.array([[each.get(seed, 0.0) for seed in seeds] for each in differences.values()])
    p_values = max_sign_flip_p(grid) if len(grid) else []
    return [
        _order(pair, np.array(list(values.values())), float(p), _resolution(steps, curves, pair))
        for (pair, values), p in zip(differences.items(), p_values, strict=True)
    ]


def _order(
    pair: tuple[str, str], differences: Float[np.ndarray, " seed"], p: float, resolution: float
) -> Order:
    low, high = t_interval(differences)
    narrow = t_interval(differences, confidence=0.90)
    verdict = OPEN
    if p <= ALPHA:
        verdict = BEFORE if differences.mean() > 0 else AFTER
    elif -math.log(resolution) < narrow[0] and narrow[1] < math.log(resolution):
        verdict = TOGETHER
    return Order(
        first=pair[0],
        second=pair[1],
        ratio=math.exp(differences.mean()),
        ci_low=math.exp(low),
        ci_high=math.exp(high),
        p_value=p,
        p_smallest=smallest_sign_flip_p(len(differences)),
        resolution=resolution,
        n_seeds=len(differences),
        verdict=verdict,
    )


def _resolution(steps: Sequence[int], curves: Mapping[str, Timed], pair: tuple[str, str]) -> float:
    """How many times apart the checkpoints are between which the two curves are half-way."""
    times = np.log1p(np.asarray(steps, dtype=float))
    middle = np.mean([math.log1p(curves[name].typical) for name in pair])
    after = min(max(int(np.searchsorted(times, middle)), 1), len(times) - 1)
    return math.exp(times[after] - times[after - 1])
