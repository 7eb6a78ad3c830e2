"""Two hops: facts h -r1-> b and b -r2-> t are trained, and what follows, h -r1-r2-> t, is asked.

A graph of entities with one random tail for each entity and relation (arXiv 2405.15071). The pair
`h r1` is the alias of the bridge b, so that each fact is a definition, and what follows from two
facts a question about the alias. A part of the facts is out of distribution: they are trained as
facts alone, and no trained question follows from them. `phi` is how many questions are trained for
each fact in distribution. The comparison task has the same shape: each entity has a value of each
attribute, and `h a` is compared with another entity's value of that attribute.

    composition   e3 r1 e7      e3 r1 r5 e2        (e7 r5 e2 is a fact)
    comparison    e3 r1 v4      e3 r1 e8 more      (e8 r1 v2 is a fact)

Questions of which one fact alone is out of distribution are left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from data.chance import check_tells_chance
from data.design import Contrast, Design, Findings, NullTwin, ProbeTarget, Questions
from data.draws import stream
from data.errors import InputError
from data.rows import DataSize, Row, SeedData, definition_row_id, qa_row_id
from data.statements import compose, spaced
from data.subsets import Mark, Subset
from data.tasks.margins import same_margin
from data.tokens import word_tokenizer
from data.vocabulary import Kind, Part, Role, Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

LABELS = ("less", "same", "more")
FEWEST_PHI = 1.0
"""Questions a fact of the null twin: facts are put together too seldom for it to pay."""
MARGINS = same_margin(0.15, "a sixth of what phi 8 reached in pilots (seeds below 1000)")


class Task(StrEnum):
    """What follows from two facts."""

    COMPOSITION = "composition"
    """The tail of the second, whose head is the tail of the first."""
    COMPARISON = "comparison"
    """Which of two entities has more of an attribute: facts that can be looked up side by side."""


IN_DISTRIBUTION = Subset(
    name="ID",
    notation="ID",
    meaning="facts that trained questions follow from",
    part=Part.X1,
    has_definitions=True,
    has_questions=True,
    mark=Mark(color="#1f5fc4", symbol="triangle-up"),
)
OUT_OF_DISTRIBUTION = Subset(
    name="OOD",
    notation="OOD",
    meaning="facts that no trained question follows from",
    part=Part.X1,
    has_definitions=True,
    mark=Mark(color="#ea8a12", symbol="x", dash="dot"),
)

COMPOSITION_GAP = Contrast(
    name="composition_gap",
    higher=IN_DISTRIBUTION,
    lower=OUT_OF_DISTRIBUTION,
    part=Part.X1,
    meaning="what follows from facts that are used together against facts that are not",
    said=Findings(
        more="Facts are put together in distribution more than out of distribution",
        less="Facts are put together out of distribution more than in distribution",
        neither="This run does not show that facts are put together",
        alone="One seed cannot show whether facts are put together",
        twin="This run has too few questions a fact for its facts to be put together",
    ),
)

Fact = tuple[str, str]
"""An entity and a relation, which has one value."""


def _is_in_distribution(questions: Questions, _seed: int) -> dict[str, int]:
    return {alias: int(rows[0].subset == IN_DISTRIBUTION) for alias, rows in questions.items()}


@dataclass(frozen=True, kw_only=True)
class TwoHopConfig:
    """Everything that fixes the data of a seed of two hops."""

    task: Task
    n_entities: int
    n_relations: int
    n_values: int
    """Values of an attribute, in the comparison task."""
    phi: float
    """Trained questions for each fact in distribution."""
    out_of_distribution: float
    """Share of the facts from which no trained question follows."""
    n_tested: int
    """Most held-out questions of each subset."""

    def __post_init__(self) -> None:
        """Refuses a graph without edges, and shares that are none."""
        if min(self.n_entities, self.n_relations, self.n_values) < 2 or self.phi <= 0:
            raise InputError("entities, relations and values must be 2 or more and phi above 0")
        if not 0 < self.out_of_distribution < 1:
            raise InputError(
                f"out_of_distribution is {self.out_of_distribution:g}; use a share between 0 and 1"
            )

    @property
    def n_answers(self) -> int:
        """Answers that a guess chooses from; 0 of comparisons, whose answers differ in number."""
        return self.n_entities if self.task is Task.COMPOSITION else 0

    @property
    def design(self) -> Design:
        """What is compared; the null twin has few questions a fact."""
        return Design(
            name=f"two hops, {self.task}",
            question="are two facts put together that are never seen together?",
            parts={Part.X1: "facts, and questions that follow from two of them"},
            subsets=(IN_DISTRIBUTION, OUT_OF_DISTRIBUTION),
            contrasts=(COMPOSITION_GAP,),
            control=NullTwin(
                parameter="phi",
                value=FEWEST_PHI,
                contrast=COMPOSITION_GAP.name,
                margins=MARGINS,
                meaning=f"phi {FEWEST_PHI:g}: as few trained questions as facts",
                beyond="what more questions a fact do",
            ),
            targets=(
                ProbeTarget(
                    name="in_distribution",
                    meaning="whether trained questions follow from the fact",
                    label=_is_in_distribution,
                ),
            ),
            n_answers=self.n_answers,
        )

    def build(self, seed: int) -> SeedData:
        """Draws the rows of one seed; the same in every process.

        Raises:
            InputError: the graph has too few questions for phi, or to test.
        """
        facts = self._facts(seed)
        order = sorted(facts)
        stream(seed, "distribution").shuffle(order)
        apart = set(order[: round(self.out_of_distribution * len(order))])
        rows = [
            _fact_row(i, key, value, key in apart) for i, (key, value) in enumerate(facts.items())
        ]
        places = {key: i for i, key in enumerate(facts)}
        inside, outside = [], []
        for first, second, question, answer in self._inferred(facts):
            if (first in apart) == (second in apart):
                (outside if first in apart else inside).append((first, question, answer))
        for questions, name in ((inside, "in"), (outside, "out")):
            stream(seed, f"questions {name} distribution").shuffle(questions)
        n_trained = round(self.phi * (len(facts) - len(apart)))
        self._check(n_trained, len(inside), len(outside))
        for subset, asked, first_tested in (
            (IN_DISTRIBUTION, inside[: n_trained + self.n_tested], n_trained),
            (OUT_OF_DISTRIBUTION, outside[: self.n_tested], 0),
        ):
            rows += [
                _question_row(
                    places[key], key, facts[key], question, answer, subset, i >= first_tested
                )
                for i, (key, question, answer) in enumerate(asked)
            ]
        return SeedData(rows=tuple(rows), words=self._words)

    def _facts(self, seed: int) -> Mapping[Fact, str]:
        """The value of each entity's each relation."""
        rng = stream(seed, "facts")
        values = self._entities if self.task is Task.COMPOSITION else self._values
        return {(e, r): rng.choice(values) for e in self._entities for r in self._relations}

    def _inferred(self, facts: Mapping[Fact, str]) -> Iterator[tuple[Fact, Fact, str, str]]:
        """What follows from two facts: both of them, what is asked of the first, the answer."""
        for (entity, relation), value in facts.items():
            if self.task is Task.COMPOSITION:
                for then in self._relations:
                    yield (entity, relation), (value, then), then, facts[value, then]
                continue
            for other in self._entities:
                if other != entity:
                    ranks = [self._values.index(each) for each in (value, facts[other, relation])]
                    label = LABELS[(ranks[0] > ranks[1]) - (ranks[0] < ranks[1]) + 1]
                    yield (entity, relation), (other, relation), other, label

    def _check(self, n_trained: int, n_inside: int, n_outside: int) -> None:
        if n_trained + self.n_tested > n_inside:
            most = max(0.0, self.phi * (n_inside - self.n_tested) / n_trained)
            raise InputError(
                f"phi={self.phi:g} trains {n_trained} questions beside {self.n_tested} to test, "
                f"and the graph has {n_inside}; use phi={most:.1f} or less, or more relations"
            )
        what = f"out_of_distribution={self.out_of_distribution:g}"
        check_tells_chance(what, min(n_outside, self.n_tested), self.n_answers or len(LABELS))
        check_tells_chance("tested", self.n_tested, self.n_answers or len(LABELS))

    @property
    def _entities(self) -> list[str]:
        return [f"e{i}" for i in range(self.n_entities)]

    @property
    def _relations(self) -> list[str]:
        return [f"r{i}" for i in range(self.n_relations)]

    @property
    def _values(self) -> list[str]:
        return [f"v{i}" for i in range(self.n_values)]

    @property
    def _words(self) -> tuple[str, ...]:
        own = () if self.task is Task.COMPOSITION else (*self._values, *LABELS)
        return (*self._relations, *self._entities, *own)

    def tokenizer(self, drawn: SeedData) -> "PreTrainedTokenizerFast":
        """A token for each of the seed's words."""
        return word_tokenizer(drawn.words)

    def size(self) -> DataSize:
        """The facts, and the questions that are trained; see `DataSize`."""
        facts = self.n_entities * self.n_relations
        trained = int(self.phi * facts * (1 - self.out_of_distribution))
        return DataSize(rows=facts, shown=facts + trained, words=self.n_entities)


def _fact_row(index: int, key: Fact, value: str, is_apart: bool) -> Row:
    """A fact, as the definition of the pair that stands for its value."""
    subset = OUT_OF_DISTRIBUTION if is_apart else IN_DISTRIBUTION
    alias = " ".join(key)
    return Row(
        row_id=definition_row_id(subset, index),
        subset=subset,
        split=Split.TRAIN,
        kind=Kind.DEFINITION,
        rendered=compose(spaced([(Role.ALIAS, alias), (Role.ENTITY, value)])),
        alias=alias,
        entity=value,
        tag=None,
        question=None,
    )


def _question_row(
    index: int, key: Fact, value: str, question: str, answer: str, subset: Subset, is_tested: bool
) -> Row:
    alias = " ".join(key)
    return Row(
        row_id=qa_row_id(subset, index, question),
        subset=subset,
        split=Split.TEST if is_tested else Split.TRAIN,
        kind=Kind.QA,
        rendered=compose(
            spaced([(Role.ALIAS, alias), (Role.QUESTION, question), (Role.ANSWER, answer)])
        ),
        alias=alias,
        entity=value,
        tag=None,
        question=question,
    )
