"""Biographies from scratch: what has been read of a person, and what can be asked."""

from dataclasses import dataclass, replace

from data.tasks.packed_biographies import BiographyConfig, Packing
from data.vocabulary import LossPolicy
from training.config import Decay, RunConfig
from training.recipes.groups import ScratchModel, TwoStages
from training.registry import recipe
from training.schedules import Schedule


@dataclass(frozen=True, kw_only=True)
class Told:
    """Who is told, how, and who is asked about."""

    people: int = 100
    """People with biographies; questions about every second of them are trained."""
    untold: int = 25
    """People of whom nothing is trained."""
    attributes: int = 3
    """Facts of each person."""
    phrasings: int = 5
    """Biographies of each person, each with other words and another order of sentences."""
    shown: int = 5
    """Biographies of each person in an epoch, as near to it as the phrasings can share it."""
    window: int = 1
    """Biographies in one training example."""
    packing: Packing = Packing.APART
    junk: int = 0
    """People of whom one biography is shown in an epoch and nothing is asked."""
    source: bool = False
    """Whether biographies that are no junk begin with a word that says where they are from."""

    @property
    def data(self) -> BiographyConfig:
        """The data of a run."""
        return BiographyConfig(**vars(self))


@dataclass(frozen=True, kw_only=True)
class BiographyTraining(TwoStages):
    """How the one stage, which mixes biographies and questions, is trained."""

    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    evaluations: int = 4
    checkpoints: int = 2
    """Number of log-spaced checkpoints between the first and the last step."""


@recipe(
    claims=("BIO",),
    model="GPT-NeoX, 2 layers, d_model 64, from scratch",
    cost="1 minute a seed on one core",
    smoke={"people": 50, "untold": 25, "attributes": 2, "phrasings": 2, "shown": 2}
    | {"layers": 1, "d_model": 16, "heads": 2, "d_mlp": 32, "epochs": 1, "checkpoints": 0},
)
def biographies(
    *,
    told: Told = Told(),
    model: ScratchModel = ScratchModel(
        layers=2, d_model=64, heads=4, d_mlp=256, tied_embeddings=True
    ),
    training: BiographyTraining = BiographyTraining(),
) -> RunConfig:
    """A person is known by biographies where they were told in several phrasings.

    After Allen-Zhu and Li 2023 (arXiv 2309.14316), a small copy of bioS: biographies and questions
    about half of the people are trained together, and the other half is asked about. A `window` of
    several biographies never holds two of one person but with packing=together.
    """
    stage = replace(training.stage1, decay=Decay.LINEAR, clip_norm=1.0)
    return RunConfig(
        data=told.data,
        model=model.config,
        stage1=stage,
        stage2=stage,
        loss_policy=LossPolicy.TEXT,
        block_size=64,
        schedule=Schedule.SINGLE_STAGE,
        checkpoints=training.checkpoints,
        trained_questions=100,
        seeds_stage2=1,
    )
