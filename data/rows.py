"""One row of a dataset, with everything an analysis needs to know about it."""

from dataclasses import dataclass

from data.statements import RenderedText
from data.vocabulary import SUBSETS, Kind, Split, Stage, Subset


@dataclass(frozen=True, kw_only=True)
class Row:
    """A rendered definition or question, and where it belongs."""

    row_id: str
    """Unique within a seed, the same in every process."""
    subset: str
    split: Split
    kind: Kind
    rendered: RenderedText
    alias: str | None
    entity: str | None
    """Of a question, the entity that its answer follows; of a definition, the one that it names."""
    tag: str | None
    """Of a definition, its own tag; of a question, the tag that its alias was defined with."""
    question: str | None
    """The attribute that is asked for or stated; None where a definition names an entity."""
    repeats: int = 1
    """How often an epoch shows it, if it is trained on."""

    @property
    def stage(self) -> Stage:
        """The stage whose training set holds the row, or would hold its alias."""
        return SUBSETS[self.subset].stage

    @property
    def is_evaluated(self) -> bool:
        """Whether it is a question of the evaluation.

        Held-out questions are, and QA4's: those state the world's facts, so they are trained, and
        show how well the world is known.
        """
        return self.kind is Kind.QA and (
            self.split is Split.TEST or not SUBSETS[self.subset].replaced
        )


@dataclass(frozen=True, kw_only=True)
class SeedData:
    """All rows of one seed, trained on or not, and the words that they are made of."""

    rows: tuple[Row, ...]
    words: tuple[str, ...]
    """The vocabulary, in a fixed order."""

    def training_rows(self, stage: Stage) -> list[Row]:
        """What one epoch of a stage shows, once each (see `Row.repeats`)."""
        return [row for row in self.rows if row.split is Split.TRAIN and row.stage is stage]

    def evaluation_rows(self) -> list[Row]:
        """Questions to be answered; see `Row.is_evaluated`."""
        return [row for row in self.rows if row.is_evaluated]


def qa_row_id(subset: Subset, index: int, question: str) -> str:
    """The identity of a question about the `index`-th alias of a subset."""
    return f"{subset.name}/qa/{index:05d}/{question}"


def definition_row_id(subset: Subset, index: int, question: str | None = None) -> str:
    """The identity of the definition of the `index`-th alias of a subset."""
    stem = f"{subset.name}/definition/{index:05d}"
    return stem if question is None else f"{stem}/{question}"
