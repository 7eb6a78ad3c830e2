"""What would have been found, had it been there?

A cell is found by the sign flips of its seeds, so what it takes depends on how far the seeds
scatter around their mean. That is taken from the seeds themselves: they differ by more than the
coin flips of their aliases, because aliases share entities and folds share training examples.

    needed_effect      the mean, in units of the seeds' deviation, that is found after correction
    min_detectable     the Bayes accuracy of a label at which probes of this design read that much

The signal is thought to lie along a *typical* direction: isotropic normal features, of which one
direction carries the label. A label along a direction in which activations hardly vary, beside
others in which they vary much, can have the same Bayes accuracy and be found far less often, so
this bounds no such signal.
"""

import math
from functools import cache

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from interp.probes.cross_validation import QUICK_INVERSE_PENALTY
from interp.probes.solver import fit_logistic
from training.statistics import smallest_sign_flip_p

ALPHA, POWER = 0.05, 0.9
_TRUE_ACCURACIES = (0.5, 0.53, 0.56, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 0.999)
_DATASETS, _GRIDS = 30, 2000
_MAX_EXACT_SEEDS, _FLIPS = 10, 999
"""Beyond so many seeds the simulation draws so many of the sign flips."""
_LARGEST_EFFECT = 16.0


def min_detectable(*, sd: float, n_train: int, width: int, n_seeds: int, n_cells: int) -> float:
    """Smallest Bayes accuracy that is found, corrected at .05, with 90% power; NaN if none is.

    Args:
        sd: Deviation of the accuracy between seeds where nothing is to be read.
        n_train: Aliases, half of each class, that train a probe.
        width: Features.
        n_seeds: Stage-1 seeds.
        n_cells: Of the grid; all others are thought null and independent.
    """
    effect = sd * needed_effect(n_seeds=n_seeds, n_cells=n_cells)
    if not effect <= 0.5:  # more than certainty is above a coin: no need to simulate probes
        return float("nan")
    read = expected_accuracies(n_train=n_train, width=width) - 0.5
    if not effect <= read[-1]:
        return float("nan")
    return float(np.interp(effect, read, _TRUE_ACCURACIES))


@cache
def needed_effect(*, n_seeds: int, n_cells: int) -> float:
    """Mean over deviation of normal seeds that `max_sign_flip_p` finds nine times in ten."""
    if smallest_sign_flip_p(n_seeds) > ALPHA:
        return math.inf
    rng = np.random.default_rng(0)
    flips = _flips(n_seeds, rng)
    own = rng.normal(size=(_GRIDS, n_seeds))
    # By grid and flip, what the largest of all other cells reaches.
    others = np.zeros((_GRIDS, flips.shape[1]))
    for largest in others:
        if n_cells > 1:
            cells = rng.normal(size=(n_cells - 1, n_seeds))
            cells /= np.linalg.norm(cells, axis=1, keepdims=True)
            largest[:] = np.abs(cells @ flips).max(0)

    def power(effect: float) -> float:
        units = own + effect
        units /= np.linalg.norm(units, axis=1, keepdims=True)
        reached = np.maximum(np.abs(units @ flips), others) >= np.abs(units.sum(1))[:, None] - 1e-9
        return float(((reached.mean(1) <= ALPHA) & (units.sum(1) > 0)).mean())

    low, high = 0.0, _LARGEST_EFFECT
    if power(high) < POWER:
        return math.inf
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def _flips(n_seeds: int, rng: np.random.Generator) -> Float[np.ndarray, "seed flip"]:
    """All sign flips of few seeds, else some of them and the identity."""
    if n_seeds <= _MAX_EXACT_SEEDS:
        return 1.0 - 2.0 * (np.arange(2**n_seeds) >> np.arange(n_seeds)[:, None] & 1)
    drawn = rng.choice([-1.0, 1.0], size=(n_seeds, _FLIPS))
    return np.concatenate([np.ones((n_seeds, 1)), drawn], axis=1)


@cache
def expected_accuracies(*, n_train: int, width: int) -> Float[np.ndarray, " truth"]:
    """What logistic probes of `--quick` read on average, for each of `_TRUE_ACCURACIES`."""
    rng = np.random.default_rng(0)
    read = [
        np.mean([_expected(truth, n_train, width, rng) for _ in range(_DATASETS)])
        for truth in _TRUE_ACCURACIES
    ]
    return np.maximum.accumulate(np.maximum(read, 0.5))


def _expected(truth: float, n_train: int, width: int, rng: np.random.Generator) -> float:
    """Accuracy over all aliases of a probe that was trained on these many."""
    labels = np.arange(n_train) % 2
    distance = ndtri(truth)
    features = rng.normal(size=(n_train, width))
    features[:, 0] += (2 * labels - 1) * distance
    fit = fit_logistic(
        features,
        labels[:, None] == 1,
        train=np.ones((n_train, 1), dtype=bool),
        inverse_penalty=np.array([QUICK_INVERSE_PENALTY]),
    )
    direction = fit.weights[0] / fit.scale[0]
    intercept = fit.intercepts[0] - direction @ fit.mean[0]
    reach = direction[0] * distance + np.array([1, -1]) * intercept
    return float(ndtr(reach / np.linalg.norm(direction)).mean())
