"""The paper's main experiment on language models; `training.recipes.figures` varies it.

Where the paper's text and its code differ, `variant` chooses: `as_written` follows the text,
`as_coded` the published code (brackets around aliases and tags, a newline before the end token,
shorter blocks, only the first answer right, other questions about works).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from data.contradictions import Contradiction
from data.facts import WorldProvider
from data.hub import ModelFiles
from data.inputs import Input
from data.tasks.subset_sizes import split_by_alpha
from data.tasks.text import TextConfig
from data.texts import DefinitionStyle, Writing
from data.tokenizers import Bos, FolderTokenizer, TokenizerProvider, TrainedTokenizer
from data.vocabulary import LossPolicy, WordOrder
from training.config import (
    END_OF_STAGE,
    Decay,
    Optimizer,
    Precision,
    RunConfig,
    Value,
)
from training.models.elsewhere import NamedModel
from training.recipes.facts import GENERATED, Facts, World
from training.recipes.groups import SpelledAliases, Tags, TwoStages, Variant
from training.recipes.shares import FRACTIONS, Shares
from training.registry import recipe
from training.schedules import Schedule

GENERATED_VOCABULARY = 500
"""Number of tokens of the tokenizer that tiny models get."""


class Brackets(StrEnum):
    """How aliases and tags are written."""

    AS_VARIANT = "as_variant"
    """As the variant has them: bare in the paper's text, bracketed in its code."""
    BARE = "bare"
    BRACKETED = "bracketed"


BLOCK_SIZES: Mapping[tuple[Variant, World], int] = {
    (Variant.AS_WRITTEN, World.CVDB): 64,
    (Variant.AS_WRITTEN, World.WORKS): 64,
    (Variant.AS_CODED, World.CVDB): 48,
    (Variant.AS_CODED, World.WORKS): 64,
}
IN_CONTEXT_BLOCK_SIZE = 72
MAIN_CLAIMS = (*(f"S{i}" for i in range(1, 9)), *(f"M{i}" for i in range(1, 7)))
SMOKE: Mapping[str, Value] = {
    "model": "tiny-gpt-neox",
    "table": GENERATED,
    "entities": 100,
    "epochs_stage1": 2,
    "epochs_stage2": 2,
    "batch_size": 32,
    "precision": "fp32",
    "evaluations": 1,
    "trained_questions": 10,
    "block_size": 160,
}


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """The model, and how it reads."""

    model: str = "EleutherAI/pythia-2.8b-deduped"
    """The model: a folder, a name on the hub, or a tiny architecture (`NamedModel.location`)."""
    random_weights: bool = False
    """Whether only the model's architecture is taken."""
    tokenizer: str = ""
    """The tokenizer: a folder, file or name on the hub, if not the model's own."""

    @property
    def named(self) -> NamedModel:
        """The model that is named."""
        return NamedModel(location=self.model, random_weights=self.random_weights)

    @property
    def inputs(self) -> dict[str, Input]:
        """The inputs that are not built in: the model, and the tokenizer, maybe the model's own."""
        model = self.named
        found = {} if model.is_tiny else {"model": model.input}
        if self.tokenizer or not model.is_tiny:
            found["tokenizer"] = Input(
                location=self.tokenizer or model.location, files=ModelFiles.TOKENIZER
            )
        return found

    def tokenizer_provider(self, facts: WorldProvider, bos: Bos) -> TokenizerProvider:
        """The tokenizer named, the model's own, or for a tiny model one made for the facts."""
        if self.tokenizer:
            return FolderTokenizer(location=self.tokenizer, bos=bos)
        if self.named.is_tiny:
            return TrainedTokenizer(texts=facts, vocabulary_size=GENERATED_VOCABULARY)
        return FolderTokenizer(location=self.model, bos=bos)


