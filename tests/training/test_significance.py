import itertools
import math
import time

import numpy as np
import pytest
from jaxtyping import Float
from scipy import stats

from training.statistics import (
    detectable_mean,
    equivalence,
    max_sign_flip_p,
    sign_flip_p,
    smallest_sign_flip_p,
)


def t_test(
    values: Float[np.ndarray, "cell seed"], mean: float = 0.0, alternative: str = "two-sided"
) -> tuple[np.ndarray, np.ndarray]:
    """Statistic and p value of each row, by scipy."""
    result = stats.ttest_1samp(values, mean, axis=1, alternative=alternative)
    return np.asarray(result[0]), np.asarray(result[1])


def slow_max_sign_flip_p(values: Float[np.ndarray, "cell seed"]) -> list[float]:
    """The corrected p values from |t| itself, flip by flip."""
    flips = list(itertools.product([1.0, -1.0], repeat=values.shape[1]))
    t_values = [np.abs(t_test(values * flip)[0]) for flip in flips]
    largest = [t.max() for t in t_values]
    return [float(np.mean([m >= t - 1e-9 for m in largest])) for t in t_values[0]]


# --- sign flips -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "two_sided", "one_sided"),
    [
        # Sums of the 8 flips of (1, 2, 4): ±7, ±5, ±3, ±1.
        pytest.param([1, 2, 4], 2 / 8, 1 / 8, id="all positive"),
        pytest.param([-1, 2, 4], 4 / 8, 2 / 8, id="sum 5"),
        pytest.param([1, -2, -4], 4 / 8, 7 / 8, id="sum -5"),
        pytest.param([1, 1, -2], 1.0, 5 / 8, id="sum 0: flips give -4 -2 -2 0 0 2 2 4"),
        pytest.param([0, 0, 0], 1.0, 1.0, id="zeros"),
        pytest.param([3], 1.0, 1 / 2, id="one seed"),
    ],
)
def test_sign_flip_p_equals_the_count_on_paper(
    values: list[float], two_sided: float, one_sided: float
) -> None:
    assert sign_flip_p(values) == two_sided
    assert sign_flip_p(values, two_sided=False) == one_sided


@pytest.mark.parametrize("alternative", ["two-sided", "greater"])
@pytest.mark.parametrize("n_seeds", [4, 9, 13])
def test_sign_flip_p_equals_the_permutation_test_of_scipy(alternative: str, n_seeds: int) -> None:
    values = np.random.default_rng(n_seeds).normal(0.4, 1, size=n_seeds)
    expected = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=2**14, alternative=alternative
    )
    got = sign_flip_p(values, two_sided=alternative == "two-sided")
    assert got == pytest.approx(expected.pvalue, abs=1e-12)


def test_float_noise_does_not_break_ties() -> None:
    # 0.1 + 0.2 - 0.3 is 5.6e-17, not 0, and its magnitude is that of the flip 0.3 - 0.1 - 0.2.
    assert sign_flip_p([0.1, 0.2, -0.3]) == 1.0
    # However small the values: the identity and its opposite count, and nothing else does.
    noisy = np.random.default_rng(0).uniform(0.1, 0.2, size=(200, 7)) * 1e-9
    assert {sign_flip_p(values) for values in noisy} == {2 / 2**7}


def test_sign_flip_p_of_17_seeds_is_near_the_exact_one_and_repeats() -> None:
    values = np.random.default_rng(6).normal(0.35, 1, size=17)
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    exact = np.mean(np.abs(sums) >= abs(values.sum()) - 1e-9)
    assert 0.01 < exact < 0.5
    # 4 standard errors of a share among 100,000.
    assert sign_flip_p(values) == pytest.approx(exact, abs=4 * math.sqrt(exact / 100_000))
    assert sign_flip_p(values) == sign_flip_p(values)


def test_random_flips_never_give_a_p_of_zero() -> None:
    assert sign_flip_p(np.ones(40)) == 1 / 100_001


@pytest.mark.parametrize("two_sided", [True, False])
@pytest.mark.parametrize("n_seeds", [1, 2, 5, 16, 40])
def test_smallest_p_is_the_p_of_equal_values(n_seeds: int, two_sided: bool) -> None:
    expected = sign_flip_p(np.full(n_seeds, 0.3), two_sided=two_sided)
    assert smallest_sign_flip_p(n_seeds, two_sided=two_sided) == expected


