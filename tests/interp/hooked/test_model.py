import copy
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from interp.hooked.live_hooks import DeadHookError
from interp.hooked.model import HookedModel, load_hooked, load_hooked_folder

VOCAB, N_LAYERS = 50, 3
MODELS = Path(__file__).parents[3].parent / "shared" / "data" / "models"


def seeded(seed: int, build: Callable[[], PreTrainedModel]) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build()
        for parameter in model.parameters():  # biases and gains too, which start at 0 and 1
            torch.nn.init.normal_(parameter, mean=parameter.detach().mean().item(), std=0.2)
    return model.eval()


def neox(
    seed: int = 0, *, parallel: bool = True, tied: bool = False, n_layers: int = N_LAYERS, **other
) -> GPTNeoXForCausalLM:
    config = GPTNeoXConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        max_position_embeddings=32,
        use_parallel_residual=parallel,
        tie_word_embeddings=tied,
        **other,
    )
    model = seeded(seed, lambda: GPTNeoXForCausalLM(config))
    assert isinstance(model, GPTNeoXForCausalLM)
    return model


def gpt2(seed: int = 0) -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=VOCAB,
        n_positions=32,
        n_embd=32,
        n_layer=N_LAYERS,
        n_head=4,
        bos_token_id=0,
        eos_token_id=0,
    )
    return seeded(seed, lambda: GPT2LMHeadModel(config))


def gpt_neo(seed: int = 0) -> PreTrainedModel:
    config = GPTNeoConfig(
        vocab_size=VOCAB,
        max_position_embeddings=32,
        hidden_size=32,
        num_layers=4,
        attention_types=[[["global", "local"], 2]],
        num_heads=4,
        intermediate_size=64,
        window_size=4,
        bos_token_id=0,
        eos_token_id=0,
    )
    return seeded(seed, lambda: GPTNeoForCausalLM(config))


def llama(seed: int = 0) -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32,
    )
    return seeded(seed, lambda: LlamaForCausalLM(config))


BUILDERS: dict[str, Callable[..., PreTrainedModel]] = {
    "neox-parallel": neox,
    "neox-sequential-tied": lambda seed=0: neox(seed, parallel=False, tied=True),
    "gpt2": gpt2,
    "gpt-neo": gpt_neo,
    "llama": llama,
}
every_architecture = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS.keys())
four_architectures = pytest.mark.parametrize("build", [neox, gpt2, gpt_neo, llama])


def prompts(n_rows: int = 3, length: int = 12, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCAB, (n_rows, length), generator=generator)


@torch.no_grad()
def plain_logits(model: PreTrainedModel, tokens: Tensor, **kwargs: Tensor) -> Tensor:
    return model(tokens, **kwargs).logits


def difference(one: Tensor, other: Tensor) -> float:
    return (one.float() - other.float()).abs().max().item()


def n_attached_hooks(model: HookedModel) -> int:
    points = {id(point): point for point in model.bridge.hook_dict.values()}.values()
    ours = sum(len(point.fwd_hooks) + len(point.bwd_hooks) for point in points)
    return ours + sum(len(module._forward_hooks) + len(module._backward_hooks) for module in points)


def zero(activation: Tensor, hook: object) -> Tensor:
    return torch.zeros_like(activation)


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


# ---- hook names ----------------------------------------------------------------------------


@every_architecture
def test_live_hooks_are_those_that_transformer_lens_caches(
    build: Callable[..., PreTrainedModel],
) -> None:
    hooked = HookedModel.from_hf(build())
    _, cache = hooked.bridge.run_with_cache(prompts())
    assert hooked.live_hooks == set(cache.keys())


@every_architecture
def test_the_usual_sites_are_live(build: Callable[..., PreTrainedModel]) -> None:
    sites = ["hook_resid_pre", "hook_resid_post", "hook_attn_out", "hook_mlp_out"]
    heads = [f"attn.hook_{site}" for site in ("q", "k", "v", "z", "pattern", "attn_scores")]
    hooked = HookedModel.from_hf(build())
    hooked.check_hooks([f"blocks.{i}.{s}" for i in range(hooked.n_layers) for s in sites + heads])


