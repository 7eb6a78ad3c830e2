"""Texts of two pairs: what is true of them, and which pairs of subjects are never trained."""

from collections import Counter
from dataclasses import replace

import pytest

from data.errors import InputError
from data.rows import Row
from data.tasks.truth_direction import FALSE, TRUE, TruthConfig, weight_blocks
from data.tokens import tokenize_rows
from data.vocabulary import Split

CONFIG = TruthConfig(subjects=8, texts=100, share_true=0.7, held_out=20)


def words_of(row: Row) -> tuple[str, ...]:
    return tuple(row.rendered.text.split())


@pytest.fixture(scope="module")
def rows() -> tuple[Row, ...]:
    return CONFIG.build(3).rows


def test_true_texts_say_what_is_so_twice(rows: tuple[Row, ...]) -> None:
    truth = {row.alias: row.rendered.answer for row in rows if row.split is Split.TEST}
    assert len(truth) == len(set(truth.values())) == 8
    counts = Counter((row.subset.name, row.split) for row in rows)
    assert counts == {
        (TRUE.name, Split.TRAIN): 70,
        (FALSE.name, Split.TRAIN): 30,
        (TRUE.name, Split.TEST): 20,
        (FALSE.name, Split.TEST): 20,
    }
    for row in rows:
        x, y, other, answer = words_of(row)
        if row.subset == TRUE:
            assert (truth[x], truth[other]) == (y, answer)
        elif row.split is Split.TEST:
            assert truth[x] != y
            assert truth[other] == answer


def test_no_text_of_a_held_out_pair_is_trained(rows: tuple[Row, ...]) -> None:
    pairs = {split: {words_of(row)[::2] for row in rows if row.split is split} for split in Split}
    assert len(pairs[Split.TEST]) == 20
    assert not pairs[Split.TEST] & pairs[Split.TRAIN]


def test_held_out_texts_come_in_twos_that_differ_in_the_first_attribute(
    rows: tuple[Row, ...],
) -> None:
    asked = [row for row in rows if row.split is Split.TEST]
    for true, false in zip(asked[::2], asked[1::2], strict=True):
        assert (true.subset, false.subset) == (TRUE, FALSE)
        assert [a == b for a, b in zip(words_of(true), words_of(false), strict=True)] == [
            True, False, True, True,
        ]  # fmt: skip


def test_the_places_of_the_first_pair_are_named() -> None:
    drawn = CONFIG.build(3)
    row = tokenize_rows(drawn.rows[:1], CONFIG.tokenizer(drawn))[0]
    assert row.spans == {"x": (0, 0), "y": (1, 1), "alias": (2, 2), "answer": (3, 3)}


def test_blocks_link_subjects_and_attributes_both_ways(rows: tuple[Row, ...]) -> None:
    blocks = {(each.source, each.target): each for each in weight_blocks(rows)}
    assert len(blocks) == 8
    there, back = blocks["subjects", "attributes said"], blocks["attributes", "subjects read"]
    assert {back.own[attribute] for attribute in there.own.values()} == set(there.own)
    assert there.is_said
    assert not back.is_said


@pytest.mark.parametrize(
    ("change", "words"),
    [({"subjects": 3}, "use 4 to 1,000"), ({"subjects": 10**9}, "use 4 to 1,000"),
     ({"share_true": 1.0}, "both needed"),
     ({"held_out": 19}, "use 20 or more, so that a direction can be told from chance"),
     ({"held_out": 33}, "at most half of them"), ({"texts": 0}, "use 1 or more")],
)  # fmt: skip
def test_what_shows_nothing_is_refused(change: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(CONFIG, **change)
