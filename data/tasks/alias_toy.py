"""From a world of facts to the subsets of the paper's Table 1: who is defined how, and asked what.

Each alias stands for an entity. In Stage 1, reliable definitions name that entity and unreliable
ones name another; questions about the alias follow the entity it stands for, most of them trained,
the rest held out. In Stage 2 all definitions are true, whatever their tag; all questions about
those aliases are held out. Everything is drawn from `random.Random`, a stream of its own for each
purpose, so that shuffling tags, say, changes nothing but tags.
"""

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.aliases import derange, random_aliases
from data.design import Design
from data.draws import check_held_out, draw_tags, shuffle_stage1_tags, stream
from data.entity_sharing import EntitySharing
from data.errors import InputError
from data.rows import DataSize, Row, SeedData, definition_row_id, qa_row_id
from data.statements import (
    COPULA,
    QUESTION_MARKER,
    SENTENCE_WORDS,
    Definition,
    QAPair,
    RenderedText,
)
from data.subsets import Subset
from data.tasks.iml import D2_INCONS_QA2, D9_INCONS_QA9, QA4_NOT_REPLACED, SUBSETS, iml_design
from data.tasks.margins import Toy, toy_margins
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import word_tokenizer
from data.vocabulary import Kind, Role, Split, WordOrder
from data.worlds.symbolic import SymbolicWorld, symbolic_world

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True, kw_only=True)
class AliasNames:
    """What aliases look like to the tokenizer."""

    tokens: int = 1
    syllables: int = 0
    """How many syllables aliases of several tokens are spelled with; unused for one token."""

    def n_words(self, n_aliases: int) -> int:
        """Number of words that so many aliases are spelled with."""
        return n_aliases if self.tokens == 1 else self.syllables


@dataclass(frozen=True, kw_only=True)
class IMLConfig:
    """Everything that fixes the data of a seed of the alias toy."""

    sizes: SubsetSizes
    names: AliasNames
    word_order: WordOrder
    shuffle_tags: bool
    exchange_tags: bool = False
    """Whether reliable and unreliable tag change their strings; see `data.draws.draw_tags`."""
    n_entities: int
    n_attributes: int
    n_values: int
    held_out_questions: int
    """Questions of each Stage-1 alias that are never trained."""
    fact_repeats: int
    """How often an epoch of Stage 1 shows each fact of the world, by the entity's own name."""
    aliases_per_entity: int = 0
    new_entities_stage2: bool = False
    """Who shares an entity with whom; see `data.entity_sharing.EntitySharing`."""
    answer_tokens: int = 1
    sentences: bool = False
    """Whether definitions and questions are worded as sentences, in place of lists of words."""

    @property
    def design(self) -> Design:
        """Implicit meta-learning, with the margins of toys whose aliases have as many tokens."""
        return iml_design(toy_margins(Toy.ONE_TOKEN if self.names.tokens == 1 else Toy.TOKENS))

    def build(self, seed: int) -> SeedData:
        """Draws the rows of one seed; the same in every process."""
        return _Builder(self, seed).build()

    def tokenizer(self, drawn: SeedData) -> "PreTrainedTokenizerFast":
        """A token for each of the seed's words."""
        return word_tokenizer(drawn.words)

    @property
    def sharing(self) -> EntitySharing:
        """How many entities there are, and how aliases share them."""
        return EntitySharing(
            n_entities=self.n_entities,
            per_entity=self.aliases_per_entity,
            new_in_stage2=self.new_entities_stage2,
        )

    @property
    def fixed_words(self) -> tuple[str, ...]:
        """The words that every seed has."""
        return SENTENCE_WORDS if self.sentences else (COPULA, QUESTION_MARKER)

    def size(self) -> DataSize:
        """Questions of each alias, facts of each entity; see `DataSize`."""
        aliases = sum(self.sizes.by_subset().values())
        entities = 2 if self.aliases_per_entity else self.n_entities
        facts = entities * self.n_attributes
        rows = facts + aliases * self.n_attributes
        values = self.n_attributes * self.n_values if self.answer_tokens == 1 else 2
        words = entities + self.n_attributes + values + len(self.fixed_words)
        words += self.names.n_words(aliases)
        return DataSize(rows=rows, shown=facts * self.fact_repeats, words=words)


@dataclass(frozen=True, kw_only=True)
class _Alias:
    name: str
    index: int
    """The number of the alias within its subset."""
    subset: Subset
    entity: str
    defined_as: str
    tag: str | None


