"""Trains the seeds of a run: Stage 1, then Stage 2 from its end, measured and saved on the way.

A seed's bytes depend on its config, which has the number of threads, and on nothing else: not on
the process, the folder, or how many seeds run beside it. Whatever is interrupted goes on from
its newest checkpoint and ends with the same bytes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from transformers import PreTrainedModel

from data.vocabulary import Stage
from training.columns import run_columns
from training.config import END_OF_STAGE, RunConfig, evaluation_steps
from training.distributed import Team
from training.evaluate import MEASURED, evaluate
from training.files import remove_leftovers, wait_for_lock
from training.loop import StageTrainer
from training.material import SeedMaterial
from training.runs.checkpoints import (
    drop_old_states,
    find_checkpoint,
    holds_weights,
    load_measurements,
    load_model,
    load_training_state,
    origin,
    parent_of,
    save_checkpoint,
    saved_steps,
    seed_folder,
    stage_folder,
    start_of_stage,
    step_folder,
    verify_checkpoint,
)
from training.runs.inputs import note_rows, require_inputs
from training.runs.run import rows_digest
from training.seeds import derive_seed
from training.threads import on_threads

STEPS_PER_REPORT = 25


@dataclass(frozen=True, kw_only=True)
class SeedTask:
    """One seed of one run, to be trained or finished."""

    folder: Path
    """The folder of the run."""
    config: RunConfig
    seed: int


@dataclass(frozen=True, kw_only=True)
class SeedResult:
    """What a finished seed adds to the tables of its run."""

    metrics: pd.DataFrame
    data_sha256: str
    """The sha256 of the rows that the seed was trained and tested on."""


TrainerMaker = Callable[[SeedTask, SeedMaterial, PreTrainedModel, Stage, int], StageTrainer]
"""Gives what trains a stage, with the arguments of `stage_trainer`."""


def train_seed(
    task: SeedTask,
    on_steps: Callable[[int], None] = lambda steps: None,
    *,
    make_trainer: TrainerMaker | None = None,
    material: SeedMaterial | None = None,
) -> SeedResult:
    """Trains what is missing of a seed; the result covers what earlier calls did, too.

    Args:
        task: Which seed to train, and where.
        on_steps: Called with the number of steps done, or found done, since the last call. An
            exception from it ends the training at a state that can be resumed.
        make_trainer: What trains each stage; by gradients, `stage_trainer`, unless given.
        material: The seed's, where it is known already; built unless given.
    """
    make_trainer = make_trainer or stage_trainer
    with on_threads(task.config.threads), _sole_writer(seed_folder(task.folder, task.seed)):
        material = material or SeedMaterial.build(task.config, task.seed)
        digest = rows_digest(material.rows)
        if Team.of_launch().is_main:
            remove_leftovers(seed_folder(task.folder, task.seed))
            note_rows(seed_folder(task.folder, task.seed), digest)
        model = _moved(initial_model(task, material), task.config)
        tables = []
        for stage in task.config.schedule.stages:
            if stage is not task.config.schedule.branches_at:
                trainer = make_trainer(task, material, model, stage, 0)
                tables.append(_train_stage(task, material, trainer, stage, 0, on_steps))
                continue
            for stage2_seed in range(task.config.seeds_stage2):
                branch = _start_of_last_stage(task, stage)
                trainer = make_trainer(task, material, branch, stage, stage2_seed)
                tables.append(_train_stage(task, material, trainer, stage, stage2_seed, on_steps))
    metrics = pd.concat(tables, ignore_index=True)
    return SeedResult(metrics=metrics, data_sha256=digest)


def _moved(model: PreTrainedModel, config: RunConfig) -> PreTrainedModel:
    """The model on the device that trains it; the trainer of a team puts it there itself."""
    is_alone = Team.of_launch().size == 1
    has_gpu = config.uses_accelerator and torch.cuda.is_available() and is_alone
    return model.to("cuda" if has_gpu else "cpu")  # pyright: ignore[reportArgumentType]


def _start_of_last_stage(task: SeedTask, stage: Stage) -> PreTrainedModel:
    """The checkpoint that the config names, by its step: the stage before's last one if none."""
    step = task.config.stage2_from
    before = stage_folder(task.folder, task.seed, Stage(stage - 1))
    step = None if step == END_OF_STAGE else step
    checkpoint = find_checkpoint(before, step, run_id=task.config.run_id)
    return _moved(load_model(checkpoint), task.config)


def _train_stage(
    task: SeedTask,
    material: SeedMaterial,
    trainer: StageTrainer,
    stage: Stage,
    stage2_seed: int,
    on_steps: Callable[[int], None],
) -> pd.DataFrame:
    """Trains a stage from where it stands to its end; returns its metrics from step 0 on."""
    folder = stage_folder(task.folder, task.seed, stage, stage2_seed)
    saves = set(task.config.checkpoint_steps(stage, trainer.last_step))
    marks = saves | set(
        evaluation_steps(
            epochs=trainer.config.epochs,
            steps_per_epoch=trainer.steps_per_epoch,
            evaluations=trainer.config.evaluations,
        )
    )
    metrics = _resume(folder, trainer, task.config.run_id)
    on_steps(trainer.step)
    reported = trainer.step
    while metrics.empty or trainer.step < trainer.last_step:
        if not metrics.empty:
            trainer.train_step()
        if trainer.step in marks:
            known = _measured_before(task, trainer, stage) if trainer.step == 0 else None
            found = evaluate(trainer.model, material.evaluation) if known is None else known
            measured = _at_step(found, task, trainer, stage, stage2_seed)
            metrics = measured if metrics.empty else pd.concat([metrics, measured])
        if trainer.step in saves:
            _save(task, stage, step_folder(folder, trainer.step), trainer, material, metrics)
        if trainer.step - reported >= STEPS_PER_REPORT or trainer.step == trainer.last_step:
            on_steps(trainer.step - reported)
            reported = trainer.step
    return metrics


