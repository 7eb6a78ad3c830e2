"""Over seeds: is a cell of the grid readable, and what would have been seen had it been?

The statistic of a seed is its accuracy minus the mean accuracy of its own label permutations. Over
Stage-1 seeds its sign flips give p, and the largest |t| over the whole grid (all targets, sites,
roles, probes and runs together) the corrected p. `min_detectable` says what a null result means,
see `power`. Of `tag`, which is also truth where reliable definitions are true, `minus_twin` is the
accuracy minus that of the same labels in the null twin, seed by seed, with a corrected p of its
own.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.probes.power import min_detectable
from interp.probes.targets import PLANTED
from training.columns import WITHOUT_SEED
from training.statistics import max_sign_flip_p, sign_flip_p, smallest_sign_flip_p, t_interval

CELL = ["target", "site", "layer", "role", "probe"]
MEANS = ["accuracy", "null_accuracy", "seen_accuracy", "control_accuracy", "selectivity", "chance"]
DESIGN = ["n_train", "n_test", "n_folds", "n_divisions", "n_read"]


def summarize_probes(probes: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell and checkpoint, over seeds; see the module's docstring.

    The planted control is corrected with the grid but does not count in the others' correction.
    """
    above = probes.assign(
        above=probes["accuracy"] - probes["null_accuracy"],
        minus_twin=probes["accuracy"] - probes["twin_accuracy"],
    )
    cells = [(key, group) for key, group in above.groupby([*WITHOUT_SEED, *CELL], sort=True)]
    values = _by_seed(cells, above, "above")
    planted = np.array([group["target"].iloc[0] == PLANTED.name for _, group in cells])
    corrected = np.full(len(cells), np.nan)
    corrected[~planted] = max_sign_flip_p(values[~planted])
    corrected[planted] = max_sign_flip_p(values)[planted]
    has_twin = np.array([group["minus_twin"].notna().any() for _, group in cells])
    twin_corrected = np.full(len(cells), np.nan)
    twin_corrected[has_twin] = max_sign_flip_p(_by_seed(cells, above, "minus_twin")[has_twin])
    deviations = _deviations(above)
    records = []
    for place, (_, group) in enumerate(cells):
        low, high = t_interval(group["accuracy"])
        records.append(
            {name: group[name].iloc[0] for name in (*WITHOUT_SEED, *CELL)}
            | group[MEANS].mean().to_dict()
            | {
                "ci_low": low,
                "ci_high": high,
                "p_value": sign_flip_p(group["above"]),
                "p_corrected": corrected[place],
                "p_smallest": smallest_sign_flip_p(len(group)),
                "min_detectable": _min_detectable_of(group, deviations, int((~planted).sum())),
            }
            | _beside_twin(group)
            | {"p_twin_corrected": twin_corrected[place]}
            | {name: round(group[name].mean()) for name in DESIGN}
            | {"n_seeds": len(group)}
        )
    return pd.DataFrame(records)


def summarize_own(probes: pd.DataFrame) -> pd.DataFrame:
    """The same columns of one model's labels of one's own: there are no seeds to test over.

    p is that of the permutations of labels, corrected by the number of cells (Bonferroni).
    """
    summary = summarize_probes(probes)
    own = probes.set_index(CELL)["p_value"]
    p = own.loc[list(summary[CELL].itertuples(index=False, name=None))].to_numpy()
    return summary.assign(p_value=p, p_corrected=np.minimum(p * len(p), 1), p_smallest=np.nan)


def _by_seed(
    cells: Sequence[tuple[object, pd.DataFrame]], table: pd.DataFrame, column: str
) -> Float[np.ndarray, "cell seed"]:
    """A cell that lacks a seed counts with its others: it gets a 0, whose sign does not matter."""
    seeds = sorted(set(table["seed"]))
    values = np.zeros((len(cells), len(seeds)))
    for row, (_, group) in zip(values, cells, strict=True):
        row[[seeds.index(seed) for seed in group["seed"]]] = group[column].fillna(0.0)
    return values


def _beside_twin(group: pd.DataFrame) -> dict[str, float]:
    """How much better a cell reads than the null twin does; NaN where that was not measured."""
    known = group["minus_twin"].dropna()
    low, high = t_interval(known)
    return {
        "twin_accuracy": float(np.mean(group["twin_accuracy"].to_numpy())),
        "minus_twin": float(np.mean(known.to_numpy())) if len(known) else float("nan"),
        "minus_twin_low": low,
        "minus_twin_high": high,
    }


def _deviations(above: pd.DataFrame) -> dict[tuple[object, ...], float]:
    """Between seeds, by run, checkpoint, target and probe: root mean square over its cells.

    One cell's own deviation, of few seeds, says little.
    """
    variances: dict[tuple[object, ...], list[float]] = {}
    for _, cell in above.groupby([*WITHOUT_SEED, *CELL]):
        if len(cell) > 1:
            variance = float(np.var(cell["above"].to_numpy(dtype=float), ddof=1))
            variances.setdefault(_scattering(cell), []).append(variance)
    return {key: float(np.sqrt(np.mean(values))) for key, values in variances.items()}


def _scattering(cell: pd.DataFrame) -> tuple[object, ...]:
    """The key of the cells whose seeds are taken to scatter equally."""
    return tuple(cell[name].iloc[0] for name in (*WITHOUT_SEED, "target", "probe"))


def _min_detectable_of(
    group: pd.DataFrame, deviations: dict[tuple[object, ...], float], n_cells: int
) -> float:
    """The least accuracy that a cell's design can find; NaN for more than two classes."""
    first = group.iloc[0]
    if abs(first["chance"] - 0.5) > 1e-9:
        return float("nan")
    # Cells that are always read right do not scatter; a null one does, as coin flips at least.
    coins = 0.5 / float(np.sqrt(np.mean(group["n_read"].to_numpy())))
    return min_detectable(
        sd=max(deviations.get(_scattering(group), 0.0), coins),
        n_train=round(float(np.mean(group["n_train"].to_numpy()))),
        width=int(first["width"]),
        n_seeds=len(group),
        n_cells=n_cells,
    )
