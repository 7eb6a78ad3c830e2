"""Table 1 in natural language, on a small world of made-up people."""

import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from data.errors import InputError
from data.facts import FactWorld
from data.rows import SeedData
from data.tasks.iml import SUBSETS
from data.text_aliases import TextAliases
from data.texts import DefinitionStyle, Writing
from data.tokens import tokenize_rows
from data.vocabulary import Family, Part, Role, Split, TagKind, WordOrder
from tests.data.tasks.made_up_people import (
    FACTS,
    SIZES,
    WITH_9_AND_10,
    config,
    definitions,
    questions,
    true_entity,
)


@pytest.fixture(scope="module")
def drawn() -> SeedData:
    return config(fractions=WITH_9_AND_10).build(3)


def test_every_entity_is_in_one_subset_of_the_size_asked_for() -> None:
    by_subset = defaultdict(set)
    for row in questions(config().build(3)):
        by_subset[row.subset.name].add(row.entity)
    assert {name: len(entities) for name, entities in by_subset.items()} == SIZES
    assert sum(Counter(e for each in by_subset.values() for e in each).values()) == 60
    assert set.union(*by_subset.values()) == set(FACTS)


def test_every_entity_has_one_alias_that_is_no_part_of_a_name(drawn: SeedData) -> None:
    pairs = {(row.alias, row.entity) for row in questions(drawn) if row.alias}
    assert len(pairs) == len({alias for alias, _ in pairs}) == len({e for _, e in pairs}) == 54
    words = {word for name in FACTS for word in name.split()}
    assert not words & {alias for alias, _ in pairs}
    assert {len(str(alias)) for alias, _ in pairs} == {5}


def test_names_that_were_not_replaced_are_asked_for_by_name(drawn: SeedData) -> None:
    rows = [row for row in questions(drawn) if row.subset.name == "QA4_NOT_REPLACED"]
    assert len(rows) == 36
    for row in rows:
        assert row.alias is None
        assert row.entity is not None
        assert row.entity in row.rendered.text
        assert Role.ALIAS not in row.rendered.spans


def test_definitions_are_true_or_false_as_the_subset_says(drawn: SeedData) -> None:
    truth = true_entity(drawn)
    agrees = defaultdict(set)
    for row in definitions(drawn):
        agrees[row.subset.name].add(row.entity == truth[row.alias])
        assert row.rendered.text == f"{row.tag} {row.alias} {row.entity}"
    assert agrees == {s.name: {s.consistent} for s in SUBSETS.values() if s.name in agrees}
    assert set(agrees) == set(WITH_9_AND_10) - {"QA3", "QA4_NOT_REPLACED", "QA7_UNSEEN"}


def test_a_false_definition_names_another_entity_of_its_subset_and_all_of_them_once(
    drawn: SeedData,
) -> None:
    truth = true_entity(drawn)
    for name in ("D2_INCONS_QA2", "D9_INCONS_QA9"):
        rows = [row for row in definitions(drawn) if row.subset.name == name]
        assert sorted(str(row.entity) for row in rows) == sorted(
            str(truth[row.alias]) for row in rows
        )


def test_answers_are_the_true_entitys(drawn: SeedData) -> None:
    for row in questions(drawn):
        assert row.rendered.answer == FACTS[str(row.entity)][str(row.question)][0]


def test_one_question_of_each_stage1_entity_is_held_out_and_all_of_stage2(drawn: SeedData) -> None:
    trained, held_out = Counter(), Counter()
    for row in questions(drawn):
        (trained if row.split is Split.TRAIN else held_out)[row.subset.name, row.entity] += 1
    for subset, entity in trained | held_out:
        counts = trained[subset, entity], held_out[subset, entity]
        assert counts == ((5, 1) if SUBSETS[subset].part is Part.X1 else (0, 6))


def test_which_question_is_held_out_differs_between_entities(drawn: SeedData) -> None:
    asked = {
        r.question for r in questions(drawn) if r.subset.name == "QA3" and r.split is Split.TEST
    }
    assert len(asked) > 1


def test_attribution_rows_ask_for_the_entity_and_where_it_differs_for_the_defined_one(
    drawn: SeedData,
) -> None:
    named = {row.alias: row.entity for row in definitions(drawn)}
    truth = true_entity(drawn)
    right, as_defined = (
        questions(drawn, family) for family in (Family.ENTITY_ATTRIBUTION, Family.AS_DEFINED)
    )
    for rows in (right, as_defined):
        assert all(row.split is Split.TEST and not row.is_evaluated for row in rows)
        assert all(row.rendered.answer == row.entity for row in rows)
        assert set(Counter(row.alias for row in rows).values()) == {4}
    assert all(row.entity == truth[row.alias] for row in right)
    assert {r.subset.name for r in right} == set(WITH_9_AND_10) - {"QA4_NOT_REPLACED", "QA7_UNSEEN"}
    assert all(row.entity == named[row.alias] != truth[row.alias] for row in as_defined)
    assert {row.subset.name for row in as_defined} == {"D2_INCONS_QA2", "D9_INCONS_QA9"}


