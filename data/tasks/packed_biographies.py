"""Biographies of people, told in one way or in several, and questions about half of the people.

After Allen-Zhu and Li 2023 (arXiv 2309.14316): a model that has every biography by heart may still
be unable to answer questions about a person whom no training question was about, unless it has read
the same biography in several phrasings, with its sentences in other orders. Sentences are those of
`data.tasks.biographies`, people those of `data.worlds.people`, and every sentence has the name.

Biographies can be packed into windows, several in one training example. Packed side by side, two
biographies of one person let a model copy in place of remembering, and extraction is lost for a
reason that no phrasing mends; so a window holds each person once at most, unless the packing
`together` asks for that. Questions are never packed.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from data.aliases import random_words
from data.design import Contrast, ControlTwin, Design, Findings
from data.draws import stream
from data.errors import InputError
from data.facts import FactWorld
from data.rows import DataSize, Row, SeedData, definition_row_id, qa_row_id
from data.statements import RenderedText
from data.subsets import Mark, Subset
from data.tasks.biographies import STATEMENTS
from data.texts import Writing, question_text
from data.tokens import word_tokenizer
from data.vocabulary import Kind, Part, Role, Split
from data.worlds.people import PERSON_QUESTIONS, PeopleWorld

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ATTRIBUTES = ("occupation", "nationality", "birth", "death", "region")
"""What biographies tell, in the order in which fewer of them are taken."""
MOST_PHRASINGS = min(len(STATEMENTS[attribute]) for attribute in ATTRIBUTES)
FEWEST_ASKED = 25
"""People of whom a share can be told from a guess: that of 25 is known to about a fifth."""

TOLD = Subset(
    name="TOLD",
    notation="",
    meaning="biographies of all but the untold",
    part=Part.X1,
    has_definitions=True,
)
ASKED = Subset(
    name="ASKED",
    notation="",
    meaning="told, and asked about in training",
    part=Part.X1,
    has_questions=True,
    mark=Mark(color="#7d828f", symbol="diamond"),
)
UNASKED = Subset(
    name="UNASKED",
    notation="",
    meaning="told, never asked about in training",
    part=Part.X1,
    mark=Mark(color="#1f5fc4", symbol="circle"),
)
UNKNOWN = Subset(
    name="UNKNOWN",
    notation="",
    meaning="neither told nor asked about in training",
    part=Part.X1,
    mark=Mark(color="#ea8a12", symbol="square"),
)
JUNK = Subset(
    name="JUNK",
    notation="",
    meaning="biographies of people who never matter",
    part=Part.X1,
    has_definitions=True,
)

DESIGN = Design(
    name="biographies",
    question="is what biographies tell of a person known when the person is asked about?",
    parts={Part.X1: "biographies, and questions about half of the people"},
    subsets=(TOLD, ASKED, UNASKED, UNKNOWN, JUNK),
    contrasts=(
        Contrast(
            name="extraction_gap",
            title="extraction gap",
            higher=UNASKED,
            lower=UNKNOWN,
            part=Part.X1,
            meaning="the biography told against nothing told",
            said=Findings(
                more="What biographies tell is known of people whom no training question is about",
                less="People who were told are answered worse than those who were not",
                neither="This run does not show that anything is known of people by their "
                "biographies alone",
                alone="One seed cannot show whether anything is known by biographies alone",
                twin="This run has one phrasing of each biography, and little should be known",
            ),
        ),
    ),
    control=ControlTwin(
        parameter="phrasings",
        value=1,
        meaning="each biography in one phrasing and order, shown as often",
    ),
    figures=("gaps", "curves", "subsets"),
)


class Packing(StrEnum):
    """Which biographies share a window."""

    APART = "apart"
    """Those of different people."""
    TOGETHER = "together"
    """Those of one person: to show what that spoils."""


@dataclass(frozen=True)
class Biography:
    """One text about one person."""

    person: int
    text: str


@dataclass(frozen=True, kw_only=True)
class BiographyConfig:
    """Everything that fixes the data of a seed.

    Raises:
        InputError: there are more phrasings than are known, too few people, or a window that no
            packing fills.
    """

    people: int
    """People with a biography; questions about every second of them are trained."""
    untold: int
    """People of whom nothing is trained."""
    attributes: int
    phrasings: int
    """Biographies of each person, each in a phrasing and an order of its own."""
    shown: int
    """Biographies of each person in an epoch, as near to it as the phrasings can share it."""
    window: int
    """Biographies in one training example."""
    packing: Packing
    junk: int
    """People of whom one biography is shown in an epoch and nothing is asked."""
    source: bool
    """Whether biographies that are no junk begin with a word that says where they are from."""

    def __post_init__(self) -> None:
        """Refuses what cannot be told or shows nothing."""
        if not 1 <= self.phrasings <= MOST_PHRASINGS:
            raise InputError(
                f"phrasings is {self.phrasings}; each fact is worded in {MOST_PHRASINGS} ways: use "
                f"1 to {MOST_PHRASINGS}"
            )
        if self.shown < 1:
            raise InputError(f"shown is {self.shown}; use 1 or more")
        if not 2 <= self.attributes <= len(ATTRIBUTES):
            raise InputError(f"attributes is {self.attributes}; use 2 to {len(ATTRIBUTES)}")
        if self.people < 2 * FEWEST_ASKED or self.untold < FEWEST_ASKED:
            raise InputError(
                f"{self.people} people and {self.untold} untold are too few to tell from a guess; "
                f"use people={2 * FEWEST_ASKED} and untold={FEWEST_ASKED} or more"
            )
        most = self.people if self.packing is Packing.APART else self.phrasings
        if not 1 <= self.window <= most:
            raise InputError(
                f"window is {self.window}; {self.packing} can fill windows of 1 to {most} "
                "biographies"
            )
        if self.junk < 0:
            raise InputError(f"junk is {self.junk}; use 0 or more")

    @property
    def design(self) -> Design:
        """Whether people are known by their biographies."""
        return DESIGN

    @property
    def repeats(self) -> int:
        """How often an epoch shows each biography."""
        return max(1, round(self.shown / self.phrasings))

    def build(self, seed: int) -> SeedData:
        """Draws people, who is asked about, phrasings and windows."""
        n_all = self.people + self.untold + self.junk
        world = PeopleWorld(n_people=n_all, seed=seed).load()
        attributes = ATTRIBUTES[: self.attributes]
        names = list(world.entities)
        stream(seed, "who").shuffle(names)
        taken = {word for name in names for word in name.lower().split()}
        (source,) = random_words(1, n_letters=6, rng=stream(seed, "source"), taken=taken)
        opening = f"{source} " if self.source else ""
        rng = stream(seed, "biographies")
        told = [
            Biography(person, opening + text)
            for person in range(self.people)
            for text in _told(names[person], world, attributes, self.phrasings, rng)
        ]
        junk = [
            Biography(person, _told(names[person], world, attributes, 1, rng)[0])
            for person in range(self.people + self.untold, n_all)
        ]
        windows = packed(told, self.window, self.packing, stream(seed, "windows"))
        rows = [_window_row(TOLD, i, each, self.repeats) for i, each in enumerate(windows)]
        rows += [_window_row(JUNK, i, [each], 1) for i, each in enumerate(junk)]
        for person, name in enumerate(names[: self.people + self.untold]):
            subset = UNKNOWN if person >= self.people else (ASKED, UNASKED)[person % 2]
            rows += _questions(subset, person, name, world, attributes)
        words = dict.fromkeys(word for row in rows for word in row.rendered.text.split())
        return SeedData(rows=tuple(rows), words=tuple(words))

    def tokenizer(self, drawn: SeedData) -> "PreTrainedTokenizerFast":
        """A token for each of the seed's words."""
        return word_tokenizer(drawn.words)

    def size(self) -> DataSize:
        """Rows and windows of a seed; see `DataSize`."""
        questions = (self.people + self.untold) * self.attributes
        windows = self.people * self.phrasings // self.window
        shown = windows * self.repeats + self.junk
        return DataSize(rows=questions + windows + self.junk, shown=shown)


