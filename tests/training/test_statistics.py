import json
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from training.statistics import (
    Estimate,
    detectable_mean,
    equivalence,
    estimate,
    max_sign_flip_p,
    seed_means,
    sign_flip_p,
    smallest_sign_flip_p,
    t_interval,
)

# --- interval -------------------------------------------------------------------------------


def test_t_interval_of_three_values_is_the_one_computed_by_hand() -> None:
    # mean 4, sd 2, so 4 ± 4.30265 * 2 / sqrt(3)
    low, high = t_interval([2, 4, 6])
    assert low == pytest.approx(4 - 4.968275, abs=1e-6)
    assert high == pytest.approx(4 + 4.968275, abs=1e-6)


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.99])
def test_t_interval_equals_scipy(confidence: float) -> None:
    values = np.random.default_rng(1).normal(3, 2, size=9)
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    interval = t_interval(values, confidence=confidence)
    assert interval == pytest.approx((expected.low, expected.high), rel=1e-12)


@pytest.mark.parametrize("values", [[], [3.0]], ids=["none", "one"])
def test_t_interval_of_fewer_than_two_values_is_nan(values: list[float]) -> None:
    assert np.isnan(t_interval(values)).all()


def test_t_interval_of_equal_values_is_a_point() -> None:
    assert t_interval([0.5, 0.5, 0.5, 0.5]) == (0.5, 0.5)


@pytest.mark.parametrize("n_seeds", [5, 8, 20])
def test_t_interval_covers_the_mean_in_95_percent_of_data_sets(n_seeds: int) -> None:
    data_sets = np.random.default_rng(n_seeds).normal(0.7, 1.3, size=(20_000, n_seeds))
    covered = [low <= 0.7 <= high for low, high in map(t_interval, data_sets)]
    # The standard error of this share is .0015.
    assert 0.945 <= np.mean(covered) <= 0.955


# --- nesting --------------------------------------------------------------------------------


def nested_frame() -> pd.DataFrame:
    """Seed 4: Stage-2 seeds 0 (rows 1, 3) and 1 (row 8); seed 2: Stage-2 seed 0 (rows 0, 1)."""
    rows = [(4, 0, 1.0), (4, 0, 3.0), (4, 1, 8.0), (2, 0, 0.0), (2, 0, 1.0)]
    return pd.DataFrame(rows, columns=["seed", "stage2_seed", "value"])


def test_seed_means_average_rows_first_and_stage_2_seeds_next() -> None:
    means = seed_means(nested_frame(), "value")
    # Seed 4: ((1 + 3) / 2 + 8) / 2 = 5; its rows pooled would give 4.
    assert means.to_dict() == {2: 0.5, 4: 5.0}
    assert means.index.name == "seed"


def test_deeper_levels_are_averaged_from_the_innermost_outwards() -> None:
    frame = pd.DataFrame(
        {
            "seed": 0,
            "stage2_seed": [0, 0, 0, 1],
            "alias": ["a", "a", "b", "a"],
            "value": [0.0, 2.0, 5.0, 9.0],
        }
    )
    # a: 1, b: 5, so Stage-2 seed 0 has 3; with 9 of the other: 6. Without aliases: (7/3 + 9) / 2.
    assert seed_means(frame, "value", by=("stage2_seed", "alias")).to_dict() == {0: 6.0}
    assert seed_means(frame, "value").to_dict() == {0: pytest.approx((7 / 3 + 9) / 2)}


def test_more_stage_2_seeds_do_not_add_seeds() -> None:
    # Two Stage-1 seeds that disagree, each with 50 Stage-2 seeds that agree: no evidence at all.
    frame = pd.DataFrame(
        {
            "seed": np.repeat([0, 1], 50),
            "stage2_seed": np.tile(np.arange(50), 2),
            "value": np.repeat([1.0, 0.2], 50),
        }
    )
    result = estimate(seed_means(frame, "value").to_dict())
    assert (result.n_seeds, result.mean, result.p_value) == (2, pytest.approx(0.6), 0.5)
    assert result.ci_low < 0 < result.ci_high
    assert t_interval(frame["value"])[0] > 0.5  # what pooling would have claimed


