from collections.abc import Callable

import pytest
import torch
from transformers import PreTrainedModel

from interp.hooked.model import HookedModel
from tests.interp.hooked.tiny_models import (
    difference,
    every_architecture,
    gpt2,
    neox,
    plain_logits,
    prompts,
    zero,
)


@every_architecture
def test_refresh_gives_what_a_new_view_gives(build: Callable[..., PreTrainedModel]) -> None:
    hooked, later, tokens = HookedModel.from_hf(build(0)), build(5), prompts()
    live = hooked.live_hooks
    fresh = HookedModel.from_hf(later)
    assert difference(hooked.logits(tokens), fresh.logits(tokens)) > 1e-2
    hooked.refresh(later)
    assert hooked.live_hooks == live
    names = sorted(live)
    logits, cache = hooked.run_with_cache(tokens, names)
    fresh_logits, fresh_cache = fresh.run_with_cache(tokens, names)
    assert logits is not None
    assert fresh_logits is not None
    assert torch.equal(logits, fresh_logits)
    assert all(torch.equal(cache[name], fresh_cache[name]) for name in names)
    assert torch.equal(hooked.W_U, fresh.W_U)


def test_a_neox_refresh_keeps_the_bridge_and_leaves_no_stale_weight() -> None:
    hooked, later = HookedModel.from_hf(neox(0)), neox(5)
    bridge = hooked.bridge
    hooked.refresh(later)
    fresh = HookedModel.from_hf(later).bridge.original_model.state_dict()
    assert hooked.bridge is bridge
    for name, weight in hooked.bridge.original_model.state_dict().items():
        assert torch.equal(weight, fresh[name]), name


def test_a_refreshed_view_does_not_follow_the_model_it_was_refreshed_from() -> None:
    hooked, later, tokens = HookedModel.from_hf(neox(0)), neox(5), prompts()
    hooked.refresh(later)
    expected = hooked.logits(tokens)
    with torch.no_grad():
        for parameter in later.parameters():
            parameter.add_(1.0)
    assert torch.equal(hooked.logits(tokens), expected)


def test_refresh_from_the_same_shapes_under_another_config_is_exact_too() -> None:
    hooked, later, tokens = HookedModel.from_hf(neox()), neox(5, parallel=False), prompts()
    hooked.refresh(later)
    assert difference(hooked.logits(tokens), plain_logits(later, tokens)) < 1e-5
    hooked.check_hooks(["blocks.0.hook_resid_mid"])


def test_refresh_from_another_dtype_takes_that_dtype() -> None:
    hooked, later, tokens = HookedModel.from_hf(neox().bfloat16()), neox(5), prompts()
    hooked.refresh(later)
    assert difference(hooked.logits(tokens), plain_logits(later, tokens)) < 1e-5


@pytest.mark.parametrize("other", [neox(n_layers=2), gpt2()], ids=["fewer layers", "another class"])
def test_refresh_from_another_architecture_is_an_error_and_changes_nothing(
    other: PreTrainedModel,
) -> None:
    hooked, tokens = HookedModel.from_hf(neox()), prompts()
    before = hooked.logits(tokens)
    with pytest.raises(ValueError, match="cannot refresh"):
        hooked.refresh(other)
    assert torch.equal(hooked.logits(tokens), before)


def test_refresh_and_processed_inside_hooks_are_errors() -> None:
    hooked = HookedModel.from_hf(neox())
    with hooked.hooks(fwd_hooks=[("hook_embed", zero)]):
        with pytest.raises(ValueError, match="while hooks are attached"):
            hooked.refresh(neox(5))
        with pytest.raises(ValueError, match="while hooks are attached"):
            hooked.processed()
