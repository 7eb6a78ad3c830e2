"""Models of one layer in which a mechanism can be read off the weights, in seconds on one core."""

from dataclasses import dataclass
from enum import StrEnum

from data.errors import InputError
from data.tasks.one_layer_retrieval import RetrievalConfig
from data.tasks.truth_direction import TruthConfig
from data.vocabulary import LossPolicy
from training.config import RunConfig, StageConfig
from training.models.own import OwnModel
from training.recipes.groups import TwoStages
from training.registry import recipe
from training.schedules import Schedule


class ValueMatrix(StrEnum):
    """How the output-value matrix is made of what is trained."""

    FACTORISED = "factorised"
    MERGED = "merged"


class Norm(StrEnum):
    """What is done to what stands at a position before the logits."""

    UNIT = "unit"
    """It is scaled to length 1."""
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class RetrievalTraining:
    """How the one stage is trained: on all rows at each step, as an epoch."""

    epochs: int = 3000
    learning_rate: float = 1e-2
    weight_decay: float = 0.0
    evaluations: int = 10
    checkpoints: int = 8
    """Number of log-spaced checkpoints between the first and the last step."""


@recipe(
    claims=("OCR",),
    model="one layer, one head, linear attention, no MLP, from scratch",
    cost="5 s a seed on one core",
    smoke={"pairs": 4, "both": 2, "implied": 2, "epochs": 20, "checkpoints": 1},
)
def one_layer_retrieval(
    *,
    pairs: int = 10,
    both: int = 4,
    implied: int = 4,
    untold: int = 1,
    value_matrix: ValueMatrix = ValueMatrix.FACTORISED,
    head_size: int = 0,
    training: RetrievalTraining = RetrievalTraining(),
) -> RunConfig:
    """What follows from a fact is known untold where the value matrix is a product of two.

    After Huang et al. 2025 (arXiv 2506.10887): `both` subjects of each pair have fact and
    implication trained, `implied` the fact alone, `untold` neither. head_size is the inner
    dimension of the product, 0 for that of the vocabulary; a merged matrix has none.
    """
    data = RetrievalConfig(pairs=pairs, both=both, implied=implied, untold=untold)
    is_factorised = value_matrix is ValueMatrix.FACTORISED
    if head_size < 0 or (head_size and not is_factorised):
        raise InputError(
            f"head_size is {head_size}; use 1 or more, or 0 for that of the vocabulary, the only "
            "one that a merged value matrix has"
        )
    model = OwnModel(
        model_type="linear_retrieval",
        settings={"is_factorised": is_factorised, "head_size": head_size},
        about="linear attention of one layer and one head",
    )
    stage = StageConfig(
        epochs=training.epochs,
        batch_size=data.n_trained,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        evaluations=training.evaluations,
    )
    return RunConfig(
        data=data,
        model=model,
        stage1=stage,
        stage2=stage,
        loss_policy=LossPolicy.ANSWER,
        block_size=3,
        schedule=Schedule.SINGLE_STAGE,
        checkpoints=training.checkpoints,
        trained_questions=pairs * both,
        seeds_stage2=1,
    )


@dataclass(frozen=True, kw_only=True)
class TruthTraining(TwoStages):
    """How the one stage is trained."""

    epochs: int = 30
    batch_size: int = 256
    learning_rate: float = 1e-2
    weight_decay: float = 0.0
    evaluations: int = 10
    checkpoints: int = 10
    """Number of log-spaced checkpoints between the first and the last step."""


@recipe(
    claims=("TRUTH",),
    model="one layer, fixed uniform attention over orthogonal features, from scratch",
    cost="10 s a seed on one core",
    smoke={"subjects": 8, "texts": 256, "held_out": 20, "epochs": 2, "checkpoints": 1},
)
def truth_direction(
    *,
    subjects: int = 64,
    texts: int = 8192,
    share_true: float = 0.8,
    held_out: int = 1024,
    norm: Norm = Norm.UNIT,
    training: TruthTraining = TruthTraining(),
) -> RunConfig:
    """A norm makes a direction of truth in a model that could do without one.

    After Ravfogel et al. 2025 (arXiv 2510.15804): texts `x y x' y'` of two subjects with their
    attributes, both true in `share_true` of the texts and both random in the others. The loss
    covers the second attribute.
    """
    return RunConfig(
        data=TruthConfig(subjects=subjects, texts=texts, share_true=share_true, held_out=held_out),
        model=OwnModel(
            model_type="truth_encoder",
            settings={"max_position_embeddings": 4, "has_norm": norm is Norm.UNIT},
            about="fixed uniform attention of one layer over orthogonal features",
        ),
        stage1=training.stage1,
        stage2=training.stage1,
        loss_policy=LossPolicy.ANSWER,
        block_size=4,
        schedule=Schedule.SINGLE_STAGE,
        checkpoints=training.checkpoints,
        seeds_stage2=1,
    )
