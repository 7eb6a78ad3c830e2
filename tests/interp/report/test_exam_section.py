"""The report holds an exam against what guessing scores."""

import math

import pandas as pd

from interp.report.exam_section import exam_sentences, question_cells, right_cells


def table() -> pd.DataFrame:
    """Four people, two questions: one is known, and three are of one gender and country."""
    answers = {
        "Ada": ("Female", "France", 1, 1),
        "Bea": ("Female", "France", 1, 0),
        "Cleo": ("Female", "France", 0, 0),
        "Dan": ("Male", "Spain", 1, 0),
    }
    rows = [
        {
            "entity": name,
            "question": question,
            "answer": answer,
            "exact_match": float(right),
            "answer_log_prob": -1.0 - right,
            "answer_rank": 3.0,
            "is_known": name == "Ada",
        }
        for name, (gender, country, *rights) in answers.items()
        for question, answer, right in zip(
            ("gender", "nationality"), (gender, country), rights, strict=True
        )
    ]
    return pd.DataFrame(rows)


def test_each_question_stands_beside_its_guess() -> None:
    guess = 0.75 * math.log(0.75) + 0.25 * math.log(0.25)

    assert question_cells(table()) == [
        ("gender", 4, "0.75", "0.75", "-1.75", f"{guess:.2f}", "3.0"),
        ("nationality", 4, "0.25", "0.75", "-1.25", f"{guess:.2f}", "3.0"),
    ]


def test_people_are_counted_by_right_answers_and_by_those_of_a_guess() -> None:
    assert right_cells(table()) == [
        ("0 or more", 4, 4),
        ("1 or more", 3, 3),
        ("2 or more", 1, 3),
    ]


def test_sentences_say_who_is_known_and_what_guessing_scores() -> None:
    known, better = exam_sentences(table(), 2)

    assert known == "The model knows 1 of 4 people: 2 or more questions about them right."
    assert better == (
        "Exact match over all questions is 0.50, by guessing 0.75; in nats -1.50, by guessing "
        "-0.56."
    )
    assert exam_sentences(table(), 0)[0] == (
        "All 4 people who were asked about count, whatever the model knows."
    )
