from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import GPTNeoXForCausalLM, PreTrainedModel

from data.pairs import PromptPair
from interp.edges.direct_paths import patch_direct_paths
from interp.hooked.model import HookedModel
from tests.interp.edges.edge_pairs import HAVE_EDGES, PAIRS, prompts

Builder = Callable[[str], PreTrainedModel]


def slow_path_effect(model: HookedModel, pairs: list[PromptPair], path: Sequence) -> float:
    """The effect of one path, by computing the destination's query, key or value by hand."""
    source_layer, source_head, layer, head, component = path
    z, resid = f"blocks.{source_layer}.attn.hook_z", f"blocks.{layer}.hook_resid_pre"
    attention = model.bridge.blocks[layer].attn
    weight = getattr(attention, f"W_{component.upper()}")[head]
    bias = getattr(attention, f"b_{component.upper()}")
    totals = np.zeros(3)
    for pair in pairs:
        clean, corrupted, metric = prompts(pair)
        clean_logits, clean_cache = model.run_with_cache(clean, [z], stop_at_layer=None)
        corrupted_logits, cache = model.run_with_cache(corrupted, [z, resid], stop_at_layer=None)
        change = (clean_cache[z] - cache[z])[:, :, source_head]
        message = change @ model.bridge.blocks[source_layer].attn.W_O[source_head]
        normed = model.bridge.blocks[layer].ln1.original_component(cache[resid] + message)
        vector = normed @ weight + (0 if bias is None else bias.view(model.n_heads, -1)[head])

        def put(value: Tensor, hook: object, vector: Tensor = vector) -> Tensor:
            value = value.clone()
            value[:, :, head] = vector
            return value

        with torch.no_grad(), model.hooks([(f"blocks.{layer}.attn.hook_{component}", put)]):
            patched = metric(model(corrupted))
        assert clean_logits is not None
        assert corrupted_logits is not None
        totals += [metric(x).item() for x in (clean_logits, corrupted_logits)] + [patched.item()]
    return (totals[2] - totals[1]) / (totals[0] - totals[1])


@pytest.mark.parametrize(
    ("name", "components"),
    [*((name, ["q", "k", "v"]) for name in HAVE_EDGES), ("llama", ["q"])],
)
def test_a_direct_path_is_the_destination_computed_by_hand(
    name: str, components: list, random_model: Builder
) -> None:
    model = HookedModel.from_hf(random_model(name).double())
    table = patch_direct_paths(model, PAIRS, components=components, batch_size=2)
    assert len(table) == 4 * 4 * len(components)
    assert set(table["n"]) == {3}
    for *path, effect, _n in table.sample(6, random_state=0).to_numpy().tolist():
        with torch.no_grad():
            expected = slow_path_effect(model, PAIRS, path)
        assert effect == pytest.approx(expected, abs=1e-5), path
    assert max(map(abs, table["effect"])) > 1e-3


def test_only_the_head_that_writes_has_paths_with_an_effect(random_model: Builder) -> None:
    model = random_model("neox")
    assert isinstance(model, GPTNeoXForCausalLM)
    with torch.no_grad():
        keep = torch.zeros(16)
        keep[8:12] = 1
        layers: Any = model.gpt_neox.layers
        layers[0].attention.dense.weight.mul_(keep)
    table = patch_direct_paths(HookedModel.from_hf(model), PAIRS)
    effects = [table["effect"][table["source_head"] == head].tolist() for head in range(4)]
    largest = [max(map(abs, each)) for each in effects]
    assert max(largest[:2] + largest[3:]) < 1e-5
    assert largest[2] > 1e-3


def test_chosen_sources_alone_are_patched(neox: HookedModel) -> None:
    whole = patch_direct_paths(neox, PAIRS, components=["v"])
    some = patch_direct_paths(neox, PAIRS, components=["v"], sources=[(0, 3), (0, 1)])
    assert some["source_head"].tolist() == [3] * 4 + [1] * 4
    columns = list(some.columns.drop(["effect", "n"]))
    joined = some.merge(whole, on=columns)
    assert len(joined) == 8
    np.testing.assert_array_equal(joined["effect_x"], joined["effect_y"])
