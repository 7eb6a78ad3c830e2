"""The paper's main experiment on language models; `training.recipes.figures` varies it.

Where the paper's text and its code differ, `variant` chooses: `as_written` follows the text,
`as_coded` the published code (brackets around aliases and tags, a newline before the end token,
shorter blocks, only the first answer right, other questions about works).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from data.contradictions import Contradiction
from data.errors import InputError
from data.hub import Part
from data.inputs import Input
from data.tasks.subset_sizes import split_by_alpha
from data.tasks.text import TextConfig
from data.text_aliases import TextAliases
from data.texts import DefinitionStyle, Writing
from data.tokenizers import Bos, FolderTokenizer, TokenizerSource, TrainedTokenizer
from data.vocabulary import LossPolicy, WordOrder
from data.worlds.cvdb import CvdbSource, Missing
from data.worlds.facts import WorldSource
from data.worlds.generated_works import GeneratedWorksSource
from data.worlds.people import PeopleSource
from data.worlds.works import WorksSource
from training.config import END_OF_STAGE, Decay, Optimizer, Precision, RunConfig, Value
from training.models.elsewhere import SourceModel
from training.recipes.arguments import stage_config
from training.registry import recipe
from training.schedules import Schedule

GENERATED = "generated"
"""As `table`: a made-up one, for smoke tests."""
GENERATED_VOCABULARY = 500
"""Tokens of the tokenizer that tiny models get."""


class Variant(StrEnum):
    """Whom to follow where the paper's text and its code differ."""

    AS_WRITTEN = "as_written"
    AS_CODED = "as_coded"


class World(StrEnum):
    """Where facts come from."""

    CVDB = "cvdb"
    WORKS = "works"


class Brackets(StrEnum):
    """How aliases and tags are written."""

    AS_VARIANT = "as_variant"
    """Bare as in the paper's text, bracketed as in its code."""
    BARE = "bare"
    BRACKETED = "bracketed"


class Split(StrEnum):
    """Which share of the entities each subset gets."""

    MAIN = "main"
    """Table 1."""
    OLDER = "older"
    """Of the published code's configs for word order, batch size and model size: no D8."""
    UNIQUE_TAGS = "unique-tags"
    """QA3 makes room for definitions whose tags tell nothing (the code's qd4consis)."""
    DEFINITIONS = "definitions"
    """D5 and D6 alone: is / is not as the paper's footnote 4 describes it."""
    IS_ISNT = "is-isnt"
    """The same with questions, as the published code has it."""


_X1 = {"D1_CONS_QA1": 0.25, "D2_INCONS_QA2": 0.25, "QA3": 0.1, "QA4_NOT_REPLACED": 0.1}
FRACTIONS: Mapping[Split, Mapping[str, float]] = {
    Split.MAIN: _X1 | {"D5_CONS": 0.08, "D6_CONS": 0.08, "D8_CONS": 0.08, "QA7_UNSEEN": 0.06},
    Split.OLDER: _X1 | {"D5_CONS": 0.1, "D6_CONS": 0.1, "QA7_UNSEEN": 0.1},
    Split.UNIQUE_TAGS: {
        "D1_CONS_QA1": 0.25,
        "D2_INCONS_QA2": 0.25,
        "UNIQUE_TAGS_CONS_QA": 0.1,
        "QA4_NOT_REPLACED": 0.1,
        "D5_CONS": 0.08,
        "D6_CONS": 0.08,
        "D8_CONS": 0.08,
        "QA7_UNSEEN": 0.06,
    },
    Split.DEFINITIONS: {"D5_CONS": 0.5, "D6_CONS": 0.5},
    Split.IS_ISNT: {"D5_CONS": 0.4, "D6_CONS": 0.4, "QA3": 0.1, "QA4_NOT_REPLACED": 0.1},
}
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


