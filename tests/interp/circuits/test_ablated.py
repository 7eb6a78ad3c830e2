"""Answers without sets of units equal those of hooks, one set and one unit at a time."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from data.tokens import TokenizedRow
from data.vocabulary import Role
from interp.circuits.ablated import AblatedRows
from interp.circuits.units import OTHER, Unit, members, token_roles, units_of
from interp.hooked.activations import pad_tokens
from interp.hooked.addresses import Site
from interp.hooked.answers import ANSWER_METRICS
from interp.hooked.model import HookedModel
from interp.interventions.ablation import AblationKind
from interp.interventions.base import Hook, answer_table
from interp.patching.unrolled import UnrolledModel

RowsOf = Callable[..., list[TokenizedRow]]


class Slowly:
    """One unit's output is replaced, at the tokens of its role, by values made beforehand."""

    def __init__(self, unit: Unit, values: dict[str, Tensor] | None) -> None:
        self.unit, self.values = unit, values

    def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
        unit = self.unit
        site = Site("mlp_out" if unit.head is None else "z", unit.layer)

        def replace(activation: Tensor, hook: Any) -> Tensor:
            edited = activation.clone()
            for i, row in enumerate(rows):
                for position, role in enumerate(token_roles(row)[: activation.shape[1]]):
                    if role != unit.role:
                        continue
                    at = (i, position) if unit.head is None else (i, position, unit.head)
                    edited[at] = 0.0 if self.values is None else self._mean(row, position, site)
            return edited

        return [(site.hook, replace)]

    def _mean(self, row: TokenizedRow, position: int, site: Site) -> Tensor:
        """By hand: the mean over rows that have the token's role and number in it."""
        assert self.values is not None
        return self.values[f"{site.hook} {self.unit.head} {meaning(row, position)}"]


def meaning(row: TokenizedRow, position: int) -> tuple[str, int]:
    named = [
        (str(r), position - first)
        for r, (first, last) in row.spans.items()
        if first <= position <= last
    ]
    return named[-1] if named else ("position", position)


def means(
    model: HookedModel, rows: Sequence[TokenizedRow], units: Sequence[Unit]
) -> dict[str, Tensor]:
    """The mean of every unit's output at tokens of each meaning."""
    tokens = pad_tokens([row.input_ids for row in rows])
    found: dict[str, list[Tensor]] = {}
    for unit in {(u.layer, u.head) for u in units}:
        site = Site("mlp_out" if unit[1] is None else "z", unit[0])
        _, cache = model.run_with_cache(tokens, [site.hook])
        for i, row in enumerate(rows):
            for position in range(len(row.input_ids)):
                value = cache[site.hook][i, position]
                value = value if unit[1] is None else value[unit[1]]
                found.setdefault(f"{site.hook} {unit[1]} {meaning(row, position)}", []).append(
                    value
                )
    return {key: torch.stack(values).mean(0) for key, values in found.items()}


def by_hooks(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    circuit: Sequence[Unit],
    values: dict[str, Tensor] | None,
) -> np.ndarray:
    table = answer_table(model, rows, [Slowly(unit, values) for unit in circuit])
    return table[list(ANSWER_METRICS)].to_numpy(dtype=float)


@pytest.mark.parametrize("kind", [AblationKind.ZERO, AblationKind.MEAN])
def test_answers_equal_those_of_hooks(
    any_model: HookedModel, word_prompts: list[TokenizedRow], kind: AblationKind
):
    units = units_of(any_model, word_prompts)
    generator = torch.Generator().manual_seed(0)
    sets = torch.rand(6, len(units), generator=generator) < 0.3
    sets[0], sets[1] = False, True
    ablated = AblatedRows(UnrolledModel(any_model), word_prompts, units, kind)

    found = ablated.answers(sets)

    values = None if kind is AblationKind.ZERO else means(any_model, word_prompts, units)
    for held, answers in zip(sets, found, strict=True):
        circuit = [unit for unit, is_held in zip(units, held.tolist(), strict=True) if is_held]
        expected = by_hooks(any_model, word_prompts, circuit, values)
        np.testing.assert_allclose(answers[:, 1], expected[:, 1], rtol=2e-4, atol=2e-4)
        np.testing.assert_array_equal(answers[:, 0], expected[:, 0])
    assert not np.allclose(found[0, :, 1], found[1, :, 1])


