from collections.abc import Callable

import pytest
import torch
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from data.errors import InputError
from interp.transplants.parts import (
    PartMask,
    choose_parts,
    complement,
    parts_of,
    random_weights,
    transplant,
    transplanted_weights,
    union,
    weights_of,
    with_weights,
)

RandomModel = Callable[[str], PreTrainedModel]
ARCHITECTURES = ("neox", "neox-sequential", "gpt2", "gpt-neo", "llama")
each_architecture = pytest.mark.parametrize("name", ARCHITECTURES)


def other(model: PreTrainedModel) -> PreTrainedModel:
    """The same with every weight another."""
    return with_weights(model, {name: weight + 1 for name, weight in weights_of(model).items()})


def is_equal(model: PreTrainedModel, expected: PreTrainedModel) -> bool:
    here, there = weights_of(model), weights_of(expected)
    return here.keys() == there.keys() and all(torch.equal(here[n], there[n]) for n in here)


def owned(model: PreTrainedModel, part: PartMask) -> dict[str, torch.Tensor]:
    """The part's masks at full size, of every parameter."""
    return {
        name: part[name].expand_as(weight) if name in part else torch.zeros_like(weight).bool()
        for name, weight in weights_of(model).items()
    }


def times_owned(pieces: list[dict[str, torch.Tensor]], parameter: str) -> set[int]:
    """By how many of the pieces the weights of a parameter are owned."""
    return set(torch.stack([masks[parameter].int() for masks in pieces]).sum(0).flatten().tolist())


@each_architecture
def test_everything_transplanted_is_the_donor_bit_for_bit(name: str, random_model: RandomModel):
    model = random_model(name)
    donor = other(model)
    changed = transplant(model, donor, parts_of(model)["all"])
    tokens = torch.tensor([[5, 6, 7]])

    assert is_equal(changed, donor)
    assert torch.equal(changed(tokens).logits, donor(tokens).logits)


@each_architecture
def test_nothing_transplanted_is_the_recipient(name: str, random_model: RandomModel):
    model = random_model(name)

    assert is_equal(transplant(model, other(model), parts_of(model)["none"]), model)


@each_architecture
def test_a_part_and_its_complement_are_the_donor(name: str, random_model: RandomModel):
    model = random_model(name)
    donor = other(model)
    for part in parts_of(model).values():
        half = transplant(model, donor, part)
        assert is_equal(transplant(half, donor, complement(model, part)), donor)


@each_architecture
def test_embeddings_blocks_and_final_norm_own_every_weight_once(
    name: str, random_model: RandomModel
):
    model = random_model(name)
    parts = parts_of(model)
    pieces = ("embeddings", "unembedding", "blocks", "final_norm")
    present = [owned(model, parts[piece]) for piece in pieces if piece in parts]

    for parameter in weights_of(model):
        assert times_owned(present, parameter) == {1}, parameter


@each_architecture
def test_blocks_are_attention_mlps_and_norms_by_layer(name: str, random_model: RandomModel):
    model = random_model(name)
    parts = parts_of(model)
    blocks = owned(model, parts["blocks"])

    by_layer = owned(model, union(parts["block.0"], parts["block.1"]))
    by_kind = owned(model, union(union(parts["attention"], parts["mlps"]), parts["norms"]))
    final = owned(model, parts["final_norm"])
    for parameter, mask in blocks.items():
        assert torch.equal(mask, by_layer[parameter])
        assert torch.equal(mask, by_kind[parameter] & ~final[parameter])


@each_architecture
def test_heads_share_nothing_but_own_all_of_attention_that_is_a_heads(
    name: str, random_model: RandomModel
):
    model = random_model(name)
    parts = parts_of(model)
    heads = [owned(model, parts[f"head.1.{head}"]) for head in range(4)]
    of_no_head = {"neox": "dense.bias", "gpt2": "c_proj.bias", "gpt-neo": "out_proj.bias"}

    for parameter in parts["attention.1"]:
        times = 1
        if parameter.endswith(of_no_head.get(name.partition("-seq")[0], "nothing")):
            times = 0
        if name == "llama" and ("k_proj" in parameter or "v_proj" in parameter):
            times = 0  # two heads share one key
        assert times_owned(heads, parameter) == {times}, parameter


def test_tied_embeddings_are_the_unembedding_and_untied_ones_are_not(random_model: RandomModel):
    assert "unembedding" not in parts_of(random_model("neox-sequential"))
    assert list(parts_of(random_model("neox"))["unembedding"]) == ["lm_head.weight"]


