import numpy as np
import pytest

from interp.circuits.ranks import randomized_rank_p, rank_p, rank_test


def test_a_rank_counts_itself_and_ties() -> None:
    assert rank_p(5.0, np.array([1.0, 2.0, 3.0])) == 0.25
    assert rank_p(2.0, np.array([1.0, 2.0, 3.0])) == 0.75
    assert rank_p(0.0, np.array([0.0, 0.0])) == 1.0


def test_randomized_p_is_uniform_for_a_circuit_like_the_others() -> None:
    rng = np.random.default_rng(0)
    ps = []
    for _ in range(2000):
        values = rng.integers(0, 4, 20).astype(float)  # many ties
        ps.append(randomized_rank_p(values[0], values[1:], rng))
    for level in (0.05, 0.25, 0.5, 0.75):
        assert (
            abs(np.mean(np.array(ps) <= level) - level) < 3.5 * (level * (1 - level) / 2000) ** 0.5
        )


@pytest.mark.parametrize("n_seeds", [1, 4, 16])
def test_the_test_over_seeds_keeps_its_level_without_an_effect(n_seeds: int) -> None:
    rng = np.random.default_rng(1)
    ps = []
    for _ in range(400):
        by_seed = [rank_p(each[0], each[1:]) for each in rng.standard_normal((n_seeds, 40))]
        ps.append(rank_test(by_seed, [39] * n_seeds).p_value)
    assert np.mean(np.array(ps) <= 0.05) <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5
    assert np.mean(np.array(ps) <= 0.5) >= 0.5 - 3 * (0.25 / 400) ** 0.5


def test_ties_count_against_the_circuit() -> None:
    nothing = rank_p(0.0, np.zeros(39))
    assert rank_test([nothing] * 8, [39] * 8).p_value == 1.0


def test_many_seeds_find_what_one_cannot() -> None:
    one = rank_p(1.0, np.random.default_rng(2).standard_normal(19))
    found = rank_test([one] * 8, [19] * 8)
    assert found.p_value < 0.01 < one
    assert found.p_smallest < found.p_value


def test_a_seed_whose_circuit_is_the_largest_of_few_says_how_small_p_can_be() -> None:
    found = rank_test([rank_p(9.0, np.zeros(3))], [3])
    assert found.p_smallest == 0.25
    assert found.p_value == pytest.approx(0.25, abs=0.02)


def test_no_seeds_and_no_matched_circuits_are_refused() -> None:
    for p_by_seed, n_null in (([], []), ([1.0], [0]), ([1.0], [])):
        with pytest.raises(ValueError, match="matched circuits"):
            rank_test(p_by_seed, n_null)
