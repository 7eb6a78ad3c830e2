"""Checkpoints: Hugging Face folders that any tool of the field opens, and state to go on from.

    seed-<K>/stage-<S>/step-<N>/
        config.json  model.safetensors  tokenizer.json  tokenizer_config.json
        training_state.safetensors  training_metrics.parquet     (the newest two checkpoints)
        manifest.json                                            (written last)

Further Stage-2 seeds of one Stage-1 seed lie in `stage-2.1`, `stage-2.2`, and so on.

A manifest also says of which run, seed, stage and step the checkpoint is, and what it was trained
on from (`origin`), so that two that changed places are told from two that did not. Manifests of
older versions do not, and are taken at their place's word.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from data.errors import DamagedError, InputError
from data.vocabulary import Stage
from training.config import END_OF_STAGE
from training.files import (
    ABOUT,
    MANIFEST,
    bytes_digest,
    damage,
    new_folder,
    read_manifest,
    remove_leftovers,
    visible_files,
    write_json,
)
from training.models.folders import no_progress_bars, read_tokenizer, read_weights

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from training.config import RunConfig

TRAINING_STATE = "training_state.safetensors"
TRAINING_METRICS = "training_metrics.parquet"
STATE_FILES = (TRAINING_STATE, TRAINING_METRICS)
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
    about: Mapping[str, Any] | None = None,
) -> None:
    """Writes a checkpoint, whole or not at all.

    Args:
        folder: Where it will be; must not exist.
        model: What its config is taken from.
        tokenizer: Saved beside it.
        weights: All of the model's weights; a model that is sharded holds but a part of them.
        state: What training goes on from; see `StageTrainer.state_tensors`.
        metrics: Everything measured in the stage so far.
        about: Whose checkpoint it is; see `origin`.
    """
    from safetensors.torch import save_file

    with new_folder(folder, about=about) as temporary, no_progress_bars():
        model.save_pretrained(temporary, state_dict=weights)
        tokenizer.save_pretrained(temporary)
        save_file(state, temporary / TRAINING_STATE)
        metrics.to_parquet(temporary / TRAINING_METRICS, index=False)


def origin(folder: Path, run_id: str, parent: Path | None) -> dict[str, Any]:
    """What a checkpoint's manifest says of it: place in the run folder, run, what it came from."""
    digest = None if parent is None else checkpoint_digest(parent)
    return {"place": _place(folder), "run_id": run_id, "parent": digest}


def checkpoint_digest(folder: Path) -> str:
    """One digest of all that a checkpoint keeps for good: its model, its place and its origin."""
    entries = read_manifest(folder).items()
    kept = sorted((name, value) for name, value in entries if name not in STATE_FILES)
    return bytes_digest(json.dumps(kept, sort_keys=True).encode())


def parent_of(folder: Path, start: Path | None) -> Path | None:
    """What a checkpoint was trained on from: the one before in its stage, or the stage's start.

    Args:
        folder: The checkpoint, written or not yet.
        start: See `start_of_stage`.
    """
    step = int(folder.name.removeprefix("step-"))
    before = [each for each in saved_steps(folder.parent) if each < step]
    return step_folder(folder.parent, before[-1]) if before else start


def start_of_stage(run_folder: Path, config: "RunConfig", seed: int, stage: Stage) -> Path | None:
    """The checkpoint that a stage starts from: none in the first; missing, None, too."""
    if stage is config.schedule.stages[0]:
        return None
    before = stage_folder(run_folder, seed, Stage(stage - 1))
    steps = saved_steps(before)
    is_end = stage is not config.schedule.branches_at or config.stage2_from == END_OF_STAGE
    wanted = steps[-1:] if is_end else [step for step in steps if step == config.stage2_from]
    return step_folder(before, wanted[0]) if wanted else None


def _place(folder: Path) -> str:
    """A checkpoint's place relative to the run folder."""
    return "/".join(folder.parts[-3:])


