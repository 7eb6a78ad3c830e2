"""Pairs of a subject and its attribute, two in a row: both are true, or both are random.

The task of Ravfogel et al. 2025 (arXiv 2510.15804): a text `x y x' y'` names two subjects, each
with an attribute. In most texts both attributes are those that the subjects have, in the others
both are random, so that whether the first pair is true tells whether the second one will be. Of
some pairs of subjects no text is trained; they are asked for `y'` behind a true and a false first
pair.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.aliases import random_words
from data.design import Contrast, ControlTwin, Design, Findings, WeightBlock
from data.draws import stream
from data.errors import InputError
from data.rows import DataSize, Row, SeedData, qa_row_id
from data.statements import compose, spaced
from data.subsets import Mark, Subset
from data.tokens import word_tokenizer
from data.vocabulary import Kind, Part, Role, Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

LETTERS = 5
MOST_SUBJECTS = 1_000
CONTEXT_SUBJECT, CONTEXT_ATTRIBUTE = "x", "y"
"""What spans of rows call the first subject and its attribute; the second is the row's alias."""
QUESTION = "attribute"

TRUE = Subset(
    name="TRUE",
    notation="",
    meaning="the first pair is true",
    part=Part.X1,
    has_questions=True,
    mark=Mark(color="#1f5fc4", symbol="circle"),
)
FALSE = Subset(
    name="FALSE",
    notation="",
    meaning="the first pair is false",
    part=Part.X1,
    has_questions=True,
    mark=Mark(color="#ea8a12", symbol="square"),
)


def weight_blocks(rows: Sequence[Row]) -> tuple[WeightBlock, ...]:
    """From subjects and attributes, as they are read, to either as they are read or said."""
    of = {str(row.alias): row.rendered.answer for row in rows if row.split is Split.TEST}
    names = {attribute: subject for subject, attribute in of.items()}
    blocks = []
    for is_said in (True, False):
        verb = "said" if is_said else "read"
        for source, links in (
            ("subjects", {"subjects": {each: each for each in of}, "attributes": of}),
            ("attributes", {"subjects": names, "attributes": {each: each for each in names}}),
        ):
            blocks += [
                WeightBlock(source=source, target=f"{target} {verb}", own=own, is_said=is_said)
                for target, own in links.items()
            ]
    return tuple(blocks)


DESIGN = Design(
    name="truth direction",
    question="is there a direction that tells true contexts from false ones?",
    parts={Part.X1: "texts of two pairs, of which both are true or both are random"},
    subsets=(TRUE, FALSE),
    contrasts=(
        Contrast(
            name="truth_gap",
            title="truth gap",
            higher=TRUE,
            lower=FALSE,
            part=Part.X1,
            meaning="the true attribute behind a true pair against behind a false one",
            said=Findings(
                more="A true attribute is likelier behind a true pair than behind a false one",
                less="A true attribute is less likely behind a true pair than behind a false one",
                neither="This run does not show that the truth of the first pair matters",
                alone="One seed cannot show whether the truth of the first pair matters",
                twin="This run has no norm; the truth of the first pair should hardly matter",
            ),
        ),
    ),
    control=ControlTwin(
        parameter="norm",
        value="none",
        meaning="nothing is normalised before the logits",
    ),
    figures=("gaps", "curves", "subsets"),
    blocks=weight_blocks,
)


@dataclass(frozen=True, kw_only=True)
class TruthConfig:
    """Everything that fixes the data of a seed.

    Raises:
        InputError: there are too few subjects, texts or held-out pairs to tell anything.
    """

    subjects: int
    texts: int
    """Texts that an epoch shows."""
    share_true: float
    """Share of them in which both pairs are true."""
    held_out: int
    """Pairs of subjects of which no text is trained."""

    def __post_init__(self) -> None:
        """Refuses what shows nothing."""
        if not 4 <= self.subjects <= MOST_SUBJECTS:
            raise InputError(
                f"subjects is {self.subjects}, with four features of the model each; use 4 to "
                f"{MOST_SUBJECTS:,}"
            )
        if not 0 < self.share_true < 1:
            raise InputError(
                f"share_true is {self.share_true:g}: true and false texts are both needed; use a "
                "share between 0 and 1"
            )
        most = self.subjects**2 // 2
        if not 20 <= self.held_out <= most:
            raise InputError(
                f"held_out is {self.held_out} of {self.subjects**2} pairs of subjects; use 20 or "
                "more, so that a direction can be told from chance, and at most half of them "
                f"({most}): {self.subjects} subjects"
            )
        if self.texts < 1:
            raise InputError(f"texts is {self.texts}; use 1 or more")

    @property
    def design(self) -> Design:
        """Whether the truth of what stands before matters."""
        return DESIGN

    def build(self, seed: int) -> SeedData:
        """Draws names, who has which attribute, and texts."""
        taken: set[str] = set()
        names, attributes = (
            random_words(self.subjects, n_letters=LETTERS, rng=stream(seed, purpose), taken=taken)
            for purpose in ("subjects", "attributes")
        )
        of = dict(zip(names, attributes, strict=True))  # names are in no order, so a random map
        rng = stream(seed, "texts")
        pairs = [(one, other) for one in names for other in names]
        held_out = rng.sample(pairs, self.held_out)
        trained = sorted(set(pairs) - set(held_out))
        rows: list[Row] = []
        n_true = round(self.texts * self.share_true)
        for index in range(self.texts):
            one, other = rng.choice(trained)
            is_true = index < n_true
            said = (of[one], of[other]) if is_true else rng.choices(attributes, k=2)
            subset = TRUE if is_true else FALSE
            rows.append(_row(subset, index, Split.TRAIN, one, said[0], other, said[1]))
        for index, (one, other) in enumerate(held_out, start=self.texts):
            for subset, stated in ((TRUE, of[one]), (FALSE, _another(of[one], attributes, rng))):
                rows.append(_row(subset, index, Split.TEST, one, stated, other, of[other]))
        return SeedData(rows=tuple(rows), words=(*names, *attributes))

    def tokenizer(self, drawn: SeedData) -> "PreTrainedTokenizerFast":
        """A token for each of the seed's words."""
        return word_tokenizer(drawn.words)

    def size(self) -> DataSize:
        """Rows and words of a seed; see `DataSize`."""
        rows = self.texts + 2 * self.held_out
        return DataSize(rows=rows, shown=self.texts, words=2 * self.subjects)


def _another(attribute: str, attributes: list[str], rng: random.Random) -> str:
    return rng.choice([each for each in attributes if each != attribute])


def _row(
    subset: Subset, index: int, split: Split, one: str, stated: str, other: str, answer: str
) -> Row:
    # compose knows roles; the first pair has none that others would read.
    rendered = compose(spaced([(None, one), (None, stated), (Role.ALIAS, other),
                               (Role.ANSWER, answer)]))  # fmt: skip
    first, second = len(one), len(one) + 1 + len(stated)
    rendered.spans[CONTEXT_SUBJECT] = (0, first)
    rendered.spans[CONTEXT_ATTRIBUTE] = (first + 1, second)
    return Row(
        row_id=qa_row_id(subset, index, QUESTION),
        subset=subset,
        split=split,
        kind=Kind.QA,
        rendered=rendered,
        alias=other,
        entity=None,
        tag=None,
        question=QUESTION,
    )
