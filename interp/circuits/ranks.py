"""Is a circuit's effect beyond that of matched circuits, within a seed and over seeds?

Within a seed the circuit's effect is one of N + 1 equally likely values if it is a circuit like the
others, so p = (1 + as large ones) / (1 + N). Over seeds the mean of the ranks, each as a normal
score, is held against draws in which every seed's circuit is any of its N + 1 (Monte Carlo, with
the + 1, too).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

N_DRAWS = 20_000


@dataclass(frozen=True)
class RankTest:
    """What a rank test over seeds found."""

    p_value: float
    p_smallest: float
    """That so many seeds with so many matched circuits can give."""
    p_by_seed: tuple[float, ...]


def rank_p(observed: float, null: Float[np.ndarray, " circuit"]) -> float:
    """Share of the N + 1 values, the observed one among them, that are at least as large.

    >>> rank_p(3.0, np.array([1.0, 2.0, 4.0]))
    0.5
    """
    return float((1 + (null >= observed).sum()) / (1 + len(null)))


def randomized_rank_p(
    observed: float, null: Float[np.ndarray, " circuit"], rng: np.random.Generator
) -> float:
    """A p value that is exactly uniform if the observed value is one like the others.

    Its rank among ties is drawn, and so is where it lies between two ranks.
    """
    above, ties = (null > observed).sum(), 1 + (null == observed).sum()
    return float((above + rng.random() * ties) / (1 + len(null)))


def rank_test(
    observed: Sequence[float], nulls: Sequence[Float[np.ndarray, " circuit"]], *, seed: int = 0
) -> RankTest:
    """One-sided test, over seeds, that circuits have larger effects than matched ones.

    Args:
        observed: The circuit's effect in each seed.
        nulls: Of each seed, the effects of matched circuits.
        seed: Of the draws.

    Raises:
        ValueError: there are no seeds, or a seed has no matched circuits.
    """
    if not observed or len(observed) != len(nulls) or not all(map(len, nulls)):
        raise ValueError("give at least one seed, and matched circuits for each")
    rng = np.random.default_rng(seed)
    total, drawn = 0.0, np.zeros(N_DRAWS)
    for value, null in zip(observed, nulls, strict=True):
        scores = _normal_scores(np.append(null, value))
        total += scores[-1]
        drawn += rng.choice(scores, N_DRAWS)
    p_value = (1 + (drawn >= total - 1e-9).sum()) / (1 + N_DRAWS)
    smallest = np.prod([1 / (1 + len(null)) for null in nulls])
    return RankTest(
        p_value=float(p_value),
        p_smallest=float(max(smallest, 1 / (1 + N_DRAWS))),
        p_by_seed=tuple(rank_p(v, n) for v, n in zip(observed, nulls, strict=True)),
    )


def _normal_scores(values: Float[np.ndarray, " value"]) -> Float[np.ndarray, " value"]:
    """Ranks as normal quantiles; equal values share the mean of their ranks."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    return ndtri((rankdata(values) - 0.5) / len(values))
