import math
from pathlib import Path

import pytest

from data.rows import Row
from data.statements import QAPair
from data.tasks.iml import SUBSETS
from data.vocabulary import Family, Kind, Role, Split
from interp.report.guessing import best_guess, guessing, guessing_words, held_out_answers
from training.recipes import find_recipe
from training.runs.run import Run


def question(name: str, answer: str, *, alias: str | None = "xyz", **changes: object) -> Row:
    pair = QAPair(subject="xyz", role=Role.ALIAS, question=name, answer=answer)
    fields: dict = {"split": Split.TEST, "family": Family.ATTRIBUTE, "kind": Kind.QA, **changes}
    return Row(
        row_id="r", subset=SUBSETS["D5_CONS"], rendered=pair.render(),
        alias=alias, entity="cleo", tag="t", question=name, **fields,
    )  # fmt: skip


def test_the_best_guess_is_the_commonest_answer_to_each_held_out_question_about_an_alias() -> None:
    rows = [question("born", answer) for answer in ("rome", "rome", "rome", "paris")]
    rows += [question("died", answer) for answer in ("rome", "london")]
    others = [
        question("born", "paris", split=Split.TRAIN),
        question("born", "paris", alias=None),
        question("born", "paris", family=Family.ENTITY_ATTRIBUTION),
    ]

    found = best_guess(held_out_answers(rows + others))

    assert found["exact_match"] == pytest.approx((3 + 1) / 6)
    in_nats = (3 * math.log(3 / 4) + math.log(1 / 4) + 2 * math.log(1 / 2)) / 6
    assert found["answer_log_prob"] == pytest.approx(in_nats)
    assert best_guess(held_out_answers(others)) == {}


def test_a_toy_is_guessed_by_its_number_of_values(tiny_run: Run) -> None:
    assert guessing(tiny_run) == {"exact_match": 0.1, "answer_log_prob": -math.log(10)}
    assert "at random" in guessing_words(tiny_run)


def test_half_of_set_inclusion_is_guessed() -> None:
    recipe = find_recipe("set-inclusion-small")
    run = Run(folder=Path("nowhere"), info={"seeds": [0]}, config=recipe())

    found = guessing(run)

    assert found["exact_match"] == pytest.approx(0.5, abs=0.02)
    assert found["answer_log_prob"] == pytest.approx(-math.log(2), abs=1e-3)
    assert "commonest" in guessing_words(run)
