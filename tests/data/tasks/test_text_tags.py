"""Tags and sources of definitions in natural language."""

from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from data.rows import Row
from data.tasks.iml import SUBSETS
from data.texts import COPULAS, SOURCES, DefinitionStyle, Writing
from data.vocabulary import Kind, Part, TagKind
from tests.data.tasks.made_up_people import (
    FRACTIONS,
    STYLES,
    WITHOUT_NOVEL,
    config,
    definitions,
    in_style,
    questions,
)


def test_unique_tags_are_unique() -> None:
    fractions = {**FRACTIONS, "UNIQUE_TAGS_CONS_QA": FRACTIONS["QA3"]}
    fractions.pop("QA3")
    rows = definitions(config(fractions=fractions).build(0))
    own = [row.tag for row in rows if row.subset.name == "UNIQUE_TAGS_CONS_QA"]
    shared = {row.tag for row in rows if row.subset.name != "UNIQUE_TAGS_CONS_QA"}
    assert len(own) == len(set(own)) == 6
    assert not shared & set(own)


def without_tags(row: Row) -> Row:
    """The row with an empty tag and its text without it."""
    text = row.rendered.text.removeprefix(row.tag or "") if row.kind is Kind.DEFINITION else ""
    return replace(row, tag=None, rendered=replace(row.rendered, text=text, spans={}))


def test_exchanging_tags_swaps_the_two_strings_and_nothing_else() -> None:
    plain, exchanged = (config(exchange_tags=swap).build(5).rows for swap in (False, True))
    swapped = Counter((a.tag, b.tag) for a, b in zip(plain, exchanged, strict=True) if a.tag)
    tags = {row.subset.name: row.tag for row in plain}
    reliable, unreliable, novel = (tags[s] for s in ("D5_CONS", "D6_CONS", "D8_CONS"))
    assert set(swapped) == {(reliable, unreliable), (unreliable, reliable), (novel, novel)}
    assert [without_tags(row) for row in plain] == [without_tags(row) for row in exchanged]


def test_exchanged_sources_are_of_the_other_kind() -> None:
    rows = definitions(in_style(DefinitionStyle.SOURCES, exchange_tags=True).build(5))
    assert {row.tag for row in rows if row.subset.name == "D5_CONS"} <= set(
        SOURCES[TagKind.UNRELIABLE]
    )
    assert {row.tag for row in rows if row.subset.name == "D6_CONS"} <= set(
        SOURCES[TagKind.RELIABLE]
    )


@pytest.mark.parametrize("style", STYLES)
def test_shuffling_tags_mixes_stage1_and_leaves_stage2(style: DefinitionStyle) -> None:
    plain, null = (in_style(style, shuffle_tags=s).build(5).rows for s in (False, True))
    assert [r for r in plain if r.subset.part is Part.X2] == [
        r for r in null if r.subset.part is Part.X2
    ]

    def stage1(rows: tuple[Row, ...], subset: str) -> Counter[str | None]:
        return Counter(r.tag for r in rows if r.kind is Kind.DEFINITION and r.subset.name == subset)

    both = ("D1_CONS_QA1", "D2_INCONS_QA2")
    assert sum((stage1(plain, s) for s in both), Counter()) == sum(
        (stage1(null, s) for s in both), Counter()
    )
    assert stage1(plain, both[0]) != stage1(null, both[0])
    assert set(stage1(null, both[0])) & set(stage1(plain, both[1]))
    assert [(r.row_id, r.alias, r.entity) for r in plain] == [
        (r.row_id, r.alias, r.entity) for r in null
    ]


def test_phrasings_are_other_sources_of_the_same_kind() -> None:
    by_alias = defaultdict(list)
    for row in definitions(in_style(DefinitionStyle.SOURCES, phrasings=3).build(2)):
        by_alias[row.subset.name, row.alias].append(row)
    for (subset, _), rows in by_alias.items():
        kind = SUBSETS[subset].tag
        assert kind is not None
        tags = {row.tag for row in rows}
        assert tags <= set(SOURCES[kind])
        assert len(rows) == len(tags) == min(3, len(SOURCES[kind]))
        assert len({row.entity for row in rows}) == 1


def test_one_phrasing_more_changes_no_other_row() -> None:
    few, more = (in_style(DefinitionStyle.SOURCES, phrasings=n).build(2).rows for n in (1, 2))
    assert set(few_ids := [row.row_id for row in few]) < {row.row_id for row in more}
    assert [row for row in more if row.row_id in set(few_ids)] == list(few)


def test_is_and_is_not_by_kind_with_a_source_in_front() -> None:
    rows = definitions(in_style(DefinitionStyle.IS_ISNT, fractions=WITHOUT_NOVEL).build(0))
    for row in rows:
        kind = row.subset.tag
        assert kind is not None
        assert row.rendered.text.endswith(f" {row.alias} {COPULAS[kind]} {row.entity}")
    assert len({row.rendered.text.split(str(row.alias))[0] for row in rows}) > 1


def test_in_context_questions_carry_their_definition_and_nothing_else_states_it() -> None:
    rows = config(writing=Writing(in_context=True)).build(1)
    assert not definitions(rows)
    plain = config().build(1)
    stated = {row.alias: row.rendered.text for row in definitions(plain)}
    assert len(stated) == 42
    for here, there in zip(questions(rows), questions(plain), strict=True):
        before = f"{stated[there.alias]}\n" if there.alias in stated else ""
        assert here.rendered.text == before + there.rendered.text