def test_row_ids_are_unique(drawn: SeedData) -> None:
    assert len({row.row_id for row in drawn.rows}) == len(drawn.rows)


def test_tags_are_one_of_each_kind(drawn: SeedData) -> None:
    tags = defaultdict(set)
    for row in definitions(drawn):
        tags[row.subset.tag].add(row.tag)
    assert {kind: len(found) for kind, found in tags.items()} == {
        TagKind.RELIABLE: 1,
        TagKind.UNRELIABLE: 1,
        TagKind.NOVEL: 1,
    }
    assert len(set.union(*tags.values())) == 3


@pytest.mark.parametrize("order", WordOrder)
def test_aliases_have_as_many_tokens_as_asked_for_in_every_text(order: WordOrder) -> None:
    made = config(aliases=TextAliases(letters=5, tokens=4), writing=Writing(order=order))
    drawn = made.build(0)
    rows = tokenize_rows(drawn.rows, made.tokenizer(drawn))
    spans = [row.spans[Role.ALIAS] for row in rows if row.row.alias]
    assert {last - first + 1 for first, last in spans} == {4}


@dataclass(frozen=True, kw_only=True)
class FixedWorld:
    facts: Mapping[str, Mapping[str, tuple[str, ...]]]

    def load(self) -> FactWorld:
        templates = {"born": "When was {} born?", "job": "What did {} do?"}
        return FactWorld(name="fixed", questions=templates, facts=self.facts)


@pytest.mark.parametrize("any_answer", [True, False])
def test_further_accepted_answers_are_asked_only_where_any_counts(any_answer: bool) -> None:
    facts = {f"Person{i}": {"born": ("1900s",), "job": ("cook", f"poet {i}")} for i in range(4)}
    drawn = config(
        world=FixedWorld(facts=facts),
        fractions={"QA3": 0.5, "D5_CONS": 0.5},
        any_answer=any_answer,
    ).build(0)
    for row in questions(drawn):
        others = [other.answer for other in row.other_answers]
        accepted = facts[str(row.entity)][str(row.question)]
        assert row.rendered.answer == accepted[0]
        assert others == (list(accepted[1:]) if any_answer else [])
        assert {other.prompt for other in row.other_answers} <= {row.rendered.prompt}


SCRIPT = """
import hashlib
from data.tasks.text import *
from data.texts import *
from data.tokenizers import TrainedTokenizer
from data.worlds.people import PeopleWorld
world = PeopleWorld(n_people=60, seed=0)
fractions = {"D1_CONS_QA1": 0.2, "D2_INCONS_QA2": 0.2, "UNIQUE_TAGS_CONS_QA": 0.2,
             "D9_INCONS_QA9": 0.2, "D5_CONS": 0.1, "D8_CONS": 0.1}
for style, contradiction in (("tagged", "answers"), ("refers", "identity")):
    rows = TextConfig(
        world=world, fractions=fractions, writing=Writing(style=DefinitionStyle(style)),
        aliases=TextAliases(letters=5), contradiction=Contradiction(contradiction),
        tokenizer_provider=TrainedTokenizer(texts=world, vocabulary_size=400),
        held_out_questions=1, phrasings=3, any_answer=True, shuffle_tags=True, exchange_tags=True,
    ).build(7).rows
    print(hashlib.sha256(repr(rows).encode()).hexdigest())
"""


def test_rows_are_the_same_in_every_process_whatever_its_hash_seed() -> None:
    root = Path(__file__).parents[3]
    said = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert len(set(said[0].split())) == 2


def test_seeds_differ() -> None:
    drawn = [config().build(seed) for seed in range(4)]
    assert all(a.rows != b.rows for a, b in pairwise(drawn))
    assert len({tuple(true_entity(each).items()) for each in drawn}) == 4


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"writing": Writing(style=DefinitionStyle.IS_ISNT)},
            "style is-isnt has no novel tag; leave its subset out",
        ),
        (
            {
                "writing": Writing(style=DefinitionStyle.SOURCES),
                "fractions": {"UNIQUE_TAGS_CONS_QA": 0.5, "D5_CONS": 0.5},
            },
            "style sources has no unique tag; leave its subset out",
        ),
        (
            {"fractions": {"D1": 0.5, "D5_CONS": 0.5}},
            "there is no subset D1; choose among D1_CONS_QA1, ",
        ),
        ({"fractions": {"D5_CONS": 0.5, "QA3": 0.4}}, "sum to 0.9; make them sum to 1"),
        ({"fractions": {"D5_CONS": 0.999, "QA3": 0.001}}, "leaves QA3 empty"),
        ({"held_out_questions": 6}, "held_out_questions is 6 of 6 questions; use 1 to 5"),
    ],
)
def test_bad_input_is_one_line_with_a_remedy(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        config(**changes).build(0)
    assert len(str(caught.value).splitlines()) == 1
