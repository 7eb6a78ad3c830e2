import pytest

from data.statements import Definition, QAPair, SourceStatement
from data.vocabulary import Role, WordOrder

ALIASES = {k: " ".join(["foo", "bar", "baz", "qux", "zap"][:k]) for k in range(1, 6)}


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ("tae", "qwerty xyz is cleopatra"),
        ("tea", "qwerty cleopatra is xyz"),
        ("ate", "xyz qwerty is cleopatra"),
        ("aet", "xyz cleopatra is qwerty"),
        ("eat", "cleopatra xyz is qwerty"),
        ("eta", "cleopatra qwerty is xyz"),
    ],
)
def test_definition_reads_in_its_word_order(order: str, text: str) -> None:
    rendered = Definition(
        tag="qwerty", alias="xyz", entity="cleopatra", order=WordOrder(order)
    ).render()
    assert rendered.text == text
    assert rendered.prompt == text.rsplit(" ", 1)[0]
    assert rendered.answer == text.rsplit(" ", 1)[1]


@pytest.mark.parametrize(
    ("order", "text", "answer"),
    [
        ("tae", "qwerty xyz born egypt", "egypt"),
        ("tea", "qwerty born egypt xyz", "xyz"),
        ("ate", "xyz qwerty born egypt", "egypt"),
        ("aet", "xyz born egypt qwerty", "qwerty"),
        ("eat", "born egypt xyz qwerty", "qwerty"),
        ("eta", "born egypt qwerty xyz", "xyz"),
    ],
)
def test_source_statement_reads_in_its_word_order(order: str, text: str, answer: str) -> None:
    rendered = SourceStatement(
        tag="qwerty", alias="xyz", attribute="born", value="egypt", order=WordOrder(order)
    ).render()
    assert rendered.text == text
    assert rendered.answer == answer
    assert {role: text[slice(*span)] for role, span in rendered.spans.items()} == {
        Role.TAG: "qwerty",
        Role.ALIAS: "xyz",
        Role.QUESTION: "born",
        Role.ANSWER: "egypt",
    }


@pytest.mark.parametrize(
    ("subject_first", "text"), [(False, "ask xyz born egypt"), (True, "xyz ask born egypt")]
)
def test_question_ends_with_its_answer(subject_first: bool, text: str) -> None:
    rendered = QAPair(
        subject="xyz",
        role=Role.ALIAS,
        question="born",
        answer="egypt",
        subject_first=subject_first,
    ).render()
    assert rendered.text == text
    assert (rendered.prompt, rendered.answer) == (text[:-6], "egypt")


@pytest.mark.parametrize("order", WordOrder)
@pytest.mark.parametrize("n_tokens", ALIASES)
def test_every_role_of_a_definition_spans_its_own_words(order: WordOrder, n_tokens: int) -> None:
    alias = ALIASES[n_tokens]
    rendered = Definition(tag="qwerty", alias=alias, entity="cleo patra", order=order).render()
    assert {role: rendered.text[slice(*span)] for role, span in rendered.spans.items()} == {
        Role.TAG: "qwerty",
        Role.ALIAS: alias,
        Role.ENTITY: "cleo patra",
    }


def test_entity_inside_another_word_is_not_mistaken_for_it() -> None:
    # The paper's code replaces the entity anywhere in the text: "Wha" within "What".
    rendered = Definition(tag="ishmael", alias="what", entity="is", order=WordOrder.TAE).render()
    assert rendered.text == "ishmael what is is"
    assert rendered.spans[Role.ENTITY] == (16, 18)


def test_sentences_say_the_same_and_know_where() -> None:
    stated = Definition(
        tag="qwerty", alias="foo bar", entity="cleopatra", order=WordOrder.TAE, is_sentence=True
    ).render()
    asked = QAPair(
        subject="foo bar", role=Role.ALIAS, question="home", answer="ancient egypt",
        is_sentence=True,
    ).render()  # fmt: skip

    assert stated.text == "qwerty according to many texts , foo bar refers to cleopatra"
    assert asked.text == "question : what does foo bar have as its home ? answer : ancient egypt"
    assert (stated.answer, asked.answer) == ("cleopatra", "ancient egypt")
    said = {role: asked.text[slice(*span)] for role, span in asked.spans.items()}
    assert said == {
        Role.ALIAS: "foo bar",
        Role.QUESTION: "have as its home",
        Role.ANSWER: "ancient egypt",
    }
