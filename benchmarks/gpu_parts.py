"""One part of `make gpu`, in a process of its own: measures, and writes each figure as it has it.

python benchmarks/gpu_parts.py PART --until EPOCH_SECONDS --into FILE [--smoke] [--model M]
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from bench_gradients_gpu import SHAPES, build_model, build_rows, timed
from bench_gradients_gpu import run as run_gram
from gpu_rates import product_rate, vendor_peak

from data.vocabulary import LossPolicy, Stage
from training.config import Optimizer, Precision, RunConfig, StageConfig, Value, evaluation_steps
from training.cost import flops_per_token
from training.evaluate import answer_metrics
from training.examples import make_examples
from training.loop import StageTrainer
from training.material import SeedMaterial
from training.models.stage_zero import KnowingModel
from training.pipeline import SeedTask, initial_model, stage_trainer, total_steps
from training.recipes import find_recipe
from training.runs.requests import RunRequest
from training.runs.run import Run
from training.runs.runner import run_seeds
from training.statistics import Estimate
from training.summary import contrast_estimate, headlines_of, subset_estimates

FIRST_SEED = 1000
ROW = 64  # tokens
PAIRS = 2  # seeds, each with its null twin, that are trained side by side on a GPU
SLOWER_BESIDE = 1.5
"""How much slower a seed is thought to be beside others, until a round has shown it."""
MARGIN_S = 5.0  # between the last round and the end


@dataclass(kw_only=True)
class Job:
    """What a part is asked for, and where it tells its figures."""

    until: float
    """When it will be stopped, as `time.time` has it."""
    into: Path
    is_smoke: bool
    model: str
    device: torch.device
    figures: dict[str, dict[str, object]] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """Seconds until it should have ended."""
        return self.until - MARGIN_S - time.time()

    def tell(self, what: str, value: float | None, unit: str, how: str, **more: object) -> None:
        """Notes a figure, in place of an earlier one of the same; None if it cannot be had."""
        self.figures[what] = {"what": what, "value": value, "unit": unit, "how": how, **more}
        self.write()

    def write(self, *, is_over: bool = False, error: str = "") -> None:
        """Writes all figures, so that they are there whatever comes."""
        begun = self.into.with_name(f"{self.into.name}.new")
        told = {"figures": list(self.figures.values()), "is_over": is_over, "error": error}
        begun.write_text(json.dumps(told))
        begun.replace(self.into)


# ---- tokens a second --------------------------------------------------------------------------


def step_seconds(trainer: StageTrainer, device: torch.device, *, most: int, within: float) -> float:
    """Median seconds of a step, of at most so many, after two that do not count."""
    most = max(1, min(most, trainer.last_step - 2))
    for _ in range(2):
        trainer.train_step()
    end, times = time.perf_counter() + within, []
    while not times or (len(times) < most and time.perf_counter() < end):
        times.append(timed(trainer.train_step, device)[1])
    return statistics.median(times)


def pythia(job: Job, name: str, micro_batch: int) -> None:
    """How fast a model of a Pythia's shape trains on rows as short as ours."""
    is_small = job.is_smoke
    shape, batch = SHAPES["tiny" if is_small else name], 8 if is_small else 256
    model = build_model(shape, job.device, torch.float32)
    rows = build_rows(batch * 4, ROW - 1, shape.n_words, 1)
    settings = StageConfig(
        epochs=100, batch_size=batch, micro_batch_size=min(micro_batch, batch), evaluations=1,
        learning_rate=5e-5, weight_decay=0.0, optimizer=Optimizer.ADAFACTOR, clip_norm=1.0,
        precision=Precision.BF16,
    )  # fmt: skip
    examples = make_examples(rows, LossPolicy.ALL, block_size=ROW)
    trainer = StageTrainer(model, examples, settings, order_seed=0)
    seconds = step_seconds(trainer, job.device, most=3 if is_small else 20, within=job.left / 2)
    rate = batch * ROW / seconds
    job.tell(
        "tokens a second", rate, "tokens/s",
        f"steps of {batch} rows of {ROW} tokens, {settings.micro_batch_size} rows at once, "
        "Adafactor, bf16 products, float32 masters, random weights; median step",
    )  # fmt: skip
    flops = flops_per_token(model, ROW)
    job.tell("FLOPs a token", flops, "FLOPs", "6 a weight that multiplies, and attention; counted")
    reached = rate * flops / 1e12
    job.tell("rate reached", reached, "TFLOPS", "the two above, multiplied")
    size, times = (256, 3) if is_small else (8192, 20)
    measured = product_rate(job.device, size, times)
    job.tell("rate of products", measured, "TFLOPS", f"{times} products of {size} x {size}")
    job.tell("MFU of the products' rate", reached / measured, "share", "of the line above")
    device_name = name_of(job.device)
    peak = vendor_peak(device_name)
    how = f"of {peak:g} TFLOPS, dense bf16" if peak else f"no figure known for {device_name}"
    job.tell("MFU of the vendor's peak", reached / peak if peak else None, "share", how)
    tell_memory(job)


