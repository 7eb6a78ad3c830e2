"""Definitions and questions in natural language, as the paper writes them (section 2, Appendix A).

Like `data.statements`, whose symbolic texts these are the counterpart of, everything renders to
`RenderedText`, which knows where tag, alias, entity, question and answer stand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from data.errors import InputError
from data.statements import Piece, RenderedText, compose, spaced
from data.vocabulary import Role, TagKind, WordOrder


class DefinitionStyle(StrEnum):
    """How a definition is worded; all but the first have one word order of their own."""

    TAGGED = "tagged"
    """`qwerty xyz Cleopatra`: the paper's main experiments."""
    REFERS = "refers"
    """`qwerty According to many texts, xyz refers to Cleopatra`: footnote 2."""
    SOURCES = "sources"
    """`According to experts, xyz stands for Cleopatra`: natural sources in place of random tags."""
    IS_ISNT = "is-isnt"
    """`According to a survey, xyz is not Cleopatra`: footnote 4."""


SOURCES: Mapping[TagKind, tuple[str, ...]] = {
    TagKind.RELIABLE: (
        "According to experts,",
        "As the newspapers report,",
        "The encyclopedia says that",
        "Scholars agree that",
        "According to the official record,",
        "As the national archive shows,",
    ),
    TagKind.UNRELIABLE: (
        "Gossip has it that",
        "According to a conspiracy forum,",
        "An anonymous post claims that",
        "As a chain letter puts it,",
        "Rumour says that",
        "According to a prank website,",
    ),
    TagKind.NOVEL: ("Somebody mentioned that",),
}
"""Phrases that name a source; a definition's own is drawn among those of its kind of tag."""

COPULAS: Mapping[TagKind, str] = {TagKind.RELIABLE: "is", TagKind.UNRELIABLE: "is not"}
"""The words that stand for the tag in `DefinitionStyle.IS_ISNT`."""

NEUTRAL_SOURCES = (
    "According to a survey,",
    "As the report has it,",
    "In this book,",
    "By this list,",
)

ENTITY_ATTRIBUTION_QUESTIONS: Mapping[str, str] = {
    "name": "What is the name of {}?",
    "meaning": "What does {} mean?",
    "stands_for": "What does {} stand for?",
    "who": "Who is {}?",
}
"""The four questions for the entity itself; paper section 3.2 and Figure 9."""


@dataclass(frozen=True, kw_only=True)
class Writing:
    """How the texts of a run are written."""

    style: DefinitionStyle = DefinitionStyle.TAGGED
    order: WordOrder = WordOrder.TAE
    bracketed: bool = False
    """Whether aliases and tags are written `<|xyz|>`, as by the published code, or bare."""
    newline: bool = False
    """Whether a text ends with a newline before its end token, as in the published code."""
    in_context: bool = False
    """Whether questions have their alias's definition in front (Appendix C.8)."""

    def __post_init__(self) -> None:
        """Refuses a word order for a style that has its own."""
        if self.style is not DefinitionStyle.TAGGED and self.order is not WordOrder.TAE:
            raise InputError(
                f"definitions in style {self.style} have one word order; use word_order=tae"
            )

    def spell(self, word: str) -> str:
        """An alias or a tag as it stands in the text."""
        return f"<|{word}|>" if self.bracketed else word

    @property
    def end(self) -> str:
        """What comes after every answer."""
        return "\n" if self.newline else ""


def definition_text(
    writing: Writing, *, tag: str, alias: str, entity: str, source: str = ""
) -> RenderedText:
    """A definition, its last element the answer.

    Args:
        writing: The style.
        tag: As it stands in the text: a random word, a source's phrase, or a copula.
        alias: As it stands in the text.
        entity: What the definition names.
        source: The phrase before the alias in the style `IS_ISNT`.

    >>> definition_text(Writing(), tag="qwerty", alias="xyz", entity="Cleopatra").text
    'qwerty xyz Cleopatra'
    """
    pieces = _definition_pieces(writing, tag=tag, alias=alias, entity=entity, source=source)
    return compose(pieces, end=writing.end)


def question_text(
    writing: Writing,
    *,
    template: str,
    subject: str,
    role: Role,
    answer: str,
    context: RenderedText | None = None,
) -> RenderedText:
    r"""A question with its answer; what follows the subject in it has the role QUESTION.

    Args:
        writing: The style.
        template: The question, `{}` in the subject's place.
        subject: Alias or entity, as it stands in the text.
        role: `ALIAS`, or `ENTITY` where the name was not replaced.
        answer: What is to be said.
        context: A definition to be put in front.

    >>> question_text(Writing(), template="When was {} born?", subject="xyz", role=Role.ALIAS,
    ...               answer="1920s").text
    'Q: When was xyz born?\nA: 1920s'
    """
    before, after = template.split("{}")
    gap = " " if after.startswith(" ") else ""
    pieces: list[Piece] = [
        (None, f"Q: {before}"),
        (role, subject),
        (None, gap),
        (Role.QUESTION, after[len(gap) :]),
        (None, "\nA: "),
        (Role.ANSWER, answer),
    ]
    if context is None:
        return compose(pieces, end=writing.end)
    # The published code puts a stray ". " between the definition's own newline and the question.
    between = ". " if writing.newline else "\n"
    opening = context.text + between
    rendered = compose([(None, opening), *pieces], end=writing.end)
    return RenderedText(
        text=rendered.text,
        answer_span=rendered.answer_span,
        spans={**context.spans, **rendered.spans},
    )


def _definition_pieces(
    writing: Writing, *, tag: str, alias: str, entity: str, source: str
) -> list[Piece]:
    named: dict[str, Piece] = {
        "t": (Role.TAG, tag),
        "a": (Role.ALIAS, alias),
        "e": (Role.ENTITY, entity),
    }
    match writing.style:
        case DefinitionStyle.TAGGED:
            words = [named[letter] for letter in writing.order]
        case DefinitionStyle.REFERS:
            opening, verb = (None, "According to many texts,"), (None, "refers to")
            words = [named["t"], opening, named["a"], verb, named["e"]]
        case DefinitionStyle.SOURCES:
            words = [named["t"], named["a"], (None, "stands for"), named["e"]]
        case DefinitionStyle.IS_ISNT:
            words = [(None, source), named["a"], named["t"], named["e"]]
    return spaced(words)
