"""Set inclusion (paper section 4.1, Appendix D): is a variable's number in a list of numbers?

Each variable (an alias, here) stands for a number. Definitions name it, reliable ones truly and
unreliable ones another number, drawn uniformly. Half of a variable's questions list its number. A
model that starts from random weights has to learn what numbers and lists are by itself.

Paper and published code word it differently:

|            | as written                       | as coded                            |
|------------|----------------------------------|-------------------------------------|
| definition | `qwerty xyz 42`                  | `define1 xyz % 42`                  |
| question   | `xyz 2 31 95 42 8 27 6 74 ? Yes` | `xyz % 2 31 95 42 8 27 6 74 = true` |
| tags       | three random words               | `define1`, `define2`, `define3`     |
| numbers    | 0 to 99                          | 0 to 98                             |
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

from data.aliases import random_words
from data.design import Design
from data.draws import SHARED_TAGS, draw_tags, shuffle_stage1_tags, stream
from data.errors import InputError
from data.rows import DataSize, Row, SeedData, definition_row_id, qa_row_id
from data.statements import Piece, RenderedText, compose, spaced
from data.subsets import Subset
from data.tasks.iml import D1_CONS_QA1, D2_INCONS_QA2, D5_CONS, D6_CONS, SUBSETS, iml_design
from data.tasks.margins import SET_INCLUSION_MARGINS
from data.tokens import word_tokenizer
from data.vocabulary import Kind, Role, Split, TagKind, WordOrder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TABLE_3: Mapping[str, float] = {
    D1_CONS_QA1.name: 0.4,
    D2_INCONS_QA2.name: 0.4,
    D5_CONS.name: 0.1,
    D6_CONS.name: 0.1,
}
"""Share of the variables in each subset, for `data.tasks.subset_sizes.split_sizes`; 8000 in all."""

QUESTION_NAME = "inclusion"
"""What `Row.question` says of every question."""
VARIABLE_LETTERS = 3
ENOUGH_TO_CHOOSE = 64
"""To choose 64 of 128 things or more, there are at least 2.3e37 ways."""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """The words around tags, variables and numbers."""

    copula: tuple[str, ...]
    """The word before a list, and before the last element of a definition."""
    marker: str
    """The word that ends a question."""
    yes: str
    no: str
    tags: tuple[str, ...]
    """The tags in the order of `data.draws.SHARED_TAGS`; none where they are random."""

    def define(self, *, tag: str, variable: str, number: int, order: WordOrder) -> RenderedText:
        """The definition that states a variable's number.

        >>> AS_WRITTEN.define(tag="qwerty", variable="xyz", number=42, order=WordOrder.TAE).text
        'qwerty xyz 42'
        """
        elements: dict[str, Piece] = {
            "t": (Role.TAG, tag),
            "a": (Role.ALIAS, variable),
            "e": (Role.ENTITY, str(number)),
        }
        first, second, last = (elements[letter] for letter in order)
        copula: list[Piece] = [(None, word) for word in self.copula]
        return compose(spaced([first, second, *copula, last]))

    def ask(self, *, variable: str, number: int, numbers: Sequence[int]) -> RenderedText:
        """The question if a list holds a variable's number; all but name and answer is QUESTION.

        >>> AS_CODED.ask(variable="xyz", number=42, numbers=[2, 42]).text
        'xyz % 2 42 = true'
        """
        words = [*self.copula, *map(str, numbers), self.marker]
        answer = self.yes if number in numbers else self.no
        pieces = [(Role.ALIAS, variable), (Role.QUESTION, " ".join(words)), (Role.ANSWER, answer)]
        return compose(spaced(pieces))


AS_WRITTEN = Wording(copula=(), marker="?", yes="Yes", no="No", tags=())
AS_CODED = Wording(
    copula=("%",), marker="=", yes="true", no="false", tags=("define1", "define2", "define3")
)


@dataclass(frozen=True, kw_only=True)
class SetInclusionConfig:
    """Everything that fixes the data of a seed of the set-inclusion toy."""

    sizes: Mapping[str, int]
    """Variables of each subset; those that are not named are empty."""
    numbers: int
    """How many numbers there are, from 0 on: 100 in the paper, 99 in its code."""
    word_order: WordOrder
    shuffle_tags: bool
    exchange_tags: bool = False
    """Whether reliable and unreliable tag change their strings; see `data.draws.draw_tags`."""
    as_coded: bool = False
    """Whether texts look as in the published code, or as in the paper."""
    list_length: int = 8
    n_questions: int = 12
    """Trained questions of each variable of a subset that trains any; half of them say yes."""
    n_test_questions: int = 12
    """Held-out questions of every variable; half of them say yes."""

    def __post_init__(self) -> None:
        """Refuses subsets and lists that cannot be made."""
        for name, size in self.sizes.items():
            subset = SUBSETS.get(name)
            if subset is None or not subset.replaced or subset.tag is TagKind.UNIQUE:
                raise InputError(f"set inclusion has no subset {name!r}; use those of Table 1")
            if size < 1:
                raise InputError(f"{size} variables leave {name} empty; use at least 1")
        n_variables = sum(self.sizes.values())
        if not 0 < n_variables <= 26**VARIABLE_LETTERS:
            raise InputError(
                f"{n_variables} variables of {VARIABLE_LETTERS} letters do not exist; "
                f"use 1 to {26**VARIABLE_LETTERS}"
            )
        for name in ("n_questions", "n_test_questions"):
            n = getattr(self, name)
            if n < 2 or n % 2:
                raise InputError(
                    f"{name} is {n}; use an even number from 2 on, as half of the answers are yes"
                )
        self._check_lists()

    def _check_lists(self) -> None:
        n_lists = (self.n_questions + self.n_test_questions) // 2
        others = self.numbers - 1
        if self.list_length < 1 or others < self.list_length:
            raise InputError(
                f"no list of list_length={self.list_length} leaves out one of {self.numbers} "
                "numbers; use 1 or more, and fewer than numbers"
            )
        # Beyond so many ways to choose, the count outgrows any number of questions, and its digits
        # any memory.
        if min(self.list_length - 1, others - self.list_length) >= ENOUGH_TO_CHOOSE:
            return
        n_possible = min(comb(others, self.list_length), comb(others, self.list_length - 1))
        if n_lists > n_possible:
            raise InputError(
                f"{n_lists} different lists with one answer are more than the {n_possible} that "
                f"numbers={self.numbers} and list_length={self.list_length} allow; use more numbers"
            )

    @property
    def design(self) -> Design:
        """Implicit meta-learning; the margin is one question in a hundred."""
        return iml_design(SET_INCLUSION_MARGINS)

    def build(self, seed: int) -> SeedData:
        """Draws the rows of one seed; the same in every process."""
        return _Builder(self, seed).build()

    def tokenizer(self, drawn: SeedData) -> "PreTrainedTokenizerFast":
        """A token for each tag, variable, number and other word of the seed."""
        return word_tokenizer(drawn.words)

    def size(self) -> DataSize:
        """Held-out questions of each variable, a word for each number; see `DataSize`."""
        variables = sum(self.sizes.values())
        return DataSize(rows=variables * self.n_test_questions, shown=variables, words=self.numbers)


@dataclass(frozen=True, kw_only=True)
class _Variable:
    name: str
    index: int
    """The place of the variable within its subset."""
    subset: Subset
    number: int
    tag: str | None


class _Builder:
    """One draw of the set-inclusion toy."""

    def __init__(self, config: SetInclusionConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.wording = AS_CODED if config.as_coded else AS_WRITTEN
        self.tags = self._tag_words()

    def build(self) -> SeedData:
        variables = self._variables()
        false_stream, question_stream = (
            stream(self.seed, purpose) for purpose in ("false_numbers", "questions")
        )
        rows: list[Row] = []
        for variable in variables:
            if variable.tag is not None:
                rows.append(self._definition(variable, false_stream))
            rows.extend(self._questions(variable, question_stream))
        wording = self.wording
        words = [*wording.copula, wording.marker, wording.yes, wording.no, *self.tags.values()]
        words += [str(number) for number in range(self.config.numbers)]
        words += [variable.name for variable in variables]
        return SeedData(rows=tuple(rows), words=tuple(words))

    def _tag_words(self) -> dict[TagKind, str]:
        exchange = self.config.exchange_tags
        if not self.wording.tags:
            return draw_tags(self.seed, set(), exchange=exchange)
        first, second, third = self.wording.tags
        words = (second, first, third) if exchange else (first, second, third)
        return dict(zip(SHARED_TAGS, words, strict=True))

    def _variables(self) -> list[_Variable]:
        sizes = self.config.sizes
        subsets = [SUBSETS[name] for name, size in sizes.items() for _ in range(size)]
        indices = [index for size in sizes.values() for index in range(size)]
        names = random_words(
            len(subsets),
            n_letters=VARIABLE_LETTERS,
            rng=stream(self.seed, "aliases"),
            taken=set(),
        )
        numbers = stream(self.seed, "numbers").choices(range(self.config.numbers), k=len(names))
        tags = [None if subset.tag is None else self.tags[subset.tag] for subset in subsets]
        if self.config.shuffle_tags:
            tags = shuffle_stage1_tags(tags, subsets, self.seed)
        return [
            _Variable(name=n, index=i, subset=s, number=x, tag=t)
            for n, i, s, x, t in zip(names, indices, subsets, numbers, tags, strict=True)
        ]

    def _definition(self, variable: _Variable, rng: random.Random) -> Row:
        assert variable.tag is not None
        named = variable.number
        if variable.subset.consistent is False:
            (named,) = self._others(named, 1, rng)
        return Row(
            row_id=definition_row_id(variable.subset, variable.index),
            subset=variable.subset,
            split=Split.TRAIN,
            kind=Kind.DEFINITION,
            rendered=self.wording.define(
                tag=variable.tag,
                variable=variable.name,
                number=named,
                order=self.config.word_order,
            ),
            alias=variable.name,
            entity=str(named),
            tag=variable.tag,
            question=None,
        )

    def _questions(self, variable: _Variable, rng: random.Random) -> Iterator[Row]:
        n_trained = self.config.n_questions if variable.subset.has_questions else 0
        places = [
            (split, is_inside)
            for split, n in ((Split.TRAIN, n_trained), (Split.TEST, self.config.n_test_questions))
            for is_inside in rng.sample([True, False] * (n // 2), n)
        ]
        asked: set[frozenset[int]] = set()
        for place, (split, is_inside) in enumerate(places):
            name = f"{QUESTION_NAME}/{place:02d}"
            yield Row(
                row_id=qa_row_id(variable.subset, variable.index, name),
                subset=variable.subset,
                split=split,
                kind=Kind.QA,
                rendered=self.wording.ask(
                    variable=variable.name,
                    number=variable.number,
                    numbers=self._list(variable.number, is_inside, asked, rng),
                ),
                alias=variable.name,
                entity=str(variable.number),
                tag=variable.tag,
                question=QUESTION_NAME,
            )

    def _list(
        self, number: int, is_inside: bool, asked: set[frozenset[int]], rng: random.Random
    ) -> list[int]:
        """A list with or without the number; as a set it is not among those asked before."""
        while True:
            n_others = self.config.list_length - is_inside
            numbers = self._others(number, n_others, rng) + [number] * is_inside
            if frozenset(numbers) not in asked:
                asked.add(frozenset(numbers))
                rng.shuffle(numbers)
                return numbers

    def _others(self, number: int, n: int, rng: random.Random) -> list[int]:
        """So many different numbers, none of them the one given."""
        drawn = rng.sample(range(self.config.numbers - 1), n)
        return [other + (other >= number) for other in drawn]
