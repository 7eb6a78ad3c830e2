"""The headline numbers of a run: three gaps between subsets, with one value for each Stage-1 seed.

    iml_gap     D5_CONS - D6_CONS at the end of Stage 2              implicit meta-learning
    stage1_gap  D1_CONS_QA1 - D2_INCONS_QA2 at the end of Stage 1    on held-out questions
    ocl_gap     D1_CONS_QA1 - QA3 at the end of Stage 1              out-of-context learning

Each in exact match (a share) and in answer log-probability (nats). Definitions of D5 and D6 are
equally true, so a gap between them is what the tag does. Those of D1 are true and those of D2
false: `stage1_gap` is as large where tags mean nothing, and only what it exceeds the null twin's by
is what the tag does. Where a run has other stages, `Schedule` says which of them stands for Stage 1
and 2; a gap is left out where a run lacks its subsets.

Beside them stands what a new tag does, which splits `iml_gap` in two:

    trust_gap     D5_CONS - D8_CONS    the reliable tag against a new one
    distrust_gap  D8_CONS - D6_CONS    a new tag against the unreliable one

A new tag differs from both by being new, so these, too, are read beside the null twin's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import pandas as pd

from data.vocabulary import (
    D1_CONS_QA1,
    D2_INCONS_QA2,
    D5_CONS,
    D6_CONS,
    D8_CONS,
    HELD_OUT,
    QA3,
    QA7_UNSEEN,
    SUBSETS,
    Stage,
    Subset,
)
from training.schedules import Schedule
from training.statistics import Equivalence, Estimate, equivalence, estimate, seed_means

HEADLINES: dict[str, tuple[Subset, Subset, Stage]] = {
    "iml_gap": (D5_CONS, D6_CONS, Stage.TWO),
    "stage1_gap": (D1_CONS_QA1, D2_INCONS_QA2, Stage.ONE),
    "ocl_gap": (D1_CONS_QA1, QA3, Stage.ONE),
}
NEW_TAG_GAPS: dict[str, tuple[Subset, Subset, Stage]] = {
    "trust_gap": (D5_CONS, D8_CONS, Stage.TWO),
    "distrust_gap": (D8_CONS, D6_CONS, Stage.TWO),
}
ALL_GAPS = {**HEADLINES, **NEW_TAG_GAPS}
ESTIMATE_NUMBERS = [each.name for each in fields(Estimate) if each.name != "per_seed"]
EQUIVALENCE_NUMBERS = [each.name for each in fields(Equivalence)]
"""What `summary.json` has of each gap, beside one value a seed, and of the null twin's."""
HEADLINE_METRICS = ("exact_match", "answer_log_prob")


def end_of_stage(metrics: pd.DataFrame, stage: Stage, question: str = HELD_OUT) -> pd.DataFrame:
    """The measurements at the end of a stage, each seed's at its own last step.

    Seeds may differ in their steps: some draw more rows than others.
    """
    rows = metrics.loc[(metrics["stage"] == stage) & (metrics["question"] == question)]
    trainings = rows.groupby(["seed", "stage2_seed"], dropna=False)
    return rows.loc[rows["step"] == trainings["step"].transform("max")]


def subset_estimates(metrics: pd.DataFrame, stage: Stage, metric: str) -> dict[str, Estimate]:
    """Each subset's mean over seeds at the end of a stage, by name in the order of the paper."""
    rows = end_of_stage(metrics, stage)
    rows = rows.loc[rows["metric"] == metric]
    present = set(rows["subset"])
    return {
        name: estimate(seed_means(rows.loc[rows["subset"] == name], "value").to_dict())
        for name in SUBSETS
        if name in present
    }


def headlines_of(metrics: pd.DataFrame) -> list[str]:
    """The headline gaps that a run has the subsets for."""
    return _measured(metrics, HEADLINES)


def new_tag_gaps_of(metrics: pd.DataFrame) -> list[str]:
    """The gaps between a new tag and the others that a run has the subsets for."""
    return _measured(metrics, NEW_TAG_GAPS)


def _measured(metrics: pd.DataFrame, gaps: Mapping[str, tuple[Subset, Subset, Stage]]) -> list[str]:
    asked = set(metrics.loc[metrics["question"] == HELD_OUT, "subset"])
    return [name for name, (higher, lower, _) in gaps.items() if {higher.name, lower.name} <= asked]


