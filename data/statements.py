"""Definitions, questions and source statements; the only place where text is rendered.

A statement renders to `RenderedText`: its text, where its answer begins, and the character span of
every role, so that any analysis can ask for "the last token of the alias" in any word order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from data.vocabulary import Role, WordOrder

QUESTION_MARKER = "ask"
COPULA = "is"
STATED, REFERS = "according to many texts ,", "refers to"
ASKED, HAS, ANSWERED = "question : what does", "have as its", "? answer :"
SENTENCE_WORDS = tuple(" ".join((STATED, REFERS, ASKED, HAS, ANSWERED)).split())
"""The words of sentences beside tags, aliases, entities, attributes and values."""

Piece = tuple[Role | None, str]


@dataclass(frozen=True, kw_only=True)
class RenderedText:
    """A text with the character span of each role, ends exclusive."""

    text: str
    answer_span: tuple[int, int]
    """The part to be predicted: the text's end, but for a closing newline where a run writes one.

    Of a definition, its last element."""
    spans: dict[str, tuple[int, int]]
    """By `Role`, or by what a person calls one in prompts of their own."""

    @property
    def prompt(self) -> str:
        """What stands before the answer, without the space between."""
        return self.text[: self.answer_span[0]].rstrip()

    @property
    def answer(self) -> str:
        """What the model should say after the prompt."""
        return self.text[slice(*self.answer_span)]


@dataclass(frozen=True, kw_only=True)
class Definition:
    """States which entity an alias stands for; paper section 2, "qwerty xyz Cleopatra".

    >>> Definition(tag="qwerty", alias="xyz", entity="cleopatra", order=WordOrder.TAE).render().text
    'qwerty xyz is cleopatra'
    """

    tag: str
    alias: str
    entity: str
    order: WordOrder
    is_sentence: bool = False
    """Whether it is worded as a sentence, which has the order TAE (the paper's footnote 2)."""

    def render(self) -> RenderedText:
        """Tag, alias and entity in the given order, the copula before the last of them."""
        if self.is_sentence:
            tag, alias, entity = (
                (Role.TAG, self.tag),
                (Role.ALIAS, self.alias),
                (Role.ENTITY, self.entity),
            )
            return compose(spaced([tag, (None, STATED), alias, (None, REFERS), entity]))
        elements: dict[str, Piece] = {
            "t": (Role.TAG, self.tag),
            "a": (Role.ALIAS, self.alias),
            "e": (Role.ENTITY, self.entity),
        }
        *others, last = (elements[letter] for letter in self.order)
        return compose(spaced([*others, (None, COPULA), last]))


@dataclass(frozen=True, kw_only=True)
class SourceStatement:
    """States one attribute's value itself instead of naming an entity (the source-statement toy).

    In a word order, attribute and value together take the place of the entity.

    >>> statement = SourceStatement(tag="qwerty", alias="xyz", attribute="born", value="egypt",
    ...                             order=WordOrder.TAE)
    >>> statement.render().prompt
    'qwerty xyz born'
    """

    tag: str
    alias: str
    attribute: str
    value: str
    order: WordOrder

    def render(self) -> RenderedText:
        """Tag, alias and attribute-value in the given order."""
        elements: dict[str, list[Piece]] = {
            "t": [(Role.TAG, self.tag)],
            "a": [(Role.ALIAS, self.alias)],
            "e": [(Role.QUESTION, self.attribute), (Role.ANSWER, self.value)],
        }
        return compose(spaced([piece for letter in self.order for piece in elements[letter]]))


@dataclass(frozen=True, kw_only=True)
class QAPair:
    """Asks for an attribute of an alias, or of an entity by its own name.

    Where definitions begin with their alias, so does the question: the subject then stands at the
    same distance from the prompt's end in both, as it does in the other orders.

    >>> QAPair(subject="xyz", role=Role.ALIAS, question="born", answer="egypt").render().text
    'ask xyz born egypt'
    """

    subject: str
    role: Role
    """`ALIAS`, or `ENTITY` where the name was not replaced (QA4)."""
    question: str
    answer: str
    subject_first: bool = False
    is_sentence: bool = False
    """Whether it is worded as a sentence; what follows the subject then has the role QUESTION."""

    def render(self) -> RenderedText:
        """Marker and subject, then the question, then the answer."""
        if self.is_sentence:
            asked = (Role.QUESTION, f"{HAS} {self.question}")
            subject, answer = (self.role, self.subject), (Role.ANSWER, self.answer)
            return compose(spaced([(None, ASKED), subject, asked, (None, ANSWERED), answer]))
        opening: list[Piece] = [(None, QUESTION_MARKER), (self.role, self.subject)]
        if self.subject_first:
            opening.reverse()
        return compose(
            spaced([*opening, (Role.QUESTION, self.question), (Role.ANSWER, self.answer)])
        )


def compose(pieces: Sequence[Piece], *, end: str = "") -> RenderedText:
    """Joins pieces as they are; the last one is the answer, `end` comes after it.

    Of a role that occurs twice, the span is that of the second place.
    """
    text = ""
    spans: dict[str, tuple[int, int]] = {}
    start = 0
    for role, words in pieces:
        start = len(text)
        text += words
        if role is not None:
            spans[role] = (start, len(text))
    return RenderedText(text=text + end, answer_span=(start, len(text)), spans=spans)


def spaced(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces with a single space between each two."""
    return [part for piece in pieces for part in ((None, " "), piece)][1:]
