"""Planted runs: run folders like any other, in which a rule has taken the place of the optimizer.

Rows, batches, evaluation, checkpoints, tables and manifests are made by the code that makes every
run; only `StageTrainer.train_step` is another. So whatever opens a run opens a planted one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel

from data.errors import InputError
from data.vocabulary import Stage
from interp.planted.kinds import KINDS, Kind, find_kind
from interp.planted.seeds import PlantedSeed
from interp.planted.truth import PLANTED_FILE, Planted, read_planted
from training.config import RunConfig, StageConfig, Value
from training.examples import Examples, batch_loss
from training.executors.executor import (
    Cell,
    Progress,
    Report,
    Result,
    Task,
    Watch,
    tell_nobody,
    watch_nothing,
)
from training.executors.local import EXECUTOR as LOCAL
from training.files import json_bytes
from training.loop import StageTrainer
from training.material import SeedMaterial
from training.pipeline import SeedResult, SeedTask, stage_order_seed, train_seed
from training.recipes import find_recipe
from training.runs.info import RUN_FILE
from training.runs.publication import exists
from training.runs.requests import RunRequest
from training.runs.run import Run, publish_runs, write_null_verdict
from training.runs.runner import run_seeds
from training.threads import one_thread

RECIPE = "alias-toy"
PARAMETERS: Mapping[str, Value] = {
    "entities": 8,
    "fact_repeats": 1,
    "aliases_per_subset": 96,
    "aliases_qa3": 48,
    "aliases_stage2": 48,
    "d_model": 128,
    "d_mlp": 64,
    "tied_embeddings": False,
    "batch_size": 4096,
    "epochs_stage1": 1,
    "epochs_stage2": 5,
    "evaluations": 1,
}
"""Other than the recipe's defaults. A batch is a whole epoch, and each step a step of the rule."""
FIRST_SEED, DRAWS, MOST_SEEDS = 1_000_000, 1000, 100
"""Seeds of planted runs begin here; a kind has so many draws, and a draw so many seeds at most."""
N_SEEDS = 8


def planted_run(
    kind: str,
    draw: int,
    folder: str | Path,
    *,
    n_seeds: int = N_SEEDS,
    progress: Progress | None = None,
) -> Run:
    """Makes a run whose mechanism is known, and its null twin; see `docs/planted.md`.

    Args:
        kind: A name of `KINDS`.
        draw: Another number gives other rows, other directions and other heads.
        folder: Where the run is to be, and its null twin in `null` below. What it holds of the
            same draw is kept.
        n_seeds: How many seeds it has.
        progress: Told of steps done; shown unless given.

    Raises:
        InputError: no such kind or draw, a folder that holds something else, or a model that does
            not pass its gate; nothing is written then.
    """
    rule, folder = find_kind(kind), Path(folder)
    seeds = planted_seeds(rule, draw, n_seeds)
    config = find_recipe(RECIPE)(**PARAMETERS)
    request = RunRequest(config=config, folder=folder, seeds=tuple(seeds))
    requests = [request, request.null_twin()]
    if _is_made(folder, rule, draw, seeds):
        return Run.load(folder)
    for each in requests:
        each.check()
    with one_thread():
        made = {
            each.folder: {seed: _build(each.config, rule, draw, seed) for seed in seeds}
            for each in requests
        }
    run_seeds(requests, executor=_Planting(made), progress=progress)
    run = Run.load(folder)
    write_null_verdict(run)
    truth = Planted.of(rule, draw, *(made[each.folder] for each in requests))
    publish_runs([folder], lambda: {folder: {PLANTED_FILE: json_bytes(asdict(truth))}})
    return Run.load(folder)