def test_each_unit_alone_equals_its_hook_in_toy_rows(neox: HookedModel, toy_rows: RowsOf):
    rows = [row for row in toy_rows() if row.row.is_evaluated][:12]
    rows = [row for row in rows if max(row.input_ids) < neox.d_vocab]
    units = units_of(neox, rows)
    ablated = AblatedRows(UnrolledModel(neox), rows, units, AblationKind.ZERO)
    found = ablated.answers(torch.eye(len(units), dtype=torch.bool))
    for unit, answers in zip(units, found, strict=True):
        expected = by_hooks(neox, rows, [unit], None)
        np.testing.assert_allclose(answers[:, 1], expected[:, 1], rtol=2e-4, atol=2e-4)


def test_nothing_ablated_is_the_model_itself(
    any_model: HookedModel, word_prompts: list[TokenizedRow]
):
    units = units_of(any_model, word_prompts)
    ablated = AblatedRows(UnrolledModel(any_model), word_prompts, units, AblationKind.RESAMPLE)
    (found,) = ablated.answers(members([[]], units))
    expected = answer_table(any_model, word_prompts)[list(ANSWER_METRICS)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_set_is_answered_the_same_beside_others(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    units = units_of(neox, word_prompts)
    ablated = AblatedRows(UnrolledModel(neox), word_prompts, units, AblationKind.RESAMPLE, seed=3)
    sets = torch.eye(len(units), dtype=torch.bool)
    together = ablated.answers(sets)
    for i in (0, len(units) // 2, len(units) - 1):
        np.testing.assert_allclose(ablated.answers(sets[[i]])[0], together[i], atol=1e-5)


def test_every_token_has_one_role(word_prompts: list[TokenizedRow], toy_rows: RowsOf):
    for row in [*word_prompts, *toy_rows()]:
        roles = token_roles(row)
        assert len(roles) == len(row.input_ids)
        for role, (first, last) in row.spans.items():
            inner = [s for s in row.spans.values() if s[1] - s[0] < last - first]
            free = [p for p in range(first, last + 1) if not any(a <= p <= b for a, b in inner)]
            assert all(
                roles[p] == str(role)
                for p in free
                if len(row.spans) == len(set(row.spans.values()))
            )
        assert {r for r in roles if r == OTHER} <= {OTHER}
    assert Role.ALIAS in token_roles(word_prompts[0])


def test_slopes_are_those_of_finite_differences(
    any_model: HookedModel, word_prompts: list[TokenizedRow]
):
    """At the model itself and half way to nothing; against small steps of the shares."""
    units = units_of(any_model, word_prompts)
    ablated = AblatedRows(UnrolledModel(any_model), word_prompts, units, AblationKind.MEAN)
    n = len(units)
    for share in (0.0, 0.5):
        slopes = ablated.slopes(torch.full((n,), share))
        assert slopes.shape == (len(word_prompts), n)
        for unit in (0, n // 2, n - 1):
            step = torch.zeros(n)
            step[unit] = 1e-2
            ends = [ablated.log_probs(torch.full((n,), share) + each) for each in (step, -step)]
            np.testing.assert_allclose(
                slopes[:, unit], (ends[0] - ends[1]) / 2e-2, rtol=0.05, atol=5e-3
            )


def test_log_probs_are_those_of_answers(neox: HookedModel, word_prompts: list[TokenizedRow]):
    units = units_of(neox, word_prompts)
    ablated = AblatedRows(UnrolledModel(neox), word_prompts, units, AblationKind.MEAN)
    held = torch.arange(len(units)) % 3 == 0
    np.testing.assert_allclose(
        ablated.log_probs(held.float()), ablated.answers(held[None])[0, :, 1], atol=1e-4
    )
