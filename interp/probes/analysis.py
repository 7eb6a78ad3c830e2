"""Is a property of an alias linearly readable, where, how strongly, and what could chance read?

For every cell (target, site, layer, role, probe) of a seed's checkpoint:

    accuracy          on aliases that the probe never saw, on questions that were never trained
    p_value           share of label permutations over the aliases of a fold, each through the
                      whole pipeline, that reach the accuracy; `null_accuracy` is their mean
    seen_accuracy     folds split by question instead, so that each alias is in training and test
    control_accuracy  the same split with a random label for each alias (Hewitt and Liang's control
                      task): what a probe reaches by telling aliases apart
    selectivity       seen_accuracy - control_accuracy

The null twin of a run is a contrast, not a null: its model has seen each alias with its shuffled
tag. The true null is the target `phantom_tag`; the positive control is `planted_tag`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.special import ndtri

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.activations import Activations, collect_activations
from interp.addresses import Site, TokenRole
from interp.grids import Measured
from interp.hooked import HookedModel
from interp.probes.cross_validation import (
    INVERSE_PENALTIES,
    QUICK_INVERSE_PENALTY,
    grouped_folds,
    held_out_accuracy,
)
from interp.probes.solver import fit_logistic, fit_multinomial
from interp.probes.summary import CELL, summarize_probes
from interp.probes.targets import PLANTED_ACCURACY, ProbeTask, Target, make_task
from training.models import derive_seed

PROBES = ("logistic", "mass_mean")
N_PERMUTATIONS = 199
N_CONTROL_LABELS = 5
"""Random labellings that the control accuracy is a mean over."""


@dataclass(frozen=True, kw_only=True)
class ProbeAnalysis:
    """What is probed at every checkpoint of a grid, and how."""

    targets: tuple[Target, ...] = (Target.TAG, Target.DEFINED)
    roles: tuple[TokenRole, ...] = (TokenRole.ALIAS_LAST, TokenRole.QUESTION_LAST)
    quick: bool = False
    """Fix C at `QUICK_INVERSE_PENALTY` instead of choosing it inside the training folds."""
    n_permutations: int = N_PERMUTATIONS

    @property
    def name(self) -> str:
        """Stem of the tables' names."""
        return "probes"

    @property
    def coordinates(self) -> list[str]:
        """See `interp.grids.Analysis`."""
        return CELL

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Probes one checkpoint; see `probe_checkpoint`."""
        return probe_checkpoint(model, rows, sites, self, seed=seed)

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """See `interp.probes.summary`."""
        return summarize_probes(table)

    @property
    def inverse_penalties(self) -> tuple[float, ...]:
        """The choices of C."""
        return (QUICK_INVERSE_PENALTY,) if self.quick else INVERSE_PENALTIES


def probe_checkpoint(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    sites: Sequence[Site],
    probing: ProbeAnalysis,
    *,
    seed: int,
) -> Measured:
    """Every cell of one checkpoint, and the positive control at the last site and role.

    The vectors are the directions of logistic probes fitted to all aliases, in the space of the raw
    activations, named `target/site.layer/role/logistic`; of several classes, one row each.

    Args:
        model: Read only.
        rows: The rows of the seed.
        sites: Where to read.
        probing: What to read, and how.
        seed: Fixes folds, permutations and controls; the same in every process.
    """
    tasks = [make_task(rows, target, seed=seed) for target in probing.targets]
    planted = make_task(rows, Target.PLANTED_TAG, seed=seed)
    needed = {row.row.row_id: row for task in (*tasks, planted) for row in task.all_rows}
    activations = collect_activations(
        model, list(needed.values()), sites=sites, roles=probing.roles
    )
    index = {row_id: i for i, row_id in enumerate(needed)}
    records: list[dict[str, object]] = []
    directions: dict[str, np.ndarray] = {}
    for task, site, role in product(tasks, sites, probing.roles):
        views = _views(task, activations, index, site, role)
        records += _at(task, site, role, probe_cell(task, views, probing, seed))
        name = f"{task.target}/{site.name}.{site.layer}/{role}/logistic"
        directions[name] = probe_direction(views.untrained, task.labels, task.n_classes)
    site, role = sites[-1], probing.roles[-1]
    views = _plant(planted, _views(planted, activations, index, site, role), seed)
    records += _at(planted, site, role, probe_cell(planted, views, probing, seed))
    return Measured(table=pd.DataFrame(records), vectors=directions)


def probe_direction(
    features: Float[np.ndarray, "example width"],
    labels: Int[np.ndarray, " example"],
    n_classes: int,
) -> Float[np.ndarray, "*class width"]:
    """The logistic probe's direction in the space of raw activations, fitted to all examples."""
    train = np.ones((len(labels), 1), dtype=bool)
    penalty = np.array([QUICK_INVERSE_PENALTY])
    if n_classes == 2:
        fit = fit_logistic(features, labels[:, None] == 1, train=train, inverse_penalty=penalty)
        return fit.weights[0] / fit.scale[0]
    fit = fit_multinomial(
        features, labels[:, None], train=train, inverse_penalty=penalty, n_classes=n_classes
    )
    return fit.weights[0] / fit.scale[0]


