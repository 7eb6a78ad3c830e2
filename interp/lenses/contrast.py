"""What two subsets, or two tokens, differ by in what a lens says."""

import numpy as np
import pandas as pd

from data.errors import InputError
from interp.figures.grid_tables import one_checkpoint, ordered_states, state_names
from training.statistics import max_sign_flip_p, sign_flip_p, smallest_sign_flip_p, t_interval

LENS_CELL = ["subset", "lens", "site", "layer", "role", "quantity"]


def lens_contrast(lens: pd.DataFrame, column: str, higher: str, lower: str) -> pd.DataFrame:
    """One subset or quantity minus another in log-probability, paired by seed.

    Columns: the other coordinates, then `mean ci_low ci_high p_value p_corrected p_smallest n_seeds
    state`; t intervals and sign flips over Stage-1 seeds, `p_corrected` by the largest |t| over
    all rows that are returned.

    Args:
        lens: Rows of a `lens` table of one run and checkpoint.
        column: `subset` or `quantity`.
        higher: What is subtracted from.
        lower: What is subtracted.

    Raises:
        InputError: the table lacks one of the two.
    """
    one_checkpoint(lens)
    for name in (higher, lower):
        if name not in set(lens[column]):
            known = ", ".join(sorted(set(lens[column])))
            raise InputError(f"the lens table has no {column} {name!r}; choose from {known}")
    cell = [name for name in LENS_CELL if name != column]
    sides = [
        lens.loc[lens[column] == name].set_index([*cell, "seed"])["log_prob"]
        for name in (higher, lower)
    ]
    gaps = sides[0].sub(sides[1]).unstack("seed").dropna()
    values = gaps.to_numpy(dtype=float)
    intervals = [t_interval(row) for row in values]
    found = gaps.index.to_frame(index=False).assign(
        mean=values.mean(1),
        ci_low=[low for low, _ in intervals],
        ci_high=[high for _, high in intervals],
        p_value=[sign_flip_p(row) for row in values],
        p_corrected=max_sign_flip_p(np.asarray(values)),
        p_smallest=smallest_sign_flip_p(values.shape[1]),
        n_seeds=values.shape[1],
    )
    found["state"] = pd.Categorical(state_names(found), ordered_states(found), ordered=True)
    found = found.sort_values(["lens", "state"], kind="stable", ignore_index=True)
    return found.astype({"state": str})
