"""Frozen configs of a run; they hold no numbers of their own (`training.recipes` does)."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from data.design import Design, Margin
from data.errors import InputError
from data.inputs import Input
from data.vocabulary import LossPolicy, Stage, WordOrder
from training.run_parts import DataConfig, EntityChoice, ModelProvider
from training.schedules import Schedule

if TYPE_CHECKING:
    from data.tokens import TokenizedRow

N_LOG_SPACED = 6
MOST_SEEDS = 10_000
"""Most Stage-1 seeds of a run: each is drawn and checked before the first is trained."""
LARGEST_SEED = 2**31
"""Seeds are numbered below it, so that every table and random generator can hold them."""
END_OF_STAGE = -1
LONGEST_BLOCK = 1_000_000
"""Most tokens of a block: models with learned positions get a row for each."""
MOST_KEPT = 10_000
"""Most checkpoints of a stage or Stage-2 trainings of a seed: more than a folder should hold."""

MOST_THREADS = 256
"""Most threads of a seed."""

Value = int | float | bool | str
"""The types of a recipe's parameters."""


class Optimizer(StrEnum):
    """What updates the weights; its state is new at the start of each stage."""

    ADAMW = "adamw"
    ADAFACTOR = "adafactor"
    """Adafactor as Hugging Face's Trainer has it: no relative step, no scaling, no momentum."""


class Decay(StrEnum):
    """How the learning rate goes through a stage."""

    CONSTANT = "constant"
    LINEAR = "linear"
    """The rate falls to 0 at the end of the stage, without warm-up."""


