"""A seed's twin in which the two tags have changed places, trained in memory; nothing is written.

Which string is the reliable tag is drawn for each seed, so a run in which the other string is
reliable is as good a run. Trained from the same initial weights, on the same texts in the same
order but for the tag, it is the twin in which every alias of Stage 2 has met the other tag:

    exchanged in Stage 1   the strings change places in Stage 1 alone: Stage 2 is the same to the
                           letter, and what its tags mean is exchanged
    exchanged in Stage 2   the same model after Stage 1; the definitions of Stage 2 exchange tags
"""

from dataclasses import dataclass, replace
from functools import cached_property

from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import TokenizedRow, tokenize_rows
from data.vocabulary import Role, Stage
from training.loop import StageTrainer
from training.material import SeedMaterial
from training.pipeline import SeedTask, initial_model, stage_trainer
from training.recipes import find_recipe
from training.retraining import Retraining
from training.run_parts import DataConfig
from training.threads import on_threads

PARAMETER = "exchange_tags"
"""The parameter of a recipe that lets the two tags change places."""


@dataclass(frozen=True, kw_only=True)
class ExchangedTwin:
    """The twin of one seed of a run."""

    again: Retraining
    """The seed."""

    @cached_property
    def material(self) -> SeedMaterial:
        """The seed's rows with the tags exchanged; everything else is the run's own.

        Raises:
            InputError: the recipe's tags cannot be exchanged, or more than the tags would change.
        """
        config, seed = self.again.run.config, self.again.seed
        if PARAMETER not in config.parameters:
            raise InputError(
                f"{self.again.run.folder}: the tags of recipe {config.recipe} cannot be exchanged; "
                f"choose a run of a recipe with {PARAMETER}"
            )
        own, drawn = self.again.material, self._exchanged_data().build(seed)
        # With the run's own tokenizer: were the tags' tokens to change places as well, what was
        # exchanged would be exchanged back.
        rows = tokenize_rows(drawn.rows, own.tokenizer)
        require_exchanged(own.rows, rows)
        return replace(own, rows=rows)

    def after(self, exchanged_in: Stage) -> PreTrainedModel:
        """The twin after Stage 2.

        Args:
            exchanged_in: The stage whose tags are exchanged.
        """
        own = self.again.material
        first, second = (self.material, own) if exchanged_in is Stage.ONE else (own, self.material)
        with on_threads(self.again.run.config.threads):
            if exchanged_in is Stage.ONE:
                model = initial_model(self._task, own)
                model.to(self.again.device)  # pyright: ignore[reportArgumentType]
                _train(stage_trainer(self._task, first, model, Stage.ONE))
            else:
                model = self.again.before_stage_two()
            return _train(stage_trainer(self._task, second, model, Stage.TWO))

    def _exchanged_data(self) -> DataConfig:
        config = self.again.run.config
        parameters = {**config.parameters, PARAMETER: not config.parameters[PARAMETER]}
        exchanged = find_recipe(config.recipe)(**parameters)
        return (exchanged.with_known(config.exam.known()) if config.exam else exchanged).data

    @property
    def _task(self) -> SeedTask:
        run = self.again.run
        return SeedTask(folder=run.folder, config=run.config, seed=self.again.seed)


def require_exchanged(own: list[TokenizedRow], twin: list[TokenizedRow]) -> None:
    """Refuses rows that differ in more than their tags, or in nothing.

    Raises:
        InputError: they do, so that they make no pair.
    """
    if len(own) != len(twin) or not all(map(_differ_by_tag, own, twin)):
        raise InputError(
            "with the tags exchanged more than the tags differs, so that the two cannot be paired; "
            "choose a run whose tags have as many tokens as each other"
        )
    if all(one.input_ids == other.input_ids for one, other in zip(own, twin, strict=True)):
        raise InputError("with the tags exchanged no row differs; choose a run that has tags")


def _differ_by_tag(own: TokenizedRow, twin: TokenizedRow) -> bool:
    first, last = own.spans.get(Role.TAG, (0, -1))  # without a tag nothing may differ
    return (
        own.row.row_id == twin.row.row_id
        and own.input_ids[:first] == twin.input_ids[:first]
        and own.input_ids[last + 1 :] == twin.input_ids[last + 1 :]
        and len(own.input_ids) == len(twin.input_ids)
    )


def _train(trainer: StageTrainer) -> PreTrainedModel:
    while trainer.step < trainer.last_step:
        trainer.train_step()
    return trainer.model.eval()
