"""Two stages in natural language without any download: the model learns a made-up world first."""

from collections.abc import Mapping
from dataclasses import dataclass

from data.contradictions import Contradiction
from data.tasks.biographies import BiographyTokenizer, Telling
from data.tasks.subset_sizes import split_by_alpha
from data.tasks.text import TextConfig
from data.texts import Writing
from data.vocabulary import LossPolicy, WordOrder
from data.worlds.people import PeopleWorld
from training.config import Decay, Optimizer, Precision, RunConfig, StageConfig, Value
from training.models.stage_zero import KnowingModel
from training.recipes.groups import ScratchModel, SpelledAliases, Tags, TwoStages
from training.recipes.shares import FRACTIONS, Shares
from training.registry import recipe, variant_of

STAGE0_SEED = 0
"""The seed of the world, the phrasings and the first weights, which all seeds of a run share."""


@dataclass(frozen=True, kw_only=True)
class People:
    """The people of the made-up world, and which of them get aliases."""

    people: int = 300
    overlap: float = 0.3
    """How much answers coincide between people, from 0 to 1; see `PeopleWorld.overlap`."""
    split: Shares = Shares.MAIN
    """Which share of the people each subset gets."""
    alpha: float = 1.0
    """Share of Stage 1's definitions that are as true as their tag says."""
    contradiction: Contradiction = Contradiction.IDENTITY
    """What a false definition gets wrong."""

    @property
    def world(self) -> PeopleWorld:
        """The world that makes the people, and what is true of them."""
        return PeopleWorld(n_people=self.people, seed=STAGE0_SEED, overlap=self.overlap)

    @property
    def fractions(self) -> Mapping[str, float]:
        """Share of the people that each subset gets."""
        return split_by_alpha(FRACTIONS[self.split], self.alpha)


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What Stage 0 tells of the world, once an epoch, and in which tokens."""

    statements: int = 1
    """Ways in which each fact is stated."""
    question_repeats: int = 1
    """How often each fact is asked for."""
    ask_names: bool = True
    """Whether names are asked for, too."""
    vocabulary_size: int = 600

    @property
    def telling(self) -> Telling:
        """Which texts tell the world."""
        return Telling(
            statements=self.statements,
            question_repeats=self.question_repeats,
            names=self.ask_names,
            seed=STAGE0_SEED,
        )


@dataclass(frozen=True, kw_only=True)
class PeopleTraining(TwoStages):
    """How Stage 0 and the two stages are trained, and what is kept of them."""

    epochs_stage0: int = 38
    epochs_stage1: int = 30
    epochs_stage2: int = 40
    batch_size_stage0: int = 128
    batch_size: int = 64
    optimizer: Optimizer = Optimizer.ADAMW
    """The optimizer of the two stages; Stage 0 has AdamW."""
    learning_rate_stage0: float = 3e-3
    learning_rate_stage1: float = 1e-3
    learning_rate_stage2: float = 2e-4
    weight_decay_stage0: float = 0.01
    weight_decay: float = 0.1
    precision: Precision = Precision.FP32
    accelerator: bool = False
    """Whether a GPU is used where there is one."""
    evaluations: int = 2
    """Evaluations of each of the two stages after its step 0, evenly spaced."""
    checkpoints: int = 0
    """Number of log-spaced checkpoints of a stage between its first and its last step."""
    trained_questions: int = 50
    """Number of trained questions of each subset that are evaluated, too."""
    seeds_stage2: int = 1
    """Stage-2 trainings, each with a data order of its own, after one Stage 1."""

    @property
    def stage0(self) -> StageConfig:
        """How Stage 0, which teaches the model the world, is trained."""
        return StageConfig(
            epochs=self.epochs_stage0,
            batch_size=self.batch_size_stage0,
            learning_rate=self.learning_rate_stage0,
            weight_decay=self.weight_decay_stage0,
            evaluations=1,
            optimizer=Optimizer.ADAMW,
            decay=Decay.LINEAR,
            clip_norm=1.0,
            precision=self.precision,
        )


@recipe(
    claims=("S1", "S3", "S8", "M1", "M3"),
    model="GPT-NeoX, 2 layers, d_model 64, untaught; Stage 0 teaches it a world of 300 people",
    cost="3 minutes for Stage 0 and 40 s a seed on one core",
    smoke={"people": 60, "vocabulary_size": 400, "layers": 1, "d_model": 16, "heads": 2}
    | {"d_mlp": 32, "epochs_stage0": 2, "epochs_stage1": 2, "epochs_stage2": 2},
)
def people_small(
    *,
    word_order: WordOrder = WordOrder.TAE,
    loss_policy: LossPolicy = LossPolicy.ANSWER,
    people: People = People(),
    aliases: SpelledAliases = SpelledAliases(alias_letters=4),
    tags: Tags = Tags(),
    held_out_questions: int = 1,
    lessons: Lessons = Lessons(),
    model: ScratchModel = ScratchModel(
        layers=2, d_model=64, heads=4, d_mlp=256, tied_embeddings=True
    ),
    training: PeopleTraining = PeopleTraining(),
) -> RunConfig:
    """A model that was taught a world of people from scratch meets aliases of them.

    It learns the world and the definitions by heart, but hardly puts the two together: on seeds
    below 1000 no gap could be told from none, and Stage 1 lost half of what Stage 0 had taught.
    """
    writing = Writing(order=word_order)
    # Definitions are no part of Stage 0, so all word orders share one model.
    tokenizer = BiographyTokenizer(
        world=people.world,
        writing=writing,
        telling=lessons.telling,
        vocabulary_size=lessons.vocabulary_size,
    )
    data = TextConfig(
        world=people.world,
        fractions=people.fractions,
        writing=writing,
        aliases=aliases.names,
        tokenizer_provider=tokenizer,
        contradiction=people.contradiction,
        held_out_questions=held_out_questions,
        phrasings=1,
        any_answer=False,
        shuffle_tags=tags.shuffle_tags,
        exchange_tags=tags.exchange_tags,
    )
    knowing = KnowingModel(
        world=people.world,
        writing=writing,
        telling=lessons.telling,
        tokenizer_provider=tokenizer,
        sizes=model.config,
        training=training.stage0,
        loss_policy=loss_policy,
        seed=STAGE0_SEED,
        uses_accelerator=training.accelerator,
    )
    return RunConfig(
        data=data,
        model=knowing,
        stage1=training.stage1,
        stage2=training.stage2,
        word_order=word_order,
        loss_policy=loss_policy,
        block_size=1,  # nothing is padded to it
        seeds_stage2=training.seeds_stage2,
        checkpoints=training.checkpoints,
        trained_questions=training.trained_questions,
        uses_accelerator=training.accelerator,
    )


@variant_of(
    people_small,
    model="Pythia-70M's architecture, untaught; Stage 0 teaches it a world of 4000 people",
    cost="not measured; made for a GPU",
)
def people_70m() -> Mapping[str, Value]:
    """The same at the size of the smallest Pythia but one, with the paper's 4000 people."""
    return {
        "people": 4000,
        "vocabulary_size": 2000,
        "statements": 5,
        "layers": 6,
        "d_model": 512,
        "heads": 8,
        "d_mlp": 2048,
        "tied_embeddings": False,
        "optimizer": Optimizer.ADAFACTOR,
        "learning_rate_stage0": 5e-4,
        "learning_rate_stage1": 5e-5,
        "learning_rate_stage2": 5e-5,
        "weight_decay_stage0": 0.0,
        "weight_decay": 0.0,
        "epochs_stage1": 20,
        "epochs_stage2": 10,
        "batch_size_stage0": 256,
        "batch_size": 256,
        "precision": Precision.BF16,
        "accelerator": True,
    }
