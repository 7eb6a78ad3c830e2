"""Checkpoints: Hugging Face folders that any tool of the field opens, and state to go on from.

    seed-<K>/stage-<S>/step-<N>/
        config.json  model.safetensors  tokenizer.json  tokenizer_config.json
        training_state.safetensors  training_metrics.parquet     (the newest two checkpoints)
        manifest.json                                            (written last)

Further Stage-2 seeds of one Stage-1 seed lie in `stage-2.1`, `stage-2.2`, and so on.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from data.errors import DamagedError, InputError
from data.vocabulary import Stage
from training.files import (
    MANIFEST,
    damage,
    new_folder,
    read_json,
    remove_leftovers,
    visible_files,
    write_json,
)
from training.model_folders import no_progress_bars, read_tokenizer, read_weights

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

STATE = "training_state.safetensors"
METRICS = "training_metrics.parquet"
STATE_FILES = (STATE, METRICS)
KEPT_STATES = 2
"""So many newest checkpoints of a stage keep what training goes on from."""


def seed_folder(run_folder: Path, seed: int) -> Path:
    """Where everything of one Stage-1 seed lies."""
    return run_folder / f"seed-{seed}"


def stage_folder(run_folder: Path, seed: int, stage: Stage, stage2_seed: int = 0) -> Path:
    """Where the checkpoints of one training of a stage lie."""
    suffix = f".{stage2_seed}" if stage is Stage.TWO and stage2_seed else ""
    return seed_folder(run_folder, seed) / f"stage-{int(stage)}{suffix}"


def saved_steps(folder: Path) -> list[int]:
    """Steps of the checkpoints in a stage's folder, in order of their number (not of its text)."""
    names = [path.name for path in folder.glob("step-*")]
    return sorted(int(name[5:]) for name in names if re.fullmatch(r"step-\d+", name))


def step_folder(folder: Path, step: int) -> Path:
    """The checkpoint of one step in a stage's folder."""
    return folder / f"step-{step}"


def save_checkpoint(
    folder: Path,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    *,
    weights: "dict[str, Tensor]",
    state: "dict[str, Tensor]",
    metrics: pd.DataFrame,
) -> None:
    """Writes a checkpoint, whole or not at all.

    Args:
        folder: Where it will be; must not exist.
        model: What its config is taken from.
        tokenizer: Saved beside it.
        weights: All of the model's weights; a model that is sharded holds but a part of them.
        state: What training goes on from; see `StageTrainer.state_tensors`.
        metrics: Everything measured in the stage so far.
    """
    from safetensors.torch import save_file

    with new_folder(folder) as temporary, no_progress_bars():
        model.save_pretrained(temporary, state_dict=weights)
        tokenizer.save_pretrained(temporary)
        save_file(state, temporary / STATE)
        metrics.to_parquet(temporary / METRICS, index=False)


def drop_old_states(folder: Path) -> None:
    """Deletes the training state of all but the newest checkpoints of a stage's folder.

    A crash between manifest and deletion leaves states that no manifest lists; the next call, with
    which every training begins, deletes them.
    """
    for step in saved_steps(folder)[:-KEPT_STATES]:
        checkpoint = step_folder(folder, step)
        remove_leftovers(checkpoint)
        digests = read_json(checkpoint / MANIFEST)
        kept = {name: digest for name, digest in digests.items() if name not in STATE_FILES}
        if kept != digests:
            write_json(checkpoint / MANIFEST, kept)
        for name in STATE_FILES:
            (checkpoint / name).unlink(missing_ok=True)


def checkpoint_damage(folder: Path, *, interrupted: bool = False) -> list[str]:
    """What is damaged in the checkpoints of a seed's folder, one line each.

    Args:
        folder: The seed's folder.
        interrupted: Whether training may have been killed while it deleted old states.
    """
    stages = sorted(folder.glob("stage-*"))
    steps = [step_folder(stage, step) for stage in stages for step in saved_steps(stage)]
    ignored = STATE_FILES if interrupted else ()
    problems: list[str] = []
    for step in steps:
        present = visible_files(step) if step.is_dir() else []
        problems += damage(step, present=[path for path in present if path.name not in ignored])
    return problems


def verify_checkpoint(folder: Path) -> None:
    """Compares every file of a checkpoint with its checksum.

    Raises:
        DamagedError: the folder is incomplete, or a file is not what was written.
    """
    problems = damage(folder)
    if problems:
        raise DamagedError(
            f"{problems[0]}; delete {folder.parents[1]} and repeat the iml run that made it"
        )


def find_checkpoint(folder: Path, step: int | None = None) -> Path:
    """The checkpoint of a step, or of the last one, in a stage's folder, verified.

    Raises:
        InputError: there is no such checkpoint.
        DamagedError: it is damaged.
    """
    steps = saved_steps(folder)
    if not steps:
        raise InputError(f"{folder} holds no checkpoint; train it with iml run")
    if step is None:
        step = steps[-1]
    if step not in steps:
        raise InputError(
            f"{folder} has no checkpoint of step {step}; choose one of {', '.join(map(str, steps))}"
        )
    checkpoint = step_folder(folder, step)
    verify_checkpoint(checkpoint)
    return checkpoint


def load_model(folder: Path) -> "PreTrainedModel":
    """The model of a checkpoint, in float32 and evaluation mode; see `read_weights`."""
    return read_weights(folder)


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    """The tokenizer of a checkpoint."""
    return read_tokenizer(folder)


def load_training_state(folder: Path) -> "tuple[dict[str, Tensor], pd.DataFrame]":
    """What `save_checkpoint` was given as `state` and `metrics`.

    Raises:
        InputError: the checkpoint is not among the newest, so its state is gone.
    """
    from safetensors.torch import load_file

    if not (folder / STATE).is_file():
        raise InputError(f"{folder} keeps no training state; go on from a newer checkpoint")
    return load_file(folder / STATE), pd.read_parquet(folder / METRICS)
