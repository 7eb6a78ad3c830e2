"""The report's section about the exam before training: which people the model knew."""

from collections import Counter
from statistics import fmean

import pandas as pd

from interp.figures.answer_first import Part, section_html
from interp.figures.markup import Html, table_html
from interp.report.guessing import best_guess
from training.exam import EXAM_FILE, Exam
from training.runs.publication import exists
from training.runs.run import Run, read_table

HEAD = (
    *("question", "n", "exact match", "guessing", "log-prob (nats)", "guessing (nats)"),
    "mean rank of the answer",
)
BY_PERSON = ("right answers", "people", "people, by guessing")


def exam_section(run: Run) -> Html | None:
    """What the model answered before training, beside what guessing scores; None without exam."""
    exam = run.config.exam
    if not isinstance(exam, Exam) or not exists(run.folder / EXAM_FILE):
        return None
    table = read_table(run.folder / EXAM_FILE)
    part = Part(
        sentences=exam_sentences(table, exam.known_only),
        tables=[
            table_html(HEAD, question_cells(table), name="Exam by question"),
            table_html(BY_PERSON, right_cells(table), name="Exam by person"),
        ],
    )
    notes = (
        f"Each question was asked before training, about people by their own names, behind "
        f"{exam.shown} answered ones about other people. Guessing means to know the question "
        "alone: the commonest of its answers, or in nats their distribution. A log-probability is "
        "that of the whole answer."
    )
    return section_html("The exam before training", [part], notes=notes)


def exam_sentences(table: pd.DataFrame, known_only: int) -> list[str]:
    """How many people are known, and whether the answers are better than guessing."""
    people = set(table["entity"])
    if known_only:
        n_known = len(set(table.loc[table["is_known"], "entity"]))
        known = (
            f"The model knows {n_known:,} of {len(people):,} people: {known_only} or more "
            "questions about them right."
        )
    else:
        known = f"All {len(people):,} people who were asked about count, whatever the model knows."
    guess = best_guess(list(zip(table["question"], table["answer"], strict=True)))
    means = {metric: fmean(table[metric]) for metric in guess}
    better = (
        f"Exact match over all questions is {means['exact_match']:.2f}, by guessing "
        f"{guess['exact_match']:.2f}; in nats {means['answer_log_prob']:.2f}, by guessing "
        f"{guess['answer_log_prob']:.2f}."
    )
    return [known, better]


def question_cells(table: pd.DataFrame) -> list[tuple[object, ...]]:
    """A row for each question, in the order of the exam."""
    cells = []
    for question in dict.fromkeys(table["question"]):
        asked = table.loc[table["question"] == question]
        guess = best_guess([(question, answer) for answer in asked["answer"]])
        found = [
            f"{value:.2f}"
            for metric in ("exact_match", "answer_log_prob")
            for value in (fmean(asked[metric]), guess[metric])
        ]
        cells.append((question, len(asked), *found, f"{fmean(asked['answer_rank']):.1f}"))
    return cells


def right_cells(table: pd.DataFrame) -> list[tuple[str, int, int]]:
    """How many people have so many answers right, or more: whom another `known_only` would keep.

    Beside it, of how many people the commonest answers to the questions are right so often.
    """
    answers = Counter(zip(table["question"], table["answer"], strict=True))
    commonest = {question: answer for (question, answer), _ in reversed(answers.most_common())}
    right, guessed = Counter(), Counter()
    for row in table.to_dict("records"):
        right[row["entity"]] += int(row["exact_match"])
        guessed[row["entity"]] += int(row["answer"] == commonest[row["question"]])
    most = max(*right.values(), *guessed.values())
    return [
        (
            f"{n} or more",
            sum(each >= n for each in right.values()),
            sum(each >= n for each in guessed.values()),
        )
        for n in range(most + 1)
    ]
