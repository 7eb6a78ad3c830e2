import math

import numpy as np
import pytest

from interp.orders.half_times import (
    AFTER,
    BEFORE,
    OPEN,
    TOGETHER,
    Timed,
    half_time,
    orders,
    timed,
)

STEPS = [0, 2, 5, 10, 21, 44, 94, 200]
TIMES = np.log1p(STEPS)


def sigmoid(
    rng: np.random.Generator, middle: float, *, width: float = 0.4, noise: float = 0.0
) -> np.ndarray:
    clean = 1 / (1 + np.exp(-(TIMES - middle) / width))
    return clean + noise * rng.normal(size=len(STEPS))


def verdict(
    rng: np.random.Generator,
    *,
    shift: float,
    noise: tuple[float, float] = (0.02, 0.15),
    width: tuple[float, float] = (0.4, 0.4),
    n_seeds: int = 8,
) -> str:
    """The verdict on two curves, the second so much later in log(1 + step), of so many seeds."""
    middles = 3 + 0.3 * rng.normal(size=n_seeds)
    curves = {
        name: timed(
            STEPS,
            {
                seed: sigmoid(rng, middle + place * shift, width=width[place], noise=noise[place])
                for seed, middle in enumerate(middles)
            },
        )
        for place, name in enumerate(("one", "other"))
    }
    (order,) = orders(STEPS, curves) or [None]
    return OPEN if order is None else order.verdict


def test_a_half_time_is_the_one_worked_out_by_hand() -> None:
    # .5 lies half-way between steps 1 and 3, in log(1 + step) between log 2 and log 4.
    assert half_time([0, 1, 3], np.array([0.0, 0.0, 1.0])) == pytest.approx(math.sqrt(8) - 1)
    assert half_time([0, 1, 3], np.array([5.0, 4.0, 3.0]), sign=-1.0) == pytest.approx(1.0)


def test_a_lone_value_that_crosses_early_is_averaged_with_its_neighbours() -> None:
    # Monotone, the second to the fourth value are all .2.
    values = np.array([0.0, 0.6, 0.0, 0.0, 1.0])
    assert half_time([0, 1, 3, 7, 15], values) > 7
    assert half_time([0, 1, 3, 7, 15], np.array([0.0, 0.6, 0.6, 0.6, 1.0])) < 1


@pytest.mark.parametrize(
    "values",
    [[0.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 5.0, 1.0]],
    ids=["flat", "other way", "and back"],
)
def test_a_curve_that_does_not_change_one_way_has_no_half_time(values: list[float]) -> None:
    assert math.isnan(half_time([0, 1, 2], np.array(values)))


def test_curves_without_a_change_or_with_few_seeds_are_not_ordered() -> None:
    rng = np.random.default_rng(0)
    flat = timed(STEPS, {seed: 0.1 * rng.normal(size=len(STEPS)) for seed in range(8)})
    rise = timed(STEPS, {seed: sigmoid(rng, 3) for seed in range(8)})
    few = Timed(change=1.0, ci_low=0.9, ci_high=1.1, half_times={0: 3.0, 1: 3.0, 2: 3.0})
    assert not flat.is_shown
    assert orders(STEPS, {"flat": flat, "rise": rise, "few": few}) == []


def test_a_planted_order_is_found_whichever_curve_is_named_first() -> None:
    rng = np.random.default_rng(0)
    found = [verdict(rng, shift=shift) for shift in (0.7, -0.7) for _ in range(10)]
    assert found.count(BEFORE) == 10 == found[:10].count(BEFORE)
    assert found.count(AFTER) == 10


def test_the_order_of_two_curves_says_how_many_times_later_the_one_is() -> None:
    rng = np.random.default_rng(0)
    middles = rng.normal(3, 0.3, size=8)
    early = timed(STEPS, {s: sigmoid(rng, m) for s, m in enumerate(middles)})
    late = timed(STEPS, {s: sigmoid(rng, m + math.log(2)) for s, m in enumerate(middles)})
    (order,) = orders(STEPS, {"early": early, "late": late})
    assert order.ratio == pytest.approx(2.0, rel=0.1)
    assert order.ci_low < order.ratio < order.ci_high
    assert order.p_value == order.p_smallest == 2 / 2**8


SIMULTANEOUS = {
    "one noisy": {},
    "both noisy": {"noise": (0.1, 0.1)},
    "one clean": {"noise": (0.0, 0.25)},
    "other widths": {"noise": (0.02, 0.05), "width": (0.3, 0.6)},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", SIMULTANEOUS)
def test_simultaneous_curves_are_given_an_order_in_at_most_8_percent(case: str) -> None:
    rng = np.random.default_rng(list(SIMULTANEOUS).index(case))
    found = [verdict(rng, shift=0.0, **SIMULTANEOUS[case]) for _ in range(1000)]
    wrong = sum(each in (BEFORE, AFTER) for each in found) / len(found)
    print(f"{case}: an order in {wrong:.3f}, together in {found.count(TOGETHER) / len(found):.3f}")
    assert wrong <= 0.08  # nominal .05, standard error .007


def test_simultaneous_curves_get_no_order() -> None:
    rng = np.random.default_rng(3)
    found = [verdict(rng, shift=0.0) for _ in range(40)]
    assert sum(each in (BEFORE, AFTER) for each in found) <= 5  # of 40 at .05: P < .02
    assert found.count(TOGETHER) >= 20


@pytest.mark.slow
def test_a_threshold_of_a_curve_lags_behind_it() -> None:
    # Why exact match is not held against nats: it is the same curve.
    rng, found = np.random.default_rng(0), []
    for _ in range(20):
        middles = rng.normal(3, 0.3, size=8)
        smooth = {seed: sigmoid(rng, middle) for seed, middle in enumerate(middles)}
        sharp = {seed: values**6 for seed, values in smooth.items()}
        (order,) = orders(STEPS, {"nats": timed(STEPS, smooth), "match": timed(STEPS, sharp)})
        found.append(order.verdict)
    assert found == [BEFORE] * 20