def test_rotary_queries_never_fire_on_neox_and_asking_for_them_is_an_error() -> None:
    hooked, name = HookedModel.from_hf(neox()), "blocks.0.attn.hook_rot_q"
    assert name in hooked.bridge.hook_dict
    assert name not in hooked.live_hooks
    with pytest.raises(DeadHookError, match=r"hook_rot_q' never fires on GPTNeoXForCausalLM"):
        hooked.run_with_cache(prompts(), [name])
    with (
        pytest.raises(DeadHookError, match="never fires"),
        hooked.hooks(fwd_hooks=[(name, zero)]),
    ):
        pass
    with (
        pytest.raises(DeadHookError, match="never fires"),
        hooked.hooks(bwd_hooks=[(name, zero)]),
    ):
        pass
    assert n_attached_hooks(hooked) == 0


def test_the_middle_residual_exists_in_sequential_blocks_only() -> None:
    name = "blocks.1.hook_resid_mid"
    HookedModel.from_hf(neox(parallel=False)).check_hooks([name])
    with pytest.raises(DeadHookError, match="hook_resid_mid"):
        HookedModel.from_hf(neox(parallel=True)).check_hooks([name])


def test_editing_a_pattern_that_nothing_reads_is_an_error_and_reading_it_is_not() -> None:
    hooked, tokens, seen = HookedModel.from_hf(gpt_neo()), prompts(), []
    name = "blocks.1.attn.hook_pattern"
    with hooked.hooks(fwd_hooks=[(name, lambda t, hook: seen.append(t.shape))]):
        hooked.logits(tokens)
    assert seen == [(3, 4, 12, 12)]
    with (
        pytest.raises(DeadHookError, match="can only be read on GPTNeoForCausalLM"),
        hooked.hooks(fwd_hooks=[(name, zero)]),
    ):
        hooked.logits(tokens)
    with pytest.raises(DeadHookError, match="can only be read"), hooked.hooks([], [(name, zero)]):
        pass
    assert n_attached_hooks(hooked) == 0


IN_PLACE: dict[str, Callable[[torch.Tensor], object]] = {
    "whole": lambda t: t.zero_(),
    "view": lambda t: t[:, 0].fill_(0.3),
    "data": lambda t: t.data.zero_(),
    "numpy": lambda t: t.detach().numpy().fill(0.1),
}


@pytest.mark.parametrize("how", IN_PLACE)
@pytest.mark.parametrize(
    ("build", "name"),
    [(gpt_neo, "blocks.1.attn.hook_pattern"), (gpt_neo, "blocks.0.attn.hook_attn_scores"),
     (neox, "rotary_emb.hook_in")],
)  # fmt: skip
def test_an_edit_in_place_that_nothing_reads_is_an_error(
    build: Callable[..., PreTrainedModel], name: str, how: str
) -> None:
    hooked, tokens = HookedModel.from_hf(build()), prompts()

    def edit(activation: torch.Tensor, hook: nn.Module) -> None:
        IN_PLACE[how](activation)

    with (
        pytest.raises(DeadHookError, match="can only be read"),
        hooked.hooks(fwd_hooks=[(name, edit)]),
    ):
        hooked.logits(tokens)
    with (
        torch.inference_mode(),
        pytest.raises(DeadHookError, match="can only be read"),
        hooked.hooks(fwd_hooks=[(name, edit)]),
    ):
        hooked.logits(tokens)


@every_architecture
def test_an_edit_in_place_does_what_returning_it_does(
    build: Callable[..., PreTrainedModel],
) -> None:
    """Also where the bridge looks for another tensor, or where others share the memory."""
    hooked, tokens = HookedModel.from_hf(build()), prompts()

    def returned(activation: torch.Tensor, hook: nn.Module) -> torch.Tensor:
        return activation * 1.5

    def in_place(activation: torch.Tensor, hook: nn.Module) -> None:
        activation.mul_(1.5)

    def both(activation: torch.Tensor, hook: nn.Module) -> torch.Tensor:
        return activation.mul_(1.5)

    names = [
        name
        for name in sorted(hooked.editable_hooks)
        if name.startswith("blocks.1.") or name.startswith("ln_final")
    ]
    assert any(name.endswith("hook_scale") for name in names)
    for name in names:
        logits = []
        for edit in (returned, in_place, both):
            with hooked.hooks(fwd_hooks=[(name, edit)]):
                logits.append(hooked.logits(tokens))
        torch.testing.assert_close(logits[1], logits[0], msg=name)
        torch.testing.assert_close(logits[2], logits[0], msg=name)


