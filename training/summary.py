"""The numbers of a run's contrasts, with one value for each Stage-1 seed.

Which subsets are compared, and when, is said by the `Design` of the run's data; the first of its
contrasts is what the experiment is about (`iml_gap` of implicit meta-learning). Each is computed in
exact match (a share) and in answer log-probability (nats), on held-out questions. Where a run has
other stages than the paper's two, `Schedule` says at the end of which of them a part is read; a
contrast is left out where a run lacks its subsets.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import pandas as pd

from data.design import Contrast, Design
from data.subsets import Subset
from data.vocabulary import HELD_OUT, Part, Stage
from training.metrics import HEADLINE_METRICS
from training.schedules import Schedule
from training.statistics import Equivalence, Estimate, equivalence, estimate, seed_means

ESTIMATE_NUMBERS = [each.name for each in fields(Estimate) if each.name != "per_seed"]
EQUIVALENCE_NUMBERS = [each.name for each in fields(Equivalence)]
"""What `summary.json` has of each gap, beside one value a seed, and of the null twin's."""


def end_of_stage(metrics: pd.DataFrame, stage: Stage, question: str = HELD_OUT) -> pd.DataFrame:
    """The measurements at the end of a stage, each seed's at its own last step.

    Seeds may differ in their steps: some draw more rows than others.
    """
    rows = metrics.loc[(metrics["stage"] == stage) & (metrics["question"] == question)]
    trainings = rows.groupby(["seed", "stage2_seed"], dropna=False)
    return rows.loc[rows["step"] == trainings["step"].transform("max")]


def subset_estimates(
    metrics: pd.DataFrame, design: Design, stage: Stage, metric: str
) -> dict[str, Estimate]:
    """Each subset's mean over seeds at the end of a stage, by name in the order of the design."""
    rows = end_of_stage(metrics, stage)
    rows = rows.loc[rows["metric"] == metric]
    present = set(rows["subset"])
    return {
        name: estimate(seed_means(rows.loc[rows["subset"] == name], "value").to_dict())
        for name in design.names
        if name in present
    }


def contrasts_of(metrics: pd.DataFrame, design: Design) -> list[Contrast]:
    """The contrasts that a run has the subsets for, headlines first."""
    asked = set(metrics.loc[metrics["question"] == HELD_OUT, "subset"])
    found = [contrast for contrast in design.contrasts if set(contrast.names) <= asked]
    return sorted(found, key=lambda contrast: not contrast.is_headline)


def headlines_of(metrics: pd.DataFrame, design: Design) -> list[Contrast]:
    """The contrasts that `summary.json` has of a run."""
    return [contrast for contrast in contrasts_of(metrics, design) if contrast.is_headline]


def contrast_estimate(
    metrics: pd.DataFrame,
    contrast: Contrast,
    metric: str,
    schedule: Schedule = Schedule.TWO_STAGE,
) -> Estimate:
    """How much a contrast is: paired within each seed, Stage-2 seeds averaged."""
    return estimate(_gap_by_seed(metrics, contrast, metric, schedule).to_dict())


def _gap_by_seed(
    metrics: pd.DataFrame, contrast: Contrast, metric: str, schedule: Schedule
) -> pd.Series:
    rows = end_of_stage(metrics, schedule.read_at(contrast.part))
    rows = rows.loc[rows["metric"] == metric]
    return _level_by_seed(rows, contrast.higher) - _level_by_seed(rows, contrast.lower)


def _level_by_seed(rows: pd.DataFrame, subset: Subset) -> pd.Series:
    return seed_means(rows.loc[rows["subset"] == subset.name], "value")


def summarize(
    metrics: pd.DataFrame, design: Design, schedule: Schedule = Schedule.TWO_STAGE
) -> dict[str, Any]:
    """What `summary.json` says: each headline by metric."""
    return {
        contrast.name: {
            metric: contrast_estimate(metrics, contrast, metric, schedule).to_json()
            for metric in HEADLINE_METRICS
        }
        for contrast in headlines_of(metrics, design)
    }


LEARNED = 0.25
"""Least share of what guessing leaves unanswered that must be answered, for the first part to count
as learned. The paper's Pythia-2.8B answers .34 of it (D1 .51, QA7 .25; its poster), a toy .98."""


def stage1_learned(
    metrics: pd.DataFrame, design: Design, schedule: Schedule = Schedule.TWO_STAGE
) -> Estimate | None:
    """How much of the first part was learned; "no effect" is shown only of a model that learned it.

    Of what a guess leaves unanswered, the share that is answered more of held-out questions whose
    answers follow from X1, in exact match when X1 has been trained: 0 as a guess, 1 everything.
    `Design.learned` says which subsets show it.

    Returns:
        One value a seed; None for a run without these subsets, such as one that trains
        definitions alone, and for a design that names none.
    """
    shown = design.learned
    if shown is None or not {shown.asked.name, shown.guessed.name} <= set(metrics["subset"]):
        return None
    rows = end_of_stage(metrics, schedule.read_at(Part.X1))
    rows = rows.loc[rows["metric"] == "exact_match"]
    learned, guessed = (_level_by_seed(rows, each) for each in (shown.asked, shown.guessed))
    share = (learned - guessed) / (1 - guessed).where(guessed < 1)
    return estimate(share.fillna(0.0).to_dict())


def is_stage1_learned(
    metrics: pd.DataFrame, design: Design, schedule: Schedule = Schedule.TWO_STAGE
) -> bool:
    """Whether the 95% interval of `stage1_learned` lies above `LEARNED`, or there is no such thing.

    Of one seed, which has no interval, the value itself is read.
    """
    found = stage1_learned(metrics, design, schedule)
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
    null_metrics: pd.DataFrame,
    contrast: Contrast,
    margin: float,
    schedule: Schedule = Schedule.TWO_STAGE,
) -> Equivalence:
    """Whether a contrast of the null twin is none in exact match, within +-margin."""
    gap = contrast_estimate(null_metrics, contrast, "exact_match", schedule)
    return equivalence(list(gap.per_seed.values()), margin=margin)
