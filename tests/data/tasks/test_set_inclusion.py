import hashlib
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from data.errors import InputError
from data.tasks.iml import SUBSETS
from data.tasks.set_inclusion import AS_CODED, AS_WRITTEN, TABLE_3
from data.tasks.subset_sizes import split_sizes
from data.tokens import tokenize_rows
from data.vocabulary import Kind, Part, Role, Split, TagKind, WordOrder
from tests.data.tasks.set_inclusion_rows import (
    SEEDS,
    SIZES,
    WHOLE_TABLE,
    candidates,
    listed,
    make,
    questions_of,
)


def test_texts_are_those_of_the_paper() -> None:
    # Section 4.1, with its three examples' own words.
    defined = AS_WRITTEN.define(tag="qwerty", variable="xyz", number=42, order=WordOrder.TAE)
    assert defined.text == "qwerty xyz 42"
    yes, no = (
        AS_WRITTEN.ask(variable="xyz", number=42, numbers=numbers)
        for numbers in ([2, 31, 95, 42, 8, 27, 6, 74], [2, 1, 7, 9, 5, 8, 0, 3])
    )
    assert yes.text == "xyz 2 31 95 42 8 27 6 74 ? Yes"
    assert no.text == "xyz 2 1 7 9 5 8 0 3 ? No"
    assert no.prompt == "xyz 2 1 7 9 5 8 0 3 ?"


def test_texts_are_those_of_the_published_code() -> None:
    defined = AS_CODED.define(tag="define1", variable="twr", number=63, order=WordOrder.TAE)
    assert defined.text == "define1 twr % 63"
    yes = AS_CODED.ask(variable="twr", number=63, numbers=[86, 97, 48, 19, 16, 38, 63, 87])
    no = AS_CODED.ask(variable="ukj", number=86, numbers=[13, 77, 41, 38, 50, 22, 85, 31])
    assert yes.text == "twr % 86 97 48 19 16 38 63 87 = true"
    assert no.text == "ukj % 13 77 41 38 50 22 85 31 = false"


@pytest.mark.parametrize(
    ("is_coded", "definition", "question"),
    [
        (False, r"[a-z]{6} [a-z]{3} \d{1,2}", r"[a-z]{3}( \d{1,2}){8} \? (Yes|No)"),
        (True, r"define[123] [a-z]{3} % \d{1,2}", r"[a-z]{3} %( \d{1,2}){8} = (true|false)"),
    ],
)
def test_every_text_has_the_form_of_its_variant(
    is_coded: bool, definition: str, question: str
) -> None:
    drawn = make(sizes=WHOLE_TABLE, as_coded=is_coded).build(0)
    forms = {Kind.DEFINITION: definition, Kind.QA: question}
    for row in drawn.rows:
        assert re.fullmatch(forms[row.kind], row.rendered.text), row.rendered.text


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("list_length", [2, 8])
def test_a_list_has_different_numbers_and_yes_means_that_it_holds_the_variables(
    seed: int, list_length: int
) -> None:
    drawn = make(numbers=30, list_length=list_length).build(seed)
    for rows in questions_of(drawn).values():
        for row in rows:
            numbers = listed(row)
            assert len(set(numbers)) == len(numbers) == list_length
            assert set(numbers) <= set(range(30))
            assert row.entity is not None
            assert row.rendered.answer == ("Yes" if int(row.entity) in numbers else "No")


def test_half_of_the_answers_are_yes_trained_and_tested() -> None:
    drawn = make(sizes=WHOLE_TABLE, n_test_questions=6).build(0)
    assert len(questions_of(drawn)) == sum(WHOLE_TABLE.values())
    for rows in questions_of(drawn).values():
        counts = Counter((row.split, row.rendered.answer) for row in rows)
        expected = {(Split.TEST, "Yes"): 3, (Split.TEST, "No"): 3}
        if rows[0].subset.has_questions:
            expected |= {(Split.TRAIN, "Yes"): 2, (Split.TRAIN, "No"): 2}
        assert counts == expected


def test_the_place_of_a_question_does_not_give_its_answer_away() -> None:
    drawn = make(sizes={"QA7_UNSEEN": 200}).build(0)
    first = [rows[0].rendered.answer for rows in questions_of(drawn).values()]
    # 100 expected, standard deviation 7.
    assert abs(first.count("Yes") - 100) < 35