def headline(
    metrics: pd.DataFrame, gap: str, metric: str, schedule: Schedule = Schedule.TWO_STAGE
) -> Estimate:
    """One of the `HEADLINES` or `NEW_TAG_GAPS`: paired within each seed, Stage-2 seeds averaged."""
    return estimate(_gap_by_seed(metrics, gap, metric, schedule).to_dict())


def _gap_by_seed(metrics: pd.DataFrame, gap: str, metric: str, schedule: Schedule) -> pd.Series:
    higher, lower, part = ALL_GAPS[gap]
    rows = end_of_stage(metrics, schedule.read_at(part))
    rows = rows.loc[rows["metric"] == metric]
    return _level_by_seed(rows, higher) - _level_by_seed(rows, lower)


def _level_by_seed(rows: pd.DataFrame, subset: Subset) -> pd.Series:
    return seed_means(rows.loc[rows["subset"] == subset.name], "value")


def summarize(metrics: pd.DataFrame, schedule: Schedule = Schedule.TWO_STAGE) -> dict[str, Any]:
    """What `summary.json` says: each headline by metric."""
    return {
        gap: {
            metric: headline(metrics, gap, metric, schedule).to_json()
            for metric in HEADLINE_METRICS
        }
        for gap in headlines_of(metrics)
    }


LEARNED = 0.25
"""Least share of what guessing leaves unanswered that D1 must answer, for Stage 1 to count as
learned. The paper's Pythia-2.8B answers .34 of it (D1 .51, QA7 .25; its poster), a toy .98."""


def stage1_learned(
    metrics: pd.DataFrame, schedule: Schedule = Schedule.TWO_STAGE
) -> Estimate | None:
    """How much of Stage 1 was learned; "no effect" is shown only of a model that learned it.

    Of what a guess (QA7, never defined nor asked) leaves unanswered, the share that D1's held-out
    questions answer more, in exact match when X1 has been trained: 0 as a guess, 1 everything.

    Returns:
        One value a seed; None for a run without these subsets, such as one that trains
        definitions alone.
    """
    if not {D1_CONS_QA1.name, QA7_UNSEEN.name} <= set(metrics["subset"]):
        return None
    rows = end_of_stage(metrics, schedule.read_at(Stage.ONE))
    rows = rows.loc[rows["metric"] == "exact_match"]
    learned, guessed = (_level_by_seed(rows, subset) for subset in (D1_CONS_QA1, QA7_UNSEEN))
    share = (learned - guessed) / (1 - guessed).where(guessed < 1)
    return estimate(share.fillna(0.0).to_dict())


def is_stage1_learned(metrics: pd.DataFrame, schedule: Schedule = Schedule.TWO_STAGE) -> bool:
    """Whether the 95% interval of `stage1_learned` lies above `LEARNED`, or there is no such thing.

    Of one seed, which has no interval, the value itself is read.
    """
    found = stage1_learned(metrics, schedule)
    if found is None:
        return True
    return (found.mean if found.n_seeds == 1 else found.ci_low) > LEARNED


def is_summary(content: object, gaps: Sequence[str]) -> bool:
    """Whether something read from a file has what `summarize` writes, at least of these gaps."""
    if not isinstance(content, dict):
        return False
    estimates = [
        content[gap].get(metric) if isinstance(content.get(gap), dict) else None
        for gap in gaps
        for metric in HEADLINE_METRICS
    ]
    verdict = content.get("null_equivalence", dict.fromkeys(EQUIVALENCE_NUMBERS, 0.0))
    return all(_has_numbers(each, ESTIMATE_NUMBERS) for each in estimates) and _has_numbers(
        verdict, EQUIVALENCE_NUMBERS
    )


def _has_numbers(value: object, keys: Sequence[str]) -> bool:
    return isinstance(value, dict) and all(
        key in value and isinstance(value[key], int | float | None) for key in keys
    )


def null_equivalence(
    null_metrics: pd.DataFrame, margin: float, schedule: Schedule = Schedule.TWO_STAGE
) -> Equivalence:
    """Whether the null twin's exact-match `iml_gap` is none, within +-margin."""
    gap = headline(null_metrics, "iml_gap", "exact_match", schedule)
    return equivalence(list(gap.per_seed.values()), margin=margin)
