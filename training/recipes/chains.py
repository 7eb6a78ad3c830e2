"""What follows from trained facts and is not answered: chains, reversals, compositions."""

from dataclasses import dataclass, replace

from data.tasks.chain import ChainConfig
from data.tasks.reversal import ReversalConfig
from data.tasks.subset_sizes import SubsetSizes
from data.tasks.tagged_two_hop import TaggedTwoHopConfig
from data.tasks.two_hop import Task, TwoHopConfig
from data.vocabulary import LossPolicy
from training.config import RunConfig
from training.models.scratch import ModelConfig
from training.recipes.groups import ScratchModel, Tags, TwoStages
from training.registry import recipe
from training.run_parts import DataConfig
from training.schedules import Schedule


@dataclass(frozen=True, kw_only=True)
class OneStage(TwoStages):
    """How the only stage is trained."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    evaluations: int = 10
    """Evaluations after step 0, evenly spaced."""
    checkpoints: int = 6
    """Number of log-spaced checkpoints between the first and the last step."""
    trained_questions: int = 200
    """Trained questions of each subset that are asked at every evaluation, too."""


@dataclass(frozen=True, kw_only=True)
class Chains:
    """The chains, and what of them is trained."""

    chains: int = 200
    """Chains of which both steps are trained."""
    held_out: float = 0.3
    """Share of them whose A -> C is asked, but never trained."""
    in_context: bool = False
    """Whether both steps stand before each question: the positive control."""


@recipe(
    claims=("K1", "K2", "K3", "K4"),
    model="GPT-NeoX, 2 layers, d_model 64, untied, from scratch",
    cost="4 s a seed on one core",
    smoke={"chains": 60, "epochs": 4, "d_model": 16, "heads": 2, "d_mlp": 32},
)
def chain(
    *,
    chains: Chains = Chains(),
    model: ScratchModel = ScratchModel(
        layers=2, d_model=64, heads=4, d_mlp=256, tied_embeddings=False
    ),
    training: OneStage = OneStage(epochs=40, batch_size=128, learning_rate=3e-3, weight_decay=0.01),
) -> RunConfig:
    """From A -> B and B -> C, both trained, A -> C is not answered."""
    data = ChainConfig(
        n_chains=chains.chains, held_out=chains.held_out, in_context=chains.in_context
    )
    return _run(data, model.config, training)


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The pairs, and what of them is trained."""

    pairs: int = 200
    """Pairs of which a direction is trained, or both."""
    held_out: float = 0.3
    """Share of them of which one direction is asked, but never trained."""
    identity_bridge: bool = False
    """Whether every word is trained to name itself: the positive control."""
    both_directions: bool = False
    """Whether both directions of all pairs are trained: the ceiling."""


@recipe(
    claims=("R1", "R2", "R3", "R4", "R5"),
    model="GPT-NeoX, 1 layer, MLP of one unit, d_model 64, untied, from scratch",
    cost="3 s a seed on one core",
    smoke={"pairs": 60, "epochs": 4, "d_model": 16, "heads": 2},
)
def reversal(
    *,
    pairs: Pairs = Pairs(),
    model: ScratchModel = ScratchModel(
        layers=1, d_model=64, heads=4, d_mlp=1, tied_embeddings=False
    ),
    training: OneStage = OneStage(epochs=40, batch_size=128, learning_rate=3e-3, weight_decay=0.01),
) -> RunConfig:
    """Of pairs trained as x -> y, y -> x is not answered, unless words name themselves."""
    data = ReversalConfig(
        n_pairs=pairs.pairs,
        held_out=pairs.held_out,
        identity_bridge=pairs.identity_bridge,
        both_directions=pairs.both_directions,
    )
    return _run(data, model.config, training)