def _at(
    task: ProbeTask, site: Site, role: TokenRole, cells: list[dict[str, object]]
) -> list[dict[str, object]]:
    """The cells' records, headed by where they were read."""
    where = {"target": str(task.target), "site": site.name, "layer": site.layer}
    return [where | {"role": str(role)} | cell for cell in cells]


@dataclass(frozen=True, kw_only=True)
class CellViews:
    """The activations of one site and role for a task."""

    untrained: Float[np.ndarray, "alias width"]
    all: Float[np.ndarray, "row width"]


@dataclass(frozen=True, kw_only=True)
class HeldOutReading:
    """How well labels are read from examples that the probe never saw, and by chance alone."""

    accuracy: float
    null_accuracy: float
    """Mean over label permutations, each through the whole pipeline."""
    p_value: float
    """Share of permutations that reach the accuracy, this labelling counted among them."""
    n_train: int
    n_test: int


def read_held_out(
    features: Float[np.ndarray, "example width"],
    labels: Int[np.ndarray, " example"],
    groups: Int[np.ndarray, " example"],
    *,
    probe: str = "logistic",
    n_permutations: int = N_PERMUTATIONS,
    inverse_penalties: Sequence[float] = INVERSE_PENALTIES,
    rng: np.random.Generator,
) -> HeldOutReading:
    """Probes any features for any labels: those of a toy run, or of prompts to any model.

    Args:
        features: Activations of one site at one role.
        labels: Classes 0, 1, ...
        groups: Examples of one group stay in one fold. Where each group has one label,
            permutations exchange labels of groups, else of examples; always within folds.
        probe: `logistic` or `mass_mean`.
        n_permutations: 0 leaves the null accuracy at the largest class's share.
        inverse_penalties: Choices of C.
        rng: Draws folds and permutations.

    Raises:
        InputError: there is one class only, or fewer groups than folds.
    """
    counts = np.bincount(labels)
    if (counts > 0).sum() < 2:
        raise InputError("the labels have one class only; probe for something that varies")
    folds = grouped_folds(groups, labels, rng=rng)
    permuted = [_permuted(labels, groups, folds, rng) for _ in range(n_permutations)]
    accuracies = held_out_accuracy(
        features,
        np.stack([labels, *permuted], axis=1),
        folds,
        probe=probe,
        n_classes=len(counts),
        inverse_penalties=inverse_penalties,
    )
    accuracy, null = accuracies[0], accuracies[1:]
    n_test = len(folds) // (int(folds.max()) + 1)
    return HeldOutReading(
        accuracy=float(accuracy),
        null_accuracy=float(null.mean()) if len(null) else float(counts.max() / len(labels)),
        p_value=float((1 + (null >= accuracy - 1e-9).sum()) / (1 + len(null))),
        n_train=len(folds) - n_test,
        n_test=n_test,
    )


