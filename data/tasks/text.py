"""From a world of facts to the paper's Table 1 in natural language (section 2, Appendix A.3).

The counterpart of `data.tasks.alias_toy` for pretrained models: each entity belongs to one subset,
has one alias there, and nothing of it is known but what the model brings along. Everything random
has a stream of its own, so that exchanging tags, say, changes nothing but tags.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from data.aliases import TAG_LETTERS, derange, random_words
from data.contradictions import Contradiction, contradicting
from data.design import Design
from data.draws import EXCHANGED, check_held_out, draw_tags, shuffle_stage1_tags, stream
from data.errors import InputError
from data.facts import WorldProvider
from data.rows import DataSize, Row, SeedData, definition_row_id, qa_row_id
from data.statements import RenderedText
from data.subsets import Subset
from data.tasks.iml import QA7_UNSEEN, SUBSETS, iml_design
from data.tasks.margins import TEXT_MARGINS
from data.tasks.subset_sizes import split_sizes
from data.text_aliases import TextAliases
from data.texts import (
    COPULAS,
    ENTITY_ATTRIBUTION_QUESTIONS,
    NEUTRAL_SOURCES,
    SOURCES,
    DefinitionStyle,
    Writing,
    definition_text,
    question_text,
)
from data.tokenizers import TokenizerProvider
from data.vocabulary import Family, Kind, Role, Split, TagKind

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Everything that fixes the data of a seed of a text experiment."""

    world: WorldProvider
    fractions: Mapping[str, float]
    """Share of the world's entities by subset; they sum to 1."""
    writing: Writing
    aliases: TextAliases
    tokenizer_provider: TokenizerProvider
    contradiction: Contradiction
    held_out_questions: int
    """Questions of each Stage-1 entity that are never trained."""
    phrasings: int
    """Rows of each definition, each naming another source of its kind (natural sources only)."""
    any_answer: bool
    """Whether any accepted answer counts as right, or only the first, which is trained."""
    shuffle_tags: bool
    exchange_tags: bool

    @property
    def design(self) -> Design:
        """Implicit meta-learning; the margin is a third of the gap that the paper found."""
        return iml_design(TEXT_MARGINS)

    def build(self, seed: int) -> SeedData:
        """Draws the rows of one seed; the same in every process."""
        return _Builder(self, seed).build()

    def tokenizer(self, drawn: SeedData) -> "PreTrainedTokenizerFast":
        """The tokenizer of every seed."""
        return self.tokenizer_provider.load()

    def size(self) -> DataSize:
        """At least two questions of each entity of a made-up world; a table is as long as it is."""
        entities = getattr(self.world, "n_made_up", 0)
        return DataSize(rows=2 * entities, shown=entities)


@dataclass(frozen=True, kw_only=True)
class _Alias:
    spelled: str
    """The word as it stands in the text."""
    index: int
    """The number of the alias within its subset."""
    subset: Subset
    entity: str
    defined_as: str
    tag: str | None
    """The word as it stands in the text."""


