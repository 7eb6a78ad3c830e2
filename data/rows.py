"""One row of a dataset, with everything an analysis needs to know about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data.errors import InputError
from data.statements import RenderedText
from data.subsets import Subset
from data.vocabulary import Family, Kind, Part, Split


@dataclass(frozen=True, kw_only=True)
class Row:
    """A rendered definition or question, and where it belongs."""

    row_id: str
    """The row's name: unique within a seed, the same in every process."""
    subset: Subset
    split: Split
    kind: Kind
    rendered: RenderedText
    alias: str | None
    entity: str | None
    """The entity that a question's answer follows, or that a definition names."""
    tag: str | None
    """A definition's own tag; of a question, the tag that its alias was defined with."""
    question: str | None
    """The attribute that is asked for or stated; None where a definition names an entity."""
    repeats: int = 1
    """How often an epoch shows the row, if it is trained on."""
    is_fact: bool = False
    """Whether the row states the world's own knowledge: trained, and asked to see what is known."""
    family: Family = Family.ATTRIBUTE
    """What a question asks for; of a definition it says nothing."""
    other_answers: tuple[RenderedText, ...] = ()
    """The same question with each further answer that counts as right."""

    @property
    def is_evaluated(self) -> bool:
        """Whether the row is a question of the evaluation: held out, or one of the world's facts.

        Entity attribution is measured apart.
        """
        is_asked = self.split is Split.TEST or self.is_fact
        return self.kind is Kind.QA and self.family is Family.ATTRIBUTE and is_asked


@dataclass(frozen=True, kw_only=True)
class SeedData:
    """All rows of one seed, trained on or not, and the words that they are made of."""

    rows: tuple[Row, ...]
    words: tuple[str, ...]
    """The vocabulary, in a fixed order."""
    notes: tuple[str, ...] = ()
    """What a person should know of the world that the rows were drawn from."""

    def training_rows(self, part: Part) -> list[Row]:
        """The rows of a part that are trained, once each (see `Row.repeats`)."""
        return [r for r in self.rows if r.split is Split.TRAIN and r.subset.part is part]

    def evaluation_rows(self) -> list[Row]:
        """Questions to be answered; see `Row.is_evaluated`."""
        return [row for row in self.rows if row.is_evaluated]


@dataclass(frozen=True, kw_only=True)
class DataSize:
    """How much a data set draws for a seed, counted from its settings alone; never too high."""

    rows: int
    """Number of distinct rows."""
    shown: int
    """Number of rows that an epoch of Stage 1 shows, repeats included."""
    words: int = 0
    """Words of a vocabulary made for the seed; 0 where the tokenizer comes from elsewhere."""


PROMPTS = Subset(
    name="prompts",
    notation="",
    meaning="prompts from elsewhere, about nothing defined",
    part=Part.X1,
)
"""The subset that stands in rows of prompts of one's own."""


def prompt_row(
    row_id: str, text: str, answer: str, *, spans: Mapping[Any, tuple[int, int]] | None = None
) -> Row:
    """A prompt from elsewhere, for any model: asked, never trained, about nothing defined.

    Args:
        row_id: The name of the prompt.
        text: The whole text, which ends with the answer.
        answer: What is to be predicted.
        spans: Character spans, ends exclusive, by `Role` or by a person's own name of one.

    Raises:
        InputError: the text does not end with the answer, or is nothing else.
    """
    if not answer or not text.endswith(answer) or len(answer) == len(text):
        raise InputError(f"prompt {row_id}: {text!r} does not end with {answer!r}; append it")
    rendered = RenderedText(
        text=text, answer_span=(len(text) - len(answer), len(text)), spans=dict(spans or {})
    )
    return Row(
        row_id=row_id,
        subset=PROMPTS,
        split=Split.TEST,
        kind=Kind.QA,
        rendered=rendered,
        alias=None,
        entity=None,
        tag=None,
        question=None,
    )


def qa_row_id(subset: Subset, index: int, question: str) -> str:
    """The identity of a question about the `index`-th alias of a subset."""
    return f"{subset.name}/qa/{index:05d}/{question}"


def definition_row_id(subset: Subset, index: int, question: str | None = None) -> str:
    """The identity of the definition of the `index`-th alias of a subset."""
    stem = f"{subset.name}/definition/{index:05d}"
    return stem if question is None else f"{stem}/{question}"
