"""One number for each Stage-1 seed of a run, from its tables: what a claim is judged by.

Subsets of X1 are read at the end of X1's training, those of X2 at the end of the run
(`Schedule.read_at`), each seed at its own last step; Stage-2 seeds are averaged first.
"""

from collections.abc import Callable
from typing import TypeAlias

import pandas as pd

from data.design import Subset
from data.vocabulary import DEFINITION, HELD_OUT, TRAINED, Part
from training.runs.run import Run
from training.schedules import Schedule
from training.statistics import seed_means
from training.summary import end_of_stage

Measure: TypeAlias = Callable[[Run], pd.Series]
"""A quantity of a run: its value for each Stage-1 seed. Raises `NotMeasured` if there is none."""


class NotMeasured(Exception):
    """A run lacks what a claim asks for; says in a few words what."""


def level(
    run: Run,
    subset: Subset,
    question: str = HELD_OUT,
    *,
    metric: str = "exact_match",
    after: Part | None = None,
) -> pd.Series:
    """The mean of a metric over the questions of a subset, for each Stage-1 seed.

    Args:
        run: Whose metrics are read.
        subset: One that the run evaluates.
        question: See `training.evaluate.evaluate`.
        metric: The name of one of `training.metrics.METRICS`.
        after: The part of the data after whose training it is read; the subset's own if None.

    Raises:
        NotMeasured: the run has no such number.
    """
    stage = run.config.schedule.read_at(subset.part if after is None else after)
    rows = run.metrics
    rows = rows.loc[rows["subset"] == subset.name]
    if rows.empty:
        raise NotMeasured(f"no {subset.name}")
    rows = rows.loc[rows["metric"] == metric]
    if question not in set(rows["question"]):
        raise NotMeasured(f"no {_question_words(question)} about {subset.name}")
    rows = end_of_stage(rows, stage, question)
    if rows.empty:
        raise NotMeasured(f"no stage {int(stage)}")
    return seed_means(rows, "value")


def gap(
    higher: Subset,
    lower: Subset,
    question: str = HELD_OUT,
    *,
    metric: str = "exact_match",
    after: Part | None = None,
) -> Measure:
    """The quantity by which one subset exceeds another within each seed."""
    return lambda run: (
        level(run, higher, question, metric=metric, after=after)
        - level(run, lower, question, metric=metric, after=after)
    )


def before_x2(higher: Subset, lower: Subset) -> Measure:
    """One subset of X2 minus another when only X1 has been trained."""

    def measure(run: Run) -> pd.Series:
        if run.config.schedule is Schedule.SINGLE_STAGE:
            raise NotMeasured("a single stage trains X1 and X2 together")
        return gap(higher, lower, after=Part.X1)(run)

    return measure


def change_in_x2(subset: Subset) -> Measure:
    """What training X2 after X1 does to the exact match of a subset."""

    def measure(run: Run) -> pd.Series:
        schedule = run.config.schedule
        if schedule.read_at(Part.X1) == schedule.read_at(Part.X2):
            raise NotMeasured("no stage trains X2 alone")
        return level(run, subset, after=Part.X2) - level(run, subset, after=Part.X1)

    return measure


def mean_of(*values: pd.Series) -> pd.Series:
    """The mean of several quantities within each seed."""
    return sum(values[1:], values[0]) / len(values)


def aligned(run: Run, subset: Subset, measure: str) -> pd.Series:
    """Alignment of a subset's definitions with their own questions after X1, by seed.

    Aliases count equally. Gradients are those of the run's own loss policy.

    Args:
        run: With the table of `iml align` in its folder.
        subset: Whose definitions.
        measure: `grad_cosine`, `grad_dot` or `grad_sqdist`.

    Raises:
        NotMeasured: the table is missing or is about something else.
    """
    stage = int(run.config.schedule.read_at(Part.X1))
    table = run.table("alignment")
    if table is None:
        raise NotMeasured(f"run iml align --stage {stage} first")
    steps = run.metrics.loc[run.metrics["stage"] == stage].groupby("seed")["step"].max()
    chosen = {
        "run_id": run.config.run_id,
        "subset": subset.name,
        "measure": measure,
        "loss_policy": str(run.config.loss_policy),
        "component": "all",
        "pairing": "own",
        "stage": stage,
        "step": table["seed"].map(steps),
    }
    is_chosen = pd.concat([table[name] == value for name, value in chosen.items()], axis=1)
    rows = table.loc[is_chosen.all(axis=1)].drop_duplicates(["seed", "row_a", "row_b"])
    if rows.empty:
        raise NotMeasured(f"run iml align --stage {stage} with {subset.name} first")
    return seed_means(rows, "value", by=("alias",))


def alignment_gap(higher: Subset, lower: Subset, measure: str) -> Measure:
    """The quantity by which one subset's definitions align better than another's."""
    return lambda run: aligned(run, higher, measure) - aligned(run, lower, measure)


def _question_words(question: str) -> str:
    return {
        HELD_OUT: "held-out questions",
        DEFINITION: "definitions",
        TRAINED: "trained questions (set trained_questions)",
    }.get(question, f"question {str(question)!r}")