class _Builder:
    """One draw of a text experiment."""

    def __init__(self, config: TextConfig, seed: int) -> None:
        self.config = config
        self.writing = config.writing
        self.seed = seed
        self.world = config.world.load()
        unknown = set(config.fractions) - set(SUBSETS)
        if unknown:
            raise InputError(
                f"there is no subset {min(unknown)}; choose among {', '.join(SUBSETS)}"
            )
        self.sizes = split_sizes(len(self.world.facts), config.fractions)
        self.taken: set[str] = {word for name in self.world.entities for word in name.split()}
        self.held_out = stream(seed, "held_out")

    def build(self) -> SeedData:
        rows: list[Row] = []
        for alias in self._draw_aliases():
            definitions = self._definitions(alias)
            if not self.writing.in_context:
                rows += definitions
            context = definitions[0].rendered if definitions and self.writing.in_context else None
            rows += self._questions(alias, context)
            rows += self._entity_attributions(alias, context)
        return SeedData(rows=tuple(rows), words=(), notes=self.world.notes)

    def _draw_aliases(self) -> list[_Alias]:
        entities = list(self.world.entities)
        stream(self.seed, "entities").shuffle(entities)
        subsets = [SUBSETS[name] for name, n in self.sizes.items() for _ in range(n)]
        indices = [i for n in self.sizes.values() for i in range(n)]
        tags = self._tags(subsets)
        names = self.config.aliases.draw(
            len(entities),
            writing=self.writing,
            tokenizer_provider=self.config.tokenizer_provider,
            rng=stream(self.seed, "aliases"),
            taken=self.taken,
        )
        defined_as = self._defined_as(subsets, entities)
        return [
            _Alias(spelled=n, index=i, subset=s, entity=e, defined_as=d, tag=t)
            for n, i, s, e, d, t in zip(
                names, indices, subsets, entities, defined_as, tags, strict=True
            )
        ]

    def _tags(self, subsets: list[Subset]) -> list[str | None]:
        """The tag of each alias as it stands in the text; None where it is never defined."""
        style, config = self.writing.style, self.config
        words = draw_tags(self.seed, self.taken)
        rng = stream(self.seed, "phrases and unique tags")

        def tag(kind: TagKind) -> str:
            kind = EXCHANGED.get(kind, kind) if config.exchange_tags else kind
            if style is DefinitionStyle.SOURCES and kind in SOURCES:
                return rng.choice(SOURCES[kind])
            if style is DefinitionStyle.IS_ISNT and kind in COPULAS:
                return COPULAS[kind]
            if style in (DefinitionStyle.SOURCES, DefinitionStyle.IS_ISNT):
                raise InputError(f"style {style} has no {kind} tag; leave its subset out")
            if kind is TagKind.UNIQUE:
                own = random_words(1, n_letters=TAG_LETTERS, rng=rng, taken=self.taken)
                return self.writing.spell(own[0])
            return self.writing.spell(words[kind])

        tags = [None if subset.tag is None else tag(subset.tag) for subset in subsets]
        return shuffle_stage1_tags(tags, subsets, self.seed) if config.shuffle_tags else tags

    def _defined_as(self, subsets: list[Subset], entities: list[str]) -> list[str]:
        """The entity that each definition names: another one where it is inconsistent."""
        result = list(entities)
        for subset in SUBSETS.values():
            places = [i for i, each in enumerate(subsets) if each is subset]
            if subset.consistent is not False or not places:
                continue
            own = [entities[i] for i in places]
            rng = stream(self.seed, f"derange/{subset.name}")
            if self.config.contradiction is Contradiction.ANSWERS:
                swapped = contradicting(own, self.world.facts, rng=rng)
            else:
                swapped = derange(own, rng=rng)
            for place, entity in zip(places, swapped, strict=True):
                result[place] = entity
        return result

    def _definitions(self, alias: _Alias) -> list[Row]:
        """One row for each phrasing; all say the same."""
        if alias.tag is None:
            return []
        rows = []
        for i, tag in enumerate(self._phrasings(alias.tag, alias)):
            rng = stream(self.seed, f"source/{alias.subset.name}/{alias.index}/{i}")
            rendered = definition_text(
                self.writing,
                tag=tag,
                alias=alias.spelled,
                entity=alias.defined_as,
                source=rng.choice(NEUTRAL_SOURCES),
            )
            row = Row(
                row_id=definition_row_id(alias.subset, alias.index, f"phrasing {i}" if i else None),
                subset=alias.subset,
                split=Split.TRAIN,
                kind=Kind.DEFINITION,
                rendered=rendered,
                alias=alias.spelled,
                entity=alias.defined_as,
                tag=tag,
                question=None,
            )
            rows.append(row)
        return rows

    def _phrasings(self, tag: str, alias: _Alias) -> list[str]:
        """The tag itself and, of a source's phrase, others of its kind."""
        alike = next((phrases for phrases in SOURCES.values() if tag in phrases), (tag,))
        others = [phrase for phrase in alike if phrase != tag]
        rng = stream(self.seed, f"phrasings/{alias.subset.name}/{alias.index}")
        return [tag, *rng.sample(others, min(self.config.phrasings - 1, len(others)))]

    def _questions(self, alias: _Alias, context: RenderedText | None) -> list[Row]:
        facts = self.world.facts[alias.entity]
        check_held_out(self.config.held_out_questions, len(facts))
        trained = set(facts)
        trained -= set(self.held_out.sample(sorted(facts), self.config.held_out_questions))
        if not alias.subset.has_questions:
            trained = set()
        return [
            Row(
                row_id=qa_row_id(alias.subset, alias.index, question),
                subset=alias.subset,
                split=Split.TRAIN if question in trained else Split.TEST,
                kind=Kind.QA,
                alias=alias.spelled if alias.subset.replaced else None,
                entity=alias.entity,
                tag=alias.tag,
                question=question,
                **self._asked(alias, self.world.questions[question], answers, context),
            )
            for question, answers in facts.items()
        ]

    def _entity_attributions(self, alias: _Alias, context: RenderedText | None) -> list[Row]:
        """Questions for the entity itself; where the definition is false, for both entities."""
        if not alias.subset.replaced or alias.subset is QA7_UNSEEN:
            return []
        asked = [(Family.ENTITY_ATTRIBUTION, alias.entity)]
        if alias.defined_as != alias.entity:
            asked.append((Family.AS_DEFINED, alias.defined_as))
        return [
            Row(
                row_id=qa_row_id(alias.subset, alias.index, f"{family}/{question}"),
                subset=alias.subset,
                split=Split.TEST,
                kind=Kind.QA,
                alias=alias.spelled,
                entity=entity,
                tag=alias.tag,
                question=question,
                family=family,
                **self._asked(alias, template, (entity,), context),
            )
            for family, entity in asked
            for question, template in ENTITY_ATTRIBUTION_QUESTIONS.items()
        ]

    def _asked(
        self,
        alias: _Alias,
        template: str,
        answers: tuple[str, ...],
        context: RenderedText | None,
    ) -> "_Asked":
        """The question as a text, and with each further answer that counts."""
        rendered = [
            question_text(
                self.writing,
                template=template,
                subject=alias.spelled if alias.subset.replaced else alias.entity,
                role=Role.ALIAS if alias.subset.replaced else Role.ENTITY,
                answer=answer,
                context=context,
            )
            for answer in answers
        ]
        others = tuple(rendered[1:]) if self.config.any_answer else ()
        return {"rendered": rendered[0], "other_answers": others}


class _Asked(TypedDict):
    rendered: RenderedText
    other_answers: tuple[RenderedText, ...]
