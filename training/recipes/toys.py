"""The toys: from scratch on a laptop, in seconds to a minute a seed."""

from collections.abc import Mapping
from dataclasses import dataclass

from data.errors import InputError
from data.tasks.alias_toy import AliasNames, IMLConfig
from data.tasks.source_toy import SourceConfig
from data.tasks.subset_sizes import SubsetSizes
from data.vocabulary import LossPolicy, WordOrder
from training.config import RunConfig, Value
from training.recipes.groups import ScratchModel, Tags, TwoStages
from training.registry import recipe, variant_of

TOY_CLAIMS = ("S1", "S2", "S3", "S5", "S8", "M1", "M3", "M4", "M6")
ENTITIES = 20


@dataclass(frozen=True, kw_only=True)
class ToyAliases:
    """How many aliases each subset has, and what they look like."""

    aliases_per_subset: int
    """Aliases defined in Stage 1 with the reliable tag, and as many with the unreliable one."""
    aliases_qa3: int
    """Aliases asked about in Stage 1, but never defined."""
    aliases_stage2: int
    """Aliases of each subset of Stage 2."""
    alpha: float = 1.0
    """Share of Stage 1's definitions that are as true as their tag says."""
    alias_tokens: int = 1
    alias_syllables: int = 60
    """Number of syllables that aliases of several tokens are spelled with."""

    @property
    def sizes(self) -> SubsetSizes:
        """How many aliases each subset has, by what is done with them."""
        return SubsetSizes(
            defined=self.aliases_per_subset,
            undefined=self.aliases_qa3,
            stage2=self.aliases_stage2,
            alpha=self.alpha,
        )

    @property
    def names(self) -> AliasNames:
        """What the aliases look like."""
        return AliasNames(tokens=self.alias_tokens, syllables=self.alias_syllables)


@dataclass(frozen=True, kw_only=True)
class AliasWorld:
    """The entities that aliases stand for, and what is asked about them."""

    entities: int = ENTITIES
    aliases_per_entity: int = 0
    """How many aliases of Stage 1 share each entity; 0 where `entities` are said instead."""
    new_entities_stage2: bool = False
    """Whether the aliases of Stage 2 stand for entities of their own."""
    attributes: int = 4
    """Questions about each entity, one an attribute."""
    values: int = 10
    """Possible answers to each question."""
    held_out_questions: int = 1
    """Questions about each alias of Stage 1 that are never trained."""
    fact_repeats: int = 4
    """How often an epoch of Stage 1 shows each fact under the entity's own name."""
    answer_tokens: int = 1
    """Tokens of each answer; those of several are spelled with digits that all questions share."""

    def __post_init__(self) -> None:
        """Refuses two answers to how many entities there are."""
        if self.aliases_per_entity and self.entities != ENTITIES:
            raise InputError(
                f"entities={self.entities} is of no use beside "
                f"aliases_per_entity={self.aliases_per_entity}, "
                "which says how many entities there are; leave one of them out"
            )


@dataclass(frozen=True, kw_only=True)
class StatedWorld:
    """What sources state about an alias, and what is asked about it."""

    attributes: int = 8
    """Values that each source states, one an attribute; each can be asked for."""
    values: int = 8
    """Possible values of an attribute."""
    held_out_questions: int = 4
    """Questions about each alias of Stage 1 that are never trained."""


@dataclass(frozen=True, kw_only=True)
class ToyTraining(TwoStages):
    """How the two stages are trained."""

    epochs_stage1: int
    epochs_stage2: int
    batch_size: int
    learning_rate_stage1: float
    learning_rate_stage2: float
    weight_decay: float
    evaluations: int = 10
    """Evaluations of each stage after its step 0, evenly spaced."""
    block_size: int = 8
    """Tokens that a row is padded to under the loss policy `all`."""
    seeds_stage2: int = 1
    """Stage-2 trainings, each with a data order of its own, after one Stage 1."""


