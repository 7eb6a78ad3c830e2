from dataclasses import replace
from itertools import pairwise

import pytest

from data.errors import InputError
from training.config import StageConfig, checkpoint_steps, evaluation_steps
from training.models.scratch import ModelConfig
from training.recipes import find_recipe

MODEL = ModelConfig(
    n_layers=1, d_model=16, n_heads=2, d_mlp=32, tied_embeddings=True, rotary_pct=0.25
)
STAGE = StageConfig(epochs=1, batch_size=4, learning_rate=1e-3, weight_decay=0.0, evaluations=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_layers": 0}, "n_layers is 0"),
        ({"d_mlp": -1}, "d_mlp is -1"),
        ({"n_heads": 3}, "no multiple of n_heads"),
        ({"rotary_pct": 1.5}, "rotary_pct 1.5"),
        ({"rotary_pct": -0.25}, "rotary_pct -0.25"),
        ({"rotary_pct": 0.2}, "turns 1 of a head's 8"),
    ],
)
def test_model_that_is_none_is_refused(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(MODEL, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"batch_size": -4},
        {"evaluations": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"weight_decay": -0.1},
    ],
)
def test_stage_that_trains_nothing_is_refused(change: dict) -> None:
    with pytest.raises(InputError):
        replace(STAGE, **change)


def test_run_without_a_second_stage_is_refused() -> None:
    with pytest.raises(InputError, match="seeds_stage2 is 0"):
        find_recipe("alias-toy")(seeds_stage2=0)


@pytest.mark.parametrize("last", [1, 2, 3, 7, 8, 33, 1000, 1_000_000])
def test_checkpoints_are_the_first_the_last_and_at_most_six_between(last: int) -> None:
    steps = checkpoint_steps(last)
    assert steps == sorted(set(steps))
    assert steps[0] == 0
    assert steps[-1] == last
    assert len(steps) <= 8


def test_checkpoints_between_are_log_spaced() -> None:
    steps = checkpoint_steps(1_000_000)
    ratios = [b / a for a, b in pairwise(steps[1:])]
    assert len(steps) == 8
    assert max(ratios) / min(ratios) < 1.1


@pytest.mark.parametrize(
    ("epochs", "evaluations", "expected"),
    [(4, 2, [0, 20, 40]), (3, 10, [0, 10, 20, 30]), (5, 1, [0, 50]), (3, 2, [0, 20, 30])],
)
def test_evaluations_are_ends_of_epochs_and_the_last_one(epochs, evaluations, expected) -> None:
    steps = evaluation_steps(epochs=epochs, steps_per_epoch=10, evaluations=evaluations)
    assert steps == expected
