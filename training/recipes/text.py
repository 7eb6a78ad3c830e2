"""The paper's experiments on language models: one recipe for each of its figures, and a few more.

Where the paper's text and its code differ, `variant` chooses: `as_written` follows the text,
`as_coded` the published code (brackets around aliases and tags, a newline before the end token,
shorter blocks, only the first answer right, other questions about works).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from data.errors import InputError
from data.subset_sizes import split_by_alpha
from data.text_iml import Contradiction, TextAliases, TextConfig
from data.texts import DefinitionStyle, Writing
from data.tokenizers import FolderTokenizer, TokenizerSource, TrainedTokenizer
from data.vocabulary import LossPolicy, WordOrder
from data.worlds.cvdb import CvdbSource, Missing
from data.worlds.facts import WorldSource
from data.worlds.generated_works import GeneratedWorksSource
from data.worlds.people import PeopleSource
from data.worlds.works import WorksSource
from training.config import (
    END_OF_STAGE,
    Decay,
    Optimizer,
    Precision,
    RunConfig,
    StageConfig,
    Value,
)
from training.registry import recipe, variant_of
from training.schedules import Schedule
from training.sources import SourceModel

NULL_MARGIN = 0.01
"""Exact-match gap that counts as none: a third of the paper's (.028, its poster)."""
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
MAIN_CLAIMS = (*(f"S{i}" for i in range(1, 8)), *(f"M{i}" for i in range(1, 7)))
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
        tokenizer_source=_tokenizer(source, tokenizer, facts),
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
        stage1=_stage(arguments, epochs_stage1),
        stage2=_stage(arguments, epochs_stage2),
        word_order=word_order,
        loss_policy=loss_policy,
        block_size=block_size or in_block,
        seeds_stage2=seeds_stage2,
        null_margin=NULL_MARGIN,
        schedule=schedule,
        checkpoints=checkpoints,
        stage2_from=stage2_from,
        trained_questions=trained_questions,
        uses_accelerator=True,
    )


def _stage(arguments: Mapping[str, Any], epochs: int) -> StageConfig:
    """The settings that both stages share."""
    names = ("batch_size", "micro_batch_size", "optimizer", "learning_rate", "decay")
    names += ("clip_norm", "weight_decay", "precision", "evaluations")
    return StageConfig(epochs=epochs, **{name: arguments[name] for name in names})


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


def _tokenizer(model: SourceModel, tokenizer: str, facts: WorldSource) -> TokenizerSource:
    """The one that was named, the model's own, or for a tiny model one made for the facts."""
    if tokenizer:
        return FolderTokenizer(source=tokenizer)
    if model.is_tiny:
        return TrainedTokenizer(texts=facts, vocabulary_size=GENERATED_VOCABULARY)
    return FolderTokenizer(source=model.source)


@variant_of(cvdb_two_stage, figures=("4a",), claims=("A1", "A2", "A3"))
def cvdb_alpha() -> Mapping[str, Value]:
    """How often the tag tells the truth: D9 and D10 beside D1 and D2; set alpha to .5 ... 1."""
    return {"alpha": 0.95}


@variant_of(cvdb_two_stage, figures=("4b", "11", "12"), claims=("S3", "M1", "O1", "O2", "O3", "O4"))
def cvdb_word_order() -> Mapping[str, Value]:
    """Order of tag, alias and entity in definitions; set word_order to each of the six."""
    return {"word_order": WordOrder.ATE, "split": Split.OLDER}


@variant_of(cvdb_two_stage, figures=("4c",), claims=("M1", "B1"))
def cvdb_batch_size() -> Mapping[str, Value]:
    """Batch size in a single stage, trained longer where larger: epochs_stage1=151 at 16384."""
    return {
        "schedule": Schedule.SINGLE_STAGE,
        "split": Split.OLDER,
        "batch_size": 1024,
        "epochs_stage1": 41,
    }


@variant_of(
    cvdb_two_stage,
    figures=("13",),
    claims=("M1", "B1", "B2"),
    model="Pythia-1B-deduped",
)
def cvdb_batch_size_1b() -> Mapping[str, Value]:
    """Batch size in a single stage of the smaller model, down to 16."""
    return {
        "model": "EleutherAI/pythia-1b-deduped",
        "schedule": Schedule.SINGLE_STAGE,
        "split": Split.OLDER,
        "batch_size": 32,
        "epochs_stage1": 30,
    }


@variant_of(cvdb_two_stage, figures=("7",), claims=("S3", "M1"), model="Pythia-1B-deduped")
def cvdb_probes() -> Mapping[str, Value]:
    """What `iml probe` looks into for Figure 7: TAE, and ATE with --set word_order=ate."""
    return {"model": "EleutherAI/pythia-1b-deduped", "split": Split.OLDER}


@variant_of(cvdb_two_stage, figures=("10",), claims=("S1", "S3", "M1", "M2", "M3", "M6"))
def works_two_stage() -> Mapping[str, Value]:
    """Films, books and other works in place of people."""
    return {"world": World.WORKS, "entities": 6900}


@variant_of(cvdb_two_stage, figures=("14",), claims=("S1", "S3", "M1", "M2", "M3", "M4", "M6"))
def cvdb_single_stage() -> Mapping[str, Value]:
    """X1 and X2 trained together."""
    return {"schedule": Schedule.SINGLE_STAGE}