@every_architecture
def test_an_edit_changes_the_logits_exactly_at_the_editable_hooks(
    build: Callable[..., PreTrainedModel],
) -> None:
    hooked, tokens = HookedModel.from_hf(build()), prompts()
    clean = hooked.logits(tokens)

    def nudge(activation: Tensor, hook: object) -> Tensor:
        return activation * torch.linspace(0.5, 2, activation.shape[-1])

    for name in sorted(hooked.live_hooks):
        if name.endswith("embed.hook_in"):  # token ids
            continue
        with hooked.bridge.hooks(fwd_hooks=[(name, nudge)]):
            is_changed = not torch.equal(hooked.logits(tokens), clean)
        assert is_changed == (name in hooked.editable_hooks), name


def test_an_unknown_hook_error_is_a_one_line_value_error_that_names_near_ones() -> None:
    hooked = HookedModel.from_hf(neox())
    with pytest.raises(ValueError, match=r"blocks\.2\.hook_resid_post") as error:
        hooked.check_hooks(["blocks.1.hook_resid_pre", "blocks.9.hook_resid_post"])
    assert "\n" not in str(error.value)


# ---- reading -------------------------------------------------------------------------------


@every_architecture
def test_every_live_hook_gives_transformer_lenss_activation_when_the_pass_ends_early(
    build: Callable[..., PreTrainedModel],
) -> None:
    hooked, tokens = HookedModel.from_hf(build()), prompts()
    with torch.no_grad():
        expected_logits, expected = hooked.bridge.run_with_cache(tokens)
    for name in sorted(hooked.live_hooks):
        logits, cache = hooked.run_with_cache(tokens, [name])
        assert list(cache) == [name]
        assert torch.equal(cache[name], expected[name]), name
        assert logits is None or torch.equal(logits, expected_logits)


def test_the_cache_keeps_the_order_of_names_and_is_detached() -> None:
    hooked = HookedModel.from_hf(neox())
    names = ["blocks.2.hook_resid_pre", "hook_embed", "blocks.0.attn.hook_z"]
    _, cache = hooked.run_with_cache(prompts(), names)
    assert list(cache) == names
    assert not any(activation.requires_grad for activation in cache.values())


@four_architectures
def test_early_exit_skips_the_later_blocks(build: Callable[..., PreTrainedModel]) -> None:
    hooked, tokens = HookedModel.from_hf(build()), prompts()
    entered: list[int] = []
    for layer, block in enumerate(hooked.bridge.blocks):
        block.mlp.register_forward_pre_hook(lambda *_, layer=layer: entered.append(layer))
    wanted_and_entered = {
        "hook_embed": [],
        "blocks.0.hook_resid_pre": [],
        "blocks.0.hook_mlp_out": [0],
        "blocks.1.attn.hook_pattern": [0, 1],
        f"blocks.{hooked.n_layers - 1}.hook_resid_post": list(range(hooked.n_layers)),
    }
    for name, expected in wanted_and_entered.items():
        entered.clear()
        logits, _ = hooked.run_with_cache(tokens, [name], stop_at_layer="auto")
        assert entered == expected, name
        assert logits is None


def test_logits_come_unless_told_otherwise_and_behind_the_last_block_always() -> None:
    hooked, tokens = HookedModel.from_hf(neox()), prompts()
    names = ["ln_final.hook_normalized"]
    final, _ = hooked.run_with_cache(tokens, names, stop_at_layer="auto")
    never, _ = hooked.run_with_cache(tokens, ["hook_embed"])
    assert final is not None
    assert never is not None
    assert torch.equal(final, hooked.logits(tokens))
    assert torch.equal(never, hooked.logits(tokens))


def test_a_stop_before_a_wanted_hook_is_an_error() -> None:
    hooked = HookedModel.from_hf(neox())
    hooked.run_with_cache(prompts(), ["blocks.1.hook_resid_post"], stop_at_layer=2)
    hooked.run_with_cache(prompts(), ["blocks.1.hook_resid_pre"], stop_at_layer=1)
    with pytest.raises(ValueError, match="fires after stop_at_layer=1"):
        hooked.run_with_cache(prompts(), ["blocks.1.hook_resid_post"], stop_at_layer=1)
    with pytest.raises(ValueError, match="choose 0 to 3"):
        hooked.run_with_cache(prompts(), ["hook_embed"], stop_at_layer=-1)


