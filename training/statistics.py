"""How sure is a result, given that only so many models were trained?

The unit of replication is the Stage-1 seed. Everything nested in it (Stage-2 seeds, aliases,
questions) is averaged first, so that each seed contributes one number v_1 ... v_n. Then:

    interval     mean(v) ± t(n - 1) * sd(v) / sqrt(n)
    p value      share of the 2^n sign flips (±v_1, ..., ±v_n) whose mean is as large as mean(v)
    whole grid   the same flips for all cells, each cell against the largest |t| of the grid
    equivalence  the 90% interval lies inside ±margin (two one-sided tests at 5% each)

n seeds cannot give a p value below 2 / 2^n (5 seeds: .0625), so `p_smallest` stands beside it.
A large p value is no evidence that there is no effect; equivalence is. The flips assume that,
were there no effect, v and -v would be equally likely.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import ArrayLike

# scipy is imported inside functions: it would make every start of the program slower.
MAX_EXACT_SEEDS = 16  # all 2^n sign flips are enumerated up to here
N_RANDOM_FLIPS = 100_000  # drawn beyond, always the same ones
_TIE = 1e-12  # relative; far above float noise in a sum over seeds, far below any real difference
_BLOCK_ELEMENTS = 2**22  # of cells times flips that are held in memory at once: 32 MB


def t_interval(values: ArrayLike, *, confidence: float = 0.95) -> tuple[float, float]:
    """Student's t interval of the mean of one value per Stage-1 seed; (NaN, NaN) of fewer than 2.

    >>> np.round(t_interval([1.0, 2.0, 3.0]), 3).tolist()
    [-0.484, 4.484]
    """
    from scipy.special import stdtrit

    array = _one_per_seed(values)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; choose a number between 0 and 1")
    if len(array) < 2:
        return math.nan, math.nan
    quantile = stdtrit(len(array) - 1, (1 + confidence) / 2)
    half_width = quantile * array.std(ddof=1) / math.sqrt(len(array))
    return float(array.mean() - half_width), float(array.mean() + half_width)


def sign_flip_p(values: ArrayLike, *, two_sided: bool = True) -> float:
    """Share of sign flips (the identity is one) whose mean is at least as extreme as the observed.

    Exact up to 16 seeds; beyond, (1 + k) / (1 + N) over N random flips. One-sided: mean above 0.

    >>> sign_flip_p([1.0, 2.0, 3.0])  # only (+ + +) and (- - -) reach |mean| = 2
    0.25
    """
    array = _one_per_seed(values)
    if not len(array):
        raise ValueError("a sign-flip test got no values; give one per Stage-1 seed")
    scaled = array / (np.abs(array).max() or 1.0)
    fold = np.abs if two_sided else np.positive
    null = [fold(scaled @ signs) for signs in _sign_blocks(len(array), n_cells=1)]
    return float(_share_reaching(fold(scaled.sum(keepdims=True)), null, len(array))[0])


def smallest_sign_flip_p(n_seeds: int, *, two_sided: bool = True) -> float:
    """Smallest p value that a sign-flip test of so many seeds can give.

    >>> [smallest_sign_flip_p(n) for n in (1, 5, 8)]
    [1.0, 0.0625, 0.0078125]
    """
    if n_seeds < 1:
        raise ValueError(f"n_seeds is {n_seeds}; a sign-flip test needs at least 1 seed")
    exact = (2 if two_sided else 1) / 2**n_seeds
    return exact if n_seeds <= MAX_EXACT_SEEDS else 1 / (1 + N_RANDOM_FLIPS)


def max_sign_flip_p(values: Float[np.ndarray, "cell seed"]) -> Float[np.ndarray, " cell"]:
    """P value of each cell, corrected for having looked at the whole grid.

    Single-step maximum statistic (Westfall and Young 1993): a cell's |t| is compared with the
    largest |t| of the grid under each joint flip of the seeds, which keeps the correlation of the
    cells. The chance of any p <= .05 in a grid without effects is at most 5%. Two-sided.
    Equal values that are not 0 have infinite |t|, all zeros have |t| = 0 and p = 1. A cell of equal
    magnitudes but mixed signs (coarse measures) has infinite |t| under two of the flips, which
    raises the p values of the other cells. A cell in which any seed is NaN or infinite is left out
    of the grid; its p is NaN.
    """
    if values.ndim != 2 or not values.shape[1]:
        raise ValueError(f"the grid has shape {values.shape}; give [cell, seed]")
    kept = np.isfinite(values).all(axis=1)
    corrected = np.full(len(values), np.nan)
    # Flips keep a row's norm, so |t| grows with |sum| / norm, which is finite where |t| is not.
    units = values[kept].astype(np.float64)
    for order in (np.inf, 2):  # the largest value first, lest squares over- or underflow
        norms = np.linalg.norm(units, ord=order, axis=1, keepdims=True)
        units = units / np.where(norms == 0, 1.0, norms)
    blocks = _sign_blocks(values.shape[1], n_cells=len(units))
    null = [np.abs(units @ signs).max(axis=0, initial=0) for signs in blocks]
    corrected[kept] = _share_reaching(np.abs(units.sum(axis=1)), null, values.shape[1])
    return corrected


def seed_means(
    frame: pd.DataFrame, value: str, *, by: tuple[str, ...] = ("stage2_seed",)
) -> pd.Series:
    """Mean of a column per Stage-1 seed, each nested level counting its members equally.

    Give rows of one metric, subset and step only: others would be mixed in. `by` holds the columns
    nested in `seed`, outermost first; the innermost is averaged first.

    >>> frame = pd.DataFrame({"seed": [0, 0, 0], "stage2_seed": [0, 0, 1], "em": [1.0, 1.0, 0.0]})
    >>> seed_means(frame, "em").to_dict()
    {0: 0.5}
    """
    levels = ["seed", *by]
    if frame.empty or not {*levels, value} <= set(frame.columns):
        has = f"{len(frame)} rows of {list(frame.columns)}"
        raise ValueError(f"the frame has {has}; select rows with columns {[*levels, value]}")
    bad = frame.loc[frame[["seed", value]].isna().any(axis=1), "seed"].unique().tolist()
    if bad:
        raise ValueError(f"{value!r} or its seed is NaN for seeds {bad}; drop these rows or rerun")
    if frame["seed"].is_unique:  # nothing to average, and pandas is slow on many small frames
        return pd.Series(frame.set_index("seed")[value]).astype(float).sort_index()
    # dropna=False: Stage-1 rows may have no Stage-2 seed, and must not vanish for it.
    for depth in range(len(levels), 0, -1):
        groups = frame.groupby(levels[:depth], dropna=False, observed=True)
        frame = groups.agg({value: "mean"}).reset_index()
    return pd.Series(frame.set_index("seed")[value])


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over Stage-1 seeds with its 95% t interval and two-sided sign-flip p value."""

    mean: float
    ci_low: float
    ci_high: float
    p_value: float
    p_smallest: float  # that so many seeds can give
    n_seeds: int
    per_seed: dict[int, float]

    def to_json(self) -> dict[str, object]:
        """Fields as JSON values: seeds become strings, NaN becomes None."""
        return _json_values(vars(self) | {"per_seed": _json_values(self.per_seed)})


