"""Components make up a model, and putting them back is copying their weights by hand."""

import copy
from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.circuits.ablated import Answerable
from interp.circuits.components import (
    Component,
    components_of,
    find_components,
    n_weights,
    weights_behind,
)
from interp.circuits.disruption import solo_effects
from interp.circuits.matched import matched_circuits
from interp.circuits.restored import (
    Restoration,
    RestoredRows,
    restored_behaviours,
    restored_records,
    single_restored_records,
)
from interp.circuits.units import Unit, members
from interp.hooked.answers import ANSWER_METRICS
from training.evaluate import EvaluationSet, answer_metrics
from training.retraining import Retraining
from training.runs.run import Run

SEED = 1000


@pytest.fixture(scope="module")
def models(tiny_run: Run) -> tuple[PreTrainedModel, PreTrainedModel]:
    """After Stage 2, and so long before that all answers differ much."""
    again = Retraining(run=tiny_run, seed=SEED)
    return again.model_at(2), again.model_at(1, step=0)


@pytest.fixture(scope="module")
def rows(tiny_run: Run) -> list[TokenizedRow]:
    return tiny_run.tokenized_rows(SEED)


@pytest.fixture(scope="module")
def asked(rows: list[TokenizedRow]) -> list[TokenizedRow]:
    chosen = [row for row in rows if row.row.is_evaluated and row.row.alias is not None]
    return chosen[::5]


@pytest.fixture(scope="module")
def components(
    models: tuple[PreTrainedModel, PreTrainedModel], rows: list[TokenizedRow]
) -> list[Component]:
    return components_of(models[0], rows)


@pytest.fixture(scope="module")
def restored(
    models: tuple[PreTrainedModel, PreTrainedModel],
    components: list[Component],
    asked: list[TokenizedRow],
) -> RestoredRows:
    return RestoredRows(Restoration(*models, components), asked)


def answered(model: PreTrainedModel, rows: Sequence[TokenizedRow]) -> Tensor:
    """As a run's evaluation has it, one row after the other."""
    each = [answer_metrics(model, EvaluationSet.of([row])) for row in rows]
    return torch.tensor([table[list(ANSWER_METRICS)].iloc[0].tolist() for table in each])


def state_of_all(models: Sequence[PreTrainedModel]) -> list[dict[str, Tensor]]:
    return [copy.deepcopy(model.state_dict()) for model in models]


def is_same(one: Sequence[Mapping[str, Tensor]], other: Sequence[Mapping[str, Tensor]]) -> bool:
    return all(torch.equal(a[n], b[n]) for a, b in zip(one, other, strict=True) for n in a)


@pytest.mark.parametrize("name", ["neox", "neox-sequential", "gpt2", "gpt-neo", "llama"])
def test_every_weight_is_in_one_component(
    name: str, random_model: Callable[[str], PreTrainedModel], toy_rows: Callable[..., list]
):
    model = random_model(name)
    few = [row for row in toy_rows() if max(row.input_ids) < model.config.vocab_size]
    found = components_of(model, few)
    times = {n: torch.zeros_like(weight) for n, weight in model.named_parameters()}
    for component in found:
        for parameter, mask in component.weights.items():
            times[parameter] += mask.int()
    assert all((each == 1).all() for each in times.values())
    assert len({component.name for component in found}) == len(found)
    total = sum(weight.numel() for weight in model.parameters())
    assert sum(n_weights(model, component.weights) for component in found) == total


def test_all_put_back_is_the_earlier_model_and_none_is_the_later(
    models: tuple[PreTrainedModel, PreTrainedModel],
    restored: RestoredRows,
    asked: list[TokenizedRow],
):
    assert isinstance(restored, Answerable)
    later, earlier = models
    none, every = torch.zeros(len(restored.units)).bool(), torch.ones(len(restored.units)).bool()
    found = restored.answers(torch.stack([none, every, none]))
    assert found.shape == (3, len(asked), 2)
    assert found[0].numpy() == pytest.approx(answered(later, asked).numpy(), abs=1e-5)
    assert found[1].numpy() == pytest.approx(answered(earlier, asked).numpy(), abs=1e-5)
    assert torch.equal(found[0], found[2])  # nothing of the set before is left
    assert (found[0] - found[1]).abs().max() > 0.1


