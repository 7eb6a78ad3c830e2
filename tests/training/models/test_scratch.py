from dataclasses import replace
from typing import Any

import pytest
import torch

from training.models.scratch import ModelConfig, build_model
from training.seeds import derive_seed

CONFIG = ModelConfig(
    n_layers=2, d_model=16, n_heads=2, d_mlp=32, tied_embeddings=True, rotary_pct=0.25
)


def build(config: ModelConfig = CONFIG, seed: int = 0) -> Any:
    return build_model(config, vocabulary_size=11, max_length=8, end_token=1, seed=seed)


def test_sizes_are_those_of_the_config() -> None:
    model = build()
    assert model.config.vocab_size == 11
    assert model.config.intermediate_size == 32
    # Per layer: 4 d^2 + 2 d m weights, 4 d + m + d biases, two layer norms; one final norm.
    per_layer = 4 * 16**2 + 2 * 16 * 32 + 4 * 16 + 32 + 16 + 4 * 16
    assert sum(p.numel() for p in model.parameters()) == 11 * 16 + 2 * per_layer + 2 * 16


@pytest.mark.parametrize("tied", [True, False])
def test_embeddings_are_tied_where_asked(tied: bool) -> None:
    model = build(replace(CONFIG, tied_embeddings=tied))
    embed, unembed = model.get_input_embeddings(), model.get_output_embeddings()
    assert (embed.weight.data_ptr() == unembed.weight.data_ptr()) is tied


def test_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = build().state_dict()
    torch.manual_seed(2)
    second, other = build().state_dict(), build(seed=1).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["gpt_neox.embed_in.weight"], other["gpt_neox.embed_in.weight"])


def test_building_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    build()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("rotary_pct", [0.0, 0.25, 1.0])
def test_rotary_share_turns_so_many_dimensions(rotary_pct: float) -> None:
    model = build(replace(CONFIG, rotary_pct=rotary_pct)).eval()
    with torch.no_grad():
        logits = model(torch.tensor([[3, 4, 5]])).logits
    assert logits.isfinite().all()
    if rotary_pct:
        frequencies = model.base_model.rotary_emb.inv_freq
        assert 2 * frequencies.numel() == int(8 * rotary_pct)


def test_derived_seeds_differ_by_purpose_and_fit_a_torch_generator() -> None:
    seeds = {derive_seed(seed, purpose) for seed in range(50) for purpose in ("init", "order")}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)
    torch.Generator().manual_seed(max(seeds))