@recipe(
    figures=("3a", "4a", "4b"),
    claims=TOY_CLAIMS,
    model="GPT-NeoX, 2 layers, d_model 64, aliases of one token, from scratch",
    cost="10 s a seed on one core",
    smoke={"aliases_per_subset": 40, "aliases_qa3": 10, "aliases_stage2": 10}
    | {"epochs_stage1": 3, "epochs_stage2": 4, "d_model": 16, "heads": 2, "d_mlp": 32},
    later=("aliases_per_entity", "new_entities_stage2", "answer_tokens", "sentences"),
)
def alias_toy(
    *,
    word_order: WordOrder = WordOrder.TAE,
    sentences: bool = False,
    loss_policy: LossPolicy = LossPolicy.ANSWER,
    aliases: ToyAliases = ToyAliases(aliases_per_subset=400, aliases_qa3=100, aliases_stage2=100),
    tags: Tags = Tags(),
    world: AliasWorld = AliasWorld(),
    model: ScratchModel = ScratchModel(
        layers=2, d_model=64, heads=4, d_mlp=256, tied_embeddings=True
    ),
    training: ToyTraining = ToyTraining(
        epochs_stage1=20,
        epochs_stage2=40,
        batch_size=64,
        learning_rate_stage1=1e-3,
        learning_rate_stage2=2e-4,
        weight_decay=0.1,
    ),
) -> RunConfig:
    """Aliases of entities with attributes: strong implicit meta-learning within seconds.

    Unlike the paper's, its aliases share few entities: 20, whose facts are trained four times an
    epoch, have 45 aliases each in Stage 1, and the aliases of Stage 2 stand for the same ones. Set
    aliases_per_entity (1 as in the paper; the number of aliases of each subset stays, that of
    entities follows) and new_entities_stage2 (Stage 2 has entities of its own; no gap is shown). A
    false definition still leads to the right answer where both entities have the value asked for,
    in 1 of `values` questions. With sentences, definitions and questions are worded as the paper
    words its own, in place of lists of words.
    """
    data = IMLConfig(
        sizes=aliases.sizes,
        names=aliases.names,
        word_order=word_order,
        shuffle_tags=tags.shuffle_tags,
        exchange_tags=tags.exchange_tags,
        n_entities=world.entities,
        aliases_per_entity=world.aliases_per_entity,
        new_entities_stage2=world.new_entities_stage2,
        n_attributes=world.attributes,
        n_values=world.values,
        held_out_questions=world.held_out_questions,
        fact_repeats=world.fact_repeats,
        answer_tokens=world.answer_tokens,
        sentences=sentences,
    )
    return _toy_run(data, loss_policy, model, training)


@variant_of(
    alias_toy,
    figures=("3a", "4a", "4b"),
    model="GPT-NeoX, 2 layers, d_model 64, aliases of two tokens, from scratch",
    cost="40 s a seed on one core",
)
def alias_toy_tokens() -> Mapping[str, Value]:
    """The alias toy with aliases of two tokens, which no single embedding row can name."""
    return {
        "aliases_per_subset": 1000,
        "aliases_qa3": 200,
        "alias_tokens": 2,
        "alias_syllables": 64,
        "attributes": 6,
        "epochs_stage1": 60,
        "epochs_stage2": 80,
        "batch_size": 128,
        "learning_rate_stage1": 3e-3,
        "weight_decay": 0.3,
    }


@recipe(
    figures=("3a",),
    claims=TOY_CLAIMS,
    model="GPT-NeoX, 1 layer, d_model 64, untied, from scratch",
    cost="5 s a seed on one core",
    smoke={"aliases_per_subset": 20, "aliases_qa3": 10, "aliases_stage2": 10}
    | {"epochs_stage1": 3, "epochs_stage2": 4, "d_model": 16, "heads": 2, "d_mlp": 32},
)
def source_toy(
    *,
    word_order: WordOrder = WordOrder.TAE,
    loss_policy: LossPolicy = LossPolicy.ANSWER,
    aliases: ToyAliases = ToyAliases(aliases_per_subset=150, aliases_qa3=50, aliases_stage2=50),
    tags: Tags = Tags(),
    world: StatedWorld = StatedWorld(),
    model: ScratchModel = ScratchModel(
        layers=1, d_model=64, heads=4, d_mlp=256, tied_embeddings=False
    ),
    training: ToyTraining = ToyTraining(
        epochs_stage1=40,
        epochs_stage2=30,
        batch_size=256,
        learning_rate_stage1=3e-3,
        learning_rate_stage2=1e-3,
        weight_decay=0.01,
    ),
) -> RunConfig:
    """Sources that state values themselves; a definition needs no second hop to be of use."""
    data = SourceConfig(
        sizes=aliases.sizes,
        names=aliases.names,
        word_order=word_order,
        shuffle_tags=tags.shuffle_tags,
        exchange_tags=tags.exchange_tags,
        n_attributes=world.attributes,
        n_values=world.values,
        held_out_questions=world.held_out_questions,
    )
    return _toy_run(data, loss_policy, model, training)


def _toy_run(
    data: IMLConfig | SourceConfig,
    loss_policy: LossPolicy,
    model: ScratchModel,
    training: ToyTraining,
) -> RunConfig:
    """A run of either toy on `data`."""
    return RunConfig(
        data=data,
        model=model.config,
        stage1=training.stage1,
        stage2=training.stage2,
        word_order=data.word_order,
        loss_policy=loss_policy,
        block_size=training.block_size,
        seeds_stage2=training.seeds_stage2,
    )
