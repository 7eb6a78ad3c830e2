"""The paper's Table 1 and section 3.3, and its code's unique tags, written out a second time."""

import pytest

from data.tasks.iml import SUBSETS
from data.vocabulary import Stage, TagKind, WordOrder

R, U, N, OWN = TagKind.RELIABLE, TagKind.UNRELIABLE, TagKind.NOVEL, TagKind.UNIQUE

# name: part, tag, consistent, has questions, has definitions, replaced
TABLE_1 = {
    "D1_CONS_QA1": (1, R, True, True, True, True),
    "D2_INCONS_QA2": (1, U, False, True, True, True),
    "QA3": (1, None, None, True, False, True),
    "QA4_NOT_REPLACED": (1, None, None, True, False, False),
    "D5_CONS": (2, R, True, False, True, True),
    "D6_CONS": (2, U, True, False, True, True),
    "QA7_UNSEEN": (2, None, None, False, False, True),
    "D8_CONS": (2, N, True, False, True, True),
    "D9_INCONS_QA9": (1, R, False, True, True, True),
    "D10_CONS_QA10": (1, U, True, True, True, True),
    "UNIQUE_TAGS_CONS_QA": (1, OWN, True, True, True, True),
}


def test_there_are_the_ten_subsets_of_the_paper_and_its_codes_unique_tags() -> None:
    assert list(SUBSETS) == list(TABLE_1)


@pytest.mark.parametrize("name", TABLE_1)
def test_subset_has_the_properties_of_table_1(name: str) -> None:
    subset = SUBSETS[name]
    assert subset.name == name
    assert (
        int(subset.part),
        subset.tag,
        subset.consistent,
        subset.has_questions,
        subset.has_definitions,
        subset.replaced,
    ) == TABLE_1[name]


def test_word_orders_are_the_six_permutations_of_tag_alias_entity() -> None:
    assert sorted(WordOrder) == ["aet", "ate", "eat", "eta", "tae", "tea"]


def test_stage_is_the_int_1_2_or_3() -> None:
    assert [int(stage) for stage in Stage] == [1, 2, 3]