def test_no_names_is_an_error() -> None:
    with pytest.raises(ValueError, match="no hook name"):
        HookedModel.from_hf(neox()).run_with_cache(prompts(), [])


@pytest.mark.parametrize(
    "name", ["blocks.1.hook_resid_post", "blocks.1.attn.hook_z", "blocks.1.attn.hook_pattern"]
)
def test_positions_pick_what_indexing_the_whole_activation_picks(name: str) -> None:
    hooked, tokens = HookedModel.from_hf(neox()), prompts()
    _, whole = hooked.run_with_cache(tokens, [name])
    queries_second = name.endswith("pattern")
    by_pos = whole[name].transpose(1, 2) if queries_second else whole[name]
    one, several = torch.tensor([3, 11, 0]), torch.tensor([[3, 4], [11, 0], [5, 5]])

    _, last = hooked.run_with_cache(tokens, [name], positions=-1)
    _, each = hooked.run_with_cache(tokens, [name], positions=one)
    _, more = hooked.run_with_cache(tokens, [name], positions=several)

    assert torch.equal(last[name], by_pos[:, 11])
    assert torch.equal(each[name], torch.stack([by_pos[0, 3], by_pos[1, 11], by_pos[2, 0]]))
    expected = torch.stack([by_pos[0, [3, 4]], by_pos[1, [11, 0]], by_pos[2, [5, 5]]])
    assert torch.equal(more[name], expected.transpose(1, 2) if queries_second else expected)


def test_one_position_for_all_equals_transformer_lenss_pos_slice() -> None:
    hooked, tokens = HookedModel.from_hf(neox()), prompts()
    names = sorted(hooked.live_hooks - {"embed.hook_in"})
    _, ours = hooked.run_with_cache(tokens, names, positions=4)
    with torch.no_grad():
        _, theirs = hooked.bridge.run_with_cache(tokens, names_filter=names, pos_slice=4)
    for name in names:  # theirs keep the position axis, of length 1
        assert torch.equal(ours[name], theirs[name].reshape_as(ours[name])), name


def test_a_chosen_position_does_not_pin_the_whole_activation() -> None:
    hooked, name = HookedModel.from_hf(neox()), "blocks.1.hook_resid_post"
    _, cache = hooked.run_with_cache(prompts(), [name], positions=-1)
    assert cache[name].untyped_storage().nbytes() == 3 * 32 * 4


@pytest.mark.parametrize(
    "positions", [12, -13, torch.tensor([0, 12, 0]), torch.tensor([0, -1, 0]), torch.tensor([1, 2])]
)
def test_positions_outside_the_prompts_are_an_error(positions: int | Tensor) -> None:
    with pytest.raises(ValueError, match="positions"):
        HookedModel.from_hf(neox()).run_with_cache(prompts(), ["hook_embed"], positions=positions)


def test_positions_of_each_row_at_a_hook_without_rows_are_an_error() -> None:
    with pytest.raises(ValueError, match="has no rows"):
        HookedModel.from_hf(neox()).run_with_cache(
            prompts(), ["rotary_emb.hook_cos"], positions=torch.tensor([0, 1, 2])
        )


# ---- intervening ---------------------------------------------------------------------------


@four_architectures
@pytest.mark.parametrize("site", ["hook_attn_out", "hook_mlp_out", "attn.hook_z", "hook_resid_pre"])
def test_a_hook_changes_the_logits_inside_its_block_only(
    build: Callable[..., PreTrainedModel], site: str
) -> None:
    hooked, tokens = HookedModel.from_hf(build()), prompts()
    clean = hooked.logits(tokens)
    with hooked.hooks(fwd_hooks=[(f"blocks.1.{site}", zero)]) as inside:
        assert inside is hooked
        assert difference(hooked.logits(tokens), clean) > 1e-3
    assert torch.equal(hooked.logits(tokens), clean)


