from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from interp.hooked.live_hooks import DeadHookError
from interp.hooked.model import HookedModel
from tests.interp.hooked.kept_state import n_attached_hooks
from tests.interp.hooked.tiny_models import difference, four_architectures, neox, prompts, zero


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