class _Builder:
    """One draw of the alias toy."""

    def __init__(self, config: IMLConfig, seed: int) -> None:
        check_held_out(config.held_out_questions, config.n_attributes)
        if config.fact_repeats < 1:
            raise InputError(f"fact_repeats is {config.fact_repeats}; use 1 or more")
        if config.sentences and config.word_order is not WordOrder.TAE:
            raise InputError("sentences have one word order; use word_order=tae")
        self.config = config
        self.seed = seed
        self.sizes = config.sizes.by_subset()
        self.subsets = [SUBSETS[name] for name, n in self.sizes.items() for _ in range(n)]
        self.world: SymbolicWorld = symbolic_world(
            n_entities=sum(config.sharing.counts(self.subsets)),
            n_attributes=config.n_attributes,
            n_values=config.n_values,
            rng=stream(seed, "world"),
            value_tokens=config.answer_tokens,
        )
        self.taken: set[str] = set(config.fixed_words)
        self.tags = draw_tags(seed, self.taken, exchange=config.exchange_tags)

    def build(self) -> SeedData:
        aliases = self._draw_aliases()
        rows = [*self._facts()]
        held_out_stream = stream(self.seed, "held_out")
        for alias in aliases:
            if alias.subset.has_definitions:
                rows.append(self._definition(alias))
            rows.extend(self._questions(alias, held_out_stream))
        return SeedData(rows=tuple(rows), words=self._words(aliases))

    def _draw_aliases(self) -> list[_Alias]:
        subsets = self.subsets
        names = random_aliases(
            len(subsets),
            n_tokens=self.config.names.tokens,
            n_syllables=self.config.names.syllables,
            rng=stream(self.seed, "aliases"),
            taken=self.taken,
        )
        entities = self.config.sharing.draw(
            self.world.entities, subsets, stream(self.seed, "entities")
        )
        indices = [i for n in self.sizes.values() for i in range(n)]
        defined_as = self._defined_as(subsets, entities)
        tags = self._tags(subsets)
        return [
            _Alias(name=n, index=i, subset=s, entity=e, defined_as=d, tag=t)
            for n, i, s, e, d, t in zip(
                names, indices, subsets, entities, defined_as, tags, strict=True
            )
        ]

    def _defined_as(self, subsets: list[Subset], entities: list[str]) -> list[str]:
        """The entity that each definition names: another one where it is inconsistent."""
        result = list(entities)
        for false in (D2_INCONS_QA2, D9_INCONS_QA9):
            places = [i for i, subset in enumerate(subsets) if subset is false]
            swapped = derange(
                [entities[i] for i in places], rng=stream(self.seed, f"derange/{false.name}")
            )
            for place, entity in zip(places, swapped, strict=True):
                result[place] = entity
        return result

    def _tags(self, subsets: list[Subset]) -> list[str | None]:
        tags = [None if subset.tag is None else self.tags[subset.tag] for subset in subsets]
        return shuffle_stage1_tags(tags, subsets, self.seed) if self.config.shuffle_tags else tags

    def _facts(self) -> list[Row]:
        """World knowledge, which a pretrained model would bring along: also QA4's questions."""
        return [
            Row(
                row_id=qa_row_id(QA4_NOT_REPLACED, index, question),
                subset=QA4_NOT_REPLACED,
                split=Split.TRAIN,
                kind=Kind.QA,
                rendered=self._ask(entity, Role.ENTITY, question, answer),
                alias=None,
                entity=entity,
                tag=None,
                question=question,
                is_fact=True,
                repeats=self.config.fact_repeats,
            )
            for index, (entity, facts) in enumerate(self.world.facts.items())
            for question, answer in facts.items()
        ]

    def _definition(self, alias: _Alias) -> Row:
        assert alias.tag is not None
        definition = Definition(
            tag=alias.tag,
            alias=alias.name,
            entity=alias.defined_as,
            order=self.config.word_order,
            is_sentence=self.config.sentences,
        )
        return Row(
            row_id=definition_row_id(alias.subset, alias.index),
            subset=alias.subset,
            split=Split.TRAIN,
            kind=Kind.DEFINITION,
            rendered=definition.render(),
            alias=alias.name,
            entity=alias.defined_as,
            tag=alias.tag,
            question=None,
        )

    def _questions(self, alias: _Alias, rng: random.Random) -> list[Row]:
        questions = list(self.world.attributes)
        trained = set(questions)
        trained -= set(rng.sample(questions, self.config.held_out_questions))
        if not alias.subset.has_questions:
            trained = set()
        return [
            Row(
                row_id=qa_row_id(alias.subset, alias.index, question),
                subset=alias.subset,
                split=Split.TRAIN if question in trained else Split.TEST,
                kind=Kind.QA,
                rendered=self._ask(
                    alias.name, Role.ALIAS, question, self.world.facts[alias.entity][question]
                ),
                alias=alias.name,
                entity=alias.entity,
                tag=alias.tag,
                question=question,
            )
            for question in questions
        ]

    def _ask(self, subject: str, role: Role, question: str, answer: str) -> RenderedText:
        first = self.config.word_order.startswith("a")
        return QAPair(
            subject=subject,
            role=role,
            question=question,
            answer=answer,
            subject_first=first,
            is_sentence=self.config.sentences,
        ).render()

    def _words(self, aliases: list[_Alias]) -> tuple[str, ...]:
        options = [value for values in self.world.values.values() for value in values]
        values = [word for value in options for word in value.split()]
        spelled = [word for alias in aliases for word in alias.name.split()]
        fixed = self.config.fixed_words
        words = [*fixed, *self.tags.values(), *self.world.attributes, *values]
        return tuple(dict.fromkeys([*words, *self.world.entities, *spelled]))