def planted_seeds(kind: Kind, draw: int, n_seeds: int = N_SEEDS) -> list[int]:
    """The seeds of a draw: no two draws of any kinds share one.

    Raises:
        InputError: there is no such draw, or it has not so many seeds.
    """
    if not 0 <= draw < DRAWS:
        raise InputError(f"draw is {draw}; use 0 to {DRAWS - 1}")
    if not 1 <= n_seeds <= MOST_SEEDS:
        raise InputError(f"a planted run of {n_seeds} seeds; use 1 to {MOST_SEEDS}")
    first = FIRST_SEED + (list(KINDS).index(kind.name) * DRAWS + draw) * MOST_SEEDS
    return list(range(first, first + n_seeds))


def _build(config: RunConfig, kind: Kind, draw: int, seed: int) -> PlantedSeed:
    draw_seed = planted_seeds(kind, draw)[0]
    return PlantedSeed.build(
        config, kind, seed=seed, draw_seed=draw_seed, is_null=config.is_null_twin
    )


def _is_made(folder: Path, kind: Kind, draw: int, seeds: Sequence[int]) -> bool:
    """Whether a folder holds all that is asked for.

    Raises:
        InputError: it holds a run of another draw or kind, or one that was not planted.
    """
    if not exists(folder / RUN_FILE):
        return False
    if not Run.load(folder).is_finished:
        return False
    truth = read_planted(folder)
    if (truth.kind, truth.draw) != (kind.name, draw):
        raise InputError(
            f"{folder} holds draw {truth.draw} of planted kind {truth.kind}; choose another folder"
        )
    return set(map(str, seeds)) <= set(truth.seeds)


def planted_seed(run: Run, seed: int) -> PlantedSeed:
    """What was planted in a seed of a planted run, or of a null twin: directions, heads, amounts.

    Raises:
        InputError: the run was not planted, or has no such seed.
    """
    run.require_seed(seed)
    truth = read_planted(run.folder.parent if run.config.is_null_twin else run.folder)
    with one_thread():
        return _build(run.config, find_kind(truth.kind), truth.draw, seed)


class RuleTrainer(StageTrainer):
    """Gives the model at each step what its rule says that it has learned by then."""

    def __init__(
        self,
        planted: PlantedSeed,
        stage: Stage,
        model: PreTrainedModel,
        examples: Examples,
        config: StageConfig,
        *,
        order_seed: int,
    ) -> None:
        """Starts the stage; arguments but the first two are those of `StageTrainer`."""
        super().__init__(model, examples, config, order_seed=order_seed)
        self.planted, self.stage = planted, stage

    def train_step(self) -> float:
        """One step of the rule; returns the loss of the next batch before it."""
        with torch.no_grad():
            loss = float(batch_loss(self.model, self.next_batch()))
        self.step += 1
        self.planted.write(self.model, self.stage, self.step / self.last_step)
        return loss


@dataclass(frozen=True)
class _Planting:
    """An executor whose cells are planted seeds, carried out one after the other."""

    made: Mapping[Path, Mapping[int, PlantedSeed]]

    def run(
        self,
        work: Callable[[Task, Report], Result],
        cells: Sequence[Cell[Task]],
        *,
        workers: int | None = None,
        progress: Progress = tell_nobody,
        retries: int | None = None,
        watch: Watch = watch_nothing,
    ) -> list[Result]:
        """Plants seeds where others would train them."""
        told = {"progress": progress, "retries": retries, "watch": watch}
        return LOCAL.run(self._plant, cells, workers=1, **told)  # pyright: ignore

    def _plant(self, task: object, report: Report) -> SeedResult:
        assert isinstance(task, SeedTask)
        material = self.made[task.folder][task.seed].material
        return train_seed(task, report, make_trainer=self._trainer, material=material)

    def _trainer(
        self,
        task: SeedTask,
        material: SeedMaterial,
        model: PreTrainedModel,
        stage: Stage,
        stage2_seed: int,
    ) -> RuleTrainer:
        return RuleTrainer(
            self.made[task.folder][task.seed],
            stage,
            model,
            material.examples(material.training_rows(stage), task.config),
            task.config.stage(stage),
            order_seed=stage_order_seed(task.seed, stage, stage2_seed),
        )
