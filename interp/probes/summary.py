"""Over seeds: is a cell of the grid readable, and what would have been seen had it been?

The statistic of a seed is its accuracy minus the mean accuracy of its own label permutations. Over
Stage-1 seeds its sign flips give p, and the largest |t| over the whole grid (all targets, sites,
roles, probes and runs together) the corrected p. `min_detectable` says what a null result means:
the Bayes accuracy that this design would have found, corrected at .05, nine times in ten.
"""

from bisect import bisect_left
from functools import cache

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from interp.probes.cross_validation import N_FOLDS, QUICK_INVERSE_PENALTY, grouped_folds
from interp.probes.solver import fit_logistic, predict
from interp.probes.targets import Target
from training.statistics import max_sign_flip_p, sign_flip_p, smallest_sign_flip_p, t_interval

CELL = ["target", "site", "layer", "role", "probe"]
RUN = ["recipe", "run_id", "model", "word_order", "stage", "step"]
MEANS = ["accuracy", "null_accuracy", "seen_accuracy", "control_accuracy", "selectivity", "chance"]
ALPHA, POWER = 0.05, 0.9
_TRUE_ACCURACIES = (0.52, 0.54, 0.56, 0.58, 0.6, 0.63, 0.66, 0.7, 0.75, 0.8, 0.9)
_DATASETS, _GRIDS = 60, 1000
_MAX_EXACT_SEEDS, _FLIPS = 10, 999
"""Beyond so many seeds the simulation draws so many of the sign flips."""


def summarize_probes(probes: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell and checkpoint, over seeds; see the module's docstring.

    The planted control is corrected with the grid but does not count in the others' correction.
    """
    above = probes.assign(above=probes["accuracy"] - probes["null_accuracy"])
    cells = [(key, group) for key, group in above.groupby([*RUN, *CELL], sort=True)]
    seeds = sorted(set(above["seed"]))
    # A seed that a cell lacks is a 0 whose sign does not matter: the cell counts with its others.
    values = np.zeros((len(cells), len(seeds)))
    for row, (_, group) in zip(values, cells, strict=True):
        row[[seeds.index(seed) for seed in group["seed"]]] = group["above"]
    planted = np.array([group["target"].iloc[0] == Target.PLANTED_TAG for _, group in cells])
    corrected = np.full(len(cells), np.nan)
    corrected[~planted] = max_sign_flip_p(values[~planted])
    corrected[planted] = max_sign_flip_p(values)[planted]
    records = []
    for (_, group), p_corrected in zip(cells, corrected, strict=True):
        low, high = t_interval(group["accuracy"])
        records.append(
            {name: group[name].iloc[0] for name in (*RUN, *CELL)}
            | group[MEANS].mean().to_dict()
            | {
                "ci_low": low,
                "ci_high": high,
                "p_value": sign_flip_p(group["above"]),
                "p_corrected": p_corrected,
                "p_smallest": smallest_sign_flip_p(len(group)),
                "min_detectable": _min_detectable_of(group, int((~planted).sum())),
                "n_train": group["n_train"].iloc[0],
                "n_test": group["n_test"].iloc[0],
                "n_seeds": len(group),
            }
        )
    return pd.DataFrame(records)


def _min_detectable_of(group: pd.DataFrame, n_cells: int) -> float:
    """Of one cell's design; NaN for targets of more than two classes."""
    first = group.iloc[0]
    if abs(first["chance"] - 0.5) > 1e-9:
        return float("nan")
    return min_detectable(
        n_aliases=int(first["n_train"] + first["n_test"]),
        width=int(first["width"]),
        n_seeds=len(group),
        n_cells=n_cells,
    )


@cache
def min_detectable(*, n_aliases: int, width: int, n_seeds: int, n_cells: int) -> float:
    """Smallest Bayes accuracy that is found, corrected at .05, with 90% power; NaN if none is.

    Simulated for a balanced binary target: in each data set one direction of isotropic normal
    features carries the label; it is read by the logistic probe of `--quick` in five folds. The
    grid's other cells are null and independent.
    """
    if smallest_sign_flip_p(n_seeds) > ALPHA:
        return float("nan")
    rng = np.random.default_rng(0)
    means, sds = _read_accuracies(n_aliases, width, rng)

    @cache
    def power(place: int) -> float:
        return _power(means[place] - 0.5, sds[place], n_seeds, n_cells, rng)

    first = bisect_left(range(len(_TRUE_ACCURACIES)), POWER, key=power)
    if first == len(_TRUE_ACCURACIES):
        return float("nan")
    if first == 0:
        return _TRUE_ACCURACIES[0]
    around = [first - 1, first]
    return float(
        np.interp(POWER, [power(i) for i in around], [_TRUE_ACCURACIES[i] for i in around])
    )


def _read_accuracies(
    n_aliases: int, width: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " truth"], Float[np.ndarray, " truth"]]:
    """Mean and standard deviation over seeds of what is read at each true accuracy.

    The mean is that of the fitted probes' expected accuracies. The deviation exceeds that of as
    many coin flips, because folds share training examples, the less so the better they read; a line
    through the data sets of all true accuracies says by how much.
    """
    simulated = np.array(
        [
            [_read_planted(truth, n_aliases, width, rng) for _ in range(_DATASETS)]
            for truth in _TRUE_ACCURACIES
        ]
    )
    expected, read = simulated[..., 0], simulated[..., 1]
    means = expected.mean(1)
    coins = np.sqrt(means * (1 - means) / n_aliases)
    excess = np.square((read - means[:, None]) / coins[:, None]).mean(1)
    smooth = np.polyval(np.polyfit(means, excess, 1), means)
    return means, np.sqrt(np.maximum(smooth, 1.0)) * coins