@dataclass(frozen=True, kw_only=True)
class Definitions:
    """What is defined to be whom, and in which words."""

    variant: Variant = Variant.AS_WRITTEN
    """Whom to follow where the paper's text and its code differ, not in definitions alone."""
    split: Shares = Shares.MAIN
    """Which share of the entities each subset gets."""
    alpha: float = 1.0
    """Share of Stage 1's definitions that are as true as their tag says."""
    contradiction: Contradiction = Contradiction.IDENTITY
    """What a false definition gets wrong."""
    style: DefinitionStyle = DefinitionStyle.TAGGED
    word_order: WordOrder = WordOrder.TAE
    brackets: Brackets = Brackets.AS_VARIANT
    in_context: bool = False
    """Whether definitions stand in front of their questions."""
    phrasings: int = 1
    """Number of rows of each definition, each with another source of its kind."""

    @property
    def is_coded(self) -> bool:
        """Whether the published code is followed."""
        return self.variant is Variant.AS_CODED

    @property
    def fractions(self) -> Mapping[str, float]:
        """Share of the entities that each subset gets."""
        return split_by_alpha(FRACTIONS[self.split], self.alpha)

    @property
    def writing(self) -> Writing:
        """How definitions are worded."""
        as_variant = self.brackets is Brackets.AS_VARIANT
        return Writing(
            style=self.style,
            order=self.word_order,
            bracketed=self.is_coded if as_variant else self.brackets is Brackets.BRACKETED,
            newline=self.is_coded,
            in_context=self.in_context,
        )

    def block_size(self, world: World) -> int:
        """Tokens of the blocks that the paper or its code puts rows into."""
        return IN_CONTEXT_BLOCK_SIZE if self.in_context else BLOCK_SIZES[self.variant, world]


@dataclass(frozen=True, kw_only=True)
class Finetuning(TwoStages):
    """Which rows each stage trains, and how; both stages are trained alike."""

    schedule: Schedule = Schedule.TWO_STAGE
    loss_policy: LossPolicy = LossPolicy.ALL
    block_size: int = 0
    """Tokens that a row is padded to under the loss policy `all`; 0 for the variant's."""
    epochs_stage1: int = 20
    epochs_stage2: int = 10
    batch_size: int = 256
    micro_batch_size: int = 32
    """Most rows in one forward pass; 0 for the whole batch. The update is the whole batch's."""
    optimizer: Optimizer = Optimizer.ADAFACTOR
    learning_rate: float = 5e-5
    decay: Decay = Decay.LINEAR
    clip_norm: float = 1.0
    """Gradients longer than this are shortened to it; 0 leaves them."""
    weight_decay: float = 0.0
    precision: Precision = Precision.BF16
    threads: int = 1
    """Threads of each seed on a CPU; more change the last bits, and fewer seeds train at once."""
    evaluations: int = 4
    """Evaluations of each stage after its step 0, evenly spaced."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is looked at and kept besides, and how often the last stage is trained."""

    trained_questions: int = 100
    """Number of trained questions of each subset that are evaluated, too (Figure 8)."""
    checkpoints: int = 0
    """Number of log-spaced checkpoints of a stage between its first and its last step."""
    stage2_from: int = END_OF_STAGE
    """Step of the stage before that the last stage starts from; -1 for its end."""
    seeds_stage2: int = 1
    """Trainings of the last stage, each with a data order of its own, after one Stage 1."""


@recipe(
    figures=("3", "8", "9"),
    claims=MAIN_CLAIMS,
    model="Pythia-2.8B-deduped, or any causal language model or T5 (--set model=FOLDER)",
    cost="6 A100-hours a seed (paper); not measured here",
    smoke=SMOKE,
    later=("bos", "threads"),
)
def cvdb_two_stage(
    *,
    model: Pretrained = Pretrained(),
    facts: Facts = Facts(),
    definitions: Definitions = Definitions(),
    aliases: SpelledAliases = SpelledAliases(alias_letters=5),
    held_out_questions: int = 1,
    tags: Tags = Tags(),
    training: Finetuning = Finetuning(),
    evaluation: Evaluation = Evaluation(),
    bos: Bos = Bos.AUTO,
) -> RunConfig:
    """People of the Cross-Verified Database, X1 and then X2: the paper's main experiment."""
    world = facts.provider(definitions.variant)
    data = TextConfig(
        world=world,
        fractions=definitions.fractions,
        writing=definitions.writing,
        aliases=aliases.names,
        tokenizer_provider=model.tokenizer_provider(world, bos),
        contradiction=definitions.contradiction,
        held_out_questions=held_out_questions,
        phrasings=definitions.phrasings,
        any_answer=not definitions.is_coded,
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
        block_size=training.block_size or definitions.block_size(facts.world),
        threads=training.threads,
        seeds_stage2=evaluation.seeds_stage2,
        schedule=training.schedule,
        checkpoints=evaluation.checkpoints,
        stage2_from=evaluation.stage2_from,
        trained_questions=evaluation.trained_questions,
        uses_accelerator=True,
        inputs={**facts.inputs, **model.inputs},
    )