def test_sign_flip_p_finds_nothing_in_95_percent_of_null_data_sets() -> None:
    data_sets = np.random.default_rng(2).normal(size=(10_000, 8))
    rate = np.mean([sign_flip_p(values) <= 0.05 for values in data_sets])
    # 12 of the 256 flips can be rejected: .0469, with a standard error of .0021.
    assert 0.040 <= rate <= 0.055


# --- correction over a grid -----------------------------------------------------------------


@pytest.mark.parametrize("n_seeds", [5, 8])
def test_max_sign_flip_p_equals_a_slow_reference_on_t_values(n_seeds: int) -> None:
    rng = np.random.default_rng(n_seeds)
    scales = 10.0 ** rng.integers(-3, 4, size=(6, 1))
    values = rng.normal(0.8, 1, size=(6, n_seeds)) * scales
    expected = slow_max_sign_flip_p(values)
    assert max_sign_flip_p(values) == pytest.approx(expected, abs=1e-12)
    assert len(set(expected)) > 2


@pytest.mark.parametrize("n_seeds", [3, 8, 18])
def test_a_grid_of_one_cell_needs_no_correction(n_seeds: int) -> None:
    values = np.random.default_rng(3).normal(0.3, 1, size=n_seeds)
    assert max_sign_flip_p(values[None])[0] == sign_flip_p(values)


def test_the_correction_of_two_cells_is_the_one_on_paper() -> None:
    # |sum| / (sqrt(3) norm), over the flips that keep the first sign, each standing for two:
    #   (2, 2, 2)   +++ 1     ++- .333  +-+ .333  +-- .333
    #   (1, 2, -2)  +++ .192  ++- .962  +-+ .192  +-- .577
    # The largest are 1, .962, .333, .577: all 4 reach .192, only the first reaches 1.
    grid = np.array([[2.0, 2.0, 2.0], [1.0, 2.0, -2.0]])
    assert max_sign_flip_p(grid).tolist() == [0.25, 1.0]


def test_cells_that_are_nan_zero_or_constant_have_defined_p_values() -> None:
    rng = np.random.default_rng(4)
    noise = rng.normal(size=(3, 8))
    partly = noise[0].copy()
    partly[2] = np.nan
    grid = np.vstack([noise, np.full(8, np.nan), partly, np.zeros(8), np.full(8, -0.1)])
    p_values = max_sign_flip_p(grid)
    assert np.isnan(p_values).tolist() == [False, False, False, True, True, False, False]
    assert p_values[5] == 1.0
    assert p_values[6] == 2 / 2**8
    # The excluded and the zero rows change nothing for the others.
    assert np.array_equal(p_values[[0, 1, 2, 6]], max_sign_flip_p(grid[[0, 1, 2, 6]]))


def test_a_grid_of_only_nan_cells_is_all_nan() -> None:
    assert np.isnan(max_sign_flip_p(np.full((4, 5), np.nan))).all()


def test_magnitudes_whose_squares_overflow_or_vanish_change_no_p_value() -> None:
    values = np.random.default_rng(5).normal(0.5, 1, size=(4, 6))
    scaled = values * np.array([[1e-200], [1.0], [1e200], [1e-3]])
    assert np.array_equal(max_sign_flip_p(scaled), max_sign_flip_p(values))


