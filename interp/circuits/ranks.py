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
from scipy.special import ndtri

N_DRAWS = 20_000


@dataclass(frozen=True)
class RankTest:
    """What a rank test over seeds found."""

    p_value: float
    p_smallest: float
    """That so many seeds with so many matched circuits can give."""


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


def rank_test(p_by_seed: Sequence[float], n_null: Sequence[int], *, seed: int = 0) -> RankTest:
    """One-sided test, over seeds, that circuits have larger effects than matched ones.

    Args:
        p_by_seed: Of each seed, `rank_p` of the circuit's effect; ties count against it.
        n_null: Of each seed, the number of its matched circuits.
        seed: Of the draws.

    Raises:
        ValueError: there are no seeds, or a seed has no matched circuits.
    """
    if not p_by_seed or len(p_by_seed) != len(n_null) or not min(n_null):
        raise ValueError("give at least one seed, and matched circuits for each")
    rng = np.random.default_rng(seed)
    total, drawn = 0.0, np.zeros(N_DRAWS)
    for p, n in zip(p_by_seed, n_null, strict=True):
        scores = -ndtri((np.arange(n + 1) + 0.5) / (n + 1))
        total += scores[round(p * (n + 1)) - 1]
        drawn += rng.choice(scores, N_DRAWS)
    smallest = np.prod([1 / (1 + n) for n in n_null])
    return RankTest(
        p_value=float((1 + (drawn >= total - 1e-9).sum()) / (1 + N_DRAWS)),
        p_smallest=float(max(smallest, 1 / (1 + N_DRAWS))),
    )
