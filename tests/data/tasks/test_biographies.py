import re
from collections import Counter

import pytest

from data.errors import InputError
from data.facts import FactWorld
from data.rows import Row
from data.tasks.biographies import STATEMENTS, Telling, biography_rows
from data.texts import Writing
from data.tokenizers import TrainedTokenizer
from data.tokens import tokenize_rows
from data.vocabulary import Family, Kind, Role, Split
from data.worlds.people import PERSON_QUESTIONS, PeopleWorld

WORLD = FactWorld(
    name="two",
    questions={"birth": "When was {} born?", "occupation": "What did {} do?"},
    facts={
        "Tapis Jorel": {"birth": ("1920s", "20 century"), "occupation": ("nurse",)},
        "Mipenen Lud": {"birth": ("2 century BC",), "occupation": ("spy",)},
    },
)
PEOPLE = PeopleWorld(n_people=30, seed=3)


def told(**changes: int | bool) -> tuple[Row, ...]:
    settings = {"statements": 2, "question_repeats": 3, "names": True, "seed": 0} | changes
    return biography_rows(WORLD, Writing(), Telling(**settings))  # pyright: ignore[reportArgumentType]


def test_a_fact_is_asked_as_stage_1_asks_it_with_its_first_answer() -> None:
    row = next(row for row in told() if row.is_evaluated)
    assert row.rendered.text == "Q: When was Tapis Jorel born?\nA: 1920s"
    assert row.rendered.answer == "1920s"
    assert (row.entity, row.question, row.repeats) == ("Tapis Jorel", "birth", 3)


def test_every_template_has_a_place_for_name_and_answer_one_of_them_at_the_end() -> None:
    assert set(STATEMENTS) == set(PERSON_QUESTIONS)
    for template in (each for templates in STATEMENTS.values() for each in templates):
        assert sorted(re.findall(r"\{\w+\}", template)) == ["{answer}", "{name}"]
        assert template.endswith((" {name}", " {answer}"))
        assert " {name}" in template, "a name without a space before it is other tokens"


def test_statements_have_the_spans_of_name_and_answer() -> None:
    rows = biography_rows(
        WORLD, Writing(), Telling(statements=7, question_repeats=1, names=False, seed=0)
    )
    for row in rows:
        assert row.entity is not None
        assert row.question is not None
        text, spans = row.rendered.text, row.rendered.spans
        assert text[slice(*spans[Role.ENTITY])] == row.entity
        (answer, *_) = WORLD.facts[row.entity][row.question]
        assert text[slice(*spans[Role.ANSWER])] == answer
        assert row.rendered.answer in (answer, row.entity)
    said = [row.rendered.text for row in rows if row.kind is Kind.DEFINITION]
    assert "It is known that Tapis Jorel was born in 1920s" in said
    assert "Among those who worked as spy was Mipenen Lud" in said
    assert len(set(said)) == len(said) == 2 * 2 * 7


def test_names_are_asked_for_where_that_is_wanted() -> None:
    asked = [row for row in told() if row.family is Family.ENTITY_ATTRIBUTION]
    assert [row.rendered.text for row in asked[:4]][-1] == "Q: Who is Tapis Jorel?\nA: Tapis Jorel"
    assert len(asked) == 2 * 4
    assert not any(row.family is Family.ENTITY_ATTRIBUTION for row in told(names=False))


def test_no_row_tells_of_two_people_or_of_two_facts() -> None:
    world = PEOPLE.load()
    rows = biography_rows(
        world, Writing(), Telling(statements=7, question_repeats=1, names=True, seed=0)
    )
    for row in rows:
        assert [name for name in world.entities if name in row.rendered.text] == [row.entity]
        assert row.rendered.text.count("{") == 0
    facts = Counter((row.entity, row.question) for row in rows)
    assert set(facts.values()) == {8, 1}  # a fact, and each of the questions for a name
    assert len({row.row_id for row in rows}) == len(rows)
    assert {row.split for row in rows} == {Split.TRAIN}
    assert all(row.is_fact for row in rows)


def test_phrasings_are_drawn_for_each_fact_and_the_same_every_time() -> None:
    def chosen(seed: int) -> list[str]:
        return [row.row_id for row in told(seed=seed) if row.kind is Kind.DEFINITION]

    assert chosen(0) == chosen(0) != chosen(1)
    used = Counter(
        row.row_id.rsplit(" ", 1)[1]
        for row in biography_rows(
            PEOPLE.load(), Writing(), Telling(statements=2, question_repeats=1, names=False, seed=0)
        )
        if row.kind is Kind.DEFINITION
    )
    assert set(used) == set("0123456")


def test_a_name_is_the_same_tokens_wherever_it_stands() -> None:
    world = PEOPLE.load()
    rows = biography_rows(
        world, Writing(), Telling(statements=7, question_repeats=1, names=True, seed=0)
    )
    tokenizer = TrainedTokenizer(texts=PEOPLE, vocabulary_size=400).load()
    spelled: dict[str, set[tuple[int, ...]]] = {}
    for row in tokenize_rows(rows, tokenizer):
        first, last = row.spans[Role.ENTITY]
        spelled.setdefault(str(row.row.entity), set()).add(row.input_ids[first : last + 1])
    assert len(spelled) == 30
    assert all(len(spellings) == 1 for spellings in spelled.values())


@pytest.mark.parametrize(
    "changes", [{"statements": 8}, {"statements": -1}, {"question_repeats": 0}]
)
def test_more_phrasings_than_there_are_and_no_questions_are_refused(
    changes: dict[str, int],
) -> None:
    with pytest.raises(InputError, match="use 0 to 7 statements"):
        told(**changes)


def test_a_world_that_is_not_of_people_can_only_be_asked() -> None:
    world = FactWorld(
        name="works",
        questions={"genre": "What genre is {}?", "year": "When was {} made?"},
        facts={"Solaris": {"genre": ("film",), "year": ("1972",)}},
    )
    plain = Telling(statements=0, question_repeats=1, names=False, seed=0)
    texts = [row.rendered.text for row in biography_rows(world, Writing(), plain)]
    assert texts == ["Q: What genre is Solaris?\nA: film", "Q: When was Solaris made?\nA: 1972"]
    stated = Telling(statements=1, question_repeats=1, names=False, seed=0)
    with pytest.raises(InputError, match="no way to state genre of world works"):
        biography_rows(world, Writing(), stated)
