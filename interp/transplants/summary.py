"""Transplants over seeds: what each part does to every subset and to the gap between D5 and D6."""

from collections.abc import Iterator

import pandas as pd

from data.vocabulary import D5_CONS, D6_CONS
from interp.seed_summary import CHECKPOINT, summarize_over_seeds
from training.statistics import t_interval

COORDINATES = ["part", "from_stage", "from_step", "to_stage", "donor", "subset"]
GAP = f"{D5_CONS.name}-{D6_CONS.name}"
METRICS = ("exact_match", "answer_log_prob")
LEVELS = ["value", "control", "recipient", "donor_value"]
CONTRASTS = ("recipient", "control")


def summarize_transplants(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each part, donor, subset (and the gap), metric and contrast.

    Columns: run columns without the seed, `COORDINATES`, `metric, contrast`, the means over seeds
    `value` (with the part), `control` (with a random change), `recipient` (without) and
    `donor_value` (with all), the 95% t intervals `value_low value_high control_low control_high`,
    and those of `summarize_over_seeds` for value minus what `contrast` names. Of each metric and
    contrast, the gap is corrected over all parts and donors, and the single subsets, together,
    over all parts, donors and subsets.
    """
    rows = _levels(table)
    keys = [*CHECKPOINT, *COORDINATES, "metric"]
    cell = [*COORDINATES, "metric", "contrast"]
    summaries = [
        summarize_over_seeds(family, cell=cell, means=LEVELS, tested="tested")
        for family in _families(rows)
    ]
    summary = pd.concat(summaries, ignore_index=True)
    return summary.merge(_intervals(rows, keys), on=keys, how="left", validate="many_to_one")


def _families(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """What is corrected together, with the tested difference."""
    for metric in METRICS:
        of_metric = rows.loc[rows["metric"] == metric]
        is_gap = of_metric["subset"] == GAP
        for family in (of_metric.loc[is_gap], of_metric.loc[~is_gap]):
            for contrast in CONTRASTS:
                if len(family):
                    difference = family["value"] - family[contrast]
                    yield family.assign(contrast=contrast, tested=difference)


def _levels(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each seed, part, subset (and the gap) and metric, with the four levels."""
    of_run = [*CHECKPOINT, "seed", *COORDINATES]
    rows = pd.concat(
        [
            table[[*of_run, "n"]].assign(
                metric=metric, value=table[metric], control=table[f"control_{metric}"]
            )
            for metric in METRICS
        ],
        ignore_index=True,
    )
    rows = pd.concat([rows, _gaps(rows)], ignore_index=True)
    same_donor = [name for name in [*of_run, "metric"] if name != "part"]
    for level, part in (("recipient", "none"), ("donor_value", "all")):
        of_part = rows.loc[rows["part"] == part, [*same_donor, "value"]]
        of_part = of_part.rename(columns={"value": level})
        rows = rows.merge(of_part, on=same_donor, how="left", validate="many_to_one")
    return rows


def _gaps(rows: pd.DataFrame) -> pd.DataFrame:
    """D5 minus D6, paired within seed, part and metric."""
    key = [name for name in rows.columns if name not in ("subset", "n", "value", "control")]
    higher, lower = (
        rows.loc[rows["subset"] == subset.name].set_index(key)[["value", "control", "n"]]
        for subset in (D5_CONS, D6_CONS)
    )
    gaps = higher[["value", "control"]] - lower[["value", "control"]]
    return gaps.assign(n=higher["n"] + lower["n"]).dropna().reset_index().assign(subset=GAP)


def _intervals(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The 95% t intervals of the levels themselves."""
    groups = rows.groupby(keys)
    columns = {
        f"{level}_{name}": groups[level].agg(lambda values, end=end: t_interval(values)[end])
        for level in ("value", "control")
        for end, name in enumerate(("low", "high"))
    }
    return pd.DataFrame(columns).reset_index()
