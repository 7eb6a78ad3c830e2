from collections import Counter

import numpy as np
import pytest
import torch

from data.errors import InputError
from interp.circuits import matched
from interp.circuits.matched import matched_circuits
from interp.circuits.units import Unit, members

UNITS = [
    Unit(layer, head, role)
    for layer in range(4)
    for head in (*range(8), None)
    for role in ("alias", "question")
]


def kinds(held: torch.Tensor) -> Counter[tuple[int, bool]]:
    return Counter(
        (u.layer, u.head is None) for u, h in zip(UNITS, held.tolist(), strict=True) if h
    )


def circuit(*names: str) -> torch.Tensor:
    return members([[Unit.parse(name) for name in names]], UNITS)[0]


def solo_effects(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(1.0, size=(len(UNITS), 2))


@pytest.mark.parametrize(
    "names", [["a0.h1@alias", "m0@alias"], [f"a{i}.h{j}@alias" for i in range(3) for j in range(2)]]
)
def test_matched_circuits_have_layers_kinds_size_and_cost_of_the_circuit(names: list[str]) -> None:
    own, solo = circuit(*names), solo_effects()
    found = matched_circuits(own, UNITS, solo, n=300, caliper=0.8)
    sums = np.array([solo[held.numpy()].sum(0) for held in found.sets])
    for held in found.sets:
        assert kinds(held) == kinds(own)
        assert (held & own).sum() <= own.sum() / 2
    assert len({tuple(held.tolist()) for held in found.sets}) == len(found.sets) <= 300
    assert (found.distance <= 0.8).all()
    apart = np.abs(sums - solo[own.numpy()].sum(0)).max(0)
    everything = np.array(
        [
            solo[np.random.default_rng(i).permutation(len(UNITS))[: len(names)]].sum(0)
            for i in range(200)
        ]
    )
    assert (apart < 2 * everything.std(0)).all()


def test_few_circuits_are_all_enumerated() -> None:
    own = circuit("m1@alias")
    found = matched_circuits(own, UNITS, np.zeros((len(UNITS), 1)))
    assert found.is_all
    assert [UNITS[int(held.int().argmax())].name for held in found.sets] == ["m1@question"]
    assert found.p_smallest == 0.5


def test_many_are_drawn_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matched, "MOST_ENUMERATED", 200)
    own = circuit("a0.h0@alias", "a1.h0@alias")
    found = matched_circuits(own, UNITS, np.zeros((len(UNITS), 1)), n=100, by_role=False)
    assert not found.is_all
    counts = found.sets.sum(0)[
        [i for i, u in enumerate(UNITS) if u.layer < 2 and u.head is not None]
    ]
    assert len(found.sets) == 100
    assert counts.min() >= 2


def test_heads_are_matched_by_role_where_an_effect_is_tested() -> None:
    own = circuit("a0.h0@alias", "a1.h0@alias")
    found = matched_circuits(own, UNITS, np.zeros((len(UNITS), 1)))
    # All but the circuit itself: two units in common are more than half.
    assert len(found.sets) == 8 * 8 - 1
    chosen = found.sets.any(0)
    assert {unit.role for unit, held in zip(UNITS, chosen.tolist(), strict=True) if held} == {
        "alias"
    }


def test_no_circuit_stands_in_for_one_that_costs_more_than_all_others() -> None:
    solo = np.zeros((len(UNITS), 1))
    solo[0] = 100.0
    assert len(matched_circuits(circuit("a0.h0@alias"), UNITS, solo).sets) == 0
    assert len(matched_circuits(circuit("a0.h1@alias"), UNITS, solo).sets) == 6


def test_nothing_and_everything_have_no_other_to_be_held_against() -> None:
    nothing = torch.zeros(len(UNITS), dtype=torch.bool)
    for held, message in ((nothing, "empty circuit"), (~nothing, "all units")):
        with pytest.raises(InputError, match=message):
            matched_circuits(held, UNITS, np.zeros((len(UNITS), 1)))


def test_negligible_differences_of_solo_effects_count_as_none():
    units = [Unit(0, head, "alias") for head in range(4)]
    circuit = torch.tensor([True, False, False, False])
    solo = np.array([[0.0], [0.01], [-0.02], [0.5]])

    def matched(negligible: float) -> list[list[bool]]:
        found = matched_circuits(circuit, units, solo, caliper=0.01, negligible=negligible)
        return found.sets.tolist()

    assert matched(0.0) == []
    assert matched(0.05) == [[False, True, False, False], [False, False, True, False]]