def test_a_head_put_back_is_its_slices_copied_by_hand(
    models: tuple[PreTrainedModel, PreTrainedModel],
    components: list[Component],
    restored: RestoredRows,
    asked: list[TokenizedRow],
):
    later, earlier = models
    n_heads, width = later.config.num_attention_heads, later.config.hidden_size
    size, head = width // n_heads, n_heads - 1
    state, theirs = copy.deepcopy(later.state_dict()), earlier.state_dict()
    attention = "gpt_neox.layers.1.attention"
    of_head = slice(3 * size * head, 3 * size * (head + 1))
    for name in ("query_key_value.weight", "query_key_value.bias"):
        state[f"{attention}.{name}"][of_head] = theirs[f"{attention}.{name}"][of_head]
    columns = slice(size * head, size * (head + 1))
    dense = f"{attention}.dense.weight"
    state[dense][:, columns] = theirs[dense][:, columns]
    by_hand = copy.deepcopy(later)
    by_hand.load_state_dict(state)

    (chosen,) = find_components([f"a1.h{head}"], components)
    found = restored.answers(members([[chosen]], components))[0]
    assert found.numpy() == pytest.approx(answered(by_hand, asked).numpy(), abs=1e-5)
    assert (found - answered(later, asked)).abs().max() > 1e-3


def test_neither_model_changes_also_not_after_an_error(
    models: tuple[PreTrainedModel, PreTrainedModel],
    components: list[Component],
    asked: list[TokenizedRow],
):
    before = state_of_all(models)
    restoration = Restoration(*models, components)
    every = torch.ones(len(components), dtype=torch.bool)

    def put_back_and_break() -> None:
        with restoration.put_back(every) as model:
            assert is_same([model.state_dict()], before[1:])
            raise RuntimeError("it broke")

    with pytest.raises(RuntimeError, match="broke"):
        put_back_and_break()
    with restoration.put_back(~every) as model:
        assert is_same([model.state_dict()], before[:1])
    RestoredRows(restoration, asked[:3]).answers(every[None])
    assert is_same(state_of_all(models), before)
    assert all(weight.grad is None for each in models for weight in each.parameters())


def test_a_circuit_s_weights_are_those_of_its_units_without_roles(components: list[Component]):
    circuit = [Unit(1, 0, "alias"), Unit(1, 0, "tag"), Unit(0, None, "alias")]
    held = weights_behind(circuit, components)
    names = [each.name for each, is_in in zip(components, held, strict=True) if is_in]
    assert names == ["m0", "a1.h0"]
    with pytest.raises(InputError, match="component"):
        weights_behind([Unit(7, None, "alias")], components)


def test_records_hold_a_circuit_against_all_others_like_it(
    tiny_run: Run,
    models: tuple[PreTrainedModel, PreTrainedModel],
    components: list[Component],
    asked: list[TokenizedRow],
):
    names = list(dict.fromkeys(row.row.subset.name for row in asked))
    of_subsets = {name: [r for r in asked if r.row.subset.name == name] for name in names}
    behaviours = restored_behaviours(*models, components, of_subsets)
    circuit = members([find_components(["a1.h0"], components)], components)[0]
    n_others = sum(each.stratum == (1, "head") for each in components) - 1
    matched = matched_circuits(circuit, components, torch.zeros(len(components), 0).numpy())
    assert (len(matched.sets), matched.is_all) == (n_others, True)
    assert matched.p_smallest == 1 / (1 + n_others)

    found = restored_records(behaviours, circuit, [], tiny_run.design.main)
    assert {each["quantity"] for each in found} == {"restored", "restored_exact"}
    assert {each["subset"] for each in found} == {*names, "gap"}
    assert {each["n_null"] for each in found} == {n_others}
    single = single_restored_records(behaviours, solo_effects(behaviours))
    alone = {(each["unit"], each["subset"]): each for each in single}
    for each in found:
        if each["quantity"] == "restored" and each["subset"] != "gap":
            assert each["value"] == pytest.approx(alone["a1.h0", each["subset"]]["value"])