def estimate(per_seed: Mapping[int, float]) -> Estimate:
    """Mean, interval and p value of one number per Stage-1 seed; a NaN seed is an error."""
    bad = [seed for seed, value in per_seed.items() if not math.isfinite(value)]
    if bad or not per_seed:
        raise ValueError(f"{len(per_seed)} seeds, not finite: {bad}; give 1 or more finite values")
    values = {int(seed): float(per_seed[seed]) for seed in sorted(per_seed)}
    array = np.array(list(values.values()))
    low, high = t_interval(array)
    return Estimate(
        mean=float(array.mean()),
        ci_low=low,
        ci_high=high,
        p_value=sign_flip_p(array),
        p_smallest=smallest_sign_flip_p(len(array)),
        n_seeds=len(array),
        per_seed=values,
    )


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Whether a mean is shown to be negligible; the interval is the 90% one."""

    mean: float
    ci_low: float
    ci_high: float
    margin: float
    passed: bool

    def to_json(self) -> dict[str, object]:
        """Fields as JSON values: NaN, which one seed alone gives, becomes None."""
        return _json_values(vars(self))


def equivalence(values: ArrayLike, *, margin: float) -> Equivalence:
    """Whether the 90% interval lies strictly inside ±margin; fewer than 2 seeds never pass.

    >>> equivalence([-0.01, 0.0, 0.01], margin=0.05).passed
    True
    """
    if not margin > 0:
        raise ValueError(f"margin is {margin}; choose a positive one, in units of the values")
    array = _one_per_seed(values)
    low, high = t_interval(array, confidence=0.90)
    mean = float(array.mean()) if len(array) else math.nan
    passed = -margin < low and high < margin  # False for NaN
    return Equivalence(mean=mean, ci_low=low, ci_high=high, margin=margin, passed=passed)


def detectable_mean(sd: float, n_seeds: int, *, power: float = 0.9, alpha: float = 0.05) -> float:
    """Smallest true mean that a two-sided t test over the seeds finds with the given power.

    `sd` is the one between Stage-1 seeds; `alpha` the chance to find an effect where none is.

    >>> round(detectable_mean(1.0, 8), 2)
    1.34
    """
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    if n_seeds < 2 or not 0 <= sd < math.inf or not 0 < alpha < power < 1:
        given = f"sd is {sd}, n_seeds {n_seeds}, power {power}, alpha {alpha}"
        raise ValueError(f"{given}; choose sd >= 0, n_seeds >= 2 and 0 < alpha < power < 1")
    critical = t.isf(alpha / 2, n_seeds - 1)

    def missing_power(shift: float) -> float:
        # Upper tails of both signs: scipy's lower tail is NaN for many large shifts.
        return power - float(nct.sf(critical, n_seeds - 1, [shift, -shift]).sum())

    upper = next(shift for shift in 2.0 ** np.arange(1000) if missing_power(shift) <= 0)
    shift: float = brentq(missing_power, 0.0, upper)  # pyright: ignore[reportAssignmentType]
    return shift * sd / math.sqrt(n_seeds)


def _one_per_seed(values: ArrayLike) -> Float[np.ndarray, " seed"]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(f"values are {array.tolist()}; give one finite number per Stage-1 seed")
    return array


def _sign_blocks(n_seeds: int, *, n_cells: int) -> Iterator[Float[np.ndarray, "seed flip"]]:
    """All 2^n flips, or the same random ones for every caller, in blocks that fit in memory."""
    is_exact = n_seeds <= MAX_EXACT_SEEDS
    n_flips = 2**n_seeds if is_exact else N_RANDOM_FLIPS
    block = max(1, _BLOCK_ELEMENTS // max(n_cells, n_seeds))
    rng = np.random.default_rng(0)
    for start in range(0, n_flips, block):
        flips = np.arange(start, min(start + block, n_flips))[:, None]
        shape = (len(flips), n_seeds)
        is_flipped = flips >> np.arange(n_seeds) & 1 if is_exact else rng.integers(2, size=shape)
        yield 1.0 - 2.0 * is_flipped.T


def _share_reaching(observed: np.ndarray, null: list[np.ndarray], n_seeds: int) -> np.ndarray:
    """P value of each cell's statistic, given blocks of the values it takes under the flips."""
    ascending = np.sort(np.concatenate(null))
    n_reaching = len(ascending) - np.searchsorted(ascending, observed - _TIE * n_seeds)
    n_added = 0 if n_seeds <= MAX_EXACT_SEEDS else 1  # random flips may miss the identity
    return (n_reaching + n_added) / (len(ascending) + n_added)


def _json_values(fields: Mapping[Any, Any]) -> dict[str, object]:
    """The values with None for NaN, which alone differs from itself."""
    return {str(key): value if value == value else None for key, value in fields.items()}
