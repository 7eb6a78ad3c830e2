"""Two stages in natural language without any download: the model learns a made-up world first."""

from collections.abc import Mapping
from dataclasses import replace

from data.contradictions import Contradiction
from data.tasks.biographies import BiographyTokenizer, Telling
from data.tasks.subset_sizes import split_by_alpha
from data.tasks.text import TextConfig
from data.text_aliases import TextAliases
from data.texts import Writing
from data.vocabulary import LossPolicy, WordOrder
from data.worlds.people import PeopleSource
from training.config import Decay, Optimizer, Precision, RunConfig, Value
from training.models.stage_zero import KnowingModel
from training.recipes.arguments import model_config, stage_config
from training.recipes.text import FRACTIONS, Split
from training.registry import recipe, variant_of

STAGE0_SEED = 0
"""Of world, phrasings and first weights: the one world and the one model that all seeds share."""


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
    people: int = 300,
    overlap: float = 0.3,
    split: Split = Split.MAIN,
    alpha: float = 1.0,
    contradiction: Contradiction = Contradiction.IDENTITY,
    alias_letters: int = 4,
    alias_tokens: int = 0,
    shuffle_tags: bool = False,
    exchange_tags: bool = False,
    held_out_questions: int = 1,
    statements: int = 1,
    question_repeats: int = 1,
    ask_names: bool = True,
    vocabulary_size: int = 600,
    layers: int = 2,
    d_model: int = 64,
    heads: int = 4,
    d_mlp: int = 256,
    tied_embeddings: bool = True,
    rotary_pct: float = 0.25,
    epochs_stage0: int = 38,
    epochs_stage1: int = 30,
    epochs_stage2: int = 40,
    batch_size_stage0: int = 128,
    batch_size: int = 64,
    optimizer: Optimizer = Optimizer.ADAMW,
    learning_rate_stage0: float = 3e-3,
    learning_rate_stage1: float = 1e-3,
    learning_rate_stage2: float = 2e-4,
    weight_decay_stage0: float = 0.01,
    weight_decay: float = 0.1,
    precision: Precision = Precision.FP32,
    accelerator: bool = False,
    evaluations: int = 2,
    checkpoints: int = 0,
    trained_questions: int = 50,
    seeds_stage2: int = 1,
) -> RunConfig:
    """A model that was taught a world of people from scratch meets aliases of them.

    It learns the world and the definitions by heart, but hardly puts the two together: on seeds
    below 1000 no gap could be told from none, and Stage 1 lost half of what Stage 0 had taught.
    """
    arguments = locals()
    writing = Writing(order=word_order)
    world = PeopleSource(n_people=people, seed=STAGE0_SEED, overlap=overlap)
    # Definitions are no part of Stage 0, so all word orders share one model.
    telling = Telling(
        statements=statements,
        question_repeats=question_repeats,
        names=ask_names,
        seed=STAGE0_SEED,
    )
    tokenizer = BiographyTokenizer(
        world=world, writing=writing, telling=telling, vocabulary_size=vocabulary_size
    )
    data = TextConfig(
        world=world,
        fractions=split_by_alpha(FRACTIONS[split], alpha),
        writing=writing,
        aliases=TextAliases(letters=alias_letters, tokens=alias_tokens),
        tokenizer_source=tokenizer,
        contradiction=contradiction,
        held_out_questions=held_out_questions,
        phrasings=1,
        any_answer=False,
        shuffle_tags=shuffle_tags,
        exchange_tags=exchange_tags,
    )
    model = KnowingModel(
        world=world,
        writing=writing,
        telling=telling,
        tokenizer_source=tokenizer,
        sizes=model_config(arguments),
        training=replace(
            stage_config(arguments, 0),
            optimizer=Optimizer.ADAMW,
            decay=Decay.LINEAR,
            clip_norm=1.0,
            evaluations=1,
        ),
        loss_policy=loss_policy,
        seed=STAGE0_SEED,
        uses_accelerator=accelerator,
    )
    return RunConfig(
        data=data,
        model=model,
        stage1=stage_config(arguments, 1),
        stage2=stage_config(arguments, 2),
        word_order=word_order,
        loss_policy=loss_policy,
        block_size=1,  # nothing is padded to it
        seeds_stage2=seeds_stage2,
        checkpoints=checkpoints,
        trained_questions=trained_questions,
        uses_accelerator=accelerator,
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
