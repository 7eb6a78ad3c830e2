"""The source-statement toy: a definition reveals values themselves, not an entity's name.

The closest toy relative of the paper's MNIST experiment (section 4.2). Each alias has a value for
each attribute. In Stage 1 the reliable source states them all truly, the unreliable one states
unrelated values, and questions ask for some of them; in Stage 2 every source speaks the truth.
"""

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.aliases import random_aliases
from data.design import Design
from data.draws import check_held_out, draw_tags, shuffle_stage1_tags, stream
from data.rows import DataSize, Row, SeedData, definition_row_id, qa_row_id
from data.statements import QUESTION_MARKER, QAPair, SourceStatement
from data.subsets import Subset
from data.tasks.alias_toy import AliasNames
from data.tasks.iml import SUBSETS, iml_design
from data.tasks.margins import Toy, toy_margins
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import word_tokenizer
from data.vocabulary import Kind, Role, Split, WordOrder
from data.worlds.symbolic import attribute_values

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Everything that fixes the data of a seed of the source-statement toy."""

    sizes: SubsetSizes
    names: AliasNames
    word_order: WordOrder
    shuffle_tags: bool
    exchange_tags: bool = False
    """Whether reliable and unreliable tag change their strings; see `data.draws.draw_tags`."""
    n_attributes: int
    n_values: int
    held_out_questions: int
    """Questions of each Stage-1 alias that are never trained."""

    @property
    def design(self) -> Design:
        """Implicit meta-learning, with the margins of this toy's pilots."""
        return iml_design(toy_margins(Toy.SOURCES))

    def build(self, seed: int) -> SeedData:
        """Draws the rows of one seed; the same in every process."""
        check_held_out(self.held_out_questions, self.n_attributes)
        values = attribute_values(self.n_attributes, self.n_values)
        taken = {QUESTION_MARKER}
        kinds = draw_tags(seed, taken, exchange=self.exchange_tags)
        sizes = self.sizes.by_subset()
        aliases = random_aliases(
            sum(sizes.values()),
            n_tokens=self.names.tokens,
            n_syllables=self.names.syllables,
            rng=stream(seed, "aliases"),
            taken=taken,
        )
        subsets = [SUBSETS[name] for name, n in sizes.items() for _ in range(n)]
        indices = [i for n in sizes.values() for i in range(n)]
        tags = [None if subset.tag is None else kinds[subset.tag] for subset in subsets]
        if self.shuffle_tags:
            tags = shuffle_stage1_tags(tags, subsets, seed)
        truth, rumour, held_out = (
            stream(seed, purpose) for purpose in ("truth", "rumour", "held_out")
        )
        rows: list[Row] = []
        for index, alias, subset, tag in zip(indices, aliases, subsets, tags, strict=True):
            facts = {a: truth.choice(options) for a, options in values.items()}
            stated = facts
            if subset.consistent is False:
                stated = {a: rumour.choice(options) for a, options in values.items()}
            if tag is not None:
                rows += self._statements(index, alias, subset, tag, stated)
            rows += self._questions(index, alias, subset, tag, facts, held_out)
        words = [QUESTION_MARKER, *kinds.values(), *values]
        words += [value for options in values.values() for value in options]
        words += [word for alias in aliases for word in alias.split()]
        return SeedData(rows=tuple(rows), words=tuple(dict.fromkeys(words)))

    def tokenizer(self, drawn: SeedData) -> "PreTrainedTokenizerFast":
        """A token for each of the seed's words."""
        return word_tokenizer(drawn.words)

    def size(self) -> DataSize:
        """Questions of each alias; see `DataSize`."""
        aliases = sum(self.sizes.by_subset().values())
        words = self.n_attributes * (1 + self.n_values) + self.names.n_words(aliases)
        return DataSize(rows=aliases * self.n_attributes, shown=aliases, words=words)

    def _statements(
        self, index: int, alias: str, subset: Subset, tag: str, stated: dict[str, str]
    ) -> list[Row]:
        return [
            Row(
                row_id=definition_row_id(subset, index, attribute),
                subset=subset,
                split=Split.TRAIN,
                kind=Kind.DEFINITION,
                rendered=SourceStatement(
                    tag=tag, alias=alias, attribute=attribute, value=value, order=self.word_order
                ).render(),
                alias=alias,
                entity=None,
                tag=tag,
                question=attribute,
            )
            for attribute, value in stated.items()
        ]

    def _questions(
        self,
        index: int,
        alias: str,
        subset: Subset,
        tag: str | None,
        facts: dict[str, str],
        rng: random.Random,
    ) -> list[Row]:
        trained = set(facts) - set(rng.sample(list(facts), self.held_out_questions))
        return [
            Row(
                row_id=qa_row_id(subset, index, attribute),
                subset=subset,
                split=Split.TRAIN if subset.has_questions and attribute in trained else Split.TEST,
                kind=Kind.QA,
                rendered=QAPair(
                    subject=alias,
                    role=Role.ALIAS,
                    question=attribute,
                    answer=value,
                    subject_first=self.word_order.startswith("a"),
                ).render(),
                alias=alias,
                entity=None,
                tag=tag,
                question=attribute,
            )
            for attribute, value in facts.items()
        ]