def drop_old_states(folder: Path) -> None:
    """Deletes the training state of all but the newest checkpoints of a stage's folder.

    A crash between manifest and deletion leaves states that no manifest lists; the next call, with
    which every training begins, deletes them.
    """
    for step in saved_steps(folder)[:-KEPT_STATES]:
        checkpoint = step_folder(folder, step)
        remove_leftovers(checkpoint)
        digests = read_manifest(checkpoint)
        kept = {name: digest for name, digest in digests.items() if name not in STATE_FILES}
        if kept != digests:
            write_json(checkpoint / MANIFEST, kept)
        for name in STATE_FILES:
            (checkpoint / name).unlink(missing_ok=True)


def checkpoint_damage(
    folder: Path, run_id: str | None = None, *, interrupted: bool = False
) -> list[str]:
    """What is damaged in the checkpoints of a seed's folder, one line each.

    Args:
        folder: The seed's folder.
        run_id: The run's, if known.
        interrupted: Whether training may have been killed while it deleted old states.
    """
    stages = sorted(folder.glob("stage-*"))
    steps = [step_folder(stage, step) for stage in stages for step in saved_steps(stage)]
    ignored = STATE_FILES if interrupted else ()
    problems: list[str] = []
    for step in steps:
        present = visible_files(step) if step.is_dir() else []
        kept = [path for path in present if path.name not in ignored]
        problems += damage(step, present=kept) or _misplaced(step, run_id)
    return problems


def _misplaced(folder: Path, run_id: str | None) -> list[str]:
    """Whether the manifest of an intact checkpoint is of another run or place; a line if so."""
    about = read_manifest(folder).get(ABOUT, {})
    wanted = {"place": _place(folder)} | ({} if run_id is None else {"run_id": run_id})
    if all(about.get(key, value) == value for key, value in wanted.items()):
        return []
    return [f"{folder} is {about.get('place')} of run {about.get('run_id')}, not of this place"]


def verify_checkpoint(folder: Path, run_id: str | None = None) -> None:
    """Compares every file of a checkpoint with its checksum, and its origin with its place.

    Raises:
        DamagedError: the folder is incomplete, a file is not what was written, or the checkpoint is
            another one's.
    """
    problems = damage(folder) or _misplaced(folder, run_id)
    if problems:
        raise DamagedError(
            f"{problems[0]}; delete {folder.parents[1]} and repeat the iml run that made it"
        )


def find_checkpoint(folder: Path, step: int | None = None, *, run_id: str | None = None) -> Path:
    """The checkpoint of a step, or of the last one, in a stage's folder, verified.

    Args:
        folder: The stage's folder.
        step: None for the last.
        run_id: The run's, if known.

    Raises:
        InputError: there is no such checkpoint.
        DamagedError: it is damaged, or another one's.
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
    verify_checkpoint(checkpoint, run_id)
    return checkpoint


def load_model(folder: Path, device: "torch.device | str" = "cpu") -> "PreTrainedModel":
    """The model of a checkpoint, in float32 and evaluation mode; see `read_weights`."""
    return read_weights(folder).to(device)  # pyright: ignore[reportArgumentType]


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    """The tokenizer of a checkpoint."""
    return read_tokenizer(folder)


def load_training_state(folder: Path) -> "tuple[dict[str, Tensor], pd.DataFrame]":
    """What `save_checkpoint` was given as `state` and `metrics`.

    Raises:
        InputError: the checkpoint is not among the newest, so its state is gone.
    """
    from safetensors.torch import load_file

    if not (folder / TRAINING_STATE).is_file():
        raise InputError(f"{folder} keeps no training state; go on from a newer checkpoint")
    return load_file(folder / TRAINING_STATE), pd.read_parquet(folder / TRAINING_METRICS)


def load_measurements(folder: Path) -> pd.DataFrame | None:
    """What `save_checkpoint` was given as `metrics`; None where it is gone with the state."""
    path = folder / TRAINING_METRICS
    return pd.read_parquet(path) if path.is_file() else None


def holds_weights(folder: Path, model: "PreTrainedModel") -> bool:
    """Whether a checkpoint's weights are those that a model has, bit for bit."""
    import torch
    from safetensors.torch import load_file

    own = model.state_dict()
    files = sorted(folder.glob("model*.safetensors"))
    return bool(files) and all(
        name in own and torch.equal(own[name].cpu(), tensor)
        for file in files
        for name, tensor in load_file(file).items()
    )