def test_every_number_is_used_and_every_place_of_a_list_alike() -> None:
    drawn = make(sizes={"QA7_UNSEEN": 200}, numbers=10, list_length=4, n_test_questions=4).build(0)
    asked = questions_of(drawn)
    # 20 expected a number, standard deviation 4.2.
    by_number = Counter(rows[0].entity for rows in asked.values())
    assert set(by_number) == {str(number) for number in range(10)}
    assert max(by_number.values()) < 41
    places = Counter(
        listed(row).index(int(row.entity))
        for rows in asked.values()
        for row in rows
        if row.rendered.answer == "Yes" and row.entity is not None
    )
    # 100 expected a place, standard deviation 8.7.
    assert set(places) == set(range(4))
    assert all(abs(n - 100) < 43 for n in places.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_definitions_are_true_exactly_where_table_1_says(seed: int) -> None:
    drawn = make(sizes=WHOLE_TABLE).build(seed)
    numbers = {alias: rows[0].entity for alias, rows in questions_of(drawn).items()}
    defined = [row for row in drawn.rows if row.kind is Kind.DEFINITION]
    for row in defined:
        assert row.rendered.text.split() == [row.tag, row.alias, row.entity]
        assert (numbers[str(row.alias)] == row.entity) is row.subset.consistent
    assert Counter(row.subset.name for row in defined) == {
        name: n for name, n in WHOLE_TABLE.items() if SUBSETS[name].has_definitions
    }


def test_false_numbers_are_uniform_over_the_others() -> None:
    drawn = make(sizes={"D2_INCONS_QA2": 200}, numbers=5, list_length=2, n_questions=2).build(0)
    true = {alias: asked[0].entity for alias, asked in questions_of(drawn).items()}
    shifts = Counter(
        (int(str(row.entity)) - int(str(true[str(row.alias)]))) % 5
        for row in drawn.rows
        if row.kind is Kind.DEFINITION
    )
    # 50 expected of each, standard deviation 6.
    assert set(shifts) == {1, 2, 3, 4}
    assert all(abs(n - 50) < 30 for n in shifts.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_twelve_questions_leave_one_number_and_never_the_false_one(seed: int) -> None:
    drawn = make(n_questions=12).build(seed)
    named = {r.alias: r.entity for r in drawn.rows if r.kind is Kind.DEFINITION}
    for alias, rows in questions_of(drawn).items():
        trained = [row for row in rows if row.split is Split.TRAIN]
        if trained:
            left = candidates(trained, 100, "Yes")
            assert left == [int(str(rows[0].entity))]
            is_true = rows[0].subset.name == "D1_CONS_QA1"
            assert (int(str(named[alias])) in left) is is_true


def test_two_questions_leave_several_numbers() -> None:
    drawn = make(n_questions=2).build(0)
    for rows in questions_of(drawn).values():
        trained = [row for row in rows if row.split is Split.TRAIN]
        if trained:
            # The 8 of the list with a yes, but for those that the other list holds, too.
            inside = set(listed(trained[0])) ^ set(listed(trained[1]))
            assert set(candidates(trained, 100, "Yes")) <= inside
            assert len(candidates(trained, 100, "Yes")) > 1


@pytest.mark.parametrize("seed", SEEDS)
def test_no_variable_is_asked_about_the_same_set_twice(seed: int) -> None:
    # Of 6 numbers, 10 lists of 3 hold a given one and 10 do not: every list there is.
    drawn = make(numbers=6, list_length=3, n_questions=12, n_test_questions=8).build(seed)
    for rows in questions_of(drawn).values():
        assert len({frozenset(listed(row)) for row in rows}) == len(rows)


def test_table_3_gives_the_papers_sizes_and_questions() -> None:
    sizes = split_sizes(8000, TABLE_3)
    assert sizes == {"D1_CONS_QA1": 3200, "D2_INCONS_QA2": 3200, "D5_CONS": 800, "D6_CONS": 800}
    fewer = {name: n // 800 for name, n in sizes.items()}
    drawn = make(sizes=fewer, n_questions=12, n_test_questions=12).build(0)
    counts = Counter((row.subset.name, row.kind, row.split) for row in drawn.rows)
    assert counts == {
        **{(name, Kind.DEFINITION, Split.TRAIN): n for name, n in fewer.items()},
        **{(name, Kind.QA, Split.TEST): 12 * n for name, n in fewer.items()},
        ("D1_CONS_QA1", Kind.QA, Split.TRAIN): 12 * 4,
        ("D2_INCONS_QA2", Kind.QA, Split.TRAIN): 12 * 4,
    }


def test_stage_2_trains_definitions_only() -> None:
    rows = make(sizes=WHOLE_TABLE).build(0).training_rows(Part.X2)
    assert Counter((row.subset.name, row.kind) for row in rows) == {
        ("D5_CONS", Kind.DEFINITION): 4,
        ("D6_CONS", Kind.DEFINITION): 3,
        ("D8_CONS", Kind.DEFINITION): 6,
    }


def test_no_variable_is_in_two_subsets_and_row_ids_are_unique() -> None:
    drawn = make(sizes=WHOLE_TABLE).build(0)
    subsets = defaultdict(set)
    for row in drawn.rows:
        subsets[row.alias].add(row.subset.name)
    assert len(subsets) == sum(WHOLE_TABLE.values())
    assert {len(names) for names in subsets.values()} == {1}
    ids = [row.row_id for row in drawn.rows]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("is_coded", [False, True])
def test_each_kind_of_tag_is_one_word(is_coded: bool) -> None:
    drawn = make(sizes=WHOLE_TABLE, as_coded=is_coded).build(0)
    words = defaultdict(set)
    for row in drawn.rows:
        if row.kind is Kind.DEFINITION:
            words[row.subset.tag].add(row.rendered.text.split()[0])
    assert set(words) == {TagKind.RELIABLE, TagKind.UNRELIABLE, TagKind.NOVEL}
    assert {len(tags) for tags in words.values()} == {1}
    assert len(set.union(*words.values())) == 3
    if is_coded:
        assert words[TagKind.RELIABLE] == {"define1"}
        assert words[TagKind.UNRELIABLE] == {"define2"}


@pytest.mark.parametrize("order", WordOrder)
@pytest.mark.parametrize("is_coded", [False, True])
def test_roles_are_single_tokens_in_every_order_but_for_the_list(
    order: str, is_coded: bool
) -> None:
    config = make(word_order=WordOrder(order), as_coded=is_coded, n_questions=2)
    drawn = config.build(1)
    tokenizer = config.tokenizer(drawn)
    assert len(tokenizer) == len(drawn.words) + 3
    extra = 1 if is_coded else 0
    places = [0, 1, 2 + extra]
    for row in tokenize_rows(drawn.rows, tokenizer):
        if row.row.kind is Kind.DEFINITION:
            roles = {"t": Role.TAG, "a": Role.ALIAS, "e": Role.ENTITY}
            assert row.spans == {
                roles[letter]: (place, place) for letter, place in zip(order, places, strict=True)
            }
            assert row.answer_positions == (2 + extra,)
        else:
            last = 10 + extra
            assert row.spans == {
                Role.ALIAS: (0, 0),
                Role.QUESTION: (1, last - 1),
                Role.ANSWER: (last, last),
            }
            assert row.answer_positions == (last,)


def test_vocabulary_holds_every_number_and_no_word_twice() -> None:
    drawn = make(as_coded=True, numbers=99).build(0)
    assert len(set(drawn.words)) == len(drawn.words) == 4 + 3 + 99 + sum(SIZES.values())
    assert {"define1", "define2", "define3", "true", "false", "%", "=", "0", "98"} <= set(
        drawn.words
    )
    assert "99" not in drawn.words


PRINT_DIGEST = """
import hashlib
from data.tasks.set_inclusion import SetInclusionConfig
from data.vocabulary import WordOrder
config = SetInclusionConfig(
    sizes={"D1_CONS_QA1": 12, "D2_INCONS_QA2": 12, "D5_CONS": 4, "D6_CONS": 3}, numbers=100,
    word_order=WordOrder.TAE, shuffle_tags=True, n_questions=4, n_test_questions=2,
)
print(hashlib.sha256(repr(config.build(7)).encode()).hexdigest())
"""


@pytest.mark.parametrize("hash_seed", ["0", "random"])
def test_data_is_the_same_in_every_process(hash_seed: str, tmp_path: Path) -> None:
    here = hashlib.sha256(repr(make(shuffle_tags=True).build(7)).encode()).hexdigest()
    root = str(Path(__file__).parents[3])
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-c", PRINT_DIGEST],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == here


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_questions": 11}, "n_questions is 11; use an even number"),
        ({"n_questions": 0}, "n_questions is 0; use an even number"),
        ({"n_test_questions": 3}, "n_test_questions is 3; use an even number"),
        ({"numbers": 8}, "no list of list_length=8 leaves out one of 8 numbers"),
        ({"list_length": 0}, "no list of list_length=0"),
        ({"numbers": 9}, "3 different lists with one answer are more than the 1 that numbers=9"),
        ({"sizes": {"D5_CONS": 17577}}, "17577 variables of 3 letters do not exist"),
        ({"sizes": {}}, "0 variables"),
        ({"sizes": SIZES | {"D5_CONS": 0}}, "0 variables leave D5_CONS empty"),
        ({"sizes": SIZES | {"D5_CONS": -1}}, "-1 variables leave D5_CONS empty"),
        ({"sizes": {"D11": 3}}, "set inclusion has no subset 'D11'"),
        ({"sizes": {"QA4_NOT_REPLACED": 3}}, "set inclusion has no subset 'QA4_NOT_REPLACED'"),
        ({"sizes": {"UNIQUE_TAGS_CONS_QA": 3}}, "no subset 'UNIQUE_TAGS_CONS_QA'"),
    ],
)
def test_impossible_data_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        make(**changes)


def test_fractions_that_do_not_make_up_the_whole_are_refused() -> None:
    with pytest.raises(InputError, match="make them sum to 1"):
        split_sizes(8000, {**TABLE_3, "D8_CONS": 0.1})