def name_of(device: torch.device) -> str:
    """What a device is called."""
    return torch.cuda.get_device_name() if device.type == "cuda" else "CPU"


def tell_memory(job: Job) -> None:
    """Tells the most memory that this process had of the GPU."""
    if job.device.type == "cuda":
        job.tell("peak memory", torch.cuda.max_memory_allocated() / 1e9, "GB", "of the GPU")


# ---- the Gram ---------------------------------------------------------------------------------


def gram(job: Job) -> None:
    """All pairs' gradient products at Pythia's shapes, and the paper's loop on the same rows."""
    sizes = {"410m": 256, "2.8b": 32}
    for name, n_definitions in {"tiny": 8}.items() if job.is_smoke else sizes.items():
        if job.left < 0:
            job.tell(f"{name}: all pairs", None, "s", "the time was spent")
            continue
        shape = replace(SHAPES[name], n_definitions=n_definitions, scaled_to=None)
        found = run_gram(name, shape, job.device, memory=24 << 30, with_loop=True)
        job.tell(
            f"{name}: all pairs", found.seconds, "s",
            f"{found.n_pairs:,} pairs of a definition of 12 and a question of 20 tokens, bf16",
        )  # fmt: skip
        if found.peak_gb is not None:
            job.tell(f"{name}: peak memory", found.peak_gb, "GB", "of the GPU")
        assert found.loop is not None
        job.tell(
            f"{name}: the paper's loop", found.loop.seconds, "s",
            "own pairs only, scaled from two definitions; cosines differ by at most "
            f"{found.loop.difference:.1e}",
        )  # fmt: skip


# ---- recipes ----------------------------------------------------------------------------------