def _permuted(
    labels: Int[np.ndarray, " example"],
    groups: Int[np.ndarray, " example"],
    folds: Int[np.ndarray, " example"],
    rng: np.random.Generator,
) -> Int[np.ndarray, " example"]:
    """Labels that say nothing about features, with as many of each class in each fold.

    Folds are balanced for the real labels. Exchanged across folds, a class that is frequent in a
    fold would be rare in its training examples, so that the permuted labels would be read worse
    than by chance, and the real ones seem readable.
    """
    _, first, unit = np.unique(groups, return_index=True, return_inverse=True)
    if (labels != labels[first][unit]).any():
        first = unit = np.arange(len(labels))
    exchanged = np.empty_like(first)
    in_order = np.argsort(folds[first], kind="stable")
    exchanged[in_order] = np.lexsort((rng.random(len(first)), folds[first]))
    return labels[first][exchanged][unit]


def probe_cell(
    task: ProbeTask, views: CellViews, probing: ProbeAnalysis, seed: int
) -> list[dict[str, object]]:
    """One record for each kind of probe; see the module's docstring for what they hold."""
    records: list[dict[str, object]] = []
    for probe in PROBES:
        # The same folds, permutations and control labels for every cell of a target.
        rng = np.random.default_rng(derive_seed(seed, f"probe {task.target}"))
        reading = read_held_out(
            views.untrained,
            task.labels,
            task.groups,
            probe=probe,
            n_permutations=probing.n_permutations,
            inverse_penalties=probing.inverse_penalties,
            rng=rng,
        )
        controls = [rng.permutation(task.labels) for _ in range(N_CONTROL_LABELS)]
        seen, *control = held_out_accuracy(
            views.all,
            np.stack([task.labels, *controls], axis=1)[task.all_aliases],
            task.all_questions,
            probe=probe,
            n_classes=task.n_classes,
            inverse_penalties=(QUICK_INVERSE_PENALTY,),
        )
        records.append(
            {"probe": probe}
            | asdict(reading)
            | {
                "seen_accuracy": seen,
                "control_accuracy": np.mean(control),
                "selectivity": seen - np.mean(control),
                "chance": np.bincount(task.labels).max() / len(task.labels),
                "width": views.untrained.shape[1],
            }
        )
    return records


def _views(
    task: ProbeTask, activations: Activations, index: dict[str, int], site: Site, role: TokenRole
) -> CellViews:
    values = activations.at(site, role)
    return CellViews(
        untrained=values[[index[row.row.row_id] for row in task.rows]],
        all=values[[index[row.row.row_id] for row in task.all_rows]],
    )


def _plant(task: ProbeTask, views: CellViews, seed: int) -> CellViews:
    """Replaces the activations along one random direction by the label, with noise.

    Along that direction both classes are normal with the distance at which the best possible
    classifier is right `PLANTED_ACCURACY` of the time; nothing else knows of the label, so that is
    the Bayes accuracy of the whole.
    """
    rng = np.random.default_rng(derive_seed(seed, "planted direction"))
    width = views.untrained.shape[1]
    direction = rng.normal(size=width)
    direction /= np.linalg.norm(direction)
    scale = max(views.untrained.std(), 1e-6)
    distance = ndtri(PLANTED_ACCURACY)

    def planted(
        values: Float[np.ndarray, "example width"], labels: np.ndarray
    ) -> Float[np.ndarray, "example width"]:
        signal = (2 * labels - 1) * distance + rng.normal(size=len(labels))
        rest = values - np.outer(values @ direction, direction)
        return (rest + scale * np.outer(signal, direction)).astype(values.dtype)

    return CellViews(
        untrained=planted(views.untrained, task.labels),
        all=planted(views.all, task.labels[task.all_aliases]),
    )
