"""Set inclusion, the paper's own toy from scratch (section 4.1, Appendix D)."""

from collections.abc import Mapping

from data.tasks.set_inclusion import TABLE_3, SetInclusionConfig
from data.tasks.subset_sizes import split_sizes
from data.vocabulary import LossPolicy, WordOrder
from training.config import Decay, Optimizer, Precision, RunConfig, Value
from training.recipes.arguments import model_config, stage_config
from training.recipes.text import Variant
from training.registry import recipe, variant_of

NUMBERS = {Variant.AS_WRITTEN: 100, Variant.AS_CODED: 99}


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
    variant: Variant = Variant.AS_WRITTEN,
    variables: int = 8000,
    numbers: int = 0,
    list_length: int = 8,
    questions: int = 12,
    test_questions: int = 12,
    word_order: WordOrder = WordOrder.TAE,
    shuffle_tags: bool = False,
    exchange_tags: bool = False,
    layers: int = 6,
    d_model: int = 512,
    heads: int = 8,
    d_mlp: int = 2048,
    tied_embeddings: bool = False,
    rotary_pct: float = 0.25,
    loss_policy: LossPolicy = LossPolicy.ALL,
    block_size: int = 16,
    epochs_stage1: int = 100,
    epochs_stage2: int = 40,
    batch_size: int = 512,
    optimizer: Optimizer = Optimizer.ADAFACTOR,
    learning_rate_stage1: float = 5e-5,
    learning_rate_stage2: float = 5e-5,
    decay: Decay = Decay.LINEAR,
    clip_norm: float = 1.0,
    weight_decay: float = 0.0,
    precision: Precision = Precision.FP32,
    evaluations: int = 10,
    checkpoints: int = 6,
    seeds_stage2: int = 1,
) -> RunConfig:
    """Is a variable's number in a list? Definitions name it; numbers=0 is as the variant says."""
    arguments = locals()
    return RunConfig(
        data=SetInclusionConfig(
            sizes=split_sizes(variables, TABLE_3),
            numbers=numbers or NUMBERS[variant],
            word_order=word_order,
            shuffle_tags=shuffle_tags,
            exchange_tags=exchange_tags,
            as_coded=variant is Variant.AS_CODED,
            list_length=list_length,
            n_questions=questions,
            n_test_questions=test_questions,
        ),
        model=model_config(arguments),
        stage1=stage_config(arguments, 1),
        stage2=stage_config(arguments, 2),
        word_order=word_order,
        loss_policy=loss_policy,
        block_size=block_size,
        seeds_stage2=seeds_stage2,
        checkpoints=checkpoints,
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
