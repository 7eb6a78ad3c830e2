import random

import pytest

from data.errors import InputError
from data.tasks.subset_sizes import SubsetSizes, split_sizes


def random_fractions(rng: random.Random) -> dict[str, float]:
    weights = [rng.random() + 0.01 for _ in range(rng.randrange(1, 9))]
    return {f"part{i}": weight / sum(weights) for i, weight in enumerate(weights)}


def test_split_loses_no_item_and_stays_within_one_of_the_share() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        fractions = random_fractions(rng)
        total = rng.randrange(200, 5000)
        sizes = split_sizes(total, fractions)
        assert sum(sizes.values()) == total, seed
        for name, fraction in fractions.items():
            assert abs(sizes[name] - total * fraction) < 1, seed
            assert sizes[name] >= 1, seed


def test_split_gives_the_rest_to_the_largest_remainders() -> None:
    # Shares 4.7, 3.6, 1.7: floors 4, 3, 1 leave two items for the remainders .7 and .7.
    assert split_sizes(10, {"a": 0.47, "b": 0.36, "c": 0.17}) == {"a": 5, "b": 3, "c": 2}


@pytest.mark.parametrize("total", [10, 250])
def test_the_papers_lost_items_are_kept(total: int) -> None:
    # The published code keeps 8 of 10 items in three thirds, and 248 of 250 entities.
    sizes = split_sizes(total, dict.fromkeys("abc", 1 / 3))
    assert sum(sizes.values()) == total


def test_shares_that_are_whole_numbers_but_for_rounding_stay_exact() -> None:
    assert split_sizes(10, {"a": 0.1, "b": 0.2, "c": 0.7}) == {"a": 1, "b": 2, "c": 7}


@pytest.mark.parametrize(
    ("total", "fractions", "named"),
    [
        (10, {"a": 0.99, "b": 0.01}, "b"),
        (1, {"a": 0.5, "b": 0.5}, "b"),
        (10, {"a": 1.5, "b": -0.5}, "b"),
        (0, {"a": 1.0}, "a"),
    ],
)
def test_fraction_that_leaves_a_subset_empty_is_refused(total, fractions, named: str) -> None:
    with pytest.raises(InputError, match=f"leaves {named} empty"):
        split_sizes(total, fractions)


def test_fractions_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(InputError, match=r"sum to 0\.9"):
        split_sizes(10, {"a": 0.5, "b": 0.4})


def test_subsets_of_alpha_one_are_the_eight_without_d9_and_d10() -> None:
    sizes = SubsetSizes(defined=6, undefined=3, stage2=2).by_subset()
    assert sizes == {
        "D1_CONS_QA1": 6,
        "D2_INCONS_QA2": 6,
        "QA3": 3,
        "D5_CONS": 2,
        "D6_CONS": 2,
        "D8_CONS": 2,
        "QA7_UNSEEN": 2,
    }


def test_alpha_moves_its_complement_to_d9_and_d10() -> None:
    sizes = SubsetSizes(defined=7, undefined=3, stage2=2, alpha=0.7).by_subset()
    # .7 x 7 = 4.9: floor 4 and 2, the item left goes to the larger remainder.
    assert (sizes["D1_CONS_QA1"], sizes["D9_INCONS_QA9"]) == (5, 2)
    assert (sizes["D2_INCONS_QA2"], sizes["D10_CONS_QA10"]) == (5, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"defined": 0}, "leave D1_CONS_QA1 empty"),
        ({"undefined": 0}, "leave QA3 empty"),
        ({"stage2": -1}, "leave D5_CONS empty"),
        ({"alpha": 0.99}, "leaves D9_INCONS_QA9 empty"),
        ({"alpha": 0.01}, "leaves D1_CONS_QA1 empty"),
        ({"alpha": 0.0}, "alpha is 0"),
        ({"alpha": 1.01}, "alpha is 1.01"),
        ({"alpha": float("nan")}, "alpha is nan"),
    ],
)
def test_empty_subset_is_refused_by_name(change: dict[str, float], message: str) -> None:
    arguments = {"defined": 10, "undefined": 5, "stage2": 5} | change
    with pytest.raises(InputError, match=message):
        SubsetSizes(**arguments).by_subset()  # pyright: ignore[reportArgumentType]