def test_a_cache_taken_inside_hooks_is_of_the_changed_pass() -> None:
    hooked, tokens = HookedModel.from_hf(neox()), prompts()
    names = ["blocks.1.hook_mlp_out", "blocks.1.hook_resid_post"]
    _, clean = hooked.run_with_cache(tokens, names)
    with hooked.hooks(fwd_hooks=[(names[0], zero)]):
        _, changed = hooked.run_with_cache(tokens, names)
    assert not changed[names[0]].any()
    assert difference(changed[names[1]], clean[names[1]] - clean[names[0]]) < 1e-5


def test_a_backward_hook_sees_the_gradient_of_a_finite_difference() -> None:
    hooked, tokens = HookedModel.from_hf(neox().double()), prompts(1, 5)
    name, direction, step = "blocks.1.hook_resid_pre", torch.linspace(-1, 1, 32).double(), 1e-5
    seen: list[Tensor] = []
    with hooked.hooks(bwd_hooks=[(name, lambda grad, hook: seen.append(grad.clone()))]):
        hooked(tokens)[0, -1, 7].backward()

    def moved_logit(size: float) -> Tensor:
        def move(activation: Tensor, hook: object) -> Tensor:
            return activation + size * direction

        with hooked.hooks(fwd_hooks=[(name, move)]):
            return hooked.logits(tokens)[0, -1, 7]

    slope = (moved_logit(step) - moved_logit(-step)) / (2 * step)
    assert (seen[0] @ direction).sum().item() == pytest.approx(slope.item(), rel=1e-5)
    assert all(parameter.grad is None for parameter in hooked.bridge.parameters())


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, DeadHookError])
def test_an_exception_inside_leaves_no_hook(error: type[BaseException]) -> None:
    hooked, tokens = HookedModel.from_hf(neox()), prompts()
    clean = hooked.logits(tokens)

    def fail(activation: Tensor, hook: object) -> None:
        raise error

    name = "blocks.1.attn.hook_pattern"
    for run in (
        lambda: hooked.logits(tokens),
        lambda: hooked.run_with_cache(tokens, ["blocks.2.hook_resid_post"]),
        lambda: fail(tokens, None),
    ):
        with pytest.raises(error), hooked.hooks([(name, fail)], [("hook_embed", zero)]):
            run()
        assert n_attached_hooks(hooked) == 0
    assert torch.equal(hooked.logits(tokens), clean)


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


# ---- refresh -------------------------------------------------------------------------------


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


# ---- processed -----------------------------------------------------------------------------


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


# ---- side effects --------------------------------------------------------------------------


def state_of(model: torch.nn.Module) -> list[object]:
    return [
        [(name, weight.clone()) for name, weight in model.state_dict().items()],
        [(name, p.requires_grad, p.grad) for name, p in model.named_parameters()],
        [(name, m.training, len(m._forward_hooks)) for name, m in model.named_modules()],
    ]


def random_state() -> list[object]:
    # Python's own is left out: the type checks of the tests draw from it.
    return [torch.get_rng_state(), np.random.get_state()]  # noqa: NPY002


def same(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.fixture
def nothing_random_is_drawn() -> Iterator[None]:
    before = random_state()
    yield
    assert same(random_state(), before)


@four_architectures
def test_wrapping_changes_nothing_of_the_model(build: Callable[..., PreTrainedModel]) -> None:
    model, tokens = build(), prompts()
    model.train()
    model(tokens, labels=tokens).loss.backward()
    random_before = random_state()
    before, config = state_of(model), copy.deepcopy(model.config.to_dict())
    attention = model.config._attn_implementation
    hooked = HookedModel.from_hf(model)
    hooked.refresh(model)
    hooked.processed()
    assert same(random_state(), random_before)
    assert same(state_of(model), before)
    assert model.config.to_dict() == config
    assert model.config._attn_implementation == attention
    assert all(parameter.grad is None for parameter in hooked.bridge.parameters())


@pytest.mark.usefixtures("nothing_random_is_drawn")
@four_architectures
@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda h, t: h.logits(t, torch.ones_like(t)), id="logits"),
        pytest.param(lambda h, t: h(t).sum(), id="call"),
        pytest.param(lambda h, t: h.run_with_cache(t, ["blocks.0.hook_mlp_out"]), id="early"),
        pytest.param(lambda h, t: h.run_with_cache(t, ["ln_final.hook_in"]), id="cache"),
        pytest.param(lambda h, t: h.check_hooks(["hook_embed"]), id="check_hooks"),
        pytest.param(lambda h, t: h.final_norm(h.W_U.T + h.b_U[:, None]), id="lens"),
        pytest.param(lambda h, t: h.processed(), id="processed"),
        pytest.param(lambda h, t: patch_and_differentiate(h, t), id="hooks"),
    ],
)
def test_using_a_view_changes_nothing_of_it(
    build: Callable[..., PreTrainedModel], use: Callable[[HookedModel, Tensor], object]
) -> None:
    hooked, tokens = HookedModel.from_hf(build()), prompts()
    before = state_of(hooked.bridge.original_model)
    use(hooked, tokens)
    assert same(state_of(hooked.bridge.original_model), before)
    assert n_attached_hooks(hooked) == 0