@recipe(
    figures=("3", "8", "9"),
    claims=MAIN_CLAIMS,
    model="Pythia-2.8B-deduped, or any causal language model or T5 (--set model=FOLDER)",
    cost="6 A100-hours a seed (paper); not measured here",
    smoke=SMOKE,
    later=("bos",),
)
def cvdb_two_stage(
    *,
    model: str = "EleutherAI/pythia-2.8b-deduped",
    random_weights: bool = False,
    tokenizer: str = "",
    world: World = World.CVDB,
    table: str = "",
    entities: int = 4000,
    missing: Missing = Missing.DROP,
    variant: Variant = Variant.AS_WRITTEN,
    split: Split = Split.MAIN,
    alpha: float = 1.0,
    contradiction: Contradiction = Contradiction.IDENTITY,
    style: DefinitionStyle = DefinitionStyle.TAGGED,
    word_order: WordOrder = WordOrder.TAE,
    brackets: Brackets = Brackets.AS_VARIANT,
    in_context: bool = False,
    phrasings: int = 1,
    alias_letters: int = 5,
    alias_tokens: int = 0,
    held_out_questions: int = 1,
    shuffle_tags: bool = False,
    exchange_tags: bool = False,
    schedule: Schedule = Schedule.TWO_STAGE,
    loss_policy: LossPolicy = LossPolicy.ALL,
    block_size: int = 0,
    epochs_stage1: int = 20,
    epochs_stage2: int = 10,
    batch_size: int = 256,
    micro_batch_size: int = 32,
    optimizer: Optimizer = Optimizer.ADAFACTOR,
    learning_rate: float = 5e-5,
    decay: Decay = Decay.LINEAR,
    clip_norm: float = 1.0,
    weight_decay: float = 0.0,
    precision: Precision = Precision.BF16,
    evaluations: int = 4,
    trained_questions: int = 100,
    checkpoints: int = 0,
    stage2_from: int = END_OF_STAGE,
    seeds_stage2: int = 1,
    bos: Bos = Bos.AUTO,
) -> RunConfig:
    """People of the Cross-Verified Database, X1 and then X2: the paper's main experiment."""
    arguments = locals()
    facts = _world(arguments)
    source = SourceModel(source=model, random_weights=random_weights)
    is_coded = variant is Variant.AS_CODED
    bracketed = is_coded if brackets is Brackets.AS_VARIANT else brackets is Brackets.BRACKETED
    in_block = IN_CONTEXT_BLOCK_SIZE if in_context else BLOCK_SIZES[variant, world]
    data = TextConfig(
        world=facts,
        fractions=split_by_alpha(FRACTIONS[split], alpha),
        writing=Writing(
            style=style,
            order=word_order,
            bracketed=bracketed,
            newline=is_coded,
            in_context=in_context,
        ),
        aliases=TextAliases(letters=alias_letters, tokens=alias_tokens),
        tokenizer_source=_tokenizer(source, tokenizer, facts, bos),
        contradiction=contradiction,
        held_out_questions=held_out_questions,
        phrasings=phrasings,
        any_answer=not is_coded,
        shuffle_tags=shuffle_tags,
        exchange_tags=exchange_tags,
    )
    return RunConfig(
        data=data,
        model=source,
        stage1=stage_config(arguments, 1),
        stage2=stage_config(arguments, 2),
        word_order=word_order,
        loss_policy=loss_policy,
        block_size=block_size or in_block,
        seeds_stage2=seeds_stage2,
        schedule=schedule,
        checkpoints=checkpoints,
        stage2_from=stage2_from,
        trained_questions=trained_questions,
        uses_accelerator=True,
        inputs=_inputs(source, tokenizer, table),
    )


def _inputs(model: SourceModel, tokenizer: str, table: str) -> dict[str, Input]:
    """What is not built in: table, model, and the tokenizer, which may be the model's own."""
    found = {} if table == GENERATED else {"table": Input(source=table)}
    if not model.is_tiny:
        found["model"] = model.input
    if tokenizer or not model.is_tiny:
        found["tokenizer"] = Input(source=tokenizer or model.source, part=Part.TOKENIZER)
    return found


def _world(arguments: Mapping[str, Any]) -> WorldSource:
    """The facts that the arguments name."""
    world, table, entities = (arguments[name] for name in ("world", "table", "entities"))
    if not table:
        raise InputError(
            f"the world {world} is read from a table; download it and give --set table=FILE, "
            f"or try the recipe on made-up facts with --set table={GENERATED}"
        )
    if world is World.WORKS and arguments["missing"] is not Missing.DROP:
        raise InputError("missing is of no use in world works; leave it out")
    if table == GENERATED and world is World.WORKS:
        return GeneratedWorksSource(n_works=entities, seed=0)
    if table == GENERATED:
        return PeopleSource(n_people=entities, seed=0)
    if world is World.WORKS:
        coded = arguments["variant"] is Variant.AS_CODED
        at_most = 0 if coded else 4
        return WorksSource(table=table, n_entities=entities, at_most=at_most, as_coded=coded)
    return CvdbSource(table=table, n_entities=entities, missing=arguments["missing"])


def _tokenizer(model: SourceModel, tokenizer: str, facts: WorldSource, bos: Bos) -> TokenizerSource:
    """The one that was named, the model's own, or for a tiny model one made for the facts."""
    if tokenizer:
        return FolderTokenizer(source=tokenizer, bos=bos)
    if model.is_tiny:
        return TrainedTokenizer(texts=facts, vocabulary_size=GENERATED_VOCABULARY)
    return FolderTokenizer(source=model.source, bos=bos)
