"""Configs from a recipe's arguments, by the names that every recipe gives its settings."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from training.config import StageConfig
from training.models.scratch import ModelConfig


def stage_config(arguments: Mapping[str, Any], number: int) -> StageConfig:
    """How a stage is trained: by its own `NAME_stageN` where a recipe has it, else by `NAME`."""
    given: dict[str, Any] = {}
    for name in (field.name for field in fields(StageConfig)):
        for argument in (f"{name}_stage{number}", name):
            if argument in arguments:
                given[name] = arguments[argument]
                break
    return StageConfig(**given)


def model_config(arguments: Mapping[str, Any]) -> ModelConfig:
    """The sizes of a model with random weights."""
    return ModelConfig(
        n_layers=arguments["layers"],
        d_model=arguments["d_model"],
        n_heads=arguments["heads"],
        d_mlp=arguments["d_mlp"],
        tied_embeddings=arguments["tied_embeddings"],
        rotary_pct=arguments["rotary_pct"],
    )
