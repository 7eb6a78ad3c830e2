"""Is a property of an alias linearly readable, where, how strongly, and what could chance read?

For every cell (target, site, layer, role, probe) of a seed's checkpoint:

    accuracy          on aliases that the probe never saw, on questions that were never trained
    p_value           share of label permutations over aliases, each through the whole pipeline,
                      that reach the accuracy; `null_accuracy` is their mean
    seen_accuracy     folds split by question instead, so that each alias is in training and test
    control_accuracy  the same split with a random label for each alias (Hewitt and Liang's control
                      task): what a probe reaches by telling aliases apart
    selectivity       seen_accuracy - control_accuracy

The null twin of a run is a contrast, not a null: its model has seen each alias with its shuffled
tag. The true null is the target `phantom_tag`; the positive control is `planted_tag`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.special import ndtri

from data.tokens import TokenizedRow
from interp.activations import Activations, collect_activations
from interp.cross_validation import (
    INVERSE_PENALTIES,
    QUICK_INVERSE_PENALTY,
    grouped_folds,
    held_out_accuracy,
)
from interp.hooked import HookedModel
from interp.probe_targets import ProbeTask, Target, make_task
from interp.sites import Site, TokenRole
from training.models import derive_seed

PROBES = ("logistic", "mass_mean")
N_PERMUTATIONS = 199
N_CONTROL_LABELS = 5
"""Random labellings that the control accuracy is a mean over."""
PLANTED_ACCURACY = 0.9
"""Bayes accuracy of the planted label."""
CELL = ["target", "site", "layer", "role", "probe"]


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """What is probed at every checkpoint of a grid."""

    targets: tuple[Target, ...] = (Target.TAG, Target.DEFINED)
    roles: tuple[TokenRole, ...] = (TokenRole.ALIAS_LAST, TokenRole.QUESTION_LAST)
    quick: bool = False
    """Fix C at `QUICK_INVERSE_PENALTY` instead of choosing it inside the training folds."""
    n_permutations: int = N_PERMUTATIONS

    @property
    def inverse_penalties(self) -> tuple[float, ...]:
        """The choices of C."""
        return (QUICK_INVERSE_PENALTY,) if self.quick else INVERSE_PENALTIES


def probe_checkpoint(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    sites: Sequence[Site],
    settings: ProbeSettings,
    *,
    seed: int,
) -> pd.DataFrame:
    """Every cell of one checkpoint, and the positive control at the last site and role.

    Args:
        model: Read only.
        rows: The rows of the seed.
        sites: Where to read.
        settings: What to read, and how.
        seed: Fixes folds, permutations and controls; the same in every process.
    """
    tasks = [make_task(rows, target, seed=seed) for target in settings.targets]
    planted = make_task(rows, Target.PLANTED_TAG, seed=seed)
    needed = {row.row.row_id: row for task in (*tasks, planted) for row in task.all_rows}
    activations = collect_activations(
        model, list(needed.values()), sites=sites, roles=settings.roles
    )
    index = {row_id: i for i, row_id in enumerate(needed)}
    records = [
        {"target": str(task.target), "site": site.name, "layer": site.layer, "role": str(role)}
        | cell
        for task in tasks
        for site in sites
        for role in settings.roles
        for cell in probe_cell(task, _views(task, activations, index, site, role), settings, seed)
    ]
    site, role = sites[-1], settings.roles[-1]
    views = _views(planted, activations, index, site, role)
    where = {"target": str(planted.target), "site": site.name, "layer": site.layer}
    for cell in probe_cell(planted, _plant(planted, views, seed), settings, seed):
        records.append(where | {"role": str(role)} | cell)
    return pd.DataFrame(records)


@dataclass(frozen=True, kw_only=True)
class CellViews:
    """The activations of one site and role for a task."""

    untrained: Float[np.ndarray, "alias width"]
    all: Float[np.ndarray, "row width"]


def probe_cell(
    task: ProbeTask, views: CellViews, settings: ProbeSettings, seed: int
) -> list[dict[str, object]]:
    """One record for each kind of probe; see the module's docstring for what they hold."""
    rng = np.random.default_rng(derive_seed(seed, f"probe {task.target}"))
    folds = grouped_folds(task.groups, task.labels, rng=rng)
    permuted = [rng.permutation(task.labels) for _ in range(settings.n_permutations)]
    labels = np.stack([task.labels, *permuted], axis=1)
    controls = [rng.permutation(task.labels) for _ in range(N_CONTROL_LABELS)]
    seen = np.stack([task.labels, *controls], axis=1)[task.all_aliases]
    records: list[dict[str, object]] = []
    for probe in PROBES:
        accuracies = held_out_accuracy(
            views.untrained,
            labels,
            folds,
            probe=probe,
            n_classes=task.n_classes,
            inverse_penalties=settings.inverse_penalties,
        )
        by_question = held_out_accuracy(
            views.all,
            seen,
            task.all_questions,
            probe=probe,
            n_classes=task.n_classes,
            inverse_penalties=(QUICK_INVERSE_PENALTY,),
        )
        accuracy, null = accuracies[0], accuracies[1:]
        control = by_question[1:].mean()
        n_test = len(folds) // (int(folds.max()) + 1)
        records.append(
            {
                "probe": probe,
                "accuracy": accuracy,
                "null_accuracy": null.mean() if len(null) else 1 / task.n_classes,
                "seen_accuracy": by_question[0],
                "control_accuracy": control,
                "selectivity": by_question[0] - control,
                "p_value": (1 + (null >= accuracy - 1e-9).sum()) / (1 + len(null)),
                "chance": np.bincount(task.labels).max() / len(task.labels),
                "n_train": len(folds) - n_test,
                "n_test": n_test,
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
