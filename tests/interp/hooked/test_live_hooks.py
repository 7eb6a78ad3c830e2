from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from interp.hooked.live_hooks import DeadHookError
from interp.hooked.model import HookedModel
from tests.interp.hooked.kept_state import n_attached_hooks
from tests.interp.hooked.tiny_models import every_architecture, gpt_neo, neox, prompts, zero


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
