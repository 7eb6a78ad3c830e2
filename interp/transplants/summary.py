"""Transplants over seeds: what each part does to every subset, and to the gap that is compared."""

from collections.abc import Iterator

import pandas as pd

from data.design import Contrast
from interp.grids.seed_summary import summarize_over_seeds
from interp.hooked.answers import ANSWER_METRICS
from training.columns import WITHOUT_SEED
from training.designs import design_of
from training.statistics import t_interval

COORDINATES = ["part", "from_stage", "from_step", "to_stage", "donor", "subset"]
LEVELS = ["value", "control", "recipient", "donor_value"]
WITHOUT = ["without", "without_control"]
"""Absent from tables made before necessity was measured, and unknown of activations."""
CONTRASTS = {
    "recipient": ("value", "recipient"),
    "control": ("value", "control"),
    "lost": ("without", "donor_value"),
    "lost_control": ("without", "without_control"),
}
"""What is tested: the first minus the second."""


def summarize_transplants(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each part, donor, subset (and the gap), metric and contrast.

    Columns: run columns without the seed, `COORDINATES`, `metric, contrast`, the means over seeds
    `value` (with the part), `control` (with a random change), `recipient` (with nothing),
    `donor_value` (with all), `without` (with all but the part) and `without_control` (the donor
    with a random change of the part), the 95% t intervals `value_low value_high control_low
    control_high without_low without_high`, and those of `summarize_over_seeds` for what `contrast`
    names: value minus `recipient` or `control`, or what is `lost`, without minus the donor's value,
    `lost_control`, without minus its control. Of each metric and
    contrast, the gap is corrected over all parts and donors, and the single subsets, together,
    over all parts, donors and subsets.
    """
    main = design_of(table).main
    rows = _levels(table, main)
    keys = [*WITHOUT_SEED, *COORDINATES, "metric"]
    cell = [*COORDINATES, "metric", "contrast"]
    summaries = [
        summarize_over_seeds(family, cell=cell, means=_levels_of(rows), tested="tested")
        for family in _families(rows, main.gap)
    ]
    summary = pd.concat(summaries, ignore_index=True)
    return summary.merge(_intervals(rows, keys), on=keys, how="left", validate="many_to_one")


def _families(rows: pd.DataFrame, gap: str) -> Iterator[pd.DataFrame]:
    """What is corrected together, with the tested difference."""
    for metric in ANSWER_METRICS:
        of_metric = rows.loc[rows["metric"] == metric]
        is_gap = of_metric["subset"] == gap
        for family in (of_metric.loc[is_gap], of_metric.loc[~is_gap]):
            for contrast, (level, other) in CONTRASTS.items():
                known = family.dropna(subset=[level, other]) if level in family else family[:0]
                if len(known):
                    yield known.assign(contrast=contrast, tested=known[level] - known[other])


def _levels_of(table: pd.DataFrame) -> list[str]:
    """The levels of each metric that a table has."""
    return [*LEVELS, *(name for name in WITHOUT if name in table)]


def _levels(table: pd.DataFrame, main: Contrast) -> pd.DataFrame:
    """A row for each seed, part, subset (and the gap) and metric, with the four levels."""
    of_run = [*WITHOUT_SEED, "seed", *COORDINATES]
    rows = pd.concat(
        [
            table[[*of_run, "n"]].assign(
                metric=metric,
                value=table[metric],
                control=table[f"control_{metric}"],
                **{
                    level: table[f"{level}_{metric}"]
                    for level in WITHOUT
                    if f"{level}_{metric}" in table
                },
            )
            for metric in ANSWER_METRICS
        ],
        ignore_index=True,
    )
    rows = pd.concat([rows, _gaps(rows, main)], ignore_index=True)
    same_donor = [name for name in [*of_run, "metric"] if name != "part"]
    for level, part in (("recipient", "none"), ("donor_value", "all")):
        of_part = rows.loc[rows["part"] == part, [*same_donor, "value"]]
        of_part = of_part.rename(columns={"value": level})
        rows = rows.merge(of_part, on=same_donor, how="left", validate="many_to_one")
    return rows


def _gaps(rows: pd.DataFrame, main: Contrast) -> pd.DataFrame:
    """One compared subset minus the other, paired within seed, part and metric."""
    levels = [name for name in ("value", "control", *WITHOUT) if name in rows]
    key = [name for name in rows.columns if name not in ("subset", "n", *levels)]
    higher, lower = (
        rows.loc[rows["subset"] == subset].set_index(key)[[*levels, "n"]] for subset in main.names
    )
    gaps = higher[levels] - lower[levels]
    gaps = gaps.assign(n=higher["n"] + lower["n"]).dropna(subset=["value"])
    return gaps.reset_index().assign(subset=main.gap)


def _intervals(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The 95% t intervals of the levels themselves."""
    groups = rows.groupby(keys)
    columns = {
        f"{level}_{name}": groups[level].agg(
            lambda values, end=end: t_interval(values.dropna())[end]
        )
        for level in ("value", "control", "without")
        if level in rows
        for end, name in enumerate(("low", "high"))
    }
    return pd.DataFrame(columns).reset_index()
