from dataclasses import replace

import numpy as np
import pytest

from data.design import Design
from data.tasks.alias_toy import AliasNames
from data.tasks.source_toy import SourceConfig
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import TokenizedRow, tokenize_rows
from data.vocabulary import WordOrder
from interp.codes.aliases import CodedAliases
from interp.codes.estimation import (
    QUESTION,
    RELIABLE,
    UNRELIABLE,
    Vectors,
    code_cosine,
    estimate_codes,
    linear_change,
)
from interp.codes.names import needs_own
from interp.codes.seed_codes import SeedCodes
from interp.codes.stated import Told, table_name, value_representations

WIDTH = 12
SOURCES = SourceConfig(
    sizes=SubsetSizes(defined=150, undefined=60, stage2=40),
    names=AliasNames(tokens=1, syllables=60),
    word_order=WordOrder.TAE,
    shuffle_tags=False,
    n_attributes=4,
    n_values=3,
    held_out_questions=2,
)


@pytest.fixture(scope="module")
def rows() -> list[TokenizedRow]:
    drawn = SOURCES.build(0)
    return tokenize_rows(list(drawn.rows), SOURCES.tokenizer(drawn))


@pytest.fixture(scope="module")
def aliases(rows: list[TokenizedRow]) -> CodedAliases:
    design: Design = SOURCES.design
    return CodedAliases.of(rows, design)


def test_an_alias_stands_for_what_its_statements_say(rows: list[TokenizedRow]):
    told = Told()
    about = next(each.row.alias for each in rows if each.row.subset.name == "D2_INCONS_QA2")
    stated = [e.row for e in rows if e.row.alias == about and e.row.kind == "definition"]
    for row in stated:
        told.hear(row)
        told.hear(row)  # a row said twice says nothing new
    expected = {str(row.question): row.rendered.answer for row in stated}
    assert len(expected) == 4
    assert told.of(str(about)) == table_name(expected)
    assert told.of("nobody") is None


def test_tables_are_told_apart_by_use(aliases: CodedAliases):
    for each in aliases.reliable:
        # The truth is stated, half of it asked, and all of it is what the alias stands for.
        assert each.defined == each.entity
        assert set(str(each.asked).split(", ")) < set(each.entity.split(", "))
        assert len(str(each.asked).split(", ")) == 2
    differ = [each.defined != each.entity for each in aliases.unreliable]
    assert np.mean(differ) > 0.95  # all but those that chance makes true
    assert all(each.asked is None and each.defined == each.entity for each in aliases.compared)
    assert needs_own(aliases)
    assert set(aliases.entities) <= set(aliases.tables)


def test_answers_are_known_to_every_question_about_a_compared_table(
    rows: list[TokenizedRow], aliases: CodedAliases
):
    alias = aliases.higher[0]
    for row in alias.questions:
        answer = tuple(row.input_ids[at] for at in row.answer_positions)
        assert aliases.answers[alias.entity, row.row.question] == answer


def test_a_representation_says_which_values_a_table_has():
    tables = {"x": {"a": "1", "b": "1"}, "y": {"a": "2", "b": "1"}, "z": {"a": "1"}}
    own = value_representations(tables, ["x", "y", "z"])
    by_hand = np.array([[1.0, 0, 1], [0, 1, 1], [1, 0, 0]])  # a=1, a=2, b=1
    by_hand -= by_hand.mean(0)
    np.testing.assert_allclose(own, by_hand / np.sqrt((by_hand**2).sum(1).mean()))
    np.testing.assert_allclose(own.mean(0), 0.0, atol=1e-15)


def planted(aliases: CodedAliases, strength: float) -> tuple[Vectors, dict[str, np.ndarray]]:
    """Vectors to which each stated and each asked value adds a vector of its own."""
    rng = np.random.default_rng(0)
    own = value_representations(aliases.tables, aliases.entities)
    true, false, asked = (own @ rng.normal(size=(own.shape[1], WIDTH)) for _ in range(3))
    place = {name: at for at, name in enumerate(aliases.entities)}
    found = {}
    for each in aliases.all_used:
        vector = 0.1 * rng.normal(size=WIDTH)
        if each.asked is not None:
            vector += strength * asked[place[each.asked]]
        if each.defined is not None:
            written = false if each in aliases.unreliable else true
            vector += strength * written[place[each.defined]]
        found[each.name] = vector
    codes = {RELIABLE: true, UNRELIABLE: false, QUESTION: asked}
    return Vectors(of=found, entities=aliases.entities, own=own), codes


def test_what_is_written_of_each_value_is_found(aliases: CodedAliases):
    vectors, truth = planted(aliases, 1.0)
    found = estimate_codes(aliases, vectors)
    for name, code in truth.items():
        assert code_cosine(found[name], code - code.mean(0)) > 0.9, name
    assert abs(code_cosine(found[RELIABLE], truth[UNRELIABLE])) < 0.2
    none, _ = planted(aliases, 0.0)
    for name, code in estimate_codes(aliases, none).items():
        assert abs(code_cosine(code, truth[name])) < 0.4, name


def seed_codes(aliases: CodedAliases, strength: float) -> SeedCodes:
    """Both compared subsets write in the reliable tag's code, as strongly as is said."""
    before, truth = planted(aliases, 1.0)
    rng = np.random.default_rng(1)
    place = before.numbers([each.entity for each in aliases.compared])
    after = dict(before.of)
    for each, at in zip(aliases.compared, place, strict=True):
        written = strength * truth[RELIABLE][at]
        after[each.name] = before.of[each.name] + written + 0.1 * rng.normal(size=WIDTH)
    start = replace(before, of={name: 0 * vector for name, vector in before.of.items()})
    return SeedCodes(
        aliases=aliases, start=start, before=before, after=replace(before, of=after), seed=0
    )


def test_a_ceiling_is_told_where_each_table_has_one_alias(aliases: CodedAliases):
    ceilings = seed_codes(aliases, 1.0).ceilings()
    assert ceilings[RELIABLE, "D5_CONS"] > 0.9
    nothing = seed_codes(aliases, 0.0).ceilings()
    assert nothing[RELIABLE, "D5_CONS"] < 0.6


def test_the_change_by_table_is_what_its_values_tell(aliases: CodedAliases):
    codes = seed_codes(aliases, 1.0)
    for where in codes.sides.values():
        assert code_cosine(codes.means(where), codes.codes[RELIABLE]) > 0.9
    changes = codes.changes
    told = np.unique(changes.numbers).tolist()
    mean = linear_change(changes.vectors, changes.numbers, codes.before, told)
    assert not np.delete(mean, told, axis=0).any()
    np.testing.assert_allclose(mean[told].mean(0), 0.0, atol=1e-12)


def test_another_alias_s_values_are_followed_after_a_swap(aliases: CodedAliases):
    changes = seed_codes(aliases, 1.0).changes
    compared = set(changes.numbers.tolist())
    assert (changes.swapped != changes.numbers).all()
    assert set(changes.swapped.tolist()) == compared  # whose answers are known to every question