@dataclass(frozen=True, kw_only=True)
class SequentialModel(ScratchModel):
    """The sizes of a GPT-NeoX whose layers' MLPs may read what their attention has written."""

    parallel_residual: bool = False
    """Whether attention and MLP of a layer read the same, as in Pythia: two hops then need more
    layers."""

    @property
    def config(self) -> ModelConfig:
        """The config of the model in a run."""
        return replace(super().config, parallel_residual=self.parallel_residual)


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The facts, and what follows from them."""

    task: Task = Task.COMPOSITION
    entities: int = 20
    relations: int = 12
    attribute_values: int = 10
    """Values of each attribute; of use in the comparison task alone."""
    phi: float = 8.0
    """Trained questions for each fact in distribution; 1 in the null twin."""
    out_of_distribution: float = 0.2
    """Share of the facts that no trained question follows from."""
    tested: int = 300
    """Most held-out questions of each subset."""


@recipe(
    claims=("H1", "H2", "H3", "H4", "H5"),
    model="GPT-NeoX, 2 layers, d_model 64, sequential residual, from scratch",
    cost="2 min a seed on one core",
    smoke={"entities": 12, "relations": 14, "tested": 30, "epochs": 2}
    | {"d_model": 16, "heads": 2, "d_mlp": 32},
)
def two_hop(
    *,
    graph: Graph = Graph(),
    model: SequentialModel = SequentialModel(
        layers=2, d_model=64, heads=4, d_mlp=256, tied_embeddings=True
    ),
    training: OneStage = OneStage(epochs=500, batch_size=256, learning_rate=2e-3, weight_decay=0.6),
) -> RunConfig:
    """Two facts are put together in distribution, late, and never out of distribution."""
    data = TwoHopConfig(
        task=graph.task,
        n_entities=graph.entities,
        n_relations=graph.relations,
        n_values=graph.attribute_values,
        phi=graph.phi,
        out_of_distribution=graph.out_of_distribution,
        n_tested=graph.tested,
    )
    return _run(data, model.config, training)


@dataclass(frozen=True, kw_only=True)
class TaggedGraph:
    """The facts with tags, and what follows from them."""

    aliases_per_subset: int = 250
    """First facts of Stage 1 with the reliable tag, and as many with the unreliable one."""
    aliases_qa3: int = 20
    """Pairs that Stage 1 asks about, but states nothing of."""
    aliases_stage2: int = 50
    """First facts of each subset of Stage 2."""
    entities: int = 20
    first_relations: int = 40
    """Relations that with an entity make a pair, of which a first fact can be stated."""
    second_relations: int = 10
    """Relations of the second facts, each a question about a pair."""
    fact_repeats: int = 4
    """How often an epoch of Stage 1 shows each second fact."""
    phi: int = 8
    """Trained questions for each first fact of Stage 1."""


@dataclass(frozen=True, kw_only=True)
class TaggedTraining(TwoStages):
    """How the two stages are trained."""

    epochs_stage1: int = 45
    epochs_stage2: int = 30
    batch_size: int = 128
    learning_rate_stage1: float = 3e-3
    learning_rate_stage2: float = 5e-4
    weight_decay: float = 0.3
    evaluations: int = 10
    """Evaluations of each stage after its step 0, evenly spaced."""


@recipe(
    claims=("C1", "C2", "C3", "S3", "S8", "M1"),
    model="GPT-NeoX, 2 layers, d_model 64, sequential residual, from scratch",
    cost="1 min a seed on one core",
    smoke={"aliases_per_subset": 20, "aliases_qa3": 5, "aliases_stage2": 5, "epochs_stage1": 2}
    | {"epochs_stage2": 2, "d_model": 16, "heads": 2, "d_mlp": 32},
)
def tagged_two_hop(
    *,
    graph: TaggedGraph = TaggedGraph(),
    tags: Tags = Tags(),
    model: SequentialModel = SequentialModel(
        layers=2, d_model=64, heads=4, d_mlp=256, tied_embeddings=True
    ),
    training: TaggedTraining = TaggedTraining(),
) -> RunConfig:
    """Two hops from tagged first facts: does the tag change what is put together, or recall?"""
    data = TaggedTwoHopConfig(
        sizes=SubsetSizes(
            defined=graph.aliases_per_subset,
            undefined=graph.aliases_qa3,
            stage2=graph.aliases_stage2,
        ),
        n_entities=graph.entities,
        n_first=graph.first_relations,
        n_second=graph.second_relations,
        phi=graph.phi,
        fact_repeats=graph.fact_repeats,
        shuffle_tags=tags.shuffle_tags,
        exchange_tags=tags.exchange_tags,
    )
    return RunConfig(
        data=data,
        model=model.config,
        stage1=training.stage1,
        stage2=training.stage2,
        loss_policy=LossPolicy.ANSWER,
        block_size=8,
        seeds_stage2=1,
    )


def _run(data: DataConfig, model: ModelConfig, training: OneStage) -> RunConfig:
    """A run that trains all of its data in one stage, with the loss on answers alone."""
    return RunConfig(
        data=data,
        model=model,
        stage1=training.stage1,
        stage2=training.stage1,
        loss_policy=LossPolicy.ANSWER,
        block_size=8,
        schedule=Schedule.X1_ONLY,
        checkpoints=training.checkpoints,
        trained_questions=training.trained_questions,
        seeds_stage2=1,
    )
