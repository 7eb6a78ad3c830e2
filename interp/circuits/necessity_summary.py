"""What the trainings of Stage 2 without a component come to over seeds.

The *change* of a behaviour is its mean after the training minus that after the untouched one, in
each seed; negative where something is lost. That of the gap is the change of the higher compared
subset minus that of the lower one. Within a seed a component is ranked, by how much is lost, among
the others of its layer and kind; over seeds the ranks are combined (`interp.circuits.ranks`).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from interp.circuits.disruption import GAP
from interp.circuits.evaluation import holm
from interp.circuits.ranks import rank_p, rank_test
from interp.hooked.answers import ANSWER_METRICS
from training.columns import CHECKPOINT, RUN_COLUMNS, WITHOUT_SEED
from training.designs import design_of
from training.statistics import t_interval

COORDINATES = ["mode", "part", "label", "subset"]
"""One training may count as several things over seeds: a head as itself and as a leading one."""
CELL = ["mode", "part", "subset", "metric"]


def summarize_necessity(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell and checkpoint; only of what is tested.

    Columns: the run columns without the seed, `mode, part` (the label), `subset, metric`, the means
    `value` and `untouched`, `control` (mean change of the others), `difference` (mean change) with
    its 95% t interval over seeds `ci_low ci_high`, `p_value` (ranks within seeds, combined; NaN
    without others), `p_corrected` (Holm, over all that is tried, of a subset and metric),
    `p_smallest` (that so many seeds with so few others can give), `distance` (the largest), `n`,
    `n_null` (fewest others of a seed), `n_tested` (seeds with any) and `n_seeds`.
    """
    changes = changes_of(table)
    keys = [*WITHOUT_SEED, *CELL]
    tested = changes.loc[changes["label"] != ""].drop(columns="part")
    records = [
        dict(zip(keys, key, strict=True)) | _over_seeds(cell)  # pyright: ignore[reportArgumentType]
        for key, cell in tested.rename(columns={"label": "part"}).groupby(
            keys, sort=False, dropna=False
        )
    ]
    summary = pd.DataFrame(records)
    known = summary.loc[summary["p_value"].notna()]
    for _, cells in known.groupby([*WITHOUT_SEED, "subset", "metric"], sort=False, dropna=False):
        summary.loc[cells.index, "p_corrected"] = holm(cells["p_value"].to_numpy())
    return summary


def changes_of(table: pd.DataFrame) -> pd.DataFrame:
    """Of each seed, part, subset (`gap` among them) and metric what changed, beside the others.

    Columns: run columns, `mode, part, label, kind, subset, metric, value, untouched, change,
    control` (mean change of the others), `p_value` (of the rank), `n_null`, `distance` and `n`.
    """
    parts = [_with_gap(rows) for _, rows in table.groupby("run_id", sort=False)]
    wide, long = pd.concat(parts, ignore_index=True), []
    for metric in ANSWER_METRICS:
        one = wide.assign(metric=metric, value=wide[metric], untouched=wide[f"untouched_{metric}"])
        long.append(one.assign(change=one["value"] - one["untouched"]))
    every = pd.concat(long, ignore_index=True)
    beside = pd.DataFrame(_beside(every), columns=["place", "control", "p_value", "n_null"])
    every = every.join(beside.set_index("place"))
    shown = ["value", "untouched", "change", "control", "p_value", "n_null", "distance", "n"]
    return every.loc[:, [*RUN_COLUMNS, "mode", "part", "label", "kind", "subset", "metric", *shown]]


def _with_gap(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a run, and the gap of each training as one more subset."""
    names = design_of(rows).main.names
    measured = [f"{before}{name}" for before in ("", "untouched_") for name in ANSWER_METRICS]
    keys = [*CHECKPOINT, "seed", "mode", "part", "label"]
    higher, lower = (rows.loc[rows["subset"] == name].set_index(keys) for name in names)
    gap = higher.assign(subset=GAP, **{n: higher[n] - lower[n] for n in measured}).reset_index()
    return pd.concat([rows, gap], ignore_index=True)


def _beside(changes: pd.DataFrame) -> Iterator[tuple[int, float, float, int]]:
    """Of each row: the mean change of the others, the rank's p, and how many others there are."""
    keys = [*RUN_COLUMNS, "mode", "kind", "subset", "metric"]
    for _, alike in changes.groupby(keys, sort=False, dropna=False):
        sets = [set(part.split("+")) for part in alike["part"]]
        lost, is_first = -alike["change"].to_numpy(), ~alike["part"].duplicated().to_numpy()
        for number, place in enumerate(alike.index):
            own = sets[number]
            others = [
                i for i, each in enumerate(sets) if is_first[i] and 2 * len(each & own) <= len(own)
            ]
            if not alike["label"].iloc[number] or not others:
                yield place, np.nan, np.nan, 0
                continue
            null = lost[others]
            yield place, float(-null.mean()), rank_p(float(lost[number]), null), len(null)


def _over_seeds(cell: pd.DataFrame) -> dict[str, Any]:
    """What one cell comes to over its seeds."""
    changes, ranked = cell["change"].to_numpy(), cell.loc[cell["n_null"] > 0]
    low, high = t_interval(changes)
    combined = None
    if len(ranked):
        combined = rank_test(ranked["p_value"].tolist(), ranked["n_null"].astype(int).tolist())
    return {
        "value": cell["value"].mean(),
        "untouched": cell["untouched"].mean(),
        "control": cell["control"].mean(),
        "difference": changes.mean(),
        "ci_low": low,
        "ci_high": high,
        "p_value": np.nan if combined is None else combined.p_value,
        "p_corrected": np.nan,
        "p_smallest": np.nan if combined is None else combined.p_smallest,
        "distance": cell["distance"].max(),
        "n": int(cell["n"].to_numpy().sum()),
        "n_null": int(cell["n_null"].to_numpy().min()),
        "n_tested": len(ranked),
        "n_seeds": len(cell),
    }
