from collections.abc import Callable

import pytest
import torch
from transformers import PreTrainedModel

from interp.hooked.model import HookedModel
from tests.interp.hooked.tiny_models import (
    VOCAB,
    difference,
    every_architecture,
    four_architectures,
    gpt2,
    neox,
    plain_logits,
    prompts,
    zero,
)

# ---- the view equals the model -------------------------------------------------------------


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_neox_logits_are_the_models_bit_for_bit(parallel: bool, tied: bool) -> None:
    model, tokens = neox(parallel=parallel, tied=tied), prompts()
    model.set_attn_implementation("eager")
    assert torch.equal(HookedModel.from_hf(model).logits(tokens), plain_logits(model, tokens))


@every_architecture
def test_logits_are_the_models_up_to_rounding(
    build: Callable[..., PreTrainedModel],
) -> None:
    model, tokens = build(), prompts()
    assert difference(HookedModel.from_hf(model).logits(tokens), plain_logits(model, tokens)) < 1e-5


def test_bfloat16_logits_are_the_models() -> None:
    model, tokens = neox().bfloat16(), prompts()
    model.set_attn_implementation("eager")
    hooked = HookedModel.from_hf(model)
    assert hooked.logits(tokens).dtype is torch.bfloat16
    assert torch.equal(hooked.logits(tokens), plain_logits(model, tokens))


def test_a_model_in_training_mode_is_viewed_without_dropout() -> None:
    model, tokens = neox(attention_dropout=0.5, hidden_dropout=0.5), prompts()
    expected = plain_logits(model, tokens)
    model.train()
    model.gpt_neox.layers[1].eval()
    modes = [module.training for module in model.modules()]
    hooked = HookedModel.from_hf(model)
    hooked.refresh(model)
    assert difference(hooked.logits(tokens), expected) < 1e-5
    assert [module.training for module in model.modules()] == modes


def test_kept_logits_are_the_last_ones() -> None:
    hooked, tokens = HookedModel.from_hf(neox()), prompts()
    last = hooked.logits(tokens, logits_to_keep=2)
    assert last.shape == (3, 2, VOCAB)
    assert difference(last, hooked.logits(tokens)[:, -2:]) < 1e-6


def test_sizes_are_the_configs() -> None:
    hooked = HookedModel.from_hf(neox())
    assert (hooked.n_layers, hooked.n_heads, hooked.d_model, hooked.d_head) == (3, 4, 32, 8)
    assert (hooked.d_vocab, hooked.n_ctx, hooked.device.type) == (VOCAB, 32, "cpu")
    assert hooked.architecture == "GPTNeoXForCausalLM"
    assert "n_layers=3" in repr(hooked)


@every_architecture
def test_right_padding_changes_nothing_at_real_tokens(
    build: Callable[..., PreTrainedModel],
) -> None:
    hooked, tokens = HookedModel.from_hf(build()), prompts()
    lengths = torch.tensor([12, 7, 4])
    mask = (torch.arange(12) < lengths[:, None]).long()
    padded = tokens.masked_fill(mask == 0, 0)
    name = "blocks.1.hook_resid_post"
    for given in (mask, None):
        batched = hooked.logits(padded, given)
        _, cache = hooked.run_with_cache(padded, [name], attention_mask=given)
        for row, length in enumerate(lengths.tolist()):
            alone = tokens[row : row + 1, :length]
            assert difference(batched[row, :length], hooked.logits(alone)[0]) < 1e-5
            _, alone_cache = hooked.run_with_cache(alone, [name])
            assert difference(cache[name][row, :length], alone_cache[name][0]) < 1e-5


def test_left_padding_with_a_mask_counts_positions_from_the_first_real_token() -> None:
    hooked, tokens = HookedModel.from_hf(gpt2()), prompts(1, 5)
    padded = torch.cat([torch.zeros(1, 3, dtype=torch.long), tokens], dim=1)
    mask = torch.tensor([[0] * 3 + [1] * 5])
    assert difference(hooked.logits(padded, mask)[:, 3:], hooked.logits(tokens)) < 1e-5


@every_architecture
def test_final_norm_and_unembedding_turn_the_last_residual_into_the_logits(
    build: Callable[..., PreTrainedModel],
) -> None:
    hooked, tokens = HookedModel.from_hf(build()), prompts()
    name = f"blocks.{hooked.n_layers - 1}.hook_resid_post"
    _, cache = hooked.run_with_cache(tokens, [name])
    lens = hooked.final_norm(cache[name]) @ hooked.W_U + hooked.b_U
    assert difference(lens, hooked.logits(tokens)) < 1e-5


def test_final_norm_takes_a_bare_vector_and_fires_no_hook() -> None:
    hooked = HookedModel.from_hf(neox())
    fired = []
    with hooked.hooks(fwd_hooks=[("ln_final.hook_in", lambda t, hook: fired.append(1))]):
        assert hooked.final_norm(torch.ones(32)).shape == (32,)
    assert not fired


# ---- wrapping twice ------------------------------------------------------------------------


def test_a_wrapped_model_is_refused() -> None:
    hooked = HookedModel.from_hf(neox())
    wrapped = hooked.bridge.original_model
    assert isinstance(wrapped, PreTrainedModel)
    with pytest.raises(ValueError, match="inside a bridge already"):
        HookedModel.from_hf(wrapped)
    with pytest.raises(ValueError, match="inside a bridge already"):
        hooked.refresh(wrapped)


@four_architectures
def test_two_views_of_one_model_are_both_fully_alive(build: Callable[..., PreTrainedModel]) -> None:
    model, tokens = build(), prompts()
    first, second = HookedModel.from_hf(model), HookedModel.from_hf(model)
    _, cache = first.bridge.run_with_cache(tokens)
    assert first.live_hooks == second.live_hooks == set(cache.keys())
    for hooked, other in ((first, second), (second, first)):
        with hooked.hooks(fwd_hooks=[("blocks.1.attn.hook_z", zero)]):
            assert difference(hooked.logits(tokens), plain_logits(model, tokens)) > 1e-3
            assert difference(other.logits(tokens), plain_logits(model, tokens)) < 1e-5