def _read_planted(
    truth: float, n_aliases: int, width: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Expected and actual accuracy on aliases that the probes of five folds did not see."""
    labels = np.arange(n_aliases) % 2
    distance = ndtri(truth)
    features = rng.normal(size=(n_aliases, width))
    features[:, 0] += (2 * labels - 1) * distance
    folds = grouped_folds(np.arange(n_aliases), labels, rng=rng)
    fit = fit_logistic(
        features,
        np.tile(labels[:, None] == 1, N_FOLDS),
        train=folds[:, None] != np.arange(N_FOLDS),
        inverse_penalty=np.full(N_FOLDS, QUICK_INVERSE_PENALTY),
    )
    directions = fit.weights / fit.scale
    intercepts = fit.intercepts - (directions * fit.mean).sum(1)
    reach = directions[:, 0] * distance + np.outer([1, -1], intercepts)
    expected = ndtr(reach / np.linalg.norm(directions, axis=1)).mean()
    read = predict(fit, features)[np.arange(n_aliases), folds] == labels
    return float(expected), float(read.mean())


def _power(effect: float, sd: float, n_seeds: int, n_cells: int, rng: np.random.Generator) -> float:
    """Share of simulated grids in which the one real cell is found after correction."""
    found = 0
    for _ in range(_GRIDS):
        grid = rng.normal(0, sd, size=(n_cells, n_seeds))
        grid[0] += effect
        found += _corrected_p(grid, rng) <= ALPHA and grid[0].mean() > 0
    return found / _GRIDS


def _corrected_p(grid: Float[np.ndarray, "cell seed"], rng: np.random.Generator) -> float:
    """The first cell's p value by `max_sign_flip_p`, from fewer flips where there are many."""
    n_seeds = grid.shape[1]
    if n_seeds <= _MAX_EXACT_SEEDS:
        return float(max_sign_flip_p(grid)[0])
    units = grid / np.linalg.norm(grid, axis=1, keepdims=True)
    flipped = units @ rng.choice([-1.0, 1.0], size=(n_seeds, _FLIPS))
    n_reaching = (np.abs(flipped).max(0) >= abs(units[0].sum())).sum()
    return float((1 + n_reaching) / (1 + _FLIPS))
