"""What twins with exchanged tags come to over seeds, and what pairing gains.

Two runs cost as much as a run and its twin. The variance over seeds of the mean of two gaps is half
of that of one where the two have nothing in common, and (1 + r) / 2 of it where their gaps
correlate by r, so that

    variance ratio  =  unpaired / paired  =  1 / (1 + r)

Above 1 pairing saves seeds: that many times more would be needed without. It is below 1 where seeds
differ more in how large a gap their model makes, which run and twin share, than in which aliases
are easy, which comes in with opposite signs. `alias_ratio` is the same within a seed, of what
aliases alone add.
"""

import math

import numpy as np
import pandas as pd

from interp.grids.seed_summary import summarize_over_seeds
from training.columns import WITHOUT_SEED

CELL = ["exchanged_in", "metric", "estimator"]
ESTIMATORS = ("run", "twin", "paired")
RATIO = ["correlation", "variance_ratio", "ratio_low", "ratio_high", "alias_ratio"]


def summarize_twins(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each stage of exchange, metric and estimator (`run`, `twin`, `paired`).

    Columns: run columns without the seed, `exchanged_in, metric, estimator`, those of
    `summarize_over_seeds` for the gap, and, the same for the three estimators, `correlation` (of
    run and twin over seeds), `variance_ratio` with its 95% interval `ratio_low ratio_high`, and
    `alias_ratio`.
    """
    names = [name for name in table.columns if name not in ESTIMATORS]
    long = table.melt(names, list(ESTIMATORS), var_name="estimator", value_name="value")
    summary = summarize_over_seeds(long, cell=CELL, means=["value"], tested="value")
    key = [*WITHOUT_SEED, *CELL[:2]]
    ratios = []
    for cell, rows in table.groupby(key, sort=True):
        assert isinstance(cell, tuple)
        ratios.append(dict(zip(key, cell, strict=True)) | gained_by_pairing(rows))
    return summary.merge(pd.DataFrame(ratios), on=key)


def gained_by_pairing(rows: pd.DataFrame) -> dict[str, float]:
    """The variance ratio of one stage of exchange and metric; NaN of fewer than four seeds.

    Args:
        rows: One row a seed with `run, twin, alias_variance, alias_variance_paired`.
    """
    run, twin = rows["run"].to_numpy(dtype=float), rows["twin"].to_numpy(dtype=float)
    aliases = [float(sum(rows[f"alias_variance{end}"])) for end in ("", "_paired")]
    found = {"alias_ratio": aliases[0] / aliases[1] if aliases[1] else math.nan}
    n = len(run)
    if n < 4 or np.ptp(run + twin) == 0:
        return dict.fromkeys(RATIO[:-1], math.nan) | found
    # About one mean variance, since either could have been the run.
    r = float(2 * np.cov(run, twin)[0, 1] / (run.var(ddof=1) + twin.var(ddof=1)))
    half = 1.959964 / math.sqrt(n - 3)  # Fisher's z
    low, high = (
        math.tanh(math.atanh(min(max(r, -1 + 1e-12), 1 - 1e-12)) + side * half) for side in (-1, 1)
    )
    return {
        "correlation": r,
        "variance_ratio": 1 / (1 + r) if r > -1 else math.inf,
        "ratio_low": 1 / (1 + high),
        "ratio_high": 1 / (1 + low),
        **found,
    }
