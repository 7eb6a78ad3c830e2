"""Defects of the paper's published code in its data: ours does not have them.

C4 to C8, C10 and C15; the others are in `test_paper_defects_training.py`.
"""

import random
import re
import signal
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from data.aliases import derange
from data.contradictions import Contradiction, contradicting
from data.errors import InputError
from data.facts import FactWorld
from data.rows import Row
from data.tasks.iml import SUBSETS
from data.tasks.subset_sizes import split_sizes
from data.tasks.text import TextConfig
from data.texts import DefinitionStyle, Writing
from data.vocabulary import Kind, TagKind
from training.recipes import find_recipe
from training.recipes.text import FRACTIONS, Shares
from training.registry import RECIPES, Recipe

find_recipe("alias-toy")


def text_config(**changes: Any) -> TextConfig:
    recipe = find_recipe("cvdb-two-stage")
    data = recipe(**recipe.smoke).data
    assert isinstance(data, TextConfig)
    return replace(data, **changes)


@dataclass(frozen=True, kw_only=True)
class FixedWorld:
    facts: Mapping[str, Mapping[str, tuple[str, ...]]]

    def load(self) -> FactWorld:
        templates = {"did": "What did {} do?", "where": "In what region did {} live?"}
        return FactWorld(name="fixed", questions=templates, facts=self.facts)


