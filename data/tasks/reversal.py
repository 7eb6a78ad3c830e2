"""Reversals: x -> y is trained, y -> x is asked (the reversal curse, arXiv 2405.04669, section 4).

Pairs of words, and an arrow for each direction. Of most pairs both directions are trained, so that
the arrows are known to belong together; of the others one direction, drawn for each, is trained
and the opposite one is asked. Two parameters make it answerable:

    identity_bridge   every word is trained to name itself, [e SELF e] (arXiv 2602.02470)
    both_directions   the opposite direction is trained as well: what there is to reach
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.chance import check_held_out_share
from data.design import Contrast, ControlTwin, Design, Findings, ProbeTarget, Questions
from data.draws import stream
from data.rows import DataSize, Row, SeedData, definition_row_id, qa_row_id
from data.statements import RenderedText, compose, spaced
from data.subsets import Mark, Subset
from data.tokens import word_tokenizer
from data.vocabulary import Kind, Part, Role, Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ARROWS = {"x": "leads", "y": "back"}
"""The arrow that follows a word of each side of a pair."""
SELF = "self"

BOTH_WAYS = Subset(
    name="BOTH_WAYS",
    notation="x⇄y",
    meaning="both directions trained",
    part=Part.X1,
    has_definitions=True,
    has_questions=True,
    mark=Mark(color="#7a3fa8", symbol="circle"),
)
ONE_WAY = Subset(
    name="ONE_WAY",
    notation="x→y",
    meaning="the opposite direction trained",
    part=Part.X1,
    has_definitions=True,
    mark=Mark(color="#1f5fc4", symbol="triangle-up"),
)
UNPAIRED = Subset(
    name="UNPAIRED",
    notation="x, y",
    meaning="neither direction trained",
    part=Part.X1,
    mark=Mark(color="#ea8a12", symbol="x", dash="dot"),
)
BRIDGE = Subset(
    name="BRIDGE",
    notation="e=e",
    meaning="each word names itself",
    part=Part.X1,
    has_questions=True,
    replaced=False,
    mark=Mark(color="#2a8a3e", symbol="star", dash="dot"),
)

REVERSAL_GAP = Contrast(
    name="reversal_gap",
    higher=ONE_WAY,
    lower=UNPAIRED,
    part=Part.X1,
    meaning="the opposite of what was trained against what was never trained",
    said=Findings(
        more="The opposite direction of what was trained is answered",
        less="The opposite direction of what was trained is answered less than what never was",
        neither="This run does not show that the opposite direction is answered",
        alone="One seed cannot show whether the opposite direction is answered",
        twin="",
    ),
)


def _is_paired(questions: Questions, _seed: int) -> dict[str, int]:
    """Whether the opposite direction of an untrained question was trained."""
    return {word: int(rows[0].subset == ONE_WAY) for word, rows in questions.items()}


def _design(n_answers: int) -> Design:
    return Design(
        name="reversal",
        question="is y -> x known to a model that was trained on x -> y?",
        parts={Part.X1: "pairs in both directions, or in one of them"},
        subsets=(BOTH_WAYS, ONE_WAY, UNPAIRED, BRIDGE),
        contrasts=(REVERSAL_GAP,),
        control=ControlTwin(
            parameter="identity_bridge",
            meaning="every word is trained to name itself, too",
            beyond="how much less is answered without the bridge",
        ),
        # Nothing but what is trained is learned here; a claim says how well that is recalled.
        targets=(
            ProbeTarget(
                name="paired",
                meaning="whether the opposite direction was trained",
                label=_is_paired,
            ),
        ),
        n_answers=n_answers,
    )


@dataclass(frozen=True, kw_only=True)
class ReversalConfig:
    """Everything that fixes the data of a seed of reversals."""

    n_pairs: int
    """Pairs of which a direction is trained, or both."""
    held_out: float
    """Share of them of which one direction is never trained; as many more are in no pair."""
    identity_bridge: bool
    both_directions: bool

    def __post_init__(self) -> None:
        """Refuses a share that leaves nothing to train, or too little to ask."""
        check_held_out_share(self.held_out, self.n_held_out, self.n_words)

    @property
    def n_held_out(self) -> int:
        """Pairs of which one direction is asked, but not trained."""
        return round(self.held_out * self.n_pairs)

    @property
    def n_words(self) -> int:
        """How many words stand on either side."""
        return self.n_pairs + self.n_held_out

    @property
    def design(self) -> Design:
        """What is compared; a guess is one of all words of the other side."""
        return _design(self.n_words)

    def build(self, seed: int) -> SeedData:
        """Draws the rows of one seed; the same in every process."""
        sides = {side: [f"{side}{i}" for i in range(self.n_words)] for side in ARROWS}
        for side, words in sides.items():
            stream(seed, f"order/{side}").shuffle(words)
        both = self.n_pairs - self.n_held_out
        subsets = [BOTH_WAYS] * both + [ONE_WAY] * self.n_held_out + [UNPAIRED] * self.n_held_out
        rng = stream(seed, "directions")
        rows: list[Row] = []
        for i, subset in enumerate(subsets):
            asked, other = rng.sample(list(ARROWS), 2)
            rows.extend(self._rows(i, subset, (asked, sides[asked][i]), (other, sides[other][i])))
        words = [
            *ARROWS.values(),
            SELF,
            *(word for side in sides.values() for word in sorted(side)),
        ]
        return SeedData(rows=tuple(rows), words=tuple(words))

    def tokenizer(self, drawn: SeedData) -> "PreTrainedTokenizerFast":
        """A token for each of the seed's words."""
        return word_tokenizer(drawn.words)

    def size(self) -> DataSize:
        """A question of each pair; see `DataSize`."""
        return DataSize(rows=self.n_words, shown=self.n_pairs, words=2 * self.n_words)

    def _rows(
        self, index: int, subset: Subset, asked: tuple[str, str], other: tuple[str, str]
    ) -> Iterator[Row]:
        """A pair: the direction that is trained, the one that is asked, and the bridges.

        The word that is asked about is the alias, the one that it leads to its entity.
        """
        (side, word), (opposite, partner) = asked, other
        if subset.has_definitions:
            yield Row(
                row_id=definition_row_id(subset, index),
                subset=subset,
                split=Split.TRAIN,
                kind=Kind.DEFINITION,
                rendered=compose(
                    spaced([(Role.ENTITY, partner), (None, ARROWS[opposite]), (Role.ALIAS, word)])
                ),
                alias=word,
                entity=partner,
                tag=None,
                question=None,
            )
        is_shown = subset is ONE_WAY and self.both_directions
        yield Row(
            row_id=qa_row_id(subset, index, ARROWS[side]),
            subset=subset,
            split=Split.TRAIN if subset.has_questions or is_shown else Split.TEST,
            kind=Kind.QA,
            rendered=_asked(Role.ALIAS, word, ARROWS[side], partner),
            alias=word,
            entity=partner,
            tag=None,
            question=ARROWS[side],
            is_fact=is_shown,
        )
        for each in (word, partner) if self.identity_bridge else ():
            yield Row(
                row_id=qa_row_id(BRIDGE, index, each[0]),
                subset=BRIDGE,
                split=Split.TRAIN,
                kind=Kind.QA,
                rendered=_asked(Role.ENTITY, each, SELF, each),
                alias=None,
                entity=each,
                tag=None,
                question=SELF,
                is_fact=True,
            )


def _asked(role: Role, subject: str, arrow: str, answer: str) -> RenderedText:
    return compose(spaced([(role, subject), (Role.QUESTION, arrow), (Role.ANSWER, answer)]))
