from collections.abc import Callable

import pytest
import torch
from transformers import PreTrainedModel

from interp.hooked.model import HookedModel
from tests.interp.hooked.tiny_models import (
    difference,
    every_architecture,
    four_architectures,
    neox,
    plain_logits,
    prompts,
)


@every_architecture
def test_a_processed_view_has_the_log_probabilities_of_the_model_and_leaves_it_alone(
    build: Callable[..., PreTrainedModel],
) -> None:
    hooked, tokens = HookedModel.from_hf(build()), prompts()
    before = hooked.logits(tokens)
    view = hooked.processed()
    assert view.is_processed
    assert not hooked.is_processed
    assert difference(view.logits(tokens).log_softmax(-1), before.log_softmax(-1)) < 1e-4
    assert torch.equal(hooked.logits(tokens), before)
    assert view.W_U.mean(-1).abs().max() < 1e-5
    with pytest.raises(ValueError, match="processed"):
        view.refresh(build(5))


@four_architectures
def test_the_lens_of_a_processed_view_gives_its_logits(
    build: Callable[..., PreTrainedModel],
) -> None:
    view, tokens = HookedModel.from_hf(build()).processed(), prompts()
    name = f"blocks.{view.n_layers - 1}.hook_resid_post"
    _, cache = view.run_with_cache(tokens, [name])
    assert (
        difference(view.final_norm(cache[name]) @ view.W_U + view.b_U, view.logits(tokens)) < 1e-5
    )


def test_direct_contributions_of_a_processed_view_add_up_to_the_logit_difference() -> None:
    view, tokens = HookedModel.from_hf(neox()).processed(), prompts()
    parts = ["hook_embed"] + [
        f"blocks.{layer}.{site}" for layer in range(3) for site in ("hook_attn_out", "hook_mlp_out")
    ]
    logits, cache = view.run_with_cache(tokens, [*parts, "ln_final.hook_scale"], stop_at_layer=None)
    assert logits is not None
    stacked = torch.stack([cache[name] for name in parts]) / cache["ln_final.hook_scale"]
    direct = (stacked @ (view.W_U[:, 3] - view.W_U[:, 8])).sum(0) + view.b_U[3] - view.b_U[8]
    assert difference(direct, logits[..., 3] - logits[..., 8]) < 1e-4


def test_a_view_can_be_processed_after_a_backward_pass() -> None:
    hooked, tokens = HookedModel.from_hf(neox()), prompts()
    with hooked.hooks(bwd_hooks=[("hook_embed", lambda grad, hook: None)]):
        hooked(tokens).sum().backward()
    assert hooked.processed().is_processed


def test_a_refreshed_view_processes_its_new_weights() -> None:
    hooked, later, tokens = HookedModel.from_hf(neox(0)), neox(5), prompts()
    hooked.refresh(later)
    log_probs = plain_logits(later, tokens).log_softmax(-1)
    assert difference(hooked.processed().logits(tokens).log_softmax(-1), log_probs) < 1e-4