def test_rows_without_a_stage_2_seed_are_kept() -> None:
    frame = pd.DataFrame({"seed": [0, 1], "stage2_seed": [None, None], "value": [1.0, 2.0]})
    assert seed_means(frame, "value").to_dict() == {0: 1.0, 1: 2.0}


# --- estimates ------------------------------------------------------------------------------


def test_estimate_holds_what_the_single_functions_say() -> None:
    values = {1002: 0.4, 1000: 0.1, 1001: 0.2}
    result = estimate(values)
    assert list(result.per_seed.items()) == [(1000, 0.1), (1001, 0.2), (1002, 0.4)]
    assert (result.ci_low, result.ci_high) == t_interval([0.1, 0.2, 0.4])
    assert (result.p_value, result.p_smallest, result.n_seeds) == (0.25, 0.25, 3)
    assert result.mean == pytest.approx(0.7 / 3)


def test_the_json_of_an_estimate_has_none_for_nan_and_exactly_its_seven_keys() -> None:
    text = json.dumps(estimate({1000: 0.5}).to_json(), allow_nan=False)
    assert json.loads(text) == {
        "mean": 0.5,
        "ci_low": None,
        "ci_high": None,
        "p_value": 1.0,
        "p_smallest": 1.0,
        "n_seeds": 1,
        "per_seed": {"1000": 0.5},
    }


def test_a_nan_among_the_seeds_of_an_estimate_becomes_none_in_json() -> None:
    result = Estimate(
        mean=0.0,
        ci_low=0.0,
        ci_high=0.0,
        p_value=1.0,
        p_smallest=1.0,
        n_seeds=2,
        per_seed={1: math.nan, 2: 0.0},
    )
    assert result.to_json()["per_seed"] == {"1": None, "2": 0.0}


# --- bad input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: t_interval([1, math.nan]), "finite", id="interval of NaN"),
        pytest.param(lambda: t_interval([[1.0, 2.0]]), "one finite number", id="two axes"),
        pytest.param(lambda: t_interval([1, 2], confidence=95.0), "confidence", id="percent"),
        pytest.param(lambda: sign_flip_p([1, math.inf]), "finite", id="flips of infinity"),
        pytest.param(lambda: sign_flip_p([]), "no values", id="flips of nothing"),
        pytest.param(lambda: smallest_sign_flip_p(0), "at least 1", id="smallest p of nothing"),
        pytest.param(lambda: max_sign_flip_p(np.zeros((3, 0))), "shape", id="grid without seeds"),
        pytest.param(lambda: estimate({}), "0 seeds", id="estimate of nothing"),
        pytest.param(lambda: estimate({7: math.nan, 8: 1.0}), r"\[7\]", id="estimate of NaN"),
        pytest.param(lambda: equivalence([1, 2], margin=0.0), "margin", id="margin 0"),
        pytest.param(
            lambda: equivalence([1, math.nan], margin=1.0), "finite", id="equivalence NaN"
        ),
        pytest.param(lambda: detectable_mean(1.0, 1), "n_seeds", id="power of one seed"),
        pytest.param(lambda: detectable_mean(math.nan, 5), "sd", id="NaN sd"),
        pytest.param(lambda: detectable_mean(1.0, 5, power=1.0), "power", id="power 1"),
        pytest.param(lambda: seed_means(nested_frame(), "em"), "em", id="no such column"),
        pytest.param(lambda: seed_means(nested_frame().head(0), "value"), "0 rows", id="no rows"),
        pytest.param(
            lambda: seed_means(nested_frame().replace(8.0, math.nan), "value"),
            r"\[4\]",
            id="NaN in a seed",
        ),
    ],
)
def test_bad_input_is_an_error_of_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
