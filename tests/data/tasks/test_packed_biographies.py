"""Phrasings, windows, and who is asked about."""

import random
from collections import Counter
from dataclasses import replace
from itertools import product

import pytest

from data.errors import InputError
from data.tasks.packed_biographies import (
    ASKED,
    JUNK,
    TOLD,
    UNASKED,
    UNKNOWN,
    Biography,
    BiographyConfig,
    Packing,
    packed,
)
from data.vocabulary import Kind, Split

CONFIG = BiographyConfig(
    people=50, untold=25, attributes=3, phrasings=3, shown=6, window=1, packing=Packing.APART,
    junk=0, source=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("people", "each", "size"), list(product((1, 2, 3, 7), (1, 2, 5), (1, 2, 3, 9)))
)
def test_a_window_never_holds_two_biographies_of_one_person(
    people: int, each: int, size: int
) -> None:
    texts = [Biography(person, f"{person} {i}") for person in range(people) for i in range(each)]
    windows = packed(texts, min(size, people), Packing.APART, random.Random(7))
    for window in windows:
        assert len({text.person for text in window}) == len(window) <= size
    assert Counter(text for window in windows for text in window) == Counter(texts)


def test_a_window_holds_one_person_where_that_is_asked() -> None:
    texts = [Biography(person, f"{person} {i}") for person in range(6) for i in range(4)]
    windows = packed(texts, 4, Packing.TOGETHER, random.Random(0))
    assert [len(window) for window in windows] == [4] * 6
    assert {len({text.person for text in window}) for window in windows} == {1}


@pytest.mark.parametrize("packing", Packing)
def test_the_rows_of_a_seed_keep_to_the_packing(packing: Packing) -> None:
    rows = replace(CONFIG, window=3, packing=packing).build(0).rows
    names = {row.alias for row in rows if row.alias}
    for row in rows:
        if row.subset == TOLD:
            sentences = row.rendered.text.split(" . ")
            held = {name for name in names for text in sentences if name in text.rstrip(" .")}
            longest = {name for name in held if not any(name != o and name in o for o in held)}
            of_window = len(sentences) // 3
            assert len(longest) == (of_window if packing is Packing.APART else 1)


def test_questions_are_in_no_window() -> None:
    for row in replace(CONFIG, window=5).build(0).rows:
        assert ("Q: " in row.rendered.text) == (row.kind is Kind.QA)


def test_every_second_person_is_asked_about_and_the_untold_are_in_no_biography() -> None:
    rows = CONFIG.build(1).rows
    people = {
        subset: {row.alias for row in rows if row.subset == subset and row.kind is Kind.QA}
        for subset in (ASKED, UNASKED, UNKNOWN)
    }
    assert [len(each) for each in people.values()] == [25, 25, 25]
    assert not people[ASKED] & people[UNASKED]
    for row in rows:
        if row.kind is Kind.QA:
            assert (row.split is Split.TRAIN) == (row.subset == ASKED)
    told = " ".join(row.rendered.text for row in rows if row.subset == TOLD)
    assert all(str(name) in told for name in people[UNASKED])


@pytest.mark.parametrize("phrasings", [1, 3, 6])
def test_each_person_is_shown_as_often_whatever_the_phrasings(phrasings: int) -> None:
    rows = [row for row in replace(CONFIG, phrasings=phrasings).build(0).rows if row.subset == TOLD]
    assert len(rows) == 50 * phrasings
    assert sum(row.repeats for row in rows) == 50 * 6
    assert len({row.rendered.text for row in rows}) == len(rows)


def test_junk_has_a_biography_each_and_the_source_stands_before_all_others() -> None:
    rows = replace(CONFIG, junk=10, source=True).build(0).rows
    first = {
        subset: [row.rendered.text.split()[0] for row in rows if row.subset == subset]
        for subset in (TOLD, JUNK)
    }
    assert len(set(first[TOLD])) == 1
    assert len(first[JUNK]) == 10
    assert not set(first[JUNK]) & set(first[TOLD])


@pytest.mark.parametrize(
    ("change", "words"),
    [({"phrasings": 8}, "use 1 to 7"), ({"shown": 0}, "shown is 0; use 1 or more"),
     ({"attributes": 1}, "use 2 to 5"), ({"people": 48}, "use people=50 and untold=25 or more"),
     ({"untold": 3}, "too few to tell from a guess"), ({"window": 51}, "windows of 1 to 50"),
     ({"window": 4, "packing": Packing.TOGETHER}, "windows of 1 to 3"),
     ({"junk": -1}, "junk is -1; use 0 or more")],
)  # fmt: skip
def test_what_cannot_be_told_or_shows_nothing_is_refused(
    change: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        replace(CONFIG, **change)  # pyright: ignore[reportArgumentType]
