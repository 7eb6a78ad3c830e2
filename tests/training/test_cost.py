"""What a seed is said to take: FLOPs counted by hand, steps as they are, seconds as measured."""

import time
from pathlib import Path

import pytest
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from training.cost import flops_per_token, measure_seed, product_rate
from training.material import SeedMaterial
from training.pipeline import SeedTask, total_steps, train_seed
from training.recipes import find_recipe


@pytest.mark.parametrize("is_tied", [True, False])
def test_flops_of_a_token_are_those_counted_by_hand(is_tied: bool) -> None:
    config = GPTNeoXConfig(
        vocab_size=10, hidden_size=4, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, tie_word_embeddings=is_tied,
    )  # fmt: skip
    model = GPTNeoXForCausalLM(config)
    weights = sum(weight.numel() for weight in model.parameters())
    multiplied = weights if is_tied else weights - 10 * 4
    # Scores and mixing: 2 products x 2 FLOPs x 3 passes x width 4, for each of 6 tokens.
    assert flops_per_token(model, 6) == 6 * multiplied + 2 * 2 * 3 * 4 * 6


def test_a_seed_of_a_smoke_run_is_counted_whole_and_leaves_nothing(tmp_path: Path) -> None:
    recipe = find_recipe("alias-toy")
    config = recipe(**{**recipe.smoke, "seeds_stage2": 2})
    found = measure_seed(config, 3, sample_s=0.05)
    assert found.steps == total_steps(config, 3)
    material = SeedMaterial.build(config, 3)
    model = config.model.make(material.tokenizer, seed=3, max_length=16)
    by_hand = 0.0
    for stage in config.schedule.stages:
        times = 2 if stage is config.schedule.branches_at else 1
        for row in material.training_rows(stage):
            length = len(row.input_ids)
            shown = times * row.row.repeats * config.stage(stage).epochs
            by_hand += shown * length * flops_per_token(model, length)
    assert found.flops == pytest.approx(by_hand, rel=1e-9)
    assert found.seconds > 0
    assert 1e8 < found.memory < 1e11
    assert (found.device, found.device_memory) == ("cpu", 0)
    assert list(tmp_path.iterdir()) == []


def test_the_rate_of_products_is_one() -> None:
    assert 1e8 < product_rate(128, 5) < 1e13


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "arguments"),
    [
        ("alias-toy", {"epochs_stage1": 6, "epochs_stage2": 12}),
        ("alias-toy", {"epochs_stage1": 4, "epochs_stage2": 8, "d_model": 128, "heads": 8}),
        ("source-toy", {}),
    ],
)
def test_a_plan_comes_within_30_percent_of_what_is_then_measured(
    recipe: str, arguments: dict[str, int], tmp_path: Path
) -> None:
    config = find_recipe(recipe)(**arguments)
    said = measure_seed(config, 3)
    begin = time.process_time()
    train_seed(SeedTask(folder=tmp_path / "run", config=config, seed=3))
    took = time.process_time() - begin
    assert said.seconds == pytest.approx(took, rel=0.3)
