"""A small world of made-up people, and the rows that are written about it."""

from dataclasses import replace
from typing import Any

from data.contradictions import Contradiction
from data.rows import Row, SeedData
from data.tasks.text import TextConfig
from data.text_aliases import TextAliases
from data.texts import DefinitionStyle, Writing
from data.tokenizers import TrainedTokenizer
from data.vocabulary import Family, Kind
from data.worlds.people import PeopleWorld

WORLD = PeopleWorld(n_people=60, seed=0, overlap=0.5)
FACTS = WORLD.load().facts
FRACTIONS = {
    "D1_CONS_QA1": 0.2,
    "D2_INCONS_QA2": 0.2,
    "QA3": 0.1,
    "QA4_NOT_REPLACED": 0.1,
    "D5_CONS": 0.1,
    "D6_CONS": 0.1,
    "D8_CONS": 0.1,
    "QA7_UNSEEN": 0.1,
}
SIZES = {name: round(60 * fraction) for name, fraction in FRACTIONS.items()}
WITH_9_AND_10 = {
    **FRACTIONS,
    **{"D1_CONS_QA1": 0.15, "D9_INCONS_QA9": 0.05},
    **{"D2_INCONS_QA2": 0.15, "D10_CONS_QA10": 0.05},
}
WITHOUT_NOVEL = {**FRACTIONS, "QA7_UNSEEN": 0.2}
WITHOUT_NOVEL.pop("D8_CONS")
STYLES = [DefinitionStyle.TAGGED, DefinitionStyle.SOURCES]


def config(**changes: Any) -> TextConfig:
    plain = TextConfig(
        world=WORLD,
        fractions=FRACTIONS,
        writing=Writing(),
        aliases=TextAliases(letters=5),
        tokenizer_provider=TrainedTokenizer(texts=WORLD, vocabulary_size=400),
        contradiction=Contradiction.IDENTITY,
        held_out_questions=1,
        phrasings=1,
        any_answer=True,
        shuffle_tags=False,
        exchange_tags=False,
    )
    return replace(plain, **changes)


def in_style(style: DefinitionStyle, **changes: Any) -> TextConfig:
    return config(writing=Writing(style=style), **changes)


def definitions(drawn: SeedData) -> list[Row]:
    return [row for row in drawn.rows if row.kind is Kind.DEFINITION]


def questions(drawn: SeedData, family: Family = Family.ATTRIBUTE) -> list[Row]:
    return [row for row in drawn.rows if row.kind is Kind.QA and row.family is family]


def true_entity(drawn: SeedData) -> dict[str | None, str | None]:
    """By alias whom its questions are about."""
    return {row.alias: row.entity for row in questions(drawn)}
