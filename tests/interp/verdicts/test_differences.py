import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_ind

from interp.verdicts.differences import FEWEST_SHARED, dealt_p, difference, welch_interval
from training.statistics import estimate

ONE = {seed: value for seed, value in enumerate((0.9, 0.7, 0.8, 0.95, 0.6))}
OTHER = {seed: value for seed, value in enumerate((0.5, 0.45, 0.52, 0.4))}


def later(values: dict[int, float], by: int) -> dict[int, float]:
    return {seed + by: value for seed, value in values.items()}


def test_runs_of_enough_shared_seeds_are_paired_over_those():
    found = difference(ONE, OTHER)
    expected = estimate({seed: ONE[seed] - OTHER[seed] for seed in OTHER})

    assert found.is_paired
    assert found.n_seeds == (4, 4)
    assert (found.mean, found.ci_low, found.ci_high) == (
        expected.mean, expected.ci_low, expected.ci_high,
    )  # fmt: skip
    assert (found.p_value, found.p_smallest) == (0.125, 2 / 2**4)
    assert found.method == "paired, 4 seeds"


@pytest.mark.parametrize(("by", "n_shared"), [(1, 4), (2, 3), (100, 0)])
def test_runs_of_fewer_shared_seeds_are_not(by: int, n_shared: int):
    found = difference(ONE, later(OTHER, by))

    assert found.is_paired == (n_shared >= FEWEST_SHARED)
    assert found.n_seeds == ((4, 4) if found.is_paired else (5, 4))


def test_seeds_that_mean_different_things_are_not_paired():
    found = difference(ONE, OTHER, may_pair=False)

    assert not found.is_paired
    assert found.method == "Welch, 5 and 4 seeds"


def test_the_interval_is_welchs():
    a, b = np.array(list(ONE.values())), np.array(list(OTHER.values()))
    theirs = ttest_ind(a, b, equal_var=False).confidence_interval(0.95)

    found = difference(ONE, later(OTHER, 100))

    assert found.mean == pytest.approx(a.mean() - b.mean())
    assert (found.ci_low, found.ci_high) == pytest.approx((theirs.low, theirs.high))


def test_p_is_the_share_of_all_ways_to_deal_the_seeds():
    a, b = np.array(list(ONE.values())), np.array(list(OTHER.values()))
    values = np.concatenate([a, b])

    def t(chosen: tuple[int, ...]) -> float:
        rest = [i for i in range(9) if i not in chosen]
        found: Any = ttest_ind(values[list(chosen)], values[rest], equal_var=False)
        return abs(found.statistic)

    ways = [t(chosen) for chosen in combinations(range(9), 5)]
    expected = np.mean([each >= ways[0] * (1 - 1e-9) for each in ways])

    assert dealt_p(a, b) == (pytest.approx(expected), 1 / len(ways))


def test_one_seed_has_no_interval_and_no_p():
    found = difference(ONE, {100: 0.5})

    assert found.mean == pytest.approx(0.29)
    assert all(map(math.isnan, (found.ci_low, found.ci_high, found.p_value, found.p_smallest)))


def test_values_that_do_not_spread_are_apart_only_if_they_differ():
    same, higher = np.full(4, 0.5), np.full(4, 0.75)

    assert welch_interval(higher, same) == (0.25, 0.25)
    assert dealt_p(same, same) == (1.0, 2 / math.comb(8, 4))
    assert dealt_p(higher, same) == (2 / math.comb(8, 4), 2 / math.comb(8, 4))


def test_many_seeds_are_dealt_at_random_but_always_the_same():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=20), rng.normal(size=20)
    p_value, p_smallest = dealt_p(a, b)

    assert p_value == dealt_p(a, b)[0]
    theirs: Any = ttest_ind(a, b, equal_var=False)
    assert p_value == pytest.approx(theirs.pvalue, abs=0.02)
    assert p_smallest < 1e-4


def test_runs_that_do_not_differ_are_rarely_told_apart():
    rng = np.random.default_rng(2)
    draws = [(rng.normal(size=5), 3 * rng.normal(size=6)) for _ in range(300)]
    intervals = [welch_interval(*each) for each in draws]

    assert np.mean([low > 0 or high < 0 for low, high in intervals]) <= 0.08
    assert np.mean([dealt_p(*each)[0] <= 0.05 for each in draws]) <= 0.09
