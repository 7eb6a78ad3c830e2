from collections import Counter
from dataclasses import replace

import pytest

from data.rows import Row
from data.vocabulary import Kind, Part, WordOrder
from tests.data.tasks.set_inclusion_rows import CONFIG, WHOLE_TABLE, listed, make


def without_tags(row: Row) -> Row:
    """A row with its tag's word cut out of text and columns."""
    if row.tag is None:
        return row
    rendered = replace(row.rendered, text=row.rendered.text.replace(row.tag, "-"))
    return replace(row, tag=None, rendered=rendered)


@pytest.mark.parametrize("is_coded", [False, True])
def test_shuffled_tags_change_only_tags_of_stage_1(is_coded: bool) -> None:
    config = make(sizes=WHOLE_TABLE, as_coded=is_coded)
    drawn, null = (replace(config, shuffle_tags=flag).build(0) for flag in (False, True))
    assert drawn.words == null.words
    assert Counter(r.tag for r in drawn.rows if r.kind is Kind.DEFINITION) == Counter(
        r.tag for r in null.rows if r.kind is Kind.DEFINITION
    )
    changed = [(a, b) for a, b in zip(drawn.rows, null.rows, strict=True) if a != b]
    assert changed
    for row, other in changed:
        assert row.subset.part is Part.X1
        assert without_tags(row) == without_tags(other)


@pytest.mark.parametrize("is_coded", [False, True])
def test_exchanged_tags_change_nothing_but_which_word_is_the_reliable_one(is_coded: bool) -> None:
    config = make(sizes=WHOLE_TABLE, as_coded=is_coded)
    drawn, twin = (replace(config, exchange_tags=flag).build(0) for flag in (False, True))
    words = [{str(r.subset.name): r.tag for r in seed.rows} for seed in (drawn, twin)]
    assert words[0]["D5_CONS"] == words[1]["D6_CONS"]
    assert words[0]["D6_CONS"] == words[1]["D5_CONS"]
    assert words[0]["D8_CONS"] == words[1]["D8_CONS"]
    assert [*map(without_tags, drawn.rows)] == [*map(without_tags, twin.rows)]


def test_variants_and_word_orders_draw_the_same_numbers_and_lists() -> None:
    written, coded, other = (
        make(**changes).build(0)
        for changes in ({}, {"as_coded": True}, {"word_order": WordOrder.EAT})
    )
    contents = [
        [(row.row_id, row.alias, row.entity, row.split, listed(row)) for row in drawn.rows]
        for drawn in (written, coded, other)
    ]
    assert contents[0] == contents[1] == contents[2]


def test_seeds_draw_different_data() -> None:
    assert CONFIG.build(0) == CONFIG.build(0)
    assert CONFIG.build(0).words != CONFIG.build(1).words
