from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from interp.hooked.model import HookedModel
from tests.interp.hooked.tiny_models import every_architecture, four_architectures, neox, prompts


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