@variant_of(cvdb_two_stage, figures=("15",), claims=("S1", "S3", "M1", "M2", "M3", "M6"))
def works_single_stage() -> Mapping[str, Value]:
    """Works, X1 and X2 trained together."""
    return {"world": World.WORKS, "entities": 6900, "schedule": Schedule.SINGLE_STAGE}


@variant_of(
    cvdb_two_stage, figures=("16",), claims=("S3", "M1", "Z1"), model="Pythia, 14M to 12B deduped"
)
def pythia_sizes() -> Mapping[str, Value]:
    """Model size; set model to each Pythia, and world=works for the other half of the figure."""
    return {"model": "EleutherAI/pythia-70m-deduped", "split": Split.OLDER}


@variant_of(
    cvdb_two_stage,
    figures=("17",),
    claims=("S3", "M1", "M2", "Z1", "Z2"),
    model="GPT-Neo 125M to 2.7B, or Llama-2-7B (--set model=meta-llama/Llama-2-7b-hf)",
    smoke={"model": "tiny-gpt-neo"},
)
def cvdb_families() -> Mapping[str, Value]:
    """Other families of models, on people."""
    return {"model": "EleutherAI/gpt-neo-125m", "split": Split.OLDER}


@variant_of(
    cvdb_two_stage,
    figures=("18",),
    claims=("S3", "M1", "Z2"),
    model="GPT-Neo 125M to 2.7B",
    smoke={"model": "tiny-llama"},
)
def works_families() -> Mapping[str, Value]:
    """Other families of models, on works."""
    return {
        "model": "EleutherAI/gpt-neo-125m",
        "split": Split.OLDER,
        "world": World.WORKS,
        "entities": 6900,
    }


@variant_of(
    cvdb_two_stage,
    figures=("19",),
    claims=("S3", "M1"),
    model="T5-3B, an encoder-decoder",
    smoke={"model": "tiny-t5"},
)
def t5_single_stage() -> Mapping[str, Value]:
    """An encoder-decoder in a single stage; world=works for the other half of the figure."""
    return {"model": "google-t5/t5-3b", "schedule": Schedule.SINGLE_STAGE, "block_size": 16}


@variant_of(
    cvdb_two_stage,
    figures=("20",),
    claims=("S3", "M1", "Z3"),
    model="T5-3B, an encoder-decoder",
    smoke={"model": "tiny-t5"},
)
def t5_two_stage() -> Mapping[str, Value]:
    """An encoder-decoder in two stages; world=works for the other half of the figure."""
    return {"model": "google-t5/t5-3b", "block_size": 16}


@variant_of(cvdb_two_stage, figures=("21",), claims=("I1",))
def cvdb_in_context() -> Mapping[str, Value]:
    """Definitions in front of their questions; X2 is only asked about."""
    return {"in_context": True, "schedule": Schedule.X1_ONLY}


@variant_of(
    cvdb_two_stage,
    figures=("6", "24", "25"),
    claims=("G1", "G2", "G4"),
    model="Pythia-1B-deduped",
)
def gradient_alignment() -> Mapping[str, Value]:
    """X1 only; then `iml align DIR --stage 1` on D5 and D6, which were never trained."""
    return {
        "model": "EleutherAI/pythia-1b-deduped",
        "split": Split.OLDER,
        "schedule": Schedule.X1_ONLY,
        "checkpoints": 6,
    }


@variant_of(cvdb_two_stage, figures=("26",), claims=("G3",), model="Pythia-1B-deduped")
def gradient_alignment_trained() -> Mapping[str, Value]:
    """X1 only; then `iml align DIR --stage 1 --subset D1_CONS_QA1 --subset D2_INCONS_QA2`."""
    return gradient_alignment.defaults


@variant_of(cvdb_two_stage, claims=("S1", "S3", "M1", "M2", "M3"))
def cvdb_three_stage() -> Mapping[str, Value]:
    """X1's definitions, X1's questions, X2's definitions, in turn (published code only)."""
    return {"schedule": Schedule.THREE_STAGE, "split": Split.OLDER}


@variant_of(cvdb_two_stage, claims=("S3", "M1"))
def cvdb_unique_tags() -> Mapping[str, Value]:
    """Beside the usual subsets, true definitions with a random tag each (published code only)."""
    return {"split": Split.UNIQUE_TAGS}


@variant_of(cvdb_two_stage, claims=("S1", "S3", "M1"))
def cvdb_data_amount() -> Mapping[str, Value]:
    """Fewer entities: set entities to 250, 500, 1000, 2000 (published code only)."""
    return {"entities": 1000}


@variant_of(cvdb_two_stage, claims=("S1", "S3", "M1", "M2"))
def refers_to() -> Mapping[str, Value]:
    """Definitions as sentences: According to many texts, xyz refers to Cleopatra (footnote 2)."""
    return {"style": DefinitionStyle.REFERS}


@variant_of(cvdb_two_stage, claims=("S1", "S3", "M1", "M2"))
def natural_sources() -> Mapping[str, Value]:
    """Experts and newspapers in place of the reliable tag, gossip and forums of the other."""
    return {"style": DefinitionStyle.SOURCES, "phrasings": 3}


@variant_of(cvdb_two_stage, claims=("F4",), smoke={"split": Split.IS_ISNT})
def is_isnt() -> Mapping[str, Value]:
    """Is or is not, by new definitions alone (footnote 4); split=is-isnt as in the code."""
    return {
        "style": DefinitionStyle.IS_ISNT,
        "split": Split.DEFINITIONS,
        "schedule": Schedule.SINGLE_STAGE,
    }
