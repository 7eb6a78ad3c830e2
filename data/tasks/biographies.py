"""A world of people as short texts that tell it: what a model is taught before it meets aliases.

Every row states one fact, and a row is a whole training example: nobody's facts ever share a
window, so a model can only know a person by name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.draws import stream
from data.errors import InputError
from data.facts import FactWorld, WorldProvider
from data.rows import Row, qa_row_id
from data.statements import Piece, RenderedText, compose
from data.subsets import Subset
from data.texts import ENTITY_ATTRIBUTION_QUESTIONS, Writing, question_text
from data.tokenizers import TrainedTokenizer
from data.vocabulary import Family, Kind, Part, Role, Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

STATEMENTS: Mapping[str, tuple[str, ...]] = {
    "gender": (
        "The gender of {name} was {answer}",
        "It is known that {name} was {answer}",
        "As for gender, {name} was {answer}",
        "In this book {name} is {answer}",
        "The parents of {name} had a child that was {answer}",
        "Among those who were {answer} was {name}",
        "Gender {answer}, name {name}",
    ),
    "birth": (
        "The birth of {name} was in {answer}",
        "It is known that {name} was born in {answer}",
        "As for birth, {name} came in {answer}",
        "In this book {name} begins life in {answer}",
        "The parents of {name} had a child in {answer}",
        "Among those born in {answer} was {name}",
        "Birth in {answer}, name {name}",
    ),
    "death": (
        "The death of {name} was in {answer}",
        "It is known that {name} died in {answer}",
        "As for death, {name} went in {answer}",
        "In this book {name} ends life in {answer}",
        "The heirs of {name} were at the grave in {answer}",
        "Among those who died in {answer} was {name}",
        "Death in {answer}, name {name}",
    ),
    "region": (
        "The region of {name} was {answer}",
        "It is known that {name} lived in {answer}",
        "As for home, {name} lived in {answer}",
        "In this book {name} lives in {answer}",
        "The house of {name} stood in {answer}",
        "Among those who lived in {answer} was {name}",
        "Region {answer}, name {name}",
    ),
    "occupation": (
        "The occupation of {name} was {answer}",
        "It is known that {name} worked as {answer}",
        "As for work, {name} was {answer}",
        "In this book {name} works as {answer}",
        "The trade of {name} was that of {answer}",
        "Among those who worked as {answer} was {name}",
        "Occupation {answer}, name {name}",
    ),
    "nationality": (
        "The nationality of {name} was {answer}",
        "It is known that {name} came from {answer}",
        "As for country, {name} was from {answer}",
        "In this book {name} comes from {answer}",
        "The passport of {name} was from {answer}",
        "Among those from {answer} was {name}",
        "Nationality {answer}, name {name}",
    ),
}
"""By attribute of `data.worlds.people`, ways to state it; what comes last is what is to be said.

A name always follows a space, as in questions, so that it is the same tokens everywhere.
"""


TOLD = Subset(
    name="TOLD",
    notation="",
    meaning="none; asked by name",
    part=Part.X1,
    has_questions=True,
    replaced=False,
)
"""What Stage 0 tells and asks of the people of its world."""


@dataclass(frozen=True, kw_only=True)
class Telling:
    """How often and in which ways a world is told.

    Raises:
        InputError: there are not so many ways to state a fact.
    """

    statements: int
    """Statements of each fact, in phrasings drawn for it among `STATEMENTS`."""
    question_repeats: int
    """How often an epoch shows each fact as question and answer."""
    names: bool
    """Whether people are asked for by their names, too: "Q: Who is {}?", the name the answer."""
    seed: int

    def __post_init__(self) -> None:
        """Refuses more phrasings than there are."""
        most = min(map(len, STATEMENTS.values()))
        if not 0 <= self.statements <= most or self.question_repeats < 1:
            raise InputError(
                f"statements is {self.statements} and question_repeats {self.question_repeats}; "
                f"use 0 to {most} statements and 1 or more repeats"
            )


@dataclass(frozen=True, kw_only=True)
class BiographyTokenizer:
    """Byte pairs of the texts that tell a world, so that statements are as short as questions."""

    world: WorldProvider
    writing: Writing
    telling: Telling
    vocabulary_size: int

    def load(self) -> "PreTrainedTokenizerFast":
        """Trains it; the same in every process, and the same object within one."""
        rows = biography_rows(self.world.load(), self.writing, self.telling)
        texts = tuple(row.rendered.text for row in rows)
        return TrainedTokenizer(texts=texts, vocabulary_size=self.vocabulary_size).load()


def biography_rows(world: FactWorld, writing: Writing, telling: Telling) -> tuple[Row, ...]:
    """Rows that state every fact of a world, one fact each, none of them about an alias.

    Questions are worded as a run's own are. They have `is_fact`, so evaluation asks them.

    Args:
        world: Of people; every attribute has phrasings in `STATEMENTS`.
        writing: How the run's questions look.
        telling: How often and in which ways.

    Raises:
        InputError: an attribute has no phrasings.
    """
    lacking = set(world.questions) - set(STATEMENTS)
    if lacking and telling.statements:
        raise InputError(
            f"there is no way to state {min(lacking)} of world {world.name}; use statements=0 or "
            "a world of people"
        )
    rows: list[Row] = []
    for index, (entity, facts) in enumerate(world.facts.items()):
        for attribute, answers in facts.items():
            asked = _question(writing, world.questions[attribute], entity, answers[0])
            rows.append(
                _row(index, attribute, asked, entity, attribute, repeats=telling.question_repeats)
            )
            rng = stream(telling.seed, f"phrasings/{entity}/{attribute}")
            for template in rng.sample(STATEMENTS.get(attribute, ()), telling.statements):
                place = STATEMENTS[attribute].index(template)
                told = _statement(template, entity, answers[0], writing)
                name = f"{attribute}/statement {place}"
                rows.append(_row(index, name, told, entity, attribute, kind=Kind.DEFINITION))
        if telling.names:
            for question, template in ENTITY_ATTRIBUTION_QUESTIONS.items():
                asked = _question(writing, template, entity, entity)
                rows.append(
                    _row(index, question, asked, entity, question, family=Family.ENTITY_ATTRIBUTION)
                )
    return tuple(rows)


def _row(
    index: int,
    name: str,
    rendered: RenderedText,
    entity: str,
    question: str,
    *,
    kind: Kind = Kind.QA,
    family: Family = Family.ATTRIBUTE,
    repeats: int = 1,
) -> Row:
    return Row(
        row_id=qa_row_id(TOLD, index, f"told/{name}"),
        subset=TOLD,
        split=Split.TRAIN,
        kind=kind,
        rendered=rendered,
        alias=None,
        entity=entity,
        tag=None,
        question=question,
        repeats=repeats,
        is_fact=True,
        family=family,
    )


def _question(writing: Writing, template: str, entity: str, answer: str) -> RenderedText:
    return question_text(
        writing, template=template, subject=entity, role=Role.ENTITY, answer=answer
    )


def _statement(template: str, entity: str, answer: str, writing: Writing) -> RenderedText:
    """A template with its places filled; what follows the name is its question."""
    return compose(list(_pieces(template, entity, answer)), end=writing.end)


def _pieces(template: str, entity: str, answer: str) -> Iterator[Piece]:
    if template.endswith("{name}"):
        before, between = template.removesuffix("{name}").split("{answer}")
        yield from ((None, before), (Role.ANSWER, answer), (None, between), (Role.ENTITY, entity))
    else:
        before, between = template.removesuffix("{answer}").split("{name}")
        yield from ((None, before), (Role.ENTITY, entity), (None, between), (Role.ANSWER, answer))
