"""What Stage 2 is trained again without, and beside what."""

import pytest
import torch
from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.circuits.components import components_of, n_weights
from interp.circuits.treatments import FROZEN, Treatment, treatments
from training.retraining import Retraining
from training.runs.run import Run

SEED = 1000


@pytest.fixture(scope="module")
def start(tiny_run: Run) -> PreTrainedModel:
    return Retraining(run=tiny_run, seed=SEED).model_at(1)


@pytest.fixture(scope="module")
def rows(tiny_run: Run) -> list[TokenizedRow]:
    return tiny_run.tokenized_rows(SEED)


def ablated(start: PreTrainedModel) -> dict[str, float]:
    """The last head of each layer leads."""
    config = start.config
    return {
        f"a{layer}.h{head}": float(head)
        for layer in range(config.num_hidden_layers)
        for head in range(config.num_attention_heads)
    }


@pytest.fixture(scope="module")
def usual(start: PreTrainedModel, rows: list[TokenizedRow]) -> list[Treatment]:
    return treatments(start, rows, ablated(start), n_others=5, seed=0)


def test_the_leading_heads_count_over_seeds_and_all_others_are_what_they_are_held_against(
    start: PreTrainedModel, usual: list[Treatment]
):
    last = start.config.num_attention_heads - 1
    heads = [each for each in usual if each.kind == "1 head of layer 1"]
    assert {(each.mode, each.part) for each in heads} == {
        (mode, f"a1.h{head}") for mode in ("frozen", "clamped") for head in range(last + 1)
    }
    told = {(each.mode, each.part): each.label for each in heads if each.label}
    assert told == {(mode, f"a1.h{last}"): "a1.leading" for mode in ("frozen", "clamped")}
    for each in heads:
        assert each.clamped == (((1, int(each.part[-1])),) if each.mode == "clamped" else ())
        assert bool(each.frozen) == (each.mode == "frozen")


def test_the_untouched_training_comes_first_and_each_is_there_once(usual: list[Treatment]):
    assert (usual[0].mode, usual[0].part) == ("untouched", "none")
    assert not usual[0].frozen
    assert len({(each.mode, each.part) for each in usual}) == len(usual)
    labels = {each.label for each in usual if each.mode == FROZEN}
    assert {"all", "blocks", "heads", "mlps", "emb", "emb.rest", "m0", "m1"} < labels


def test_what_is_held_against_one_another_has_as_many_weights(
    start: PreTrainedModel, usual: list[Treatment]
):
    sizes: dict[str, set[int]] = {}
    for each in usual:
        if each.mode == FROZEN:
            sizes.setdefault(each.kind, set()).add(n_weights(start, each.frozen))
    assert all(len(found) == 1 for found in sizes.values())
    everything = sum(weight.numel() for weight in start.parameters())
    assert sizes["all"] == {everything}


def test_alias_rows_are_held_against_as_many_rows_of_other_tokens(
    start: PreTrainedModel, rows: list[TokenizedRow], usual: list[Treatment]
):
    (emb,) = (each for each in components_of(start, rows) if each.name == "emb")
    ((name, aliases),) = emb.weights.items()
    drawn = [each.frozen[name] for each in usual if each.part.startswith("rows.")]
    assert len(drawn) == 5
    for mask in drawn:
        assert mask.sum() * aliases.shape[1] == aliases.sum()
        assert not (mask & aliases).any()
    assert len({tuple(mask.flatten().tolist()) for mask in drawn}) == 5
    again = treatments(start, rows, ablated(start), n_others=5, seed=0)
    repeated = [each.frozen[name] for each in again if each.part.startswith("rows.")]
    assert all(map(torch.equal, drawn, repeated))


def test_components_of_one_s_own_choice(start: PreTrainedModel, rows: list[TokenizedRow]):
    own = treatments(start, rows, ablated(start), names=["a1.h0+m0", "a0.h1"], n_others=9, seed=0)
    told = [(each.mode, each.part, each.label) for each in own if each.label]
    assert told == [
        ("untouched", "none", "none"),
        ("frozen", "a1.h0+m0", "a1.h0+m0"),
        ("frozen", "a0.h1", "a0.h1"),
        ("clamped", "a0.h1", "a0.h1"),
    ]
    beside = {each.part for each in own if each.kind == "1 mlp of layer 0, 1 head of layer 1"}
    n_heads = start.config.num_attention_heads
    assert beside == {"a1.h0+m0", *(f"a1.h{head}+m0" for head in range(1, n_heads))}
    with pytest.raises(InputError, match=r"component 'a7\.h0'"):
        treatments(start, rows, ablated(start), names=["m0+a7.h0"], n_others=9, seed=0)