def patch_and_differentiate(hooked: HookedModel, tokens: Tensor) -> None:
    name = "blocks.1.hook_resid_pre"
    with hooked.hooks([(name, lambda t, hook: 2 * t)], [(name, lambda grad, hook: None)]):
        hooked(tokens).sum().backward()


@pytest.mark.slow
def test_importing_transformer_lens_leaves_logging_and_warnings_alone() -> None:
    code = (
        "import logging, sys, warnings\n"
        "from transformers import GPTNeoXConfig, GPTNeoXForCausalLM\n"
        "from interp.hooked import HookedModel\n"
        "config = GPTNeoXConfig(vocab_size=9, hidden_size=8, intermediate_size=8,\n"
        "    num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=8)\n"
        "model = GPTNeoXForCausalLM(config)\n"
        "logger = logging.getLogger('transformers')\n"
        "before = (logger.level, list(warnings.filters))\n"
        "assert 'transformer_lens' not in sys.modules\n"
        "HookedModel.from_hf(model)\n"
        "assert 'transformer_lens' in sys.modules\n"
        "assert (logger.level, list(warnings.filters)) == before\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_building_leaves_logging_and_warnings_alone() -> None:
    logger = logging.getLogger("transformers")
    before = (logger.level, list(warnings.filters))
    HookedModel.from_hf(neox())
    assert (logger.level, list(warnings.filters)) == before


# ---- folders -------------------------------------------------------------------------------


@pytest.mark.usefixtures("nothing_random_is_drawn")
@four_architectures
def test_a_saved_model_loads_as_it_was(
    build: Callable[..., PreTrainedModel], tmp_path: Path
) -> None:
    model, tokens = build(), prompts()
    model.save_pretrained(tmp_path)
    before = random_state()
    hooked = load_hooked_folder(str(tmp_path))
    assert same(random_state(), before)
    assert difference(hooked.logits(tokens), plain_logits(model, tokens)) < 1e-5
    assert hooked.tokenizer is None


def test_load_hooked_asks_the_run_for_the_checkpoint(tmp_path: Path) -> None:
    class OneCheckpointEach:
        stops_answers = False

        def checkpoint(self, *, seed: int, stage: int, step: int | None = None) -> Path:
            return tmp_path / f"{seed}-{stage}-{step}"

    first, later, tokens = neox(0), neox(5), prompts()
    first.save_pretrained(tmp_path / "7-1-None")
    later.save_pretrained(tmp_path / "7-2-40")
    run = OneCheckpointEach()
    one = load_hooked(run, seed=7, stage=1)
    two = load_hooked(run, seed=7, stage=2, step=40)
    assert difference(one.logits(tokens), plain_logits(first, tokens)) < 1e-5
    assert difference(two.logits(tokens), plain_logits(later, tokens)) < 1e-5


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no config\.json"):
        load_hooked_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["stories-260k", "tinystories-656k"])
def test_a_real_pretrained_model_matches_hugging_face(name: str) -> None:
    if not (MODELS / name).is_dir():
        pytest.skip("no pretrained models here")
    from transformers import AutoModelForCausalLM

    hooked = load_hooked_folder(MODELS / name)
    assert hooked.tokenizer is not None
    tokens = hooked.tokenizer("Once upon a time there was a", return_tensors="pt").input_ids
    model = AutoModelForCausalLM.from_pretrained(MODELS / name)
    logits = hooked.logits(tokens)
    assert difference(logits, plain_logits(model, tokens)) < 1e-4
    assert logits[0, -1].log_softmax(-1).max() > -3  # it knows this beginning
