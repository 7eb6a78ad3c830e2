from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from data.errors import InputError
from interp.hooked.addresses import SITE_HOOKS
from interp.hooked.model import HookedModel
from interp.patching.unrolled import UnrolledModel

StateOf = Callable[[HookedModel], tuple[object, ...]]
VOCABULARY, LENGTH = 40, 9
SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
UNUSED: dict[str, Any] = {"sliding_window": 20}
GROUPED: dict[str, Any] = SMALL | {"num_key_value_heads": 2, "head_dim": 4, "pad_token_id": 0}


def draw(n_rows: int, length: int = LENGTH, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCABULARY, (n_rows, length), generator=generator)


def randomized(model: PreTrainedModel) -> PreTrainedModel:
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        mean = parameter.detach().mean()
        parameter.data = mean + 0.3 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def close(found: Tensor | None, expected: Tensor | None) -> bool:
    assert found is not None
    assert expected is not None
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-5, atol=3e-5)


def sites_of(model: HookedModel) -> list[str]:
    return [name for name, hook in SITE_HOOKS.items() if hook.format(layer=0) in model.live_hooks]


# ---- equal to the view -----------------------------------------------------------------------


def test_every_site_of_every_layer_is_that_of_the_view(any_model: HookedModel):
    tokens, names = draw(3), sites_of(any_model)
    hooks = [SITE_HOOKS[name].format(layer=i) for name in names for i in range(any_model.n_layers)]
    logits, cache = any_model.run_with_cache(tokens, hooks, stop_at_layer=None)
    unrolled = UnrolledModel(any_model)

    trace = unrolled.trace(tokens)

    assert set(trace.sites) == set(names)
    for name in names:
        for layer in range(any_model.n_layers):
            expected = cache[SITE_HOOKS[name].format(layer=layer)]
            assert close(trace[name][layer], expected), (name, layer)
    assert close(unrolled.logits(trace["resid_pre"][-1]), logits)


def test_only_blocks_in_sequence_have_a_middle(any_model: HookedModel):
    is_parallel = bool(any_model.bridge.cfg.parallel_attn_mlp)

    assert ("resid_mid" in UnrolledModel(any_model).trace(draw(1)).sites) is not is_parallel


@torch.no_grad()
def test_a_pass_goes_on_from_any_layer_and_position(any_model: HookedModel):
    """Two cells of three prompts, which share with the base what lies before a position."""
    unrolled, base_tokens = UnrolledModel(any_model), draw(3)
    base = unrolled.trace(base_tokens)
    for first in range(LENGTH):
        cells = [base_tokens.clone(), base_tokens.clone()]
        for seed, tokens in enumerate(cells, start=1):
            tokens[:, first:] = draw(3, seed=seed)[:, first:]
        traces = [unrolled.trace(tokens) for tokens in cells]
        for kept in {1, min(3, LENGTH - first)}:
            expected = torch.stack([any_model.logits(each)[:, -kept:] for each in cells])
            for layer in range(any_model.n_layers + 1):
                resid = torch.stack([trace["resid_pre"][layer][:, first:] for trace in traces])
                assert close(unrolled.go_on(resid, layer, base, kept=kept), expected)


@torch.no_grad()
@pytest.mark.parametrize("says_where", [False, True])
def test_an_edit_of_the_stream_is_that_of_a_hook(any_model: HookedModel, says_where: bool):
    """At another position in each row, whether the next block is told where or not."""
    tokens, places, first = draw(3), torch.tensor([4, 2, 7]), 2
    unrolled = UnrolledModel(any_model)
    base, shift = unrolled.trace(tokens), torch.linspace(-2, 3, any_model.d_model)

    def edit(activation: Tensor, hook: torch.nn.Module) -> Tensor:
        edited = activation.clone()
        edited[range(3), places] += shift
        return edited

    for layer in range(any_model.n_layers):
        with any_model.hooks([(f"blocks.{layer}.hook_resid_pre", edit)]):
            expected = any_model.logits(tokens)
        assert not close(expected, any_model.logits(tokens))
        resid = base["resid_pre"][layer][:, first:].clone()
        resid[range(3), places - first] += shift
        there = (torch.arange(first, LENGTH) == places[:, None])[None]
        changed = there if says_where else None
        for kept in (1, 2, LENGTH - first):
            found = unrolled.go_on(resid[None], layer, base, changed=changed, kept=kept)
            assert close(found[0], expected[:, -kept:]), (layer, kept)


