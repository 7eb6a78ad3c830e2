"""From curves to half times and orders, over seeds."""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd

from interp.orders.curves import CURVES
from interp.orders.half_times import Order, Timed, orders, timed
from training.columns import WITHOUT_SEED

ORDER_COLUMNS = ["first", "second", "ratio", "ci_low", "ci_high", "p_corrected", "p_smallest",
                 "resolution", "n_seeds", "verdict"]  # fmt: skip


def timed_curves(table: pd.DataFrame) -> tuple[list[int], dict[str, Timed]]:
    """The curves that may be compared, at the steps and of the seeds that all of them have.

    Args:
        table: Rows of `interp.orders.curves.curves_of`, of one stage.
    """
    tested = table.loc[[CURVES[name].is_tested for name in table["curve"]]]
    wide = tested.pivot(index=["seed", "step"], columns="curve", values="value").dropna()
    counts = wide.reset_index().groupby("step")["seed"].nunique()
    steps = [int(step) for step in counts.index[counts == counts.to_numpy().max(initial=0)]]
    found: dict[str, Timed] = {}
    for name in (name for name in CURVES if name in wide):
        by_seed = wide[name].unstack("step")[steps].dropna()
        values = {
            int(seed): row for seed, row in zip(by_seed.index, by_seed.to_numpy(), strict=True)
        }  # pyright: ignore[reportArgumentType]
        if values:
            found[name] = timed(steps, values)
    return steps, found


def summarize_orders(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each pair of curves: the run columns without seed, and `ORDER_COLUMNS`.

    Args:
        table: Rows of `interp.orders.curves.curves_of`, of one run and stage.
    """
    steps, curves = timed_curves(table)
    shared = table.iloc[0][WITHOUT_SEED].to_dict() | {"step": int(table["step"].max())}  # pyright: ignore[reportArgumentType]
    records = [shared | _record(each) for each in orders(steps, curves)]
    return pd.DataFrame(records, columns=[*WITHOUT_SEED, *ORDER_COLUMNS])


def scaled(table: pd.DataFrame) -> pd.DataFrame:
    """The curves with a column `scaled`: 0 at each seed's first checkpoint, 1 at the last's mean.

    Each is divided by its mean change over seeds, so that seeds keep their size and none is divided
    by a change of nearly 0; a curve that does not change on average is left out.
    """
    table = table.sort_values("step", kind="stable")
    ends = table.groupby(["curve", "seed"], sort=False)["value"]
    changes = pd.Series((ends.last() - ends.first()).groupby("curve").mean())
    units = [changes.get(CURVES[name].scaled_by or name, 0.0) for name in table["curve"]]
    found = table.assign(scaled=(table["value"] - ends.transform("first")) / units)
    return found.loc[np.isfinite(found["scaled"])].reset_index(drop=True)


def _record(order: Order) -> Mapping[str, object]:
    found = asdict(order)
    return found | {"p_corrected": found.pop("p_value")}