@pytest.mark.parametrize("name", ["neox", "neox-sequential", "gpt2", "gpt-neo"])
def test_a_head_is_what_its_output_depends_on(name: str, random_model: RandomModel):
    """Random weights in one head change that head's output, z, and no other's."""
    from interp.hooked.model import HookedModel

    model = random_model(name)
    tokens = torch.tensor([[5, 9, 7, 11]])
    _, before = HookedModel.from_hf(model).run_with_cache(tokens, ["blocks.0.attn.hook_z"])
    for head in range(4):
        changed = transplant(model, other(model), parts_of(model)[f"head.0.{head}"])
        _, after = HookedModel.from_hf(changed).run_with_cache(tokens, ["blocks.0.attn.hook_z"])
        moved = (
            (before["blocks.0.attn.hook_z"] - after["blocks.0.attn.hook_z"]).abs().amax((0, 1, 3))
        )
        assert [bool(m > 1e-4) for m in moved] == [h == head for h in range(4)]


def test_a_heads_output_weights_are_those_that_read_its_z(random_model: RandomModel):
    model = random_model("gpt2")
    mask = owned(model, parts_of(model)["head.0.2"])["transformer.h.0.attn.c_proj.weight"]

    assert mask.any(1).tolist() == [8 <= row < 12 for row in range(16)]  # [in, out]
    mask = owned(model, parts_of(model)["head.0.2"])["transformer.h.0.attn.c_attn.weight"]
    assert mask.any(0).nonzero().flatten().tolist() == [
        *range(8, 12),
        *range(24, 28),
        *range(40, 44),
    ]


def test_a_head_of_neox_is_a_stretch_of_the_interleaved_rows(random_model: RandomModel):
    model = random_model("neox")
    masks = owned(model, parts_of(model)["head.0.1"])

    rows = masks["gpt_neox.layers.0.attention.query_key_value.weight"].all(1)
    assert rows.nonzero().flatten().tolist() == list(range(12, 24))
    bias = masks["gpt_neox.layers.0.attention.query_key_value.bias"]
    assert bias.nonzero().flatten().tolist() == list(range(12, 24))


def test_a_union_owns_what_either_part_owns(random_model: RandomModel):
    model = random_model("neox")
    chosen = choose_parts(model, ["embeddings+mlp.1", "head.0.0+head.0.1"])

    assert set(chosen["embeddings+mlp.1"]) == {
        "gpt_neox.embed_in.weight",
        *(name for name in weights_of(model) if ".1.mlp." in name),
    }
    dense = "gpt_neox.layers.0.attention.dense.weight"
    both = owned(model, chosen["head.0.0+head.0.1"])[dense]
    assert both.all(0).tolist() == [column < 8 for column in range(16)]


def test_neither_model_is_changed(random_model: RandomModel):
    model = random_model("neox")
    donor = other(model)
    copies = [with_weights(each, {}) for each in (model, donor)]
    transplant(model, donor, parts_of(model)["all"])

    assert is_equal(model, copies[0])
    assert is_equal(donor, copies[1])


def test_a_random_change_has_the_norm_of_the_difference_in_each_weight(random_model: RandomModel):
    model = random_model("neox")
    own = weights_of(model)
    theirs = {name: weight * 1.5 for name, weight in own.items()}
    for part in choose_parts(model, ["all", "head.1.2", "none"]).values():
        real = transplanted_weights(own, theirs, part)
        random = random_weights(own, theirs, part, torch.Generator().manual_seed(3))
        again = random_weights(own, theirs, part, torch.Generator().manual_seed(3))
        assert set(random) == set(part)
        for name, mask in part.items():
            assert torch.equal(random[name], again[name])
            moved = random[name] - own[name]
            norm = (real[name] - own[name]).norm().item()
            assert moved.norm().item() == pytest.approx(norm, rel=1e-4)
            assert not moved[~mask.expand_as(moved)].any()
            cosine = (moved * (real[name] - own[name])).sum() / moved.norm().square()
            assert abs(cosine) < (0.3 if moved.numel() > 200 else 1)


def test_where_nothing_differs_a_random_change_is_none(random_model: RandomModel):
    model = random_model("gpt2")
    own = weights_of(model)
    random = random_weights(own, own, parts_of(model)["all"], torch.Generator())

    assert all(torch.equal(random[name], own[name]) for name in own)


@pytest.mark.parametrize("name", ["embedding", "block.2", "head.0.4", "embeddings+mlp"])
def test_a_part_that_is_not_there_is_an_error(name: str, random_model: RandomModel):
    with pytest.raises(InputError, match=r"no part '[\w.]+' in a model of 2 layers of 4 heads;"):
        choose_parts(random_model("gpt2"), [name])


def test_a_donor_of_another_shape_is_an_error(random_model: RandomModel):
    neox, tied = random_model("neox"), random_model("neox-sequential")
    with pytest.raises(InputError, match=r"lm_head.weight is absent in the donor and \[40, 16\]"):
        transplant(neox, tied, {})


def test_a_parameter_of_which_it_is_not_known_where_it_belongs_is_an_error():
    config = Qwen3Config(
        vocab_size=20,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=4,
    )
    with pytest.raises(InputError, match=r"q_norm.weight is in no known kind of attention"):
        parts_of(Qwen3ForCausalLM(config))
