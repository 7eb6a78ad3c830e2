"""The positive control: a label of known Bayes accuracy, planted into activations."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from interp.probes.targets import PLANTED_ACCURACY, ProbeTask
from training.seeds import derive_seed


@dataclass(frozen=True, kw_only=True)
class CellViews:
    """The activations of one site and role for a task."""

    untrained: Float[np.ndarray, "alias width"]
    all: Float[np.ndarray, "row width"]


def plant(task: ProbeTask, views: CellViews, seed: int) -> CellViews:
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
