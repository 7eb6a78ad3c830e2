import numpy as np
import pytest
import torch

from data.errors import InputError
from interp.circuits.evaluation import (
    completeness,
    faithfulness,
    holm,
    independence,
    minimality,
)
from tests.interp.circuits.additive import AdditiveRows

WORTH = torch.tensor([[2.0, 1.0, 0.5, 0.5, 0.0], [1.0, 1.0, 0.5, 0.0, 0.5]])
"""Means 1.5, 1, .5, .25, .25: a gap of 3.5 nats."""


def held(*places: int, n: int = 5) -> torch.Tensor:
    circuit = torch.zeros(n, dtype=torch.bool)
    circuit[list(places)] = True
    return circuit


def test_faithfulness_is_the_share_of_the_gap() -> None:
    found = faithfulness(AdditiveRows(WORTH), held(0, 1), torch.stack([held(2, 3), held(1, 2)]))
    assert found.value == pytest.approx(2.5 / 3.5)
    assert found.null == pytest.approx([0.75 / 3.5, 1.5 / 3.5])
    assert found.p_value == pytest.approx(1 / 3)


def test_completeness_is_what_the_rest_does_when_the_circuit_fails() -> None:
    """The circuit without K lacks what is outside, whatever K is: here .5 / 3.5 of the gap."""
    found = completeness(AdditiveRows(WORTH), held(0, 1, 2), torch.stack([held(3, 4, 0)]))
    assert found.value == pytest.approx(1 - 0.5 / 3.5)
    assert found.null == pytest.approx([1 - 1.5 / 3.5])


def test_of_the_whole_model_nothing_is_missed() -> None:
    found = completeness(AdditiveRows(WORTH), held(0, 1, 2, 3, 4), torch.stack([held()]))
    assert found.value == 1.0


def test_minimality_holds_members_against_units_outside() -> None:
    found = minimality(AdditiveRows(WORTH), held(0, 3))
    assert found.lost == pytest.approx([1.5, 0.25])
    assert found.null == pytest.approx([1.0, 0.5, 0.25])
    assert found.p_values == pytest.approx([1 / 4, 1.0])
    assert found.p_corrected == pytest.approx([1 / 2, 1.0])


def test_a_complement_that_knows_the_answers_is_not_independent() -> None:
    rng = np.random.default_rng(0)
    signal, noise = rng.standard_normal((2, 60))
    worth = torch.tensor(np.stack([2 * signal, signal, noise], 1))
    groups = [f"alias {i // 2}" for i in range(60)]
    dependent = independence(AdditiveRows(worth), held(0, n=3), groups)
    assert dependent.p_value <= 0.01
    assert dependent.value > 0.5
    nothing_left = independence(AdditiveRows(worth), held(0, 1, 2, n=3), groups)
    assert (nothing_left.value, nothing_left.p_value) == (0.0, 1.0)


def test_independence_keeps_its_level_where_the_complement_is_noise() -> None:
    rng = np.random.default_rng(1)
    ps = []
    for draw in range(200):
        worth = torch.tensor(rng.standard_normal((24, 2)) * [1.0, 1e-3])  # the model is unit 0
        ps.append(independence(AdditiveRows(worth), held(0, n=2), range(24), seed=draw).p_value)
    assert np.mean(np.array(ps) <= 0.05) <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5
    assert abs(np.mean(np.array(ps) <= 0.5) - 0.5) < 3.5 * (0.25 / 200) ** 0.5


def test_holm_is_a_step_down() -> None:
    assert holm(np.array([0.02, 0.01, 0.03])).tolist() == pytest.approx([0.04, 0.03, 0.04])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


def test_rows_that_no_unit_matters_to_are_refused() -> None:
    nothing = AdditiveRows(torch.zeros(2, 5))
    for criterion in (faithfulness, completeness):
        with pytest.raises(InputError, match="lose 0 nats, less than"):
            criterion(nothing, held(0), torch.stack([held(1)]))