def packed(
    biographies: Sequence[Biography], size: int, packing: Packing, rng: random.Random
) -> list[list[Biography]]:
    """Biographies in windows of `size`, some smaller.

    Args:
        biographies: Equally many of each person.
        size: Biographies in a window; no more than there are people.
        packing: `apart`: a window holds each person once at most. `together`: only one person.
        rng: Draws who stands beside whom.
    """
    by_person: dict[int, list[Biography]] = {}
    for each in biographies:
        by_person.setdefault(each.person, []).append(each)
    if packing is Packing.TOGETHER:
        groups = list(by_person.values())
    else:
        # Each round has everyone once, and no window reaches from one round into the next.
        groups = [list(each) for each in zip(*by_person.values(), strict=True)]
    for group in groups:
        rng.shuffle(group)
    return [group[i : i + size] for group in groups for i in range(0, len(group), size)]


def _told(
    name: str, world: FactWorld, attributes: Sequence[str], n: int, rng: random.Random
) -> list[str]:
    """Biographies of a person: no two state any fact in the same words."""
    wordings = {each: rng.sample(STATEMENTS[each], n) for each in attributes}
    texts = []
    for i in range(n):
        sentences = [
            wordings[each][i].format(name=name, answer=world.facts[name][each][0])
            for each in attributes
        ]
        rng.shuffle(sentences)
        texts.append(" . ".join(sentences) + " .")
    return texts


def _window_row(subset: Subset, index: int, window: Sequence[Biography], repeats: int) -> Row:
    text = " ".join(each.text for each in window)
    return Row(
        row_id=definition_row_id(subset, index),
        subset=subset,
        split=Split.TRAIN,
        kind=Kind.DEFINITION,
        rendered=RenderedText(text=text, answer_span=(len(text) - 1, len(text)), spans={}),
        alias=None,
        entity=None,
        tag=None,
        question=None,
        repeats=repeats,
    )


def _questions(
    subset: Subset, person: int, name: str, world: FactWorld, attributes: Sequence[str]
) -> Iterator[Row]:
    for attribute in attributes:
        answer = world.facts[name][attribute][0]
        rendered = question_text(
            Writing(), template=PERSON_QUESTIONS[attribute], subject=name, role=Role.ALIAS,
            answer=answer,
        )  # fmt: skip
        yield Row(
            row_id=qa_row_id(subset, person, attribute),
            subset=subset,
            split=Split.TRAIN if subset.has_questions else Split.TEST,
            kind=Kind.QA,
            rendered=rendered,
            alias=name,
            entity=None,
            tag=None,
            question=attribute,
        )
