"""The toys: from scratch on a laptop, in seconds to a minute a seed."""

from collections.abc import Mapping
from typing import Any

from data.errors import InputError
from data.tasks.alias_toy import AliasNames, IMLConfig
from data.tasks.source_toy import SourceConfig
from data.tasks.subset_sizes import SubsetSizes
from data.vocabulary import LossPolicy, WordOrder
from training.config import DataConfig, RunConfig, Value
from training.recipes.arguments import model_config, stage_config
from training.registry import recipe, variant_of

TOY_CLAIMS = ("S1", "S2", "S3", "S5", "S8", "M1", "M3", "M4", "M6")
ENTITIES = 20


@recipe(
    figures=("3a", "4a", "4b"),
    claims=TOY_CLAIMS,
    model="GPT-NeoX, 2 layers, d_model 64, aliases of one token, from scratch",
    cost="10 s a seed on one core",
    smoke={"aliases_per_subset": 40, "aliases_qa3": 10, "aliases_stage2": 10}
    | {"epochs_stage1": 3, "epochs_stage2": 4, "d_model": 16, "heads": 2, "d_mlp": 32},
    later=("aliases_per_entity", "new_entities_stage2"),
)
def alias_toy(
    *,
    word_order: WordOrder = WordOrder.TAE,
    loss_policy: LossPolicy = LossPolicy.ANSWER,
    aliases_per_subset: int = 400,
    aliases_qa3: int = 100,
    aliases_stage2: int = 100,
    alpha: float = 1.0,
    alias_tokens: int = 1,
    alias_syllables: int = 60,
    shuffle_tags: bool = False,
    exchange_tags: bool = False,
    entities: int = ENTITIES,
    aliases_per_entity: int = 0,
    new_entities_stage2: bool = False,
    attributes: int = 4,
    values: int = 10,
    held_out_questions: int = 1,
    fact_repeats: int = 4,
    layers: int = 2,
    d_model: int = 64,
    heads: int = 4,
    d_mlp: int = 256,
    tied_embeddings: bool = True,
    rotary_pct: float = 0.25,
    epochs_stage1: int = 20,
    epochs_stage2: int = 40,
    batch_size: int = 64,
    learning_rate_stage1: float = 1e-3,
    learning_rate_stage2: float = 2e-4,
    weight_decay: float = 0.1,
    evaluations: int = 10,
    block_size: int = 8,
    seeds_stage2: int = 1,
) -> RunConfig:
    """Aliases of entities with attributes: strong implicit meta-learning within seconds.

    Unlike the paper's, its aliases share few entities: 20, whose facts are trained four times an
    epoch, have 45 aliases each in Stage 1, and the aliases of Stage 2 stand for the same ones. Set
    aliases_per_entity (1 as in the paper; the number of aliases of each subset stays, that of
    entities follows) and new_entities_stage2 (Stage 2 has entities of its own; no gap is shown). A
    false definition still leads to the right answer where both entities have the value asked for,
    in 1 of `values` questions.
    """
    arguments = locals()
    if aliases_per_entity and entities != ENTITIES:
        raise InputError(
            f"entities={entities} is of no use beside aliases_per_entity={aliases_per_entity}, "
            "which says how many entities there are; leave one of them out"
        )
    return _toy_run(
        IMLConfig(
            sizes=SubsetSizes(
                defined=aliases_per_subset,
                undefined=aliases_qa3,
                stage2=aliases_stage2,
                alpha=alpha,
            ),
            names=AliasNames(tokens=alias_tokens, syllables=alias_syllables),
            word_order=word_order,
            shuffle_tags=shuffle_tags,
            exchange_tags=exchange_tags,
            n_entities=entities,
            aliases_per_entity=aliases_per_entity,
            new_entities_stage2=new_entities_stage2,
            n_attributes=attributes,
            n_values=values,
            held_out_questions=held_out_questions,
            fact_repeats=fact_repeats,
        ),
        arguments,
    )


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
    aliases_per_subset: int = 150,
    aliases_qa3: int = 50,
    aliases_stage2: int = 50,
    alpha: float = 1.0,
    alias_tokens: int = 1,
    alias_syllables: int = 60,
    shuffle_tags: bool = False,
    exchange_tags: bool = False,
    attributes: int = 8,
    values: int = 8,
    held_out_questions: int = 4,
    layers: int = 1,
    d_model: int = 64,
    heads: int = 4,
    d_mlp: int = 256,
    tied_embeddings: bool = False,
    rotary_pct: float = 0.25,
    epochs_stage1: int = 40,
    epochs_stage2: int = 30,
    batch_size: int = 256,
    learning_rate_stage1: float = 3e-3,
    learning_rate_stage2: float = 1e-3,
    weight_decay: float = 0.01,
    evaluations: int = 10,
    block_size: int = 8,
    seeds_stage2: int = 1,
) -> RunConfig:
    """Sources that state values themselves; a definition needs no second hop to be of use."""
    arguments = locals()
    return _toy_run(
        SourceConfig(
            sizes=SubsetSizes(
                defined=aliases_per_subset,
                undefined=aliases_qa3,
                stage2=aliases_stage2,
                alpha=alpha,
            ),
            names=AliasNames(tokens=alias_tokens, syllables=alias_syllables),
            word_order=word_order,
            shuffle_tags=shuffle_tags,
            exchange_tags=exchange_tags,
            n_attributes=attributes,
            n_values=values,
            held_out_questions=held_out_questions,
        ),
        arguments,
    )


def _toy_run(data: DataConfig, arguments: Mapping[str, Any]) -> RunConfig:
    """A run on `data`, the rest of it from the arguments that every toy's function has."""
    return RunConfig(
        data=data,
        model=model_config(arguments),
        stage1=stage_config(arguments, 1),
        stage2=stage_config(arguments, 2),
        word_order=arguments["word_order"],
        loss_policy=arguments["loss_policy"],
        block_size=arguments["block_size"],
        seeds_stage2=arguments["seeds_stage2"],
    )
