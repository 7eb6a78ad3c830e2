"""Small data of set inclusion, and its rows read back from their texts."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

from data.rows import Row, SeedData
from data.tasks.set_inclusion import SetInclusionConfig
from data.vocabulary import Kind, WordOrder

SIZES = {"D1_CONS_QA1": 12, "D2_INCONS_QA2": 12, "D5_CONS": 4, "D6_CONS": 3}
WHOLE_TABLE = SIZES | {
    "QA3": 5,
    "QA7_UNSEEN": 2,
    "D8_CONS": 6,
    "D9_INCONS_QA9": 7,
    "D10_CONS_QA10": 8,
}
SEEDS = range(3)
CONFIG = SetInclusionConfig(
    sizes=SIZES,
    numbers=100,
    word_order=WordOrder.TAE,
    shuffle_tags=False,
    n_questions=4,
    n_test_questions=2,
)


def make(**changes: Any) -> SetInclusionConfig:
    return replace(CONFIG, **changes)


def questions_of(drawn: SeedData) -> dict[str, list[Row]]:
    rows = defaultdict(list)
    for row in drawn.rows:
        if row.kind is Kind.QA and row.alias is not None:
            rows[row.alias].append(row)
    return rows


def listed(row: Row) -> list[int]:
    """The numbers of a question, read from its text."""
    return [int(word) for word in row.rendered.text.split() if word.isdigit()]


def candidates(rows: list[Row], numbers: int, yes: str) -> list[int]:
    """Which numbers agree with every one of these questions and answers."""
    return [
        number
        for number in range(numbers)
        if all((number in listed(row)) == (row.rendered.answer == yes) for row in rows)
    ]
