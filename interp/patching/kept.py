"""On how many pairs do a seed's figures rest, and which seeds rest on too few?

Pairs whose prompts are not answered with confidence are dropped, in some seeds nearly all. A mean
over two pairs would count as much as one over fifty, so a seed of fewer than `LEAST_PAIRS` (of
fewer than half of the pairs made, where these are less than twice as many) stays in the table and
is left out of summaries, sentences and figures over seeds. Fixed before any run was looked at so.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from training.designs import design_of

LEAST_PAIRS = 10


def pairs_made(table: pd.DataFrame) -> Int[np.ndarray, " row"]:
    """How many pairs there were before any was dropped, for each row of a `patching` table.

    Where nobody counted, as of pairs of one's own, none was.
    """
    kept, dropped = (table[name].to_numpy(dtype=float) for name in ("n", "dropped"))
    return (kept / (1 - np.nan_to_num(dropped))).round().astype(int)


def is_counted(table: pd.DataFrame) -> Bool[np.ndarray, " row"]:
    """Whether each row of a `patching` table rests on enough pairs; all do if none was dropped."""
    if "dropped" not in table:
        return np.ones(len(table), dtype=bool)
    least = np.minimum(LEAST_PAIRS, pairs_made(table) / 2)
    return (table["n"] >= least).to_numpy(dtype=bool)


def kept_pairs(table: pd.DataFrame, seeds: Iterable[int] = ()) -> pd.DataFrame:
    """Columns `pair_kind subset seed kept made dropped is_counted`, one row a seed.

    Args:
        table: Rows of a `patching` table of one run and checkpoint; a seed that answers no pair
            has none there, and keeps 0 here.
        seeds: Those that were looked at, beside the table's.
    """
    rows = table.assign(made=pairs_made(table), is_counted=is_counted(table))
    rows = rows.rename(columns={"n": "kept"})
    columns = ["pair_kind", "subset", "seed", "kept", "made", "dropped", "is_counted"]
    kept = rows.loc[:, columns].drop_duplicates(ignore_index=True)
    looked_at = sorted({*table["seed"], *seeds})
    none = [
        {**of_subset.iloc[0], "seed": seed, "kept": 0, "dropped": 1.0, "is_counted": False}
        for _, of_subset in kept.groupby(["pair_kind", "subset"])
        for seed in looked_at
        if seed not in set(of_subset["seed"])
    ]
    return (
        pd.concat([kept, pd.DataFrame(none, columns=columns)], ignore_index=True) if none else kept
    )


def kept_text(kept: pd.DataFrame) -> str:
    """`kept by seed 38, 52, 17 of 100 pairs; left out for fewer than 10: 2 (seed 1001)`.

    Args:
        kept: Of `kept_pairs`, of one kind and subset.
    """
    records = kept.sort_values("seed").to_dict("records")
    counted = [str(each["kept"]) for each in records if each["is_counted"]]
    left_out = [
        f"{each['kept']} (seed {each['seed']})" for each in records if not each["is_counted"]
    ]
    made = "/".join(map(str, sorted({each["made"] for each in records})))
    words = f"kept by seed {', '.join(counted) or 'none'} of {made} pairs"
    if left_out:
        least = min(LEAST_PAIRS, *(-(-each["made"] // 2) for each in records))
        words += f"; left out for fewer than {least}: {', '.join(left_out)}"
    return words


def kept_texts(table: pd.DataFrame) -> str:
    """`kept_text` of every subset, as lines of a figure; empty if nobody counted dropped pairs.

    Args:
        table: Rows of a `patching` table of one run, checkpoint and kind.
    """
    if "dropped" not in table:
        return ""
    kept = kept_pairs(table)
    subsets = [name for name in design_of(table).names if name in set(kept["subset"])]
    return "<br>".join(f"{name}: {kept_text(kept.loc[kept['subset'] == name])}" for name in subsets)
