import numpy as np
import pytest

from interp.hypotheses.matrix import matrix_table, matrix_text, not_distinguished
from interp.hypotheses.results import CheckedPrediction, Outcome, Result
from interp.hypotheses.wording import found
from training.statistics import t_interval

VALUES = {"0": 0.1, "1": 0.3, "2": 0.5}


def prediction(row: str, expected: str, verdict: Outcome, *, core: bool = True):
    return CheckedPrediction(
        row=row, statement="", quantity="nats", expected=expected, is_core=core, because="",
        threshold=0.2, verdict=verdict, estimate=0.3, ci_low=0.0, ci_high=0.6, n_seeds=3,
        per_seed=VALUES,
    )  # fmt: skip


def result(name: str, verdict: Outcome, *predictions: CheckedPrediction) -> Result:
    return Result(
        name=name, title=name.capitalize(), statement="", sha256="ab", frozen=None, verdict=verdict,
        exploratory=True, reasons=[], known=["seen"], is_alone=False, run_id="a", seeds=[0, 1, 2],
        gates=[], predictions=predictions,
    )  # fmt: skip


YES, NO, OPEN = Outcome.SUPPORTED, Outcome.REFUTED, Outcome.UNDECIDED
ONE = result(
    "one", YES, prediction("constant", "more", YES), prediction("mine", "none", OPEN, core=False)
)
TWO = result("two", NO, prediction("mine", "more", OPEN), prediction("constant", "none", NO))
THREE = result("three", OPEN, prediction("mine", "none", OPEN), prediction("length", "more", OPEN))


def test_rows_come_in_the_order_of_the_matrix_in_units_of_their_margins() -> None:
    table = matrix_table([ONE, TWO, THREE])
    assert list(dict.fromkeys(table["row"])) == ["length", "constant", "mine"]
    assert table["seen"].to_numpy() == pytest.approx(1.5)
    low, high = np.divide(t_interval(list(VALUES.values())), 0.2)
    assert table["ci_low"].to_numpy() == pytest.approx(low)
    assert table["ci_high"].to_numpy() == pytest.approx(high)


def test_a_pair_is_told_apart_by_two_decided_rows_of_which_it_expects_different_things() -> None:
    pairs = {(a.name, b.name): rows for a, b, rows in not_distinguished([ONE, TWO, THREE])}
    assert pairs == {("one", "two"): ["constant"], ("one", "three"): [], ("two", "three"): []}
    both = prediction("mine", "none", YES), prediction("mine", "more", NO)
    decided = [
        result("a", YES, prediction("constant", "more", YES), both[0]),
        result("b", NO, prediction("constant", "none", NO), both[1]),
    ]
    assert not_distinguished(decided) == []


def test_the_matrix_in_characters_marks_what_was_expected_and_seen() -> None:
    lines = matrix_text([ONE, TWO, THREE]).splitlines()
    assert lines[0].split() == ["one", "two", "three", "seen", "(margin)"]
    assert lines[1].split() == ["length", "+?", "+0.300", "(0.2)"]
    assert lines[2].split() == ["constant", "+", "0!", "+0.300", "(0.2)"]
    assert lines[3].split() == ["mine", "(0?)", "+?", "0?", "+0.300", "(0.2)"]
    assert lines[4].split() == ["verdict", "supported", "refuted", "undecided"]


def test_what_is_said_first_is_the_verdicts_and_last_that_the_data_were_known() -> None:
    sentences = found([ONE, TWO, THREE])
    assert sentences[0] == "Supported: One; refuted: Two; undecided: Three."
    assert "One and Two (1 row)" in sentences[2]
    assert sentences[-1] == "Exploratory, as the data were known: seen."


def test_a_result_is_read_as_it_was_written() -> None:
    assert Result.from_json(ONE.to_json()).to_json() == ONE.to_json()
