import numpy as np
import pytest
import torch

from interp.circuits.disruption import GAP, circuit_effects, solo_effects
from tests.interp.circuits.additive import AdditiveRows
from training.recipes import find_recipe

COMPARED = find_recipe("alias-toy")().design.main
ROWS = {
    "D5_CONS": AdditiveRows(torch.tensor([[2.0, 0.5, 0.0], [1.0, 0.5, 0.0]]), constant=-2.5),
    "D6_CONS": AdditiveRows(torch.tensor([[-1.0, 0.5, 0.0]]), constant=-2.5),
    "D1_CONS_QA1": AdditiveRows(torch.tensor([[0.5, 2.0, 0.5]])),
}
CIRCUITS = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.bool)


def test_effects_are_what_is_lost_and_the_gap_is_a_difference() -> None:
    found = circuit_effects(ROWS, CIRCUITS, COMPARED)
    assert found.nats["D5_CONS"] == pytest.approx([1.5, 0.5, 0.0])
    assert found.nats["D6_CONS"] == pytest.approx([-1.0, 0.5, 0.0])
    assert found.nats[GAP] == pytest.approx([2.5, 0.0, 0.0])
    assert found.exact["D5_CONS"] == pytest.approx([0.5, 0.0, 0.0])


def test_each_behaviour_is_recorded_beside_the_other_circuits() -> None:
    table = {
        (each["quantity"], each["subset"]): each
        for each in circuit_effects(ROWS, CIRCUITS, COMPARED).records({"D5_CONS": 2, "D6_CONS": 1})
    }
    gap = table["disruption", GAP]
    assert (gap["value"], gap["control"], gap["n_null"]) == (2.5, 0.0, 2)
    assert gap["p_value"] == pytest.approx(1 / 3)
    assert (table["disruption", "D5_CONS"]["n"], gap["n"]) == (2, 1)


def test_specificity_sets_the_own_effect_against_those_on_what_was_trained() -> None:
    found = circuit_effects(ROWS, CIRCUITS, COMPARED).specificity("D5_CONS", ["D1_CONS_QA1"])
    assert found.value == pytest.approx(1.5 / 2.0)
    assert found.null == pytest.approx([0.5 / 2.5, 0.0])


def test_an_effect_on_nothing_is_not_specific() -> None:
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    found = circuit_effects(ROWS, nothing, COMPARED).specificity("D5_CONS", ["D1_CONS_QA1"])
    assert found.value == 0.0
    assert found.p_value == 1.0


def test_solo_effects_are_by_unit() -> None:
    found = solo_effects(ROWS)
    assert found["D1_CONS_QA1"] == pytest.approx(np.array([0.5, 2.0, 0.5]))