def recipe(job: Job, name: str, settings: dict[str, Value]) -> None:
    """Times a recipe's stages, then trains as many seeds with null twins as fit."""
    found = find_recipe(name)
    config = found(**(dict(found.smoke) if job.is_smoke else settings))
    if config.exam is not None:
        known, seconds = timed(config.exam.known, job.device)
        job.tell("the exam", seconds, "s", f"once for all seeds; {len(known):,} people are known")
    before = stage_zero(job, config) if isinstance(config.model, KnowingModel) else 0.0
    seed = seed_seconds(job, config)
    job.tell(
        "a whole seed", seed, "s",
        "extrapolated from the steps and the evaluation above; without checkpoints",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as home:
        train_what_fits(job, config, Path(home) / name, before=before, seed=seed)
    tell_memory(job)


def stage_zero(job: Job, config: RunConfig) -> float:
    """Tells how long Stage 0 takes; returns it."""
    assert isinstance(config.model, KnowingModel)
    trainer = config.model.trainer()
    step = step_seconds(trainer, job.device, most=30, within=job.left / 4)
    whole = step * trainer.last_step
    job.tell("a step of Stage 0", step, "s", speed_of(trainer, step))
    job.tell("Stage 0", whole, "s", f"extrapolated to its {trainer.last_step:,} steps")
    return whole


def speed_of(trainer: StageTrainer, seconds: float) -> str:
    """Rows and tokens of a step, and tokens a second."""
    rows = trainer.next_rows()
    tokens = int(trainer.examples.take(rows).lengths.sum())
    precision = trainer.config.precision
    return (
        f"{len(rows)} rows of {tokens / len(rows):.0f} tokens on average, {precision}: "
        f"{tokens / seconds:,.0f} tokens/s"
    )


def seed_seconds(job: Job, config: RunConfig) -> float:
    """Tells how long a step and an evaluation take; returns the seconds of a seed by itself."""
    material = SeedMaterial.build(config, FIRST_SEED)
    task = SeedTask(folder=Path(), config=config, seed=FIRST_SEED)
    if isinstance(config.model, KnowingModel):  # an untaught one is as fast
        longest = config.longest_text(material.rows)
        model = config.model.sizes.make(material.tokenizer, seed=FIRST_SEED, max_length=longest)
    else:
        model = initial_model(task, material)
    model = model.to(job.device)  # pyright: ignore[reportArgumentType]
    trainer = stage_trainer(task, material, model, Stage.ONE)
    step = step_seconds(trainer, job.device, most=30, within=job.left / 4)
    job.tell("a step of Stage 1", step, "s", speed_of(trainer, step))
    _, evaluation = timed(lambda: answer_metrics(model, material.evaluation), job.device)
    n_questions = len(material.evaluation.rows)
    job.tell("an evaluation", evaluation, "s", f"{n_questions:,} questions")
    marks = sum(
        len(
            {
                *config.checkpoint_steps(stage, last),
                *evaluation_steps(
                    epochs=config.stage(stage).epochs,
                    steps_per_epoch=last // config.stage(stage).epochs,
                    evaluations=config.stage(stage).evaluations,
                ),
            }
        )
        for stage in config.schedule.stages
        for last in [stage_trainer(task, material, model, stage).last_step]
    )
    return total_steps(config, FIRST_SEED) * step + marks * evaluation


def train_what_fits(
    job: Job, config: RunConfig, folder: Path, *, before: float, seed: float
) -> None:
    """Trains seeds and null twins in rounds while there is time and disk for one more."""
    pairs = 1 if job.is_smoke else PAIRS
    expected, n_seeds = before + seed * SLOWER_BESIDE, 0
    used = 0
    while job.left > expected and shutil.disk_usage(folder.parent).free > 2 * used:
        free, start = shutil.disk_usage(folder.parent).free, time.time()
        seeds = tuple(range(FIRST_SEED, FIRST_SEED + n_seeds + pairs))
        request = RunRequest(config=config, folder=folder, seeds=seeds)
        workers = 1 if job.is_smoke else 2 * pairs
        runs = run_seeds([request, request.null_twin()], workers=workers)
        n_seeds += pairs
        used = free - shutil.disk_usage(folder.parent).free
        expected = 1.1 * (time.time() - start)
        job.tell("a round of seeds", time.time() - start, "s", f"{pairs} and null twins at once")
        tell_gaps(job, *runs)
        if job.is_smoke:
            return
    if not n_seeds:
        needed = f"{expected:,.0f} s were needed, {max(job.left, 0):,.0f} s were left"
        job.tell("gaps", None, "", f"no seed was trained: {needed}")


def tell_gaps(job: Job, run: Run, twin: Run) -> None:
    """Tells what the finished seeds show, headlines first, and the levels behind them."""
    for whose, each in (("", run), ("null twin, ", twin)):
        for contrast in headlines_of(each.metrics, each.config.design):
            for metric, unit in (("exact_match", "share"), ("answer_log_prob", "nats")):
                gap = contrast_estimate(each.metrics, contrast, metric, each.config.schedule)
                tell_estimate(job, f"{whose}{contrast.name}, {metric}", gap, unit)
    for stage in run.config.schedule.stages:
        levels = subset_estimates(run.metrics, run.config.design, stage, "exact_match")
        for subset, level in levels.items():
            tell_estimate(job, f"{subset}, end of Stage {int(stage)}", level, "share")


def tell_estimate(job: Job, what: str, found: Estimate, unit: str) -> None:
    """Tells a mean over seeds with its interval; the values of the seeds are in the JSON."""
    interval = "no interval"
    if found.n_seeds > 1:
        interval = f"95% interval {found.ci_low:.3f} to {found.ci_high:.3f}"
    seeds = f"{found.n_seeds} seed{'s' if found.n_seeds > 1 else ''}"
    how = f"held-out questions, mean of {seeds}, {interval}"
    job.tell(what, found.mean, unit, how, per_seed=found.per_seed)


PARTS: dict[str, Callable[[Job], None]] = {
    "pythia-410m": lambda job: pythia(job, "410m", 128),
    "pythia-2.8b": lambda job: pythia(job, "2.8b", 32),
    "gram": gram,
    "set-inclusion": lambda job: recipe(job, "set-inclusion", {}),
    "people-70m": lambda job: recipe(job, "people-70m", {}),
    "famous-people-gpu": lambda job: recipe(job, "famous-people-gpu", {"model": job.model}),
}


def main() -> int:
    """Measures one part; the exit code is 1 if it failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--until", type=float, required=True)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--model", default="smollm2-135m")
    asked = parser.parse_args()
    device = torch.device("cpu" if asked.smoke else "cuda")
    job = Job(
        until=asked.until, into=asked.into, is_smoke=asked.smoke, model=asked.model, device=device
    )
    try:
        PARTS[asked.part](job)
    except Exception as error:  # whatever it is, the other parts go on
        first_line = (str(error).splitlines() or [""])[0]
        job.write(is_over=True, error=f"{type(error).__name__}: {first_line}")
        return 1
    job.write(is_over=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
