"""What a seed of a run takes: FLOPs counted, seconds and memory from a short training here and now.

A few steps of each stage, one evaluation and one checkpoint are done and timed, in a folder that is
deleted; the rest is arithmetic. On a CPU the seconds are those of the processor, so that neighbours
on a busy machine do not count: what a core takes that has nothing else to do. On a GPU, those of
the clock.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from transformers import PreTrainedModel

from data.vocabulary import Stage
from training.config import RunConfig, evaluation_steps
from training.evaluate import evaluate
from training.loop import StageTrainer
from training.material import SeedMaterial
from training.pipeline import SeedTask, initial_model, stage_trainer
from training.runs.checkpoints import origin, save_checkpoint, stage_folder, step_folder
from training.threads import on_threads

Made = TypeVar("Made")

SAMPLE_S = 1.0
"""Steps of a stage are timed for so long."""
UNTIMED_STEPS = 2
"""The first steps, in which memory is taken and kernels are chosen."""


@dataclass(frozen=True, kw_only=True)
class SeedCost:
    """What one seed takes from beginning to end."""

    steps: int
    flops: float
    """Of training, counted; without padding, evaluations and recomputation."""
    seconds: float
    memory: int
    """Bytes at the most of a process that has trained it, the libraries included."""
    device: str
    device_memory: int
    """The same of a GPU's memory; 0 on the CPU."""


def flops_per_token(model: PreTrainedModel, length: int | float) -> int | float:
    """FLOPs that training a token of a row of so many takes, forward and backward.

    6 for each weight that multiplies (looking up an embedding does not) and, for attention's two
    products, 12 d_model a layer and token of the row; the half that the causal mask hides counts.
    """
    config = model.config
    multiplied = sum(weight.numel() for weight in model.parameters())
    if not config.tie_word_embeddings:
        multiplied -= config.vocab_size * config.hidden_size
    return 6 * multiplied + 12 * config.num_hidden_layers * config.hidden_size * length


def measure_seed(config: RunConfig, seed: int, *, sample_s: float = SAMPLE_S) -> SeedCost:
    """Trains a few steps of a seed of a run and says what all of it would take.

    Args:
        config: Of the run.
        seed: Whose data are drawn; all seeds have as many.
        sample_s: Seconds that steps of each stage are timed for.
    """
    with on_threads(config.threads), tempfile.TemporaryDirectory() as scratch:
        task = SeedTask(folder=Path(scratch), config=config, seed=seed)
        material, seconds = _timed(lambda: SeedMaterial.build(config, seed))
        model, more = _timed(lambda: initial_model(task, material))
        seconds += more
        has_gpu = config.uses_accelerator and torch.cuda.is_available()
        device = torch.device("cuda" if has_gpu else "cpu")
        model = model.to(device)  # pyright: ignore[reportArgumentType]
        steps, flops = 0, 0.0
        for stage in config.schedule.stages:
            times = config.seeds_stage2 if stage is config.schedule.branches_at else 1
            trainer = stage_trainer(task, material, model, stage)
            steps += times * trainer.last_step
            flops += times * _stage_flops(model, material, config, stage)
            seconds += times * _stage_seconds(task, material, trainer, stage, sample_s)
    is_cuda = device.type == "cuda"
    return SeedCost(
        steps=steps,
        flops=flops,
        seconds=seconds,
        memory=peak_memory(),
        device=torch.cuda.get_device_name() if is_cuda else "cpu",
        device_memory=torch.cuda.max_memory_allocated() if is_cuda else 0,
    )


def peak_memory() -> int:
    """Bytes of memory that this process has had at the most."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def product_rate(size: int = 512, times: int = 20) -> float:
    """FLOPs a second of square float32 products on one thread of the CPU: what can be had at most.

    Args:
        size: Of the matrices.
        times: Number of products.
    """
    with on_threads(1):
        left, right = torch.ones(size, size), torch.ones(size, size)
        _timed(lambda: left @ right)
        _, seconds = _timed(lambda: [left @ right for _ in range(times)])
    return 2 * size**3 * times / seconds


def _stage_flops(
    model: PreTrainedModel, material: SeedMaterial, config: RunConfig, stage: Stage
) -> float:
    rows = material.training_rows(stage)
    lengths = [n for row in rows for n in [len(row.input_ids)] * row.row.repeats]
    tokens = sum(lengths)
    if not tokens:
        return 0.0
    mean_square = sum(n * n for n in lengths) / tokens  # length of the row of a token, on average
    return config.stage(stage).epochs * tokens * flops_per_token(model, mean_square)


def _stage_seconds(
    task: SeedTask, material: SeedMaterial, trainer: StageTrainer, stage: Stage, sample_s: float
) -> float:
    """Seconds of a whole stage."""
    saves = set(task.config.checkpoint_steps(stage, trainer.last_step))
    marks = saves | set(
        evaluation_steps(
            epochs=trainer.config.epochs,
            steps_per_epoch=trainer.steps_per_epoch,
            evaluations=trainer.config.evaluations,
        )
    )
    on_gpu = trainer.model.device.type == "cuda"
    n_first = min(UNTIMED_STEPS, trainer.last_step)
    first = [_timed(trainer.train_step, on_gpu=on_gpu)[1] for _ in range(n_first)]
    begin, n_timed = _now(on_gpu), 0
    while trainer.step < trainer.last_step and _now(on_gpu) - begin < sample_s:
        trainer.train_step()
        n_timed += 1
    a_step = (_now(on_gpu) - begin) / n_timed if n_timed else 0.0
    evaluate(trainer.model, material.evaluation)
    metrics, evaluating = _timed(
        lambda: evaluate(trainer.model, material.evaluation), on_gpu=on_gpu
    )
    place = step_folder(stage_folder(task.folder, task.seed, stage), 0)

    def save() -> None:
        weights = trainer.team.whole(trainer.model.state_dict())
        save_checkpoint(
            place,
            trainer.model,
            material.tokenizer,
            weights=weights,
            state=trainer.state_tensors(),
            metrics=metrics,
            about=origin(place, task.config.run_id, None),
        )

    _, saving = _timed(save, on_gpu=on_gpu)
    rest = (trainer.last_step - len(first)) * a_step
    return sum(first) + rest + len(marks) * evaluating + len(saves) * saving


def _timed(work: Callable[[], Made], *, on_gpu: bool = False) -> tuple[Made, float]:
    """What work gives, and the seconds that it takes; see the head of this file."""
    begin = _now(on_gpu)
    found = work()
    return found, _now(on_gpu) - begin


def _now(on_gpu: bool) -> float:
    if not on_gpu:
        return time.process_time() / torch.get_num_threads()
    torch.cuda.synchronize()
    return time.perf_counter()
