from collections.abc import Callable

import pytest

from data.errors import InputError
from data.tasks.alias_toy import AliasNames
from data.tasks.source_toy import SourceConfig
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import Kind, Split, WordOrder
from interp.alignment.pairs import AlignmentPair, Pairing, PairMode, make_alignment_pairs

MakeRows = Callable[..., list[TokenizedRow]]
SUBSETS = ("D5_CONS", "D6_CONS", "D1_CONS_QA1", "D2_INCONS_QA2")
TWIN: dict[str, str] = dict(
    zip(SUBSETS, ("D6_CONS", "D5_CONS", "D2_INCONS_QA2", "D1_CONS_QA1"), strict=True)
)


@pytest.fixture(scope="module")
def source_rows() -> list[TokenizedRow]:
    config = SourceConfig(
        sizes=SubsetSizes(defined=12, undefined=4, stage2=8),
        names=AliasNames(),
        word_order=WordOrder.TAE,
        shuffle_tags=False,
        n_attributes=4,
        n_values=3,
        held_out_questions=2,
    )
    drawn = config.build(0)
    return tokenize_rows(drawn.rows, word_tokenizer(drawn.words))


def own(rows: list[TokenizedRow], **changes: object) -> list[AlignmentPair]:
    settings = {"subsets": SUBSETS, "seed": 0} | changes
    return make_alignment_pairs(rows, PairMode.OWN, **settings)  # pyright: ignore[reportArgumentType]


def ids(pairs: list[AlignmentPair], *pairings: Pairing) -> set[tuple[str, str, str]]:
    return {
        (pair.definition.row.row_id, pair.question.row.row_id, str(pair.pairing))
        for pair in pairs
        if pair.pairing in (pairings or Pairing)
    }


def test_own_pairs_are_each_definition_with_every_held_out_question_about_its_alias(
    toy_rows: MakeRows,
):
    rows = toy_rows()
    expected = {
        (d.row.row_id, q.row.row_id, "own")
        for d in rows
        for q in rows
        if d.row.kind is Kind.DEFINITION
        and d.row.subset.name in SUBSETS
        and q.row.kind is Kind.QA
        and q.row.split is Split.TEST
        and q.row.alias == d.row.alias
    }
    assert ids(own(rows), Pairing.OWN) == expected
    assert len(expected) == 2 * 20 * 1 + 2 * 6 * 3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_partner_is_what_the_name_of_its_class_says(toy_rows: MakeRows, seed: int):
    rows = toy_rows(seed, n_entities=4)
    pairs = own(rows, seed=seed)
    entity_of = {q.row.alias: q.row.entity for q in rows if q.row.kind is Kind.QA}
    says = {
        Pairing.OWN: (True, True, True),
        Pairing.SAME_ENTITY_SAME_TAG: (False, True, True),
        Pairing.SAME_TAG_OTHER_ENTITY: (False, True, False),
        Pairing.SAME_ENTITY_OTHER_TAG: (False, False, True),
        Pairing.OTHER_TAG: (False, False, False),
    }
    assert {pair.pairing for pair in pairs} == set(says)
    for pair in pairs:
        definition, question = pair.definition.row, pair.question.row
        assert question.split is Split.TEST
        assert question.subset.name in (definition.subset.name, TWIN[definition.subset.name])
        assert says[pair.pairing] == (
            question.alias == definition.alias,
            question.subset.name == definition.subset.name,
            question.entity == entity_of[definition.alias],
        )


def test_partners_ask_for_the_attribute_of_their_own_pair(toy_rows: MakeRows):
    pairs = own(toy_rows())
    assert pairs[0].pairing is Pairing.OWN
    n_own, current = 0, None
    for pair in pairs:
        if pair.pairing is Pairing.OWN:
            n_own, current = n_own + 1, pair.question.row.question
        assert pair.question.row.question == current
    assert len(ids(pairs, Pairing.OTHER_TAG)) == n_own


def test_a_false_definition_is_matched_by_the_entity_of_its_questions(toy_rows: MakeRows):
    pairs = own(toy_rows(n_entities=4), subsets=("D2_INCONS_QA2",))
    same = [pair for pair in pairs if pair.pairing is Pairing.SAME_ENTITY_OTHER_TAG]
    assert same
    assert all(pair.question.row.entity != pair.definition.row.entity for pair in same)


def test_all_pairs_are_every_definition_with_every_question_of_the_chosen_aliases(
    toy_rows: MakeRows,
):
    rows = toy_rows()
    pairs = make_alignment_pairs(rows, PairMode.ALL, subsets=SUBSETS, limit=3, seed=0)
    assert len(pairs) == len(ids(pairs)) == (4 * 3) * (2 * 3 * 1 + 2 * 3 * 3)
    for pair in pairs:
        is_own = pair.definition.row.alias == pair.question.row.alias
        assert is_own == (pair.pairing is Pairing.OWN)
    across = [p for p in pairs if {p.definition.row.subset.name, p.question.row.subset.name} == {
        "D5_CONS", "D1_CONS_QA1"}]  # fmt: skip
    assert {pair.pairing for pair in across} == {Pairing.OTHER}


def test_a_smaller_limit_gives_a_part_of_a_larger_one(toy_rows: MakeRows):
    rows = toy_rows()
    small, large = (ids(own(rows, limit=limit)) for limit in (2, 5))
    assert small < large < ids(own(rows))


def test_a_definition_of_one_fact_owns_only_the_question_that_asks_for_it(
    source_rows: list[TokenizedRow],
):
    pairs = own(source_rows)
    for pair in pairs:
        same_fact = pair.definition.row.question == pair.question.row.question
        same_alias = pair.definition.row.alias == pair.question.row.alias
        assert (pair.pairing is Pairing.OWN) == (same_fact and same_alias)
        is_other_fact = pair.pairing is Pairing.SAME_ALIAS_OTHER_FACT
        assert is_other_fact == (same_alias and not same_fact)
    assert {p.pairing for p in pairs} == set(Pairing) - {Pairing.OTHER}


def test_where_nothing_has_an_entity_the_value_is_compared(source_rows: list[TokenizedRow]):
    pairs = own(source_rows, subsets=("D5_CONS",))
    for pair in pairs:
        is_same = pair.definition.row.rendered.answer == pair.question.row.rendered.answer
        expects_same = pair.pairing in (
            Pairing.OWN,
            Pairing.SAME_ENTITY_SAME_TAG,
            Pairing.SAME_ENTITY_OTHER_TAG,
        )
        assert is_same == expects_same


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"subsets": ("QA3",)}, "no pairs of QA3", id="no definitions"),
        pytest.param({"subsets": ("D7",)}, "no subset 'D7'", id="no subset"),
        pytest.param({"limit": 0}, "limit is 0", id="no limit"),
    ],
)
def test_pairs_that_do_not_exist_are_refused(
    toy_rows: MakeRows, changes: dict[str, object], message: str
):
    with pytest.raises(InputError, match=message):
        own(toy_rows(), **changes)
