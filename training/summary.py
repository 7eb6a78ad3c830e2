"""The headline numbers of a run: three gaps between subsets, with one value for each Stage-1 seed.

    iml_gap     D5_CONS - D6_CONS at the end of Stage 2              implicit meta-learning
    stage1_gap  D1_CONS_QA1 - D2_INCONS_QA2 at the end of Stage 1    on held-out questions
    ocl_gap     D1_CONS_QA1 - QA3 at the end of Stage 1              out-of-context learning

Each in exact match (a share) and in answer log-probability (nats). Definitions of D5 and D6 are
equally true, so a gap between them is what the tag does. Where a run has other stages, `Schedule`
says which of them stands for Stage 1 and 2; a gap is left out where a run lacks its subsets.
"""

from typing import Any

import pandas as pd

from data.vocabulary import (
    D1_CONS_QA1,
    D2_INCONS_QA2,
    D5_CONS,
    D6_CONS,
    HELD_OUT,
    QA3,
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
    """The gaps that a run has the subsets for."""
    asked = set(metrics.loc[metrics["question"] == HELD_OUT, "subset"])
    return [
        gap for gap, (higher, lower, _) in HEADLINES.items() if {higher.name, lower.name} <= asked
    ]


def headline(
    metrics: pd.DataFrame, gap: str, metric: str, schedule: Schedule = Schedule.TWO_STAGE
) -> Estimate:
    """One of the `HEADLINES`: paired within each seed, Stage-2 seeds averaged first."""
    higher, lower, part = HEADLINES[gap]
    rows = end_of_stage(metrics, schedule.read_at(part))
    rows = rows.loc[rows["metric"] == metric]
    values = [
        seed_means(rows.loc[rows["subset"] == subset.name], "value") for subset in (higher, lower)
    ]
    return estimate((values[0] - values[1]).to_dict())


def summarize(metrics: pd.DataFrame, schedule: Schedule = Schedule.TWO_STAGE) -> dict[str, Any]:
    """What `summary.json` says: each headline by metric."""
    return {
        gap: {
            metric: headline(metrics, gap, metric, schedule).to_json()
            for metric in HEADLINE_METRICS
        }
        for gap in headlines_of(metrics)
    }


def null_equivalence(
    null_metrics: pd.DataFrame, margin: float, schedule: Schedule = Schedule.TWO_STAGE
) -> Equivalence:
    """Whether the null twin's exact-match `iml_gap` is none, within +-margin."""
    gap = headline(null_metrics, "iml_gap", "exact_match", schedule)
    return equivalence(list(gap.per_seed.values()), margin=margin)