def test_rows_of_a_trace_are_those_of_their_prompts(any_model: HookedModel):
    tokens, unrolled = draw(3), UnrolledModel(any_model)
    chosen, alone = (
        unrolled.trace(tokens).of_rows(torch.tensor([2, 0])),
        unrolled.trace(tokens[[2, 0]]),
    )

    for name in alone.sites:
        assert all(close(*both) for both in zip(chosen[name], alone[name], strict=True))
    assert all(close(*both) for both in zip(chosen.rotated_k, alone.rotated_k, strict=True))


# ---- other models ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(
            lambda: LlamaForCausalLM(LlamaConfig(**GROUPED, attention_bias=True)), id="bias"
        ),
        pytest.param(
            lambda: MistralForCausalLM(MistralConfig(**GROUPED, sliding_window=4)), id="window 4"
        ),
        pytest.param(
            lambda: MistralForCausalLM(MistralConfig(**GROUPED, sliding_window=20)), id="window 20"
        ),
        pytest.param(
            lambda: Qwen2ForCausalLM(
                Qwen2Config(
                    **GROUPED, use_sliding_window=True, sliding_window=20, max_window_layers=1
                )
            ),
            id="one layer of two with a window",
        ),
        pytest.param(
            lambda: GPTNeoXForCausalLM(
                GPTNeoXConfig(**SMALL, **{"rotary_pct": 1.0, "hidden_act": "relu"})
            ),
            id="all dimensions rotated",
        ),
    ],
)
def test_a_variant_that_is_taken_is_computed_right(model: Callable[[], PreTrainedModel]):
    hooked = HookedModel.from_hf(randomized(model()))
    tokens, unrolled = draw(2, length=40), UnrolledModel(hooked)

    assert close(unrolled.logits(unrolled.trace(tokens)["resid_pre"][-1]), hooked.logits(tokens))


def scaled_gpt2(**changes: Any) -> PreTrainedModel:
    sizes = {"vocab_size": VOCABULARY, "n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 4}
    return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0, **changes))


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(lambda: scaled_gpt2(scale_attn_by_inverse_layer_idx=True), id="query scaling"),
        pytest.param(lambda: Gemma2ForCausalLM(Gemma2Config(**GROUPED)), id="norms after, softcap"),
        pytest.param(
            lambda: LlamaForCausalLM(LlamaConfig(**GROUPED, **UNUSED)),
            id="a window that its architecture does not use",
        ),
    ],
)
def test_a_model_that_computes_something_else_is_refused(model: Callable[[], PreTrainedModel]):
    hooked = HookedModel.from_hf(randomized(model()))

    with pytest.raises(InputError, match=r"does not know \(its logits differ by .*\); use "):
        UnrolledModel(hooked)


def test_a_view_that_became_another_function_is_proven_anew():
    view = HookedModel.from_hf(randomized(scaled_gpt2()))
    UnrolledModel(view)
    view.refresh(randomized(scaled_gpt2(scale_attn_by_inverse_layer_idx=True)))

    with pytest.raises(InputError, match="does not know"):
        UnrolledModel(view)


def test_new_weights_are_taken_over(random_model: Callable[[str], PreTrainedModel]):
    plain = random_model("neox")
    view, tokens = HookedModel.from_hf(plain), draw(2)
    UnrolledModel(view)
    for parameter in plain.parameters():
        parameter.data *= 1.5
    view.refresh(plain)
    unrolled = UnrolledModel(view)

    assert close(unrolled.logits(unrolled.trace(tokens)["resid_pre"][-1]), view.logits(tokens))


def test_hooks_on_the_view_are_refused(neox: HookedModel):
    edit = ("blocks.0.hook_mlp_out", lambda activation, hook: 2 * activation)
    with neox.hooks([edit]), pytest.raises(InputError, match="hooks are attached; leave"):
        UnrolledModel(neox)


# ---- gradients and side effects --------------------------------------------------------------


def test_a_trace_has_a_graph_only_where_gradients_are_taken(neox: HookedModel):
    unrolled = UnrolledModel(neox)

    assert unrolled.trace(draw(1))["resid_pre"][0].requires_grad
    assert not unrolled.trace(draw(1)).detached()["resid_pre"][-1].requires_grad
    with torch.no_grad():
        assert not unrolled.trace(draw(1))["resid_pre"][-1].requires_grad


def test_nothing_is_left_behind(any_model: HookedModel, state_of: StateOf):
    before = state_of(any_model)
    unrolled = UnrolledModel(any_model)
    base = unrolled.trace(draw(2))
    unrolled.go_on(base.detached()["resid_pre"][1][None], 1, base.detached()).sum()
    torch.autograd.grad(unrolled.logits(base["resid_pre"][-1]).sum(), base["resid_pre"][:1])

    assert state_of(any_model) == before