@contextmanager
def at_once() -> Iterator[None]:
    """Fails where the block takes five seconds, as an endless loop does."""

    def fail(*_: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(5)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_c4_no_item_is_dropped_by_rounding() -> None:
    thirds = {"D5_CONS": 1 / 3, "D6_CONS": 1 / 3, "QA3": 1 / 3}
    assert sorted(split_sizes(10, thirds).values()) == [3, 3, 4]
    assert sum(split_sizes(250, FRACTIONS[Shares.MAIN]).values()) == 250
    facts = {f"Name{i}": {"did": ("cook",), "where": ("Asia",)} for i in range(10)}
    drawn = text_config(world=FixedWorld(facts=facts), fractions=thirds).build(0)
    assert {row.entity for row in drawn.rows} == set(facts)


@pytest.mark.parametrize("contradiction", Contradiction)
def test_c5_a_swapped_subset_of_one_entity_is_an_error_at_once(
    contradiction: Contradiction,
) -> None:
    facts = {f"Name{i}": {"did": ("cook",), "where": ("Asia",)} for i in range(10)}
    config = text_config(
        world=FixedWorld(facts=facts),
        fractions={"D2_INCONS_QA2": 0.1, "D5_CONS": 0.9},
        contradiction=contradiction,
    )
    with at_once(), pytest.raises(InputError, match=r"; use (2 or )?more"):
        config.build(0)
    with at_once(), pytest.raises(InputError):
        derange(["Name0"], rng=random.Random(0))
    with at_once(), pytest.raises(InputError):
        contradicting(["Name0"], facts, rng=random.Random(0))


def test_c6_is_and_is_not_render_with_names_as_they_are_and_are_seeded() -> None:
    config = text_config(
        writing=Writing(style=DefinitionStyle.IS_ISNT), fractions=FRACTIONS[Shares.IS_ISNT]
    )
    built = []
    for seed in (1, 2):
        random.seed(seed)
        built.append(config.build(0).rows)
    assert built[0] == built[1]
    found = defaultdict(set)
    for row in built[0]:
        if row.kind is Kind.DEFINITION:
            assert f"{row.alias} {row.tag} {row.entity}" in row.rendered.text
            found[row.subset.name].add(row.tag)
    assert found == {"D5_CONS": {"is"}, "D6_CONS": {"is not"}}


INCONSISTENT = pytest.mark.parametrize(
    "name", ["cvdb-alpha", "works-two-stage", "set-inclusion", "alias-toy", "people-small"]
)


@INCONSISTENT
@pytest.mark.parametrize("exchange", [False, True])
def test_c7_inconsistent_definitions_are_inconsistent_and_the_others_are_not(
    name: str, exchange: bool
) -> None:
    recipe = find_recipe(name)
    drawn = recipe(**{**recipe.smoke, "exchange_tags": exchange}).data.build(0)
    truth = {
        (row.subset.name, row.alias): row.entity
        for row in drawn.rows
        if row.kind is Kind.QA and row.family == "attribute" and not row.is_fact
    }
    agrees = defaultdict(set)
    for row in drawn.rows:
        if row.kind is Kind.DEFINITION:
            agrees[row.subset.name].add(truth[row.subset.name, row.alias] == row.entity)
    assert agrees == {subset: {SUBSETS[subset].consistent} for subset in agrees}
    assert {True} in agrees.values()
    assert {False} in agrees.values()


@INCONSISTENT
def test_c7_test_questions_are_about_the_alias_itself(name: str) -> None:
    recipe = find_recipe(name)
    drawn = recipe(**recipe.smoke).data.build(0)
    asked = [r for r in drawn.rows if r.is_evaluated and r.subset.replaced and r.alias]
    assert asked
    assert all(str(row.alias) in row.rendered.prompt for row in asked)


def test_c8_the_subject_is_placed_by_the_template_whatever_its_name() -> None:
    names = ("Wha", "did", "re", "do", "Q", "A", "i", "In what region did")
    facts = {name: {"did": ("cook",), "where": ("Asia",)} for name in names}
    world = FixedWorld(facts=facts)
    drawn = text_config(world=world, fractions={"QA3": 0.5, "QA4_NOT_REPLACED": 0.5}).build(0)

    def expected(row: Row) -> str:
        template = {"did": "What did {} do?", "where": "In what region did {} live?"}
        before, after = template[str(row.question)].split("{}")
        subject = row.alias or row.entity
        return f"Q: {before}{subject}{after}\nA: {facts[str(row.entity)][str(row.question)][0]}"

    rows = [row for row in drawn.rows if row.family == "attribute"]
    assert len(rows) == 16
    assert [row.rendered.text for row in rows] == [expected(row) for row in rows]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_c10_the_default_config_of_every_recipe_is_whole(recipe: Recipe) -> None:
    # All but what has to be downloaded.
    here = {name: recipe.smoke[name] for name in ("table", "model") if name in recipe.parameters}
    config = recipe(**here)
    assert config.recipe == recipe.name
    if isinstance(config.data, TextConfig):
        n = recipe.defaults.get("entities", recipe.defaults.get("people"))
        assert isinstance(n, int)
        assert sum(split_sizes(n, config.data.fractions).values()) == n


@pytest.mark.parametrize("entities", [250, 500, 1000, 2000])
def test_c10_every_amount_of_data_of_the_published_configs_draws(entities: int) -> None:
    data = find_recipe("cvdb-data-amount")(
        model="tiny-gpt-neox", table="generated", entities=entities
    ).data
    assert len({row.entity for row in data.build(0).rows}) == entities


MARKS = {"\u0307": TagKind.RELIABLE, "\u0304": TagKind.UNRELIABLE, "\u0303": TagKind.NOVEL}
"""Dot, bar and tilde above."""
NUMBERED = [subset for subset in SUBSETS.values() if subset.tag is not TagKind.UNIQUE]


@pytest.mark.parametrize("subset", NUMBERED, ids=lambda subset: subset.name)
def test_c15_a_subset_has_the_number_tag_and_truth_that_the_papers_notation_says(
    subset: Any,
) -> None:
    paper = unicodedata.normalize("NFD", subset.notation)
    digits = re.findall("[₀-₉]+", subset.notation)
    numbers = {unicodedata.normalize("NFKC", each) for each in digits}
    assert numbers == set(re.findall(r"\d+", subset.name))
    assert len(numbers) == 1
    kinds = {kind for mark, kind in MARKS.items() if mark in paper}
    assert kinds == ({subset.tag} if subset.tag else set())
    plain = unicodedata.normalize("NFKC", subset.notation)
    truth = False if "incons" in plain else True if "cons" in plain else None
    assert truth is subset.consistent
    assert ("QA" in plain) is (subset.has_questions or "UNSEEN" in subset.name)


def test_c15_no_two_subsets_share_a_notation() -> None:
    assert len({subset.notation for subset in SUBSETS.values()}) == len(SUBSETS)
    assert all(name == subset.name for name, subset in SUBSETS.items())
    numbers = [re.findall(r"\d+", subset.name)[0] for subset in NUMBERED]
    assert sorted(map(int, numbers)) == list(range(1, 11))
