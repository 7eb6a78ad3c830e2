"""Stages of a finished run trained again in memory, with one thing changed; nothing is written.

Same rows, same batches in the same order, same optimizer: what comes out differs from the run's own
checkpoints by the change alone, and with no change it equals them bit for bit.
"""

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import pandas as pd
import torch
from jaxtyping import Bool
from torch import Tensor
from transformers import PreTrainedModel

from data.errors import InputError
from data.rows import Row
from data.vocabulary import HELD_OUT, Kind, Stage
from training.clamped_patterns import clamped_patterns
from training.config import END_OF_STAGE
from training.evaluate import evaluate
from training.examples import Examples
from training.frozen_weights import frozen_weights
from training.gradient_surgery import SurgeryTrainer
from training.loop import StageTrainer
from training.material import SeedMaterial
from training.pipeline import (
    SeedTask,
    initial_model,
    stage_trainer,
)
from training.runs.checkpoints import load_model
from training.runs.run import Run
from training.schedules import Schedule
from training.threads import on_threads
from training.turned_updates import Turn, turned_updates


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """One seed of a run, to be trained again."""

    run: Run
    seed: int
    device: torch.device | str = "cpu"
    """Where it is trained; on another than the run's the last bits differ."""

    def __post_init__(self) -> None:
        """Refuses a run that has no Stage 2 of its own, or three stages."""
        schedule = self.run.config.schedule
        if schedule is not Schedule.TWO_STAGE:
            raise InputError(
                f"{self.run.folder} is a {schedule} run and cannot be trained again in parts; "
                "choose a two-stage one"
            )

    @cached_property
    def material(self) -> SeedMaterial:
        """Rows, tokenizer and evaluation of the seed."""
        self.run.require_seed(self.seed)
        return SeedMaterial.build(self.run.config, self.seed)

    def model_at(self, stage: int, step: int | None = None) -> PreTrainedModel:
        """The run's own checkpoint, the last of the stage unless a step is given."""
        return load_model(self.run.checkpoint(self.seed, stage, step), self.device)

    def before_stage_two(self) -> PreTrainedModel:
        """The checkpoint that the run's Stage 2 started from."""
        step = self.run.config.stage2_from
        return self.model_at(1, None if step == END_OF_STAGE else step)

    def stage_two(
        self,
        model: PreTrainedModel,
        *,
        without: Collection[str] = (),
        frozen: Mapping[str, Bool[Tensor, "..."]] = MappingProxyType({}),
        clamped: Sequence[tuple[int, int]] = (),
        turned: Sequence[Turn] = (),
    ) -> PreTrainedModel:
        """A copy of `model` after Stage 2.

        Args:
            model: What Stage 2 starts from; not changed.
            without: Ids of rows that give no gradient. They keep their places in the batches, so
                that nothing else differs.
            frozen: Weights that stay as they are; see `training.frozen_weights`.
            clamped: Layer and number of heads that attend as `model` does on the same text; see
                `training.clamped_patterns`. Who asks the trained model clamps them, too.
            turned: Updates that are turned; see `training.turned_updates`.

        Raises:
            InputError: a row id is not of Stage 2's training set.
        """
        with on_threads(self.run.config.threads):
            trained = copy.deepcopy(model)
            trainer = stage_trainer(self._task, self.material, trained, Stage.TWO)
            if without:
                trainer.examples = self._silenced(trainer.examples, without)
            with frozen_weights(trainer, frozen), clamped_patterns(trained, model, clamped):
                return _train(trainer, turned)

    def stage_one(
        self,
        *,
        dose: float | None = None,
        along_random: bool = False,
        turned: Sequence[Turn] = (),
    ) -> PreTrainedModel:
        """The model after Stage 1.

        Args:
            dose: Of surgery on each batch's gradients; none unless given. See
                `training.gradient_surgery`.
            along_random: Whether surgery is along a random direction, its control.
            turned: Updates that are turned; see `training.turned_updates`.
        """
        with on_threads(self.run.config.threads):
            model = initial_model(self._task, self.material)
            model.to(self.device)  # pyright: ignore[reportArgumentType]
            trainer = stage_trainer(self._task, self.material, model, Stage.ONE)
            if dose is not None:
                trainer = SurgeryTrainer(
                    model,
                    trainer.examples,
                    trainer.config,
                    order_seed=trainer.order_seed,
                    is_definition=self.examples_of(Stage.ONE, _is_definition),
                    dose=dose,
                    along_random=along_random,
                )
            return _train(trainer, turned)

    def examples_of(
        self, stage: Stage, is_chosen: Callable[[Row], bool]
    ) -> Bool[Tensor, " example"]:
        """Which examples of a stage are of chosen rows, in the order of its trainer."""
        rows = self.material.training_rows(stage)
        return torch.tensor([is_chosen(row.row) for row in rows for _ in range(row.row.repeats)])

    def measure(self, model: PreTrainedModel) -> pd.DataFrame:
        """What a model answers: `subset, question, metric, value, n`; see `training.evaluate`."""
        return evaluate(model, self.material.evaluation)

    @property
    def _task(self) -> SeedTask:
        return SeedTask(folder=self.run.folder, config=self.run.config, seed=self.seed)

    def _silenced(self, examples: Examples, without: Collection[str]) -> Examples:
        rows = self.material.training_rows(Stage.TWO)
        unknown = set(without) - {row.row.row_id for row in rows}
        if unknown:
            raise InputError(f"{min(unknown)} is no training row of Stage 2; name those that are")
        kept = self.examples_of(Stage.TWO, lambda row: row.row_id not in without)
        return replace(examples, targets=examples.targets & kept[:, None])


def gap_of(measured: pd.DataFrame, higher: str, lower: str, metric: str) -> float:
    """One subset minus another over all questions, from `Retraining.measure`."""
    rows = measured.loc[(measured["question"] == HELD_OUT) & (measured["metric"] == metric)]
    values = rows.set_index("subset")["value"]
    return float(values[higher] - values[lower])


def _is_definition(row: Row) -> bool:
    return row.kind is Kind.DEFINITION


def _train(trainer: StageTrainer, turned: Sequence[Turn] = ()) -> PreTrainedModel:
    with ExitStack() as inside:
        for turn in turned:
            inside.enter_context(turned_updates(trainer, turn))
        while trainer.step < trainer.last_step:
            trainer.train_step()
    return trainer.model.eval()
