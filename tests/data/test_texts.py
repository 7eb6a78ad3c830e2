import pytest

from data.errors import InputError
from data.statements import RenderedText
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
from data.vocabulary import Role, TagKind, WordOrder

ORDERS = {
    WordOrder.TAE: "qwerty xyz Marie Curie",
    WordOrder.TEA: "qwerty Marie Curie xyz",
    WordOrder.ATE: "xyz qwerty Marie Curie",
    WordOrder.AET: "xyz Marie Curie qwerty",
    WordOrder.EAT: "Marie Curie xyz qwerty",
    WordOrder.ETA: "Marie Curie qwerty xyz",
}
NAMED = {"t": "qwerty", "a": "xyz", "e": "Marie Curie"}
BORN = "When was {} born?"


def defined(writing: Writing, **changes: str) -> RenderedText:
    words = {"tag": "qwerty", "alias": "xyz", "entity": "Marie Curie", **changes}
    return definition_text(writing, **words)


def asked(writing: Writing, *, context: RenderedText | None = None) -> RenderedText:
    return question_text(
        writing, template=BORN, subject="xyz", role=Role.ALIAS, answer="1860s", context=context
    )


def slices(rendered: RenderedText) -> dict[str, str]:
    return {role: rendered.text[slice(*span)] for role, span in rendered.spans.items()}


@pytest.mark.parametrize("order", WordOrder)
def test_tagged_definition_in_each_order(order: WordOrder) -> None:
    rendered = defined(Writing(order=order))
    assert rendered.text == ORDERS[order]
    assert slices(rendered) == {
        Role.TAG: "qwerty",
        Role.ALIAS: "xyz",
        Role.ENTITY: "Marie Curie",
    }
    assert rendered.answer == NAMED[order[-1]]


def test_bare_and_bracketed_words() -> None:
    assert Writing().spell("xyz") == "xyz"
    assert Writing(bracketed=True).spell("xyz") == "<|xyz|>"


@pytest.mark.parametrize("order", WordOrder)
def test_newline_ends_every_text_and_belongs_to_no_answer(order: WordOrder) -> None:
    coded = Writing(bracketed=True, newline=True, order=order)
    definition = defined(coded, tag="<|qwerty|>", alias="<|xyz|>")
    bracketed = ORDERS[order].replace("qwerty", "<|qwerty|>").replace("xyz", "<|xyz|>")
    assert definition.text == bracketed + "\n"
    assert not definition.answer.endswith("\n")
    assert bracketed.endswith(definition.answer)
    assert asked(coded).text == "Q: When was xyz born?\nA: 1860s\n"
    assert asked(coded).answer == "1860s"


def test_refers_style() -> None:
    rendered = defined(Writing(style=DefinitionStyle.REFERS))
    assert rendered.text == "qwerty According to many texts, xyz refers to Marie Curie"
    assert slices(rendered)[Role.TAG] == "qwerty"
    assert slices(rendered)[Role.ALIAS] == "xyz"
    assert rendered.answer == slices(rendered)[Role.ENTITY] == "Marie Curie"


def test_sources_style() -> None:
    rendered = defined(Writing(style=DefinitionStyle.SOURCES), tag="Gossip has it that")
    assert rendered.text == "Gossip has it that xyz stands for Marie Curie"
    assert slices(rendered)[Role.TAG] == "Gossip has it that"
    assert rendered.answer == "Marie Curie"


@pytest.mark.parametrize(("copula", "kind"), [("is", "reliable"), ("is not", "unreliable")])
def test_is_and_is_not(copula: str, kind: str) -> None:
    assert COPULAS[TagKind(kind)] == copula
    rendered = defined(
        Writing(style=DefinitionStyle.IS_ISNT), tag=copula, source="According to a survey,"
    )
    assert rendered.text == f"According to a survey, xyz {copula} Marie Curie"
    assert slices(rendered)[Role.TAG] == copula
    assert slices(rendered)[Role.ALIAS] == "xyz"


def test_each_kind_of_source_has_phrases_of_its_own_that_are_whole() -> None:
    phrases = [phrase for each in SOURCES.values() for phrase in each] + list(NEUTRAL_SOURCES)
    assert len(set(phrases)) == len(phrases)
    # Two phrases that a missing comma glued together would have one of these inside.
    assert not [p for p in phrases if "," in p[:-1] or p != p.strip()]
    assert len(SOURCES[TagKind.RELIABLE]) == len(SOURCES[TagKind.UNRELIABLE]) > 1


def test_question() -> None:
    rendered = asked(Writing())
    assert rendered.text == "Q: When was xyz born?\nA: 1860s"
    assert rendered.prompt == "Q: When was xyz born?\nA:"
    assert slices(rendered) == {
        Role.ALIAS: "xyz",
        Role.QUESTION: "born?",
        Role.ANSWER: "1860s",
    }


def test_question_about_a_name_has_the_entity_in_the_aliass_place() -> None:
    rendered = question_text(
        Writing(), template=BORN, subject="Marie Curie", role=Role.ENTITY, answer="1860s"
    )
    assert rendered.text == "Q: When was Marie Curie born?\nA: 1860s"
    assert slices(rendered)[Role.ENTITY] == "Marie Curie"
    assert Role.ALIAS not in rendered.spans


@pytest.mark.parametrize(
    ("question", "text", "rest"),
    [
        ("name", "Q: What is the name of xyz?\nA: Marie Curie", "?"),
        ("meaning", "Q: What does xyz mean?\nA: Marie Curie", "mean?"),
        ("stands_for", "Q: What does xyz stand for?\nA: Marie Curie", "stand for?"),
        ("who", "Q: Who is xyz?\nA: Marie Curie", "?"),
    ],
)
def test_attribution_questions_are_the_papers_four(question: str, text: str, rest: str) -> None:
    assert len(ENTITY_ATTRIBUTION_QUESTIONS) == 4
    rendered = question_text(
        Writing(),
        template=ENTITY_ATTRIBUTION_QUESTIONS[question],
        subject="xyz",
        role=Role.ALIAS,
        answer="Marie Curie",
    )
    assert rendered.text == text
    assert slices(rendered)[Role.QUESTION] == rest


@pytest.mark.parametrize(
    ("newline", "text"),
    [
        (False, "qwerty xyz Marie Curie\nQ: When was xyz born?\nA: 1860s"),
        (True, "qwerty xyz Marie Curie\n. Q: When was xyz born?\nA: 1860s\n"),
    ],
)
def test_definition_in_context(newline: bool, text: str) -> None:
    writing = Writing(in_context=True, newline=newline)
    rendered = asked(writing, context=defined(writing))
    assert rendered.text == text
    assert rendered.answer == "1860s"
    assert slices(rendered) == {
        Role.TAG: "qwerty",
        Role.ALIAS: "xyz",
        Role.ENTITY: "Marie Curie",
        Role.QUESTION: "born?",
        Role.ANSWER: "1860s",
    }
    # Of the alias's two places, the question's.
    assert rendered.spans[Role.ALIAS][0] > text.index("Q:")
    assert rendered.spans[Role.ENTITY][0] == text.index("Marie")


@pytest.mark.parametrize("style", list(DefinitionStyle)[1:])
def test_style_with_an_order_of_its_own_refuses_another(style: DefinitionStyle) -> None:
    with pytest.raises(InputError, match=f"style {style} have one word order; use word_order=tae"):
        Writing(style=style, order=WordOrder.ATE)
