"""Two stages on a real pretrained model, with real people whom it knows.

The model is asked about the people first, and those that it knows get aliases.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from data.facts import WorldProvider
from data.tasks.text import TextConfig
from data.texts import Writing
from data.tokenizers import Bos, TokenizerProvider
from data.vocabulary import LossPolicy
from data.worlds.cvdb import Missing
from training.config import Decay, Optimizer, Precision, RunConfig, Value
from training.exam import Exam
from training.models.elsewhere import NamedModel
from training.recipes.facts import FAMOUS, Facts
from training.recipes.groups import SpelledAliases, Tags, TwoStages
from training.recipes.shares import Shares
from training.recipes.text import MAIN_CLAIMS, SMOKE, Definitions, Evaluation, Pretrained
from training.registry import recipe, variant_of


@dataclass(frozen=True, kw_only=True)
class PeopleTable:
    """The people who are asked about, and what is true of them."""

    table: str = FAMOUS
    """The file that holds the facts; `famous` for the people that come along, `generated` for some
    that are made up."""
    entities: int = 1000
    """How many people of the table are asked about: the most read."""
    missing: Missing = Missing.SKIP
    """What becomes of people of whom something is not known: of the living, say, the death."""

    @property
    def facts(self) -> Facts:
        """The facts of those people."""
        return Facts(table=self.table, entities=self.entities, missing=self.missing)


@dataclass(frozen=True, kw_only=True)
class Known:
    """The exam before training, and who gets an alias after it."""

    people: int = 500
    """How many of the people that the model knows get an alias: the most read of them."""
    known_only: int = 3
    """Questions that a person needs to have answered right to be known; 0 keeps everybody."""
    shown: int = 8
    """Answered questions about other people that stand before each question of the exam."""

    def exam(
        self,
        world: WorldProvider,
        model: NamedModel,
        tokenizer: TokenizerProvider,
        writing: Writing,
        *,
        any_answer: bool,
        accelerator: bool,
    ) -> Exam:
        """The exam about a world's people."""
        return Exam(
            world=world,
            model=model,
            tokenizer_provider=tokenizer,
            writing=writing,
            any_answer=any_answer,
            shown=self.shown,
            known_only=self.known_only,
            wanted=self.people,
            uses_accelerator=accelerator,
        )


@dataclass(frozen=True, kw_only=True)
class RealTraining(TwoStages):
    """How the two stages are trained."""

    loss_policy: LossPolicy = LossPolicy.ANSWER
    block_size: int = 64
    """Tokens that a row is padded to under the loss policy `all`."""
    epochs_stage1: int = 6
    epochs_stage2: int = 8
    batch_size: int = 32
    micro_batch_size: int = 0
    """Most rows in one forward pass; 0 for the whole batch. The update is the whole batch's."""
    optimizer: Optimizer = Optimizer.ADAMW
    learning_rate_stage1: float = 2e-4
    learning_rate_stage2: float = 1e-4
    decay: Decay = Decay.LINEAR
    clip_norm: float = 1.0
    """Gradients longer than this are shortened to it; 0 leaves them."""
    weight_decay: float = 0.01
    precision: Precision = Precision.BF16
    threads: int = 1
    """Threads of each seed on a CPU; more change the last bits, and fewer seeds train at once."""
    accelerator: bool = False
    """Whether a GPU is used where there is one."""
    evaluations: int = 1
    """Evaluations of each stage after its step 0, evenly spaced."""


@recipe(
    claims=MAIN_CLAIMS,
    model="SmolLM2-135M, or any decoder (--set model=FOLDER)",
    cost="40 minutes a seed on one core, and the exam once, 8 minutes on one core",
    smoke={**SMOKE, "table": FAMOUS, "entities": 80, "people": 50, "known_only": 0, "shown": 2},
)
def famous_people(
    *,
    model: Pretrained = Pretrained(model="smollm2-135m"),
    table: PeopleTable = PeopleTable(),
    known: Known = Known(),
    definitions: Definitions = Definitions(split=Shares.OLDER),
    aliases: SpelledAliases = SpelledAliases(alias_letters=5),
    held_out_questions: int = 1,
    tags: Tags = Tags(),
    training: RealTraining = RealTraining(),
    evaluation: Evaluation = Evaluation(trained_questions=50),
    bos: Bos = Bos.AUTO,
) -> RunConfig:
    """A pretrained model meets aliases of famous people whom it knows, as an exam before shows."""
    world = table.facts.provider(definitions.variant)
    tokenizer = model.tokenizer_provider(world, bos)
    any_answer = not definitions.is_coded
    exam = known.exam(
        world,
        model.named,
        tokenizer,
        definitions.writing,
        any_answer=any_answer,
        accelerator=training.accelerator,
    )
    data = TextConfig(
        world=exam,
        fractions=definitions.fractions,
        writing=definitions.writing,
        aliases=aliases.names,
        tokenizer_provider=tokenizer,
        contradiction=definitions.contradiction,
        held_out_questions=held_out_questions,
        phrasings=definitions.phrasings,
        any_answer=any_answer,
        shuffle_tags=tags.shuffle_tags,
        exchange_tags=tags.exchange_tags,
    )
    return RunConfig(
        data=data,
        model=model.named,
        stage1=training.stage1,
        stage2=training.stage2,
        word_order=definitions.word_order,
        loss_policy=training.loss_policy,
        block_size=training.block_size,
        threads=training.threads,
        seeds_stage2=evaluation.seeds_stage2,
        checkpoints=evaluation.checkpoints,
        stage2_from=evaluation.stage2_from,
        trained_questions=evaluation.trained_questions,
        uses_accelerator=training.accelerator,
        inputs={**table.facts.inputs, **model.inputs},
        exam=exam,
    )


@variant_of(famous_people, cost="not measured; made for a GPU")
def famous_people_gpu() -> Mapping[str, Value]:
    """The same with more people, half known ones among them, on a GPU where there is one."""
    return {
        "people": 800,
        "known_only": 2,
        "batch_size": 64,
        "accelerator": True,
    }
