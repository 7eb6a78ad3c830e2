"""Chains: A -> B and B -> C are trained, A -> C is asked (arXiv 2405.04669, section 5).

Every chain has three words of its own, and each row is three words: a word, an arrow, a word. Of
most chains A -> C is trained, too, so that its arrow has a meaning; of the others it is held out.
What follows from two trained rows is not answered, unless both stand in the same context.

    a LINK b    each chain's first step
    b LINK c    its second step
    a ENDS c    what follows: trained of some chains, held out of others
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.chance import check_held_out_share
from data.design import Contrast, ControlTwin, Design, Findings, Learned, ProbeTarget, Questions
from data.draws import stream
from data.rows import DataSize, Row, SeedData, definition_row_id, qa_row_id
from data.statements import Piece, RenderedText, compose, spaced
from data.subsets import Mark, Subset
from data.tokens import word_tokenizer
from data.vocabulary import Kind, Part, Role, Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

LINK, ENDS = "link", "ends"
"""The arrow of a step, and the one that skips the word between."""

TAUGHT = Subset(
    name="TAUGHT",
    notation="A→B→C, A→C",
    meaning="both steps and what follows trained",
    part=Part.X1,
    has_definitions=True,
    has_questions=True,
    mark=Mark(color="#7a3fa8", symbol="circle"),
)
CHAINED = Subset(
    name="CHAINED",
    notation="A→B→C",
    meaning="both steps trained",
    part=Part.X1,
    has_definitions=True,
    mark=Mark(color="#1f5fc4", symbol="triangle-up"),
)
BROKEN = Subset(
    name="BROKEN",
    notation="B→C",
    meaning="second step trained, first unknown",
    part=Part.X1,
    mark=Mark(color="#ea8a12", symbol="x", dash="dot"),
)
STEPS = Subset(
    name="STEPS",
    notation="B→C alone",
    meaning="the second steps, asked as trained",
    part=Part.X1,
    has_questions=True,
    replaced=False,
    mark=Mark(color="#2a8a3e", symbol="star", dash="dot"),
)

CHAIN_GAP = Contrast(
    name="chain_gap",
    higher=CHAINED,
    lower=BROKEN,
    part=Part.X1,
    meaning="what follows from two steps against what follows from none",
    said=Findings(
        more="What follows from two trained steps is answered",
        less="What follows from two trained steps is answered less than what follows from nothing",
        neither="This run does not show that what follows from two trained steps is answered",
        alone="One seed cannot show whether what follows from two trained steps is answered",
        twin="",
    ),
)


def _is_chained(questions: Questions, _seed: int) -> dict[str, int]:
    """Whether an untrained A -> C follows from the steps that are trained."""
    return {a: int(rows[0].subset == CHAINED) for a, rows in questions.items()}


def _design(n_answers: int) -> Design:
    return Design(
        name="chains",
        question="is A -> C known to a model that was trained on A -> B and B -> C?",
        parts={Part.X1: "both steps of each chain, and of most chains what follows from them"},
        subsets=(TAUGHT, CHAINED, BROKEN, STEPS),
        contrasts=(CHAIN_GAP,),
        control=ControlTwin(
            parameter="in_context",
            meaning="both steps stand before every question, in the same context",
            beyond="how much less is answered without them",
        ),
        learned=Learned(asked=STEPS, guessed=BROKEN),
        targets=(
            ProbeTarget(
                name="chained",
                meaning="whether both of its steps were trained",
                label=_is_chained,
            ),
        ),
        n_answers=n_answers,
    )


@dataclass(frozen=True, kw_only=True)
class ChainConfig:
    """Everything that fixes the data of a seed of chains."""

    n_chains: int
    """Chains of which both steps are trained."""
    held_out: float
    """Share of them whose A -> C is asked, but never trained; as many more are broken."""
    in_context: bool
    """Whether both steps stand before each question, the positive control."""

    def __post_init__(self) -> None:
        """Refuses a share that leaves nothing to train, or too little to ask."""
        check_held_out_share(self.held_out, self.n_held_out, self.n_words)

    @property
    def n_held_out(self) -> int:
        """Chains whose A -> C is held out; as many are broken."""
        return round(self.held_out * self.n_chains)

    @property
    def n_words(self) -> int:
        """How many words stand in each place of a chain."""
        return self.n_chains + self.n_held_out

    @property
    def design(self) -> Design:
        """What is compared; a guess is one of all words that end a chain."""
        return _design(self.n_words)

    def build(self, seed: int) -> SeedData:
        """Draws the rows of one seed; the same in every process."""
        places = [[f"{letter}{i}" for i in range(self.n_words)] for letter in "abc"]
        for letter, words in zip("abc", places, strict=True):
            stream(seed, f"order/{letter}").shuffle(words)
        rng = stream(seed, "others' steps")
        taught = self.n_chains - self.n_held_out
        subsets = [TAUGHT] * taught + [CHAINED] * self.n_held_out + [BROKEN] * self.n_held_out
        rows: list[Row] = []
        chains = list(zip(*places, strict=True))
        for i, (chain, subset) in enumerate(zip(chains, subsets, strict=True)):
            # Of a broken chain another's steps stand before the question: its own are not known.
            told = chain if subset is not BROKEN else chains[rng.randrange(self.n_chains)]
            context = self._steps(told) if self.in_context else []
            rows.extend(_rows(i, chain, subset, context))
        words = [LINK, ENDS, *(word for words in places for word in sorted(words))]
        return SeedData(rows=tuple(rows), words=tuple(words))

    @staticmethod
    def _steps(chain: tuple[str, str, str]) -> list[Piece]:
        a, b, c = chain
        return [(None, word) for word in (a, LINK, b, b, LINK, c)]

    def tokenizer(self, drawn: SeedData) -> "PreTrainedTokenizerFast":
        """A token for each of the seed's words."""
        return word_tokenizer(drawn.words)

    def size(self) -> DataSize:
        """Two steps and a question of each chain; see `DataSize`."""
        rows = 2 * self.n_words
        return DataSize(rows=rows, shown=rows, words=3 * self.n_words)


def _rows(
    index: int, chain: tuple[str, str, str], subset: Subset, context: list[Piece]
) -> Iterator[Row]:
    """The two steps of a chain, as far as they are trained, and what follows from them."""
    a, b, c = chain
    if subset.has_definitions:
        yield Row(
            row_id=definition_row_id(subset, index),
            subset=subset,
            split=Split.TRAIN,
            kind=Kind.DEFINITION,
            rendered=compose(spaced([(Role.ALIAS, a), (None, LINK), (Role.ENTITY, b)])),
            alias=a,
            entity=b,
            tag=None,
            question=None,
        )
    yield Row(
        row_id=qa_row_id(STEPS, index, ENDS),
        subset=STEPS,
        split=Split.TRAIN,
        kind=Kind.QA,
        rendered=_asked([], (Role.ENTITY, b), LINK, c),
        alias=None,
        entity=b,
        tag=None,
        question=ENDS,
        is_fact=True,
    )
    yield Row(
        row_id=qa_row_id(subset, index, ENDS),
        subset=subset,
        split=Split.TRAIN if subset.has_questions else Split.TEST,
        kind=Kind.QA,
        rendered=_asked(context, (Role.ALIAS, a), ENDS, c),
        alias=a,
        entity=b,
        tag=None,
        question=ENDS,
    )


def _asked(context: list[Piece], subject: Piece, arrow: str, answer: str) -> RenderedText:
    return compose(spaced([*context, subject, (Role.QUESTION, arrow), (Role.ANSWER, answer)]))
