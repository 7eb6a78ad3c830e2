"""The table of circuits: its records, and what they come to over seeds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from interp.circuits.edges import EDGES
from interp.circuits.evaluation import Criterion, holm
from interp.circuits.ranks import rank_test
from training.columns import WITHOUT_SEED
from training.statistics import t_interval

COORDINATES = ["circuit", "ablation", "quantity", "unit", "subset"]
MEASURED = ["value", "control", "null_low", "null_high", "n_null", "p_value", "n"]
Record = dict[str, Any]

BY_RANK = (
    *("faithfulness", "completeness", "minimality", "transfer", "specificity"),
    *("disruption", "disruption_exact", "restored", "restored_exact"),
)
"""Quantities whose p value is the rank of a circuit, or of a unit, among others."""


def record(quantity: str, found: Criterion, n: int, *, unit: str = "", subset: str = "") -> Record:
    """A measurement beside its null, over n rows; of an empty null nothing is known."""
    if not len(found.null):
        return plain(quantity, found.value, n, unit=unit, subset=subset)
    low, high = np.quantile(found.null, [0.05, 0.95])
    return plain(quantity, found.value, n, unit=unit, subset=subset) | {
        "control": float(found.null.mean()),
        "null_low": float(low),
        "null_high": float(high),
        "n_null": len(found.null),
        "p_value": found.p_value,
    }


def plain(quantity: str, value: float, n: int, *, unit: str = "", subset: str = "") -> Record:
    """A measurement that is held against nothing, over n rows."""
    empty = dict.fromkeys(["control", "null_low", "null_high", "p_value"], np.nan)
    where = {"quantity": quantity, "unit": unit, "subset": subset}
    return {**where, "value": value, **empty, "n_null": 0, "n": n}


def summarize_circuits(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell and checkpoint.

    Columns: the run columns without the seed, `COORDINATES`, the mean `value` and `control`,
    `difference` (value minus control; the value where no seed has a null) with its 95% t interval
    over seeds `ci_low ci_high`, `p_value` (ranks within seeds, combined; NaN of what has none),
    `p_corrected` (Holm, over all cells of a quantity at a checkpoint, units and edges apart; of
    minimality, over the circuit), `p_smallest` (that so many seeds with so few others can give),
    `n`, `n_null` (the least of a seed), `n_tested` (seeds that have a null: `difference` and p are
    of those) and `n_seeds`.
    """
    keys = [*WITHOUT_SEED, *COORDINATES]
    records: list[Record] = [
        {**cell.iloc[0][keys].to_dict(), **_cell(cell)}
        for _, cell in table.groupby(keys, sort=False, dropna=False)
    ]
    summary = pd.DataFrame(records)
    summary["p_corrected"] = np.nan
    are_edges = summary["circuit"].str.endswith(EDGES).rename("are_edges")
    family = [*WITHOUT_SEED, "quantity"]
    is_minimality = summary["quantity"] == "minimality"
    for chosen, columns in (
        (~is_minimality, family),
        (is_minimality, [*family, "circuit", "ablation"]),
    ):
        tested = summary.loc[chosen & summary["p_value"].notna()]
        within = [*(tested[name] for name in columns), are_edges.loc[tested.index]]
        for _, cells in tested.groupby(within, sort=False, dropna=False):
            summary.loc[cells.index, "p_corrected"] = holm(cells["p_value"].to_numpy())
    ordered = summary.reindex(columns=[*keys, *_COLUMNS])
    return ordered.sort_values(keys, kind="stable", ignore_index=True)


_COLUMNS: Sequence[str] = (
    *("value", "control", "difference", "ci_low", "ci_high"),
    *("p_value", "p_corrected", "p_smallest", "n", "n_null", "n_tested", "n_seeds"),
)


def _cell(cell: pd.DataFrame) -> Record:
    """What one cell comes to over its seeds."""
    value, control = cell["value"].to_numpy(), cell["control"].to_numpy()
    has_null = ~np.isnan(control)
    tested = (value - control)[has_null] if has_null.any() else value
    low, high = t_interval(tested)
    found: Record = {
        "value": value.mean(),
        "control": control[has_null].mean() if has_null.any() else np.nan,
        "difference": tested.mean(),
        "ci_low": low,
        "ci_high": high,
        "p_value": np.nan,
        "p_smallest": np.nan,
        "n": int(cell["n"].to_numpy().sum()),
        "n_null": int(cell["n_null"].to_numpy().min()),
        "n_tested": int(has_null.sum()),
        "n_seeds": len(cell),
    }
    if cell["quantity"].iloc[0] in BY_RANK and has_null.any():
        ranks, n_null = cell["p_value"][has_null].tolist(), cell["n_null"][has_null].tolist()
        combined = rank_test(ranks, n_null)
        found |= {"p_value": combined.p_value, "p_smallest": combined.p_smallest}
    return found