def test_the_blocks_that_bound_memory_change_no_p_value(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    grids = [rng.normal(0.4, 1, size=(3, n_seeds)) for n_seeds in (7, 18)]
    whole = [max_sign_flip_p(grid) for grid in grids]
    monkeypatch.setattr("training.statistics._BLOCK_ELEMENTS", 5_003)
    for grid, p_values in zip(grids, whole, strict=True):
        assert np.array_equal(max_sign_flip_p(grid), p_values)


def test_family_wise_error_of_a_correlated_null_grid_is_5_percent() -> None:
    rng = np.random.default_rng(7)
    shared = rng.normal(size=(1_000, 1, 8))
    grids = shared + rng.normal(size=(1_000, 16, 8))  # correlation .5 between any two cells
    corrected = np.mean([max_sign_flip_p(grid).min() <= 0.05 for grid in grids])
    assert 0.02 <= corrected <= 0.07
    # The correction is needed: without it, one in four of these grids holds a "finding".
    uncorrected = [min(sign_flip_p(cell) for cell in grid) <= 0.05 for grid in grids[:200]]
    assert np.mean(uncorrected) > 0.15


def test_planted_cells_are_found_and_no_others() -> None:
    rng = np.random.default_rng(9)
    grid = rng.normal(size=(300, 10))
    grid[[17, 202]] += 12.0
    assert np.flatnonzero(max_sign_flip_p(grid) <= 0.05).tolist() == [17, 202]


def test_a_grid_of_1000_cells_and_8_seeds_takes_less_than_a_tenth_of_a_second() -> None:
    grid = np.random.default_rng(0).normal(size=(1_000, 8))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        max_sign_flip_p(grid)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.1


# --- equivalence and power ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "margin", "passed"),
    [
        # mean 0, sd 1: 0 ± 2.91999 / sqrt(3) = ± 1.68585
        pytest.param([-1, 0, 1], 1.686, True, id="just inside"),
        pytest.param([-1, 0, 1], 1.685, False, id="just outside"),
        pytest.param([0, 1, 2], 1.7, False, id="off centre above"),
        pytest.param([0, -1, -2], 1.7, False, id="off centre below"),
        pytest.param([0.1, 0.1], 0.1, False, id="on the margin without variance"),
        pytest.param([0.0], 1.0, False, id="one seed"),
        pytest.param([], 1.0, False, id="no seed"),
    ],
)
def test_equivalence_passes_only_inside_the_margin(
    values: list[float], margin: float, passed: bool
) -> None:
    assert equivalence(values, margin=margin).passed is passed


def test_equivalence_agrees_with_two_one_sided_tests_of_scipy() -> None:
    data_sets = np.random.default_rng(11).normal(0.2, 1, size=(300, 8))
    p_below = t_test(data_sets, 0.8, "less")[1]
    p_above = t_test(data_sets, -0.8, "greater")[1]
    expected = np.maximum(p_below, p_above) < 0.05
    assert [equivalence(v, margin=0.8).passed for v in data_sets] == expected.tolist()
    assert 50 < expected.sum() < 250


@pytest.mark.parametrize("true_mean", [0.5, -0.5])
def test_equivalence_falsely_passes_in_5_percent_at_the_margin(true_mean: float) -> None:
    data_sets = np.random.default_rng(10).normal(true_mean, 0.3, size=(10_000, 8))
    rate = np.mean([equivalence(values, margin=0.5).passed for values in data_sets])
    assert 0.043 <= rate <= 0.055


def test_detectable_mean_agrees_with_published_sample_sizes() -> None:
    # Cohen's d = 0.5, two-sided .05: power .80 needs 34 pairs, .90 needs 44, .95 needs 54.
    for power, n_seeds in ((0.80, 34), (0.90, 44), (0.95, 54)):
        assert detectable_mean(1.0, n_seeds, power=power) <= 0.5
        assert detectable_mean(1.0, n_seeds - 1, power=power) > 0.5


@pytest.mark.parametrize("n_seeds", [2, 3, 8])
def test_a_t_test_finds_the_detectable_mean_in_90_percent_of_data_sets(n_seeds: int) -> None:
    mean = detectable_mean(0.2, n_seeds)
    data_sets = np.random.default_rng(12).normal(mean, 0.2, size=(40_000, n_seeds))
    found = t_test(data_sets)[1] <= 0.05
    assert 0.894 <= found.mean() <= 0.906  # 4 standard errors


@pytest.mark.parametrize("power", [0.06, 0.3, 0.95])
def test_the_power_at_the_detectable_mean_is_that_of_the_noncentral_f(power: float) -> None:
    # t squared has an F distribution, in which both tails of t are one.
    shift = detectable_mean(2.0, 7, power=power) / 2.0 * math.sqrt(7)
    critical = stats.t.isf(0.025, 6) ** 2
    assert stats.ncf.sf(critical, 1, 6, shift**2) == pytest.approx(power, abs=1e-9)


@pytest.mark.parametrize("power", [0.0501, 0.5, 0.999])
def test_detectable_mean_is_found_for_extreme_power_and_levels(power: float) -> None:
    means = [detectable_mean(1.0, n, power=power, alpha=0.001) for n in (2, 5, 17, 500)]
    assert means == sorted(means, reverse=True)
    assert 0 < means[-1] < means[0] < 1e4
    assert detectable_mean(0.0, 5, power=power) == 0.0
