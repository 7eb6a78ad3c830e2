"""Set inclusion, the paper's own toy from scratch (section 4.1, Appendix D)."""

from collections.abc import Mapping
from dataclasses import dataclass

from data.tasks.set_inclusion import TABLE_3, SetInclusionConfig
from data.tasks.subset_sizes import split_sizes
from data.vocabulary import LossPolicy, WordOrder
from training.config import Decay, Optimizer, Precision, RunConfig, Value
from training.recipes.groups import ScratchModel, Tags, TwoStages, Variant
from training.registry import recipe, variant_of

NUMBERS = {Variant.AS_WRITTEN: 100, Variant.AS_CODED: 99}


@dataclass(frozen=True, kw_only=True)
class Sets:
    """The variables, and what is asked about them."""

    variant: Variant = Variant.AS_WRITTEN
    variables: int = 8000
    numbers: int = 0
    """How many numbers a variable can stand for; 0 for as many as in the variant."""
    list_length: int = 8
    """How many numbers the list of a question has."""
    questions: int = 12
    """Trained questions about each variable of Stage 1."""
    test_questions: int = 12
    """Questions about each variable that are asked, but never trained."""


@dataclass(frozen=True, kw_only=True)
class SetTraining(TwoStages):
    """How the two stages are trained."""

    block_size: int = 16
    """Tokens that a row is padded to under the loss policy `all`."""
    epochs_stage1: int = 100
    epochs_stage2: int = 40
    batch_size: int = 512
    optimizer: Optimizer = Optimizer.ADAFACTOR
    learning_rate_stage1: float = 5e-5
    learning_rate_stage2: float = 5e-5
    decay: Decay = Decay.LINEAR
    clip_norm: float = 1.0
    """Gradients longer than this are shortened to it; 0 leaves them."""
    weight_decay: float = 0.0
    precision: Precision = Precision.FP32
    evaluations: int = 10
    """Evaluations of each stage after its step 0, evenly spaced."""
    checkpoints: int = 6
    """Number of log-spaced checkpoints of a stage between its first and its last step."""
    seeds_stage2: int = 1
    """Stage-2 trainings, each with a data order of its own, after one Stage 1."""


@recipe(
    figures=("22",),
    claims=("S3", "S8", "M1", "T1", "T2"),
    model="GPT-NeoX of Pythia-70M's size, one token a word, from scratch",
    cost="3 A100-hours a seed (paper); not measured here",
    smoke={"variables": 60, "epochs_stage1": 2, "epochs_stage2": 2, "layers": 1}
    | {"d_model": 16, "heads": 2, "d_mlp": 32, "batch_size": 64},
)
def set_inclusion(
    *,
    sets: Sets = Sets(),
    word_order: WordOrder = WordOrder.TAE,
    tags: Tags = Tags(),
    model: ScratchModel = ScratchModel(
        layers=6, d_model=512, heads=8, d_mlp=2048, tied_embeddings=False
    ),
    loss_policy: LossPolicy = LossPolicy.ALL,
    training: SetTraining = SetTraining(),
) -> RunConfig:
    """Is a variable's number in a list? Definitions name it; numbers=0 is as the variant says."""
    return RunConfig(
        data=SetInclusionConfig(
            sizes=split_sizes(sets.variables, TABLE_3),
            numbers=sets.numbers or NUMBERS[sets.variant],
            word_order=word_order,
            shuffle_tags=tags.shuffle_tags,
            exchange_tags=tags.exchange_tags,
            as_coded=sets.variant is Variant.AS_CODED,
            list_length=sets.list_length,
            n_questions=sets.questions,
            n_test_questions=sets.test_questions,
        ),
        model=model.config,
        stage1=training.stage1,
        stage2=training.stage2,
        word_order=word_order,
        loss_policy=loss_policy,
        block_size=training.block_size,
        seeds_stage2=training.seeds_stage2,
        checkpoints=training.checkpoints,
        uses_accelerator=True,
    )


@variant_of(
    set_inclusion,
    figures=("22",),
    model="GPT-NeoX, 2 layers, d_model 64, from scratch",
    cost="1 min a seed on one core",
)
def set_inclusion_small() -> Mapping[str, Value]:
    """Set inclusion with ten numbers, for a CPU."""
    return {
        "variables": 1000,
        "numbers": 10,
        "list_length": 4,
        "questions": 8,
        "test_questions": 8,
        "layers": 2,
        "d_model": 64,
        "heads": 4,
        "d_mlp": 256,
        "tied_embeddings": True,
        "loss_policy": LossPolicy.ANSWER,
        "epochs_stage1": 15,
        "epochs_stage2": 5,
        "batch_size": 32,
        "optimizer": Optimizer.ADAMW,
        "learning_rate_stage1": 1e-3,
        "learning_rate_stage2": 1e-3,
        "decay": Decay.CONSTANT,
        "clip_norm": 0.0,
        "weight_decay": 0.1,
        "evaluations": 5,
    }
