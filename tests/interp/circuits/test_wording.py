import numpy as np
import pandas as pd
import pytest

from interp.circuits.summary import summarize_circuits
from interp.circuits.wording import circuit_found
from training.columns import NO_RUN
from training.recipes import find_recipe

COMPARED = find_recipe("alias-toy")().design.main


def cell(circuit: str, quantity: str, value: float, **others: object) -> list[dict]:
    """Of four seeds; with a null where a control is given."""
    null = {"control": np.nan, "null_low": np.nan, "null_high": np.nan, "n_null": 0}
    if "control" in others:
        null |= {"n_null": 99, "p_value": 0.01}
    where = {"circuit": circuit, "ablation": "mean", "quantity": quantity, "unit": "", "subset": ""}
    return [
        {**NO_RUN, **where, "value": value, "p_value": np.nan, "n": 50, **null, **others, "seed": s}
        for s in range(4)
    ]


def summary(*cells: list[dict]) -> pd.DataFrame:
    return summarize_circuits(pd.DataFrame([row for each in cells for row in each]))


def circuit(name: str, subset: str, other: str) -> list[list[dict]]:
    units = {"a1.h0@question": 1.0, "a1.h1@question": 0.2, "m0@alias": 0.95, "m1@question": 0.4}
    return [
        cell(name, "size", 2.0),
        *(cell(name, "inclusion", value, unit=unit) for unit, value in units.items()),
        cell(name, "faithfulness", 0.94, control=0.1),
        cell(name, "accepted", 0.75),
        cell(name, "transfer", 0.94, control=0.1, subset=subset),
        cell(name, "transfer", 0.9, control=0.05, subset=other),
        cell(name, "disruption", 1.5, subset="D5_CONS"),
        cell(name, "disruption", -1.0, subset="D6_CONS"),
        cell(name, "disruption", 2.5, subset="gap"),
    ]


@pytest.fixture(scope="module")
def said() -> list[str]:
    return circuit_found(
        summary(
            *circuit("answer D5", "D5_CONS", "D6_CONS"), *circuit("answer D6", "D6_CONS", "D5_CONS")
        ),
        COMPARED,
    )


def test_a_circuit_is_told_by_how_often_units_are_chosen(said: list[str]) -> None:
    (first,) = (text for text in said if text.startswith("answer D5: "))
    assert "2.0 of 4 units alone recover 94% of what the model says of held-out aliases" in first
    assert "other circuits 10% (corrected p" in first
    assert "on average over draws and seeds, 1.2 of 2 heads a1@question, m0@alias in 95%. " in first
    assert first.endswith("The gate accepts it in 3 of 4 seeds.")


def test_transfer_is_told_both_ways(said: list[str]) -> None:
    (transfer,) = (text for text in said if text.startswith("Cross-transfer"))
    assert "the circuit answer D5 recovers 90% of D6_CONS (other circuits 5%" in transfer
    assert "the circuit answer D6 recovers 90% of D5_CONS" in transfer


def test_without_matched_circuits_nothing_is_claimed_of_a_disruption(said: list[str]) -> None:
    lost = [text for text in said if text.startswith("Without the circuit")]
    assert len(lost) == 2
    assert "nats lost: D5_CONS +1.50, D6_CONS -1.00, gap +2.50; no other circuit" in lost[0]
    assert " p " not in lost[0]


def test_matched_circuits_are_told_with_the_least_p() -> None:
    cells = circuit("answer D5", "D5_CONS", "D6_CONS")
    cells[-1] = cell("answer D5", "disruption", 2.5, subset="gap", control=0.3)
    told = circuit_found(summary(*cells), COMPARED)
    (lost,) = (text for text in told if text.startswith("Without the circuit"))
    assert "matched circuits, which 4 of 4 seeds have, cost gap +0.30 (corrected p" in lost


def test_a_circuit_of_edges_without_others_is_told_as_such() -> None:
    cells = circuit("answer D5 (edges)", "D5_CONS", "D6_CONS")
    cells += circuit("answer D5", "D5_CONS", "D6_CONS")
    alone = cell("answer D5 (edges)", "faithfulness", 0.9)
    cells = [
        alone if each[0]["quantity"] == "faithfulness" and "edges" in each[0]["circuit"] else each
        for each in cells
    ]
    told = circuit_found(summary(*cells), COMPARED)
    assert "2.0 of 4 edges alone recover 90%" in told[1]
    assert "shares at most half (not tested)" in told[1]
    assert "2.0 of 4 units alone recover 94%" in told[0]


def test_what_is_not_beyond_other_circuits_is_said_to_be_so() -> None:
    cells = circuit("answer D5", "D5_CONS", "D6_CONS")
    weak = cell("answer D5", "faithfulness", 0.5, control=0.4)
    cells = [weak if each[0]["quantity"] == "faithfulness" else each for each in cells]
    for row in weak:
        row["p_value"] = 0.6
    told = circuit_found(summary(*cells), COMPARED)
    assert "other circuits 40% (not beyond them, corrected p" in told[0]


def test_a_behaviour_without_a_circuit_is_told_as_such() -> None:
    found = circuit_found(summary(cell("answer D5", "size", 0.0)), COMPARED)
    assert found[0] == "answer D5: no circuit; what the model says hardly depends on any units."
