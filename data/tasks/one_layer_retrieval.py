"""Facts about subjects, each of which goes with an implication; some implications are held out.

The task of Huang et al. 2025 (arXiv 2506.10887): whoever was born in a city speaks its language.
There are pairs of a place and a language; every subject has the place of its pair stated. Of the
subjects of each pair some have the language stated, too, others are only asked for it, and some
have nothing stated at all: nobody can know their language, which is what guessing scores.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.aliases import random_words
from data.design import Contrast, Design, Findings, Margin, NullTwin, WeightBlock
from data.draws import stream
from data.errors import InputError
from data.rows import DataSize, Row, SeedData, definition_row_id, qa_row_id
from data.statements import compose, spaced
from data.subsets import Mark, Subset
from data.tokens import word_tokenizer
from data.vocabulary import Kind, LossPolicy, Part, Role, Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

FACT, IMPLICATION = "born", "speaks"
SUBJECT_LETTERS, ANSWER_LETTERS = 5, 4
MOST_WORDS = 5_000
"""Names and answers that a seed draws at most: the model has a dimension for each."""

BOTH = Subset(
    name="BOTH",
    notation="",
    meaning="fact and implication",
    part=Part.X1,
    has_definitions=True,
    has_questions=True,
    mark=Mark(color="#7d828f", symbol="diamond"),
)
IMPLIED = Subset(
    name="IMPLIED",
    notation="",
    meaning="the fact alone",
    part=Part.X1,
    has_definitions=True,
    mark=Mark(color="#1f5fc4", symbol="circle"),
)
UNTOLD = Subset(
    name="UNTOLD",
    notation="",
    meaning="nothing",
    part=Part.X1,
    mark=Mark(color="#ea8a12", symbol="square"),
)


def weight_blocks(rows: Sequence[Row]) -> tuple[WeightBlock, ...]:
    """From the subjects of each subset to facts and to implications."""
    answers = {
        (row.subset.name, row.question, row.alias): row.rendered.answer for row in rows if row.alias
    }
    fact_of_pair = {
        answers[BOTH.name, IMPLICATION, str(row.alias)]: row.rendered.answer
        for row in rows
        if row.subset == BOTH and row.question == FACT
    }
    blocks = []
    for subset in (IMPLIED, BOTH, UNTOLD):  # first what the experiment is about
        implied = {
            str(alias): answer
            for (name, question, alias), answer in answers.items()
            if name == subset.name and question == IMPLICATION
        }
        facts = {alias: fact_of_pair[answer] for alias, answer in implied.items()}
        source = f"subjects {subset.name}"
        blocks += [
            WeightBlock(source=source, target="implications", own=implied),
            WeightBlock(source=source, target="facts", own=facts),
        ]
    return tuple(blocks)


DESIGN = Design(
    name="retrieval in one layer",
    question="does an implication follow for subjects of whom only the fact was told?",
    parts={Part.X1: "facts about subjects, and for some of them what follows from the fact"},
    subsets=(BOTH, IMPLIED, UNTOLD),
    contrasts=(
        Contrast(
            name="implication_gap",
            title="implication gap",
            higher=IMPLIED,
            lower=UNTOLD,
            part=Part.X1,
            meaning="the fact told against nothing told",
            said=Findings(
                more="Implications that were never trained follow from the facts",
                less="Implications are answered worse where the fact was told than where not",
                neither="This run does not show that implications follow from the facts",
                alone="One seed cannot show whether implications follow from the facts",
                twin="This run has its value matrix merged, and no implication should follow",
            ),
        ),
    ),
    control=NullTwin(
        parameter="value_matrix",
        value="merged",
        contrast="implication_gap",
        margins={
            LossPolicy.ANSWER: Margin(value=0.1, reason="a ninth of the gap where all implications "
                                      "follow; chosen on seeds below 1000")
        },
        meaning="the value matrix is one merged matrix, not a product of two",
    ),
    figures=("gaps", "curves", "subsets"),
    blocks=weight_blocks,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RetrievalConfig:
    """Everything that fixes the data of a seed.

    Raises:
        InputError: there are too few pairs or subjects to tell anything.
    """

    pairs: int
    """Pairs of a fact's answer and the answer that it implies."""
    both: int
    """Subjects of each pair whose implication is trained."""
    implied: int
    """Subjects of each pair whose implication is held out."""
    untold: int
    """Subjects of each pair of whom nothing is trained."""

    def __post_init__(self) -> None:
        """Refuses what shows nothing."""
        if self.pairs < 2:
            raise InputError(f"pairs is {self.pairs}: nothing could be wrong; use 2 or more")
        for name in ("both", "implied", "untold"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; use 1 or more")
        words = self.pairs * (self.both + self.implied + self.untold + 2)
        if words > MOST_WORDS:
            raise InputError(
                f"{words:,} names and answers would be a dimension of the model each; use fewer "
                f"pairs or subjects, of at most {MOST_WORDS:,}"
            )

    @property
    def design(self) -> Design:
        """Whether what was not trained follows, against what nobody can know."""
        return DESIGN

    def subjects(self) -> Iterator[tuple[Subset, int, int]]:
        """Subset, number and pair of every subject."""
        for subset, n in ((BOTH, self.both), (IMPLIED, self.implied), (UNTOLD, self.untold)):
            for index in range(n * self.pairs):
                yield subset, index, index % self.pairs

    @property
    def n_trained(self) -> int:
        """Rows that an epoch shows."""
        return self.pairs * (2 * self.both + self.implied)

    def build(self, seed: int) -> SeedData:
        """Draws names; who belongs to which pair is the same in every seed."""
        taken = {FACT, IMPLICATION}
        subjects = list(self.subjects())
        names = _words(len(subjects), SUBJECT_LETTERS, seed, "subjects", taken)
        facts = _words(self.pairs, ANSWER_LETTERS, seed, "facts", taken)
        implied = _words(self.pairs, ANSWER_LETTERS, seed, "implications", taken)
        rows: list[Row] = []
        for (subset, index, pair), name in zip(subjects, names, strict=True):
            if subset.has_definitions:
                rows.append(_row(subset, index, name, FACT, facts[pair]))
            rows.append(_row(subset, index, name, IMPLICATION, implied[pair]))
        words = (FACT, IMPLICATION, *names, *facts, *implied)
        return SeedData(rows=tuple(rows), words=words)

    def tokenizer(self, drawn: SeedData) -> "PreTrainedTokenizerFast":
        """A token for each of the seed's words."""
        return word_tokenizer(drawn.words)

    def size(self) -> DataSize:
        """Rows and words of a seed; see `DataSize`."""
        n = self.pairs * (self.both + self.implied + self.untold)
        return DataSize(rows=n, shown=self.n_trained, words=n + 2 * self.pairs)


def _words(n: int, letters: int, seed: int, purpose: str, taken: set[str]) -> list[str]:
    return random_words(n, n_letters=letters, rng=stream(seed, purpose), taken=taken)


def _row(subset: Subset, index: int, name: str, relation: str, answer: str) -> Row:
    is_fact = relation == FACT
    pieces = [(Role.ALIAS, name), (Role.QUESTION, relation), (Role.ANSWER, answer)]
    is_trained = is_fact or subset.has_questions
    return Row(
        row_id=definition_row_id(subset, index) if is_fact else qa_row_id(subset, index, relation),
        subset=subset,
        split=Split.TRAIN if is_trained else Split.TEST,
        kind=Kind.DEFINITION if is_fact else Kind.QA,
        rendered=compose(spaced(pieces)),
        alias=name,
        entity=None,
        tag=None,
        question=relation,
    )
