import copy
from collections.abc import Callable

import pandas as pd
import pytest
import torch
from torch import Tensor

from data.errors import InputError
from interp.edges.attribution import attribute_edges, edge_faithfulness
from interp.edges.direct_paths import patch_direct_paths
from interp.hooked.model import HookedModel
from tests.interp.edges.edge_pairs import PAIRS

StateOf = Callable[[HookedModel], tuple[object, ...]]
CALLS: dict[str, Callable[[HookedModel], object]] = {
    "edges": lambda model: attribute_edges(model, PAIRS, ig_steps=2),
    "faithfulness": lambda model: edge_faithfulness(
        model, PAIRS, attribute_edges(model, PAIRS), n_edges=9, n_random=1
    ),
    "paths": lambda model: patch_direct_paths(model, PAIRS, components=["q"]),
}


def switches_of(model: HookedModel) -> list[bool]:
    names = ("use_attn_result", "use_split_qkv_input", "use_hook_mlp_in", "use_attn_in")
    configs = [model.bridge.cfg, *(block.attn.config for block in model.bridge.blocks)]
    return [bool(getattr(config, name, False)) for config in configs for name in names] + [
        bool(getattr(block, "_use_hook_mlp_in", False)) for block in model.bridge.blocks
    ]


@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_left_behind(name: str, any_model: HookedModel, state_of: StateOf) -> None:
    before = state_of(any_model)
    tokens = torch.tensor([[3, 4, 5]])
    logits = any_model.logits(tokens)
    try:
        CALLS[name](any_model)
    except InputError:
        assert any_model.architecture in ("GPTNeoForCausalLM", "LlamaForCausalLM")
    assert state_of(any_model) == before
    assert not any(switches_of(any_model))
    assert torch.equal(any_model.logits(tokens), logits)
    copy.deepcopy(any_model.bridge)


class Stop(Exception):
    pass


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("passes", [1, 3, 5])
def test_nothing_is_left_behind_by_a_call_that_raises(
    name: str, error: type[BaseException], passes: int, neox: HookedModel, state_of: StateOf
) -> None:
    before = state_of(neox)
    seen = []

    def fail(value: Tensor, hook: object) -> None:
        seen.append(value)
        if len(seen) == passes:
            raise error

    with pytest.raises(error), neox.hooks([("ln_final.hook_normalized", fail)]):
        CALLS[name](neox)
    assert len(seen) >= passes
    assert state_of(neox) == before
    assert not any(switches_of(neox))
    copy.deepcopy(neox.bridge)


def test_gradients_are_taken_where_the_caller_wants_none(neox: HookedModel) -> None:
    expected = attribute_edges(neox, PAIRS)
    with torch.no_grad():
        pd.testing.assert_frame_equal(attribute_edges(neox, PAIRS), expected)
