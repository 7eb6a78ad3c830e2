import random
from collections import Counter

import pytest

from data.aliases import derange, random_aliases, random_words
from data.errors import InputError


def draw(n: int, n_tokens: int, n_syllables: int = 7, seed: int = 0) -> list[str]:
    return random_aliases(
        n, n_tokens=n_tokens, n_syllables=n_syllables, rng=random.Random(seed), taken=set()
    )


def test_words_are_distinct_lower_case_and_never_taken_ones() -> None:
    taken = {chr(97 + i) for i in range(20)}
    words = random_words(6, n_letters=1, rng=random.Random(0), taken=taken)
    assert sorted(words) == ["u", "v", "w", "x", "y", "z"]
    assert set(words) <= taken


def test_more_words_than_exist_are_refused() -> None:
    with pytest.raises(InputError, match="27 distinct words of 1 letters"):
        random_words(27, n_letters=1, rng=random.Random(0), taken=set())


@pytest.mark.parametrize("n_tokens", [1, 2, 3, 4, 5])
def test_aliases_are_distinct_and_have_the_number_of_tokens(n_tokens: int) -> None:
    aliases = draw(40, n_tokens)
    assert len(set(aliases)) == 40
    assert {len(alias.split()) for alias in aliases} == {n_tokens}


def test_longer_aliases_share_a_pool_of_syllables_in_every_place() -> None:
    aliases = draw(49, 2)  # all 7 x 7 sequences
    for place in range(2):
        counts = Counter(alias.split()[place] for alias in aliases)
        assert sorted(counts.values()) == [7] * 7


@pytest.mark.parametrize(
    ("n", "n_tokens", "n_syllables", "remedy"),
    [
        (50, 2, 7, "raise alias_syllables"),
        (5, 2, 0, "raise alias_syllables"),
        (5, 2, -60, "raise alias_syllables"),
        (5, 0, 60, "use 1 or more"),
        (5, -1, 60, "use 1 or more"),
        (5, 30, 60, "use fewer tokens"),
        (5, 10**9, 60, "use fewer tokens"),
    ],
)
def test_impossible_aliases_are_refused(n: int, n_tokens: int, n_syllables: int, remedy) -> None:
    with pytest.raises(InputError, match=remedy):
        draw(n, n_tokens, n_syllables)


@pytest.mark.parametrize("seed", range(30))
def test_derangement_moves_every_entity_and_keeps_frequencies(seed: int) -> None:
    rng = random.Random(seed)
    half = rng.randrange(1, 12)
    items = ["often"] * half + [f"entity{rng.randrange(5)}" for _ in range(half)]
    rng.shuffle(items)
    result = derange(items, rng=rng)
    assert all(new != old for new, old in zip(result, items, strict=True))
    assert Counter(result) == Counter(items)


def test_derangement_reaches_all_nine_of_four_items_without_a_rare_one() -> None:
    rng = random.Random(0)
    counts = Counter(tuple(derange("abcd", rng=rng)) for _ in range(4500))
    assert len(counts) == 9
    # 500 each were it uniform; repair by swaps makes the three double swaps two thirds as likely.
    assert min(counts.values()) > 270
    assert max(counts.values()) < 700


def test_derangement_is_no_rotation_a_model_could_learn() -> None:
    items = [f"entity{i % 20}" for i in range(600)]
    partners = Counter(zip(items, derange(items, rng=random.Random(0)), strict=True))
    assert len(partners) > 250  # of 380 pairs; a fixed map of entities has 20


@pytest.mark.parametrize("items", [["a"], ["a", "a"], ["a", "a", "b"], ["b", "a", "a", "c", "a"]])
def test_derangement_that_does_not_exist_is_an_error_and_no_hang(items: list[str]) -> None:
    with pytest.raises(InputError, match="no false definitions exist"):
        derange(items, rng=random.Random(0))


def test_derangement_of_nothing_is_nothing() -> None:
    assert derange([], rng=random.Random(0)) == []
