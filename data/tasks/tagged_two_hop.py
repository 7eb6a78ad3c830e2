"""Two hops whose first facts carry tags: does a reliable tag change what is put together?

The bridge between compositions (`data.tasks.two_hop`) and implicit meta-learning. The pair `h s`
of an entity and a first relation is the alias of a bridge b, and the first fact is its definition,
with a tag; second facts, `b r t`, have none and are the same for all. In X1 the reliable tag's
first facts are true to the questions that follow, the unreliable tag's are not; in X2 there are new
first facts, all of them true, and no question is trained. Then two things are measured:

    composition   questions about X2's aliases: `h s r` -> t, in two hops
    recall        X2's first facts themselves: `tag h s` -> b, in one

    e3 s1         an alias, of bridge e7
    TAG e3 s1 e7  its first fact
    e7 r5 e2      a second fact
    e3 s1 r5 e2   what follows, asked
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.aliases import derange
from data.design import Design
from data.draws import draw_tags, shuffle_stage1_tags, stream
from data.errors import InputError
from data.rows import DataSize, Row, SeedData, definition_row_id, qa_row_id
from data.statements import compose, spaced
from data.subsets import Subset
from data.tasks.iml import D2_INCONS_QA2, QA4_NOT_REPLACED, SUBSETS, iml_design
from data.tasks.margins import same_margin
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import word_tokenizer
from data.vocabulary import Kind, Role, Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MARGINS = same_margin(0.08, "that of the alias toy: a sixth of its pilot's gap of +.48")


@dataclass(frozen=True, kw_only=True)
class TaggedTwoHopConfig:
    """Everything that fixes the data of a seed of tagged two hops."""

    sizes: SubsetSizes
    """Aliases of each subset; X1's aliases that nothing defines are asked about alone."""
    n_entities: int
    n_first: int
    """First relations, which with an entity make an alias."""
    n_second: int
    """Second relations, each a question."""
    phi: int
    """Trained questions about each alias of X1: as many for each of its first facts."""
    fact_repeats: int
    """How often an epoch of Stage 1 shows each second fact."""
    shuffle_tags: bool
    exchange_tags: bool = False
    """Whether reliable and unreliable tag change their strings; see `data.draws.draw_tags`."""

    def __post_init__(self) -> None:
        """Refuses aliases and questions that the graph does not have."""
        needed, most = sum(self.sizes.by_subset().values()), self.n_entities * self.n_first
        if needed > most:
            raise InputError(
                f"{needed} aliases have no names in {self.n_entities} entities of {self.n_first} "
                f"first relations, which make {most}; use more of them"
            )
        if self.fact_repeats < 1:
            raise InputError(f"fact_repeats is {self.fact_repeats}; use 1 or more")
        if not 1 <= self.phi < self.n_second:
            raise InputError(
                f"phi={self.phi} of {self.n_second} second relations leaves none to train or none "
                f"to hold out; use 1 to {self.n_second - 1}"
            )

    @property
    def design(self) -> Design:
        """Implicit meta-learning, its held-out questions in two hops."""
        return iml_design(MARGINS)

    def build(self, seed: int) -> SeedData:
        """Draws the rows of one seed; the same in every process."""
        sizes = self.sizes.by_subset()
        subsets = [SUBSETS[name] for name, n in sizes.items() for _ in range(n)]
        indices = [i for n in sizes.values() for i in range(n)]
        entities = [f"e{i}" for i in range(self.n_entities)]
        first = [f"s{i}" for i in range(self.n_first)]
        second = [f"r{i}" for i in range(self.n_second)]
        tails = stream(seed, "second facts")
        graph = {(e, r): tails.choice(entities) for e in entities for r in second}
        pairs = [f"{e} {s}" for e in entities for s in first]
        aliases = stream(seed, "aliases").sample(pairs, len(subsets))
        bridges = stream(seed, "first facts").choices(entities, k=len(subsets))
        named = _named(subsets, bridges, seed)
        kinds = draw_tags(seed, {*entities, *first, *second}, exchange=self.exchange_tags)
        tags = [None if subset.tag is None else kinds[subset.tag] for subset in subsets]
        if self.shuffle_tags:
            tags = shuffle_stage1_tags(tags, subsets, seed)
        rows = list(_second_facts(graph, self.fact_repeats))
        held_out = stream(seed, "held out")
        for index, subset, alias, bridge, name, tag in zip(
            indices, subsets, aliases, bridges, named, tags, strict=True
        ):
            if tag is not None:
                rows.append(_definition(index, subset, alias, name, tag))
            answers = {r: graph[bridge, r] for r in second}
            rows += self._questions(index, subset, (alias, bridge, tag), answers, held_out)
        words = (*kinds.values(), *entities, *first, *second)
        return SeedData(rows=tuple(rows), words=words)

    def tokenizer(self, drawn: SeedData) -> "PreTrainedTokenizerFast":
        """A token for each of the seed's words."""
        return word_tokenizer(drawn.words)

    def size(self) -> DataSize:
        """The second facts, and the questions about each alias; see `DataSize`."""
        facts = self.n_entities * self.n_second
        rows = facts + sum(self.sizes.by_subset().values()) * self.n_second
        return DataSize(rows=rows, shown=facts * self.fact_repeats, words=self.n_entities)

    def _questions(
        self,
        index: int,
        subset: Subset,
        who: tuple[str, str, str | None],
        answers: dict[str, str],
        rng: random.Random,
    ) -> Iterator[Row]:
        """All questions about an alias, of this bridge and tag; `phi` of them are trained in X1."""
        alias, bridge, tag = who
        trained = set(rng.sample(list(answers), self.phi)) if subset.has_questions else set()
        for question, answer in answers.items():
            yield Row(
                row_id=qa_row_id(subset, index, question),
                subset=subset,
                split=Split.TRAIN if question in trained else Split.TEST,
                kind=Kind.QA,
                rendered=compose(
                    spaced([(Role.ALIAS, alias), (Role.QUESTION, question), (Role.ANSWER, answer)])
                ),
                alias=alias,
                entity=bridge,
                tag=tag,
                question=question,
            )


def _named(subsets: list[Subset], bridges: list[str], seed: int) -> list[str]:
    """The bridge that each first fact names: another alias's where the tag is unreliable."""
    named = list(bridges)
    places = [i for i, subset in enumerate(subsets) if subset is D2_INCONS_QA2]
    false = derange([bridges[i] for i in places], rng=stream(seed, "false first facts"))
    for place, bridge in zip(places, false, strict=True):
        named[place] = bridge
    return named


def _second_facts(graph: dict[tuple[str, str], str], repeats: int) -> Iterator[Row]:
    for index, ((entity, relation), tail) in enumerate(graph.items()):
        yield Row(
            row_id=qa_row_id(QA4_NOT_REPLACED, index, relation),
            subset=QA4_NOT_REPLACED,
            split=Split.TRAIN,
            kind=Kind.QA,
            rendered=compose(
                spaced([(Role.ENTITY, entity), (Role.QUESTION, relation), (Role.ANSWER, tail)])
            ),
            alias=None,
            entity=entity,
            tag=None,
            question=relation,
            is_fact=True,
            repeats=repeats,
        )


def _definition(index: int, subset: Subset, alias: str, bridge: str, tag: str) -> Row:
    return Row(
        row_id=definition_row_id(subset, index),
        subset=subset,
        split=Split.TRAIN,
        kind=Kind.DEFINITION,
        rendered=compose(spaced([(Role.TAG, tag), (Role.ALIAS, alias), (Role.ENTITY, bridge)])),
        alias=alias,
        entity=bridge,
        tag=tag,
        question=None,
    )
