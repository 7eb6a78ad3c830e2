import numpy as np
import pytest
import torch

from data.errors import InputError
from interp.circuits.gate import MARGIN, equivalence, gate, refuse_no_circuit
from tests.interp.circuits.additive import AdditiveRows


def noisy(n: int = 40, seed: int = 0) -> tuple[AdditiveRows, list[int]]:
    """Units 0 and 1 carry nearly all, units 2 and 3 a little that differs from alias to alias."""
    rng = np.random.default_rng(seed)
    worth = rng.standard_normal((n, 4)) * [0.5, 0.5, 0.02, 0.02] + [2.0, 1.5, 0.1, 0.0]
    return AdditiveRows(torch.tensor(worth)), [i // 2 for i in range(n)]


def held(*places: int) -> torch.Tensor:
    circuit = torch.zeros(4, dtype=torch.bool)
    circuit[list(places)] = True
    return circuit


def test_the_whole_model_is_accepted() -> None:
    rows, aliases = noisy()
    found = gate(rows, held(0, 1, 2, 3), aliases)
    assert found.is_accepted
    assert found.faithful.difference == found.necessary.difference == 0.0


def test_a_circuit_that_carries_nearly_all_is_accepted() -> None:
    rows, aliases = noisy()
    found = gate(rows, held(0, 1), aliases)
    assert found.is_accepted, found.reasons
    assert -0.1 < found.faithful.difference < 0.0
    assert found.faithful.low <= found.faithful.difference <= found.faithful.high


def test_the_empty_circuit_is_refused_for_every_reason() -> None:
    rows, aliases = noisy()
    found = gate(rows, held(), aliases)
    assert not found.is_accepted
    alone, rest, goes_with = found.reasons
    assert "alone it is not shown to be within 20% of the model (-100%" in alone
    assert "what is left without it still answers" in rest
    assert "goes with the model's answers" in goes_with


def test_half_of_the_answer_is_refused() -> None:
    rows, aliases = noisy()
    assert not gate(rows, held(0), aliases).is_accepted


@pytest.mark.parametrize("circuit", [held(), held(0), held(2, 3), held(0, 1, 2, 3)])
def test_identical_circuits_are_equivalent(circuit: torch.Tensor) -> None:
    rows, aliases = noisy()
    found = equivalence(rows, circuit, circuit.clone(), aliases)
    assert found.is_equivalent
    assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)
    assert found.p_value == pytest.approx(1 / 2001)


def test_few_aliases_do_not_make_circuits_equivalent() -> None:
    """A published test accepts what it has no power to tell apart; here that is not enough."""
    rng = np.random.default_rng(3)
    worth = torch.tensor(rng.standard_normal((6, 4)) * [0.1, 0.1, 3.0, 0.1] + [2.0, 1.5, 0.0, 0.0])
    assert not equivalence(AdditiveRows(worth), held(0, 1), held(0, 1, 2), range(6)).is_equivalent


def test_circuits_that_lie_the_margin_apart_are_rarely_called_equivalent() -> None:
    """At the margin itself the test errs in about 5% of draws of aliases."""
    called = 0
    for draw in range(300):
        rng = np.random.default_rng(draw)
        worth = rng.standard_normal((60, 4)) * [0.1, 0.1, 0.6, 0.1] + [2.0, 1.2, 0.8, 0.0]
        rows = AdditiveRows(torch.tensor(worth))
        called += equivalence(rows, held(0, 1), held(0, 1, 2), range(60), seed=draw).is_equivalent
    assert pytest.approx(0.8 / 4.0) == MARGIN
    assert called / 300 <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


def test_a_person_may_call_neither_nothing_nor_everything_a_circuit() -> None:
    with pytest.raises(InputError, match="the circuit is empty; name at least one"):
        refuse_no_circuit(held())
    with pytest.raises(InputError, match="all 4 units: it is the model"):
        refuse_no_circuit(held(0, 1, 2, 3))
    refuse_no_circuit(held(2))