class Precision(StrEnum):
    """What the forward and backward pass compute in; master weights are float32 either way."""

    FP32 = "fp32"
    BF16 = "bf16"
    """Products in bfloat16, all else in float32; see `training.working_copy`.

    float32 throughout on a CPU without bfloat16 instructions, where it would be far slower.
    """


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """How one stage is trained; optimizer state and learning rate start anew."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    evaluations: int
    """Evaluations after step 0, evenly spaced over the epochs; checkpoints add their own steps."""
    optimizer: Optimizer = Optimizer.ADAMW
    decay: Decay = Decay.CONSTANT
    clip_norm: float = 0.0
    """Gradients longer than this are shortened to it; 0 leaves them."""
    micro_batch_size: int = 0
    """Most rows in one forward pass; 0 for the whole batch. The update is the whole batch's."""
    precision: Precision = Precision.FP32

    def __post_init__(self) -> None:
        """Refuses what cannot be trained."""
        for name in ("epochs", "batch_size", "evaluations"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; use 1 or more")
        if not (self.learning_rate > 0 and self.weight_decay >= 0):
            raise InputError(
                f"learning rate {self.learning_rate:g} and weight decay {self.weight_decay:g} must "
                "be positive numbers; change them"
            )
        if not self.clip_norm >= 0:
            raise InputError(
                f"clip_norm is {self.clip_norm:g}; use a positive number, or 0 for none"
            )
        if self.micro_batch_size < 0:
            raise InputError(
                f"micro_batch_size is {self.micro_batch_size}; use 1 or more, or 0 for none"
            )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that fixes a run but its seeds."""

    data: DataConfig
    model: ModelProvider
    stage1: StageConfig
    stage2: StageConfig
    loss_policy: LossPolicy
    block_size: int
    """Length that rows are padded to under the loss policy `all`."""
    word_order: WordOrder | None = None
    """Of the definitions; None where there is no such thing."""
    schedule: Schedule = Schedule.TWO_STAGE
    """Which rows each stage trains."""
    checkpoints: int = N_LOG_SPACED
    """Number of log-spaced checkpoints of a stage between its first and its last step."""
    stage2_from: int = END_OF_STAGE
    """Step of the stage before that the last stage starts from."""
    trained_questions: int = 0
    """Number of trained questions of each subset that are evaluated, too (Figure 8)."""
    uses_accelerator: bool = False
    """Whether a GPU is used where there is one; the bytes of a toy's run stay a CPU's."""
    threads: int = 1
    """Threads that each seed is trained and measured on: part of what fixes its last bits."""
    seeds_stage2: int
    """Number of Stage-2 trainings (data orders) that branch off each Stage-1 seed."""
    recipe: str = ""
    """The recipe that made it; set by the recipe."""
    parameters: Mapping[str, Value] = field(default_factory=dict)
    """All arguments of the recipe: with its name they rebuild this config."""
    unsaid: frozenset[str] = frozenset()
    """Parameters that came after runs had been made, at their defaults: the run id is silent
    about them, so that runs made before can be extended."""
    inputs: Mapping[str, Input] = field(default_factory=dict)
    """The inputs that are read from elsewhere, by the parameter that names them."""
    exam: EntityChoice | None = None
    """What chose the entities of `data` by asking the model, where anything did."""
    digests: Mapping[str, str] = field(default_factory=dict, compare=False)
    recorded_id: str = field(default="", compare=False)
    """What `run.json` notes: the sha256 that inputs must have, and the run's id."""

    def __post_init__(self) -> None:
        """Refuses a run without a second stage."""
        if self.seeds_stage2 < 1:
            raise InputError(f"seeds_stage2 is {self.seeds_stage2}; use 1 or more")
        if self.checkpoints < 0 or self.trained_questions < 0:
            raise InputError("checkpoints and trained_questions are negative; use 0 or more")
        if not 0 < self.block_size <= LONGEST_BLOCK:
            raise InputError(
                f"block_size is {self.block_size}; use 1 or more, up to {LONGEST_BLOCK:,}"
            )
        for name in ("seeds_stage2", "checkpoints"):
            if getattr(self, name) > MOST_KEPT:
                raise InputError(f"{name} is {getattr(self, name)}; use {MOST_KEPT:,} or fewer")
        if not 0 < self.threads <= MOST_THREADS:
            raise InputError(f"threads is {self.threads}; use 1 or more, up to {MOST_THREADS}")
        if self.stage2_from != END_OF_STAGE and self.schedule.branches_at is None:
            raise InputError(f"stage2_from is of no use in schedule {self.schedule}; leave it out")

    @property
    def design(self) -> Design:
        """What the run's experiment compares."""
        return self.data.design

    @property
    def null_margin(self) -> Margin | None:
        """The margin within which a gap's 90% interval in exact match shows that it is none.

        None for a design without a null twin, and under a loss policy that it has no margin of.
        """
        twin = self.design.null_twin
        return None if twin is None else twin.margins.get(self.loss_policy)

    @property
    def is_null_twin(self) -> bool:
        """Whether the run is one without what its experiment is about."""
        twin = self.design.null_twin
        return twin is not None and self.parameters.get(twin.parameter) == twin.value

    @property
    def run_id(self) -> str:
        """Ten hexadecimal digits that name recipe and parameters, whatever the seeds."""
        said = {name: v for name, v in self.identity.items() if name not in self.unsaid}
        identity = json.dumps([self.recipe, said], sort_keys=True)
        return self.recorded_id or hashlib.sha256(identity.encode()).hexdigest()[:10]

    @property
    def identity(self) -> dict[str, Value]:
        """The parameters, with the content of a file or folder in place of its path.

        What an exam chose is part of it, since the rows depend on that.
        """
        found: dict[str, Value] = dict(self.parameters)
        for name, each in self.inputs.items():
            if each.is_local:
                # Runs that were made before contents were noted have none.
                content = self.digests.get(name) or (not self.recorded_id and each.sha256())
                found[name] = f"sha256:{content}" if content else each.name
        if self.exam is not None:
            known = json.dumps(self.exam.known())
            found["exam"] = f"sha256:{hashlib.sha256(known.encode()).hexdigest()}"
        return found

    def longest_text(self, rows: "Sequence[TokenizedRow]") -> int:
        """Tokens that the run's model must be able to read: a block, or a row and its end token."""
        return max(self.block_size, *(len(row.input_ids) + 1 for row in rows))

    def with_known(self, known: Sequence[str]) -> "RunConfig":
        """The config whose exam, if it has one, has found these to be known, and asks nobody."""
        if self.exam is None:
            return self
        exam = self.exam.with_known(known)
        data: Any = self.data  # whose entities come from the exam
        return replace(self, exam=exam, data=replace(data, world=exam))

    def stage(self, stage: Stage) -> StageConfig:
        """The settings of one stage; X1's two stages, if it has two, are trained alike."""
        is_last = stage is self.schedule.branches_at
        return self.stage2 if is_last else self.stage1

    def checkpoint_steps(self, stage: Stage, last: int) -> list[int]:
        """Steps at which a stage of `last` steps is saved.

        Raises:
            InputError: the last stage is to start from a step that the stage before lacks.
        """
        steps = checkpoint_steps(last, self.checkpoints)
        branch = self.schedule.branches_at
        if self.stage2_from == END_OF_STAGE or branch is None or stage != branch - 1:
            return steps
        if not 0 <= self.stage2_from <= last:
            raise InputError(
                f"stage2_from is {self.stage2_from}, stage {int(stage)} has steps 0 to {last}; "
                "choose one of them"
            )
        return sorted({*steps, self.stage2_from})


def checkpoint_steps(last: int, n_between: int = N_LOG_SPACED) -> list[int]:
    """Step 0, log-spaced steps, the last step; fewer where a stage has fewer steps than that.

    >>> checkpoint_steps(1600)
    [0, 3, 8, 24, 68, 194, 558, 1600]
    """
    intervals = n_between + 1
    spaced = [round(math.exp(math.log(last) * i / intervals)) for i in range(1, intervals)]
    return sorted({0, *spaced, last})


def evaluation_steps(*, epochs: int, steps_per_epoch: int, evaluations: int) -> list[int]:
    """Step 0 and evenly spaced ends of epochs, the last one included.

    >>> evaluation_steps(epochs=4, steps_per_epoch=10, evaluations=2)
    [0, 20, 40]
    """
    n = min(evaluations, epochs)
    return [0, *(round(epochs * i / n) * steps_per_epoch for i in range(1, n + 1))]