def _save(
    task: SeedTask,
    stage: Stage,
    folder: Path,
    trainer: StageTrainer,
    material: SeedMaterial,
    metrics: pd.DataFrame,
) -> None:
    """Writes a checkpoint; every process of a team gives its share, the main one writes."""
    weights = trainer.team.whole(trainer.model.state_dict())
    state = trainer.state_tensors()
    if trainer.team.is_main:
        start = start_of_stage(task.folder, task.config, task.seed, stage)
        save_checkpoint(
            folder,
            trainer.model,
            material.tokenizer,
            weights=weights,
            state=state,
            metrics=metrics,
            about=origin(folder, task.config.run_id, parent_of(folder, start)),
        )
        drop_old_states(folder.parent)
    trainer.team.wait()


def stage_trainer(
    task: SeedTask,
    material: SeedMaterial,
    model: PreTrainedModel,
    stage: Stage,
    stage2_seed: int = 0,
) -> StageTrainer:
    """A trainer at step 0 of a stage, which trains `model` in place; seeds torch's random state."""
    rows = material.training_rows(stage)
    order_seed = stage_order_seed(task.seed, stage, stage2_seed)
    torch.manual_seed(order_seed)
    examples = material.examples(rows, task.config)
    return StageTrainer(
        model,
        examples,
        task.config.stage(stage),
        order_seed=order_seed,
        team=Team.of_launch(),
    )


def stage_order_seed(seed: int, stage: Stage, stage2_seed: int = 0) -> int:
    """What the order of a stage's examples is drawn from."""
    return derive_seed(seed, f"order of stage {int(stage)}, seed {stage2_seed}")


def initial_model(task: SeedTask, material: SeedMaterial) -> PreTrainedModel:
    """The model before Stage 1."""
    require_inputs(task.config, "model")
    longest = task.config.longest_text(material.rows)
    return task.config.model.make(material.tokenizer, seed=task.seed, max_length=longest)


def _resume(folder: Path, trainer: StageTrainer, run_id: str) -> pd.DataFrame:
    """Puts the trainer where the newest checkpoint stands; returns the metrics until there."""
    if trainer.team.is_main:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        drop_old_states(folder)
    trainer.team.wait()
    steps = saved_steps(folder)
    trainer.team.wait()  # until all have seen where to go on, before the main process saves more
    if not steps:
        return pd.DataFrame()
    newest = step_folder(folder, steps[-1])
    verify_checkpoint(newest, run_id)
    trainer.team.load(trainer.model, load_model(newest).state_dict())
    state, metrics = load_training_state(newest)
    trainer.restore(steps[-1], state)
    return metrics


def _measured_before(task: SeedTask, trainer: StageTrainer, stage: Stage) -> pd.DataFrame | None:
    """What the stage before measured last, if the model is still the one that it ended with.

    Of a large model an evaluation takes as long as many steps.
    """
    start = start_of_stage(task.folder, task.config, task.seed, stage)
    if start is None or trainer.team.size > 1:
        return None
    metrics = load_measurements(start)
    if metrics is None or not holds_weights(start, trainer.model):
        return None
    last = metrics.loc[metrics["step"] == metrics["step"].max()]
    return pd.DataFrame(last[MEASURED])


def _at_step(
    measured: pd.DataFrame, task: SeedTask, trainer: StageTrainer, stage: Stage, stage2_seed: int
) -> pd.DataFrame:
    """An evaluation with the run columns, in the order of `Run.metrics`."""
    columns = {
        **run_columns(task.config),
        "seed": task.seed,
        "stage2_seed": stage2_seed,
        "stage": int(stage),
        "epoch": trainer.step / trainer.steps_per_epoch,
        "step": trainer.step,
    }
    measured = measured.reset_index(drop=True)
    for place, (name, value) in enumerate(columns.items()):
        measured.insert(place, name, value)
    return measured


def total_steps(config: RunConfig, seed: int) -> int:
    """Steps of a whole seed, for the progress bar."""
    drawn = config.data.build(seed)
    total = 0
    for stage in config.schedule.stages:
        settings = config.stage(stage)
        times = config.seeds_stage2 if stage is config.schedule.branches_at else 1
        trained = [row for row in drawn.rows if config.schedule.stage_of(row) is stage]
        examples = sum(row.repeats for row in trained)
        total += times * settings.epochs * -(-examples // settings.batch_size)
    return total


@contextmanager
def _sole_writer(folder: Path) -> Iterator[None]:
    """Waits until no other process writes to a seed's folder; a killed one counts as gone.

    In a team the main process alone writes.
    """
    if not Team.of_launch().is_main:
        yield
        return
    with wait_for_lock(folder):
        remove_leftovers(folder)
        yield
