"""A run in words: sentences that follow from its numbers."""

from collections.abc import Mapping
from typing import Any

from data.design import Design
from interp.claims.summary_text import null_text
from interp.figures.words import gap_text, mean_text
from interp.report.guessing import guessing
from interp.report.plots import learning_curves
from interp.verdicts.gaps import contrasts_in, gaps_beyond_twin
from interp.verdicts.null_twin import run_minus_twin
from training.metrics import HEADLINE_METRICS, find_metric
from training.runs.run import Run
from training.schedules import Schedule
from training.summary import subset_estimates


def headline_sentence(
    summary: Mapping[str, Any],
    design: Design,
    schedule: Schedule = Schedule.TWO_STAGE,
    *,
    is_twin: bool = False,
) -> str:
    """Is there what the experiment looks for? Interval, number of seeds and p value included.

    Args:
        summary: The `summary` of the run.
        design: The design of the run.
        schedule: The schedule of the run.
        is_twin: Whether the run is a null twin, which can show nothing.
    """
    main, said = design.main, design.main.findings
    stage = int(schedule.read_at(main.part))
    gap, nats = (summary[main.name][metric] for metric in HEADLINE_METRICS)
    low, high = gap["ci_low"], gap["ci_high"]
    if is_twin:
        verdict = said.twin
    elif low is None:
        verdict = said.alone
    elif low > 0:
        verdict = said.more
    elif high < 0:
        verdict = said.less
    else:
        verdict = said.neither
    return (
        f"{verdict}: at the end of Stage {stage}, exact match on questions about "
        f"{main.higher.name} ({main.higher.meaning}) minus {main.lower.name} "
        f"({main.lower.meaning}) is {gap_text(gap)}, and answer log-probability differs by "
        f"{gap_text(nats)} nats (means with 95% t intervals, n = {gap['n_seeds']} Stage-1 "
        f"seeds). For exact match p = {gap['p_value']:.2g} by sign flips over seeds; so many seeds "
        f"can give no p below {gap['p_smallest']:.2g}."
    )


def null_sentence(verdict: Mapping[str, Any], design: Design) -> str:
    """The verdict on the null twin, from a summary's `null_equivalence`."""
    text = null_text(verdict, design)
    return f"{text[0].upper()}{text[1:]}."


def gap_sentence(run: Run) -> str:
    """The main contrast of a run in either metric, beside that of its control."""
    twin, main = run.finished_null, run.design.main
    of_twin = {} if twin is None else contrasts_in(twin).get(main.name, {})
    beyond = gaps_beyond_twin(run).get(main.name, {})
    parts = []
    for metric, found in contrasts_in(run)[main.name].items():
        controls = (
            [f"{run.design.control_name} {gap_text(of_twin[metric])}"] if metric in of_twin else []
        )
        if metric in beyond:
            controls.append(f"{run_minus_twin(run.design)} {gap_text(beyond[metric].to_json())}")
        beside = f" ({', '.join(controls)})" if controls else ""
        parts.append(f"{gap_text(found)} in {find_metric(metric).heading}{beside}")
    stage = int(run.config.schedule.read_at(main.part))
    return f"{main.words} at the end of Stage {stage}: {'; '.join(parts)}."


def curve_sentence(run: Run) -> str:
    """From where to where the compared subsets come in exact match, and what guessing gives."""
    curves = learning_curves(run.metrics, "exact_match").sort_values(["stage", "step"])
    ends = []
    for name in run.design.main.names:
        means = curves.loc[curves["subset"] == name, "mean"].tolist()
        ends.append(f"{name} from {means[0]:.2f} to {means[-1]:.2f}")
    chance = guessing(run).get("exact_match")
    guess = "" if chance is None else f"; guessing gives {chance:.2f}"
    return f"In exact match, from the first evaluation to the last, {' and '.join(ends)}{guess}."


def subset_sentence(run: Run) -> str:
    """Which subset is answered best and which worst, at the end of training."""
    stage = run.config.schedule.stages[-1]
    found = subset_estimates(run.metrics, run.design, stage, "exact_match")
    ordered = sorted(found.items(), key=lambda each: each[1].mean)
    (worst, low), (best, high) = ordered[0], ordered[-1]
    return (
        f"At the end of Stage {int(stage)} held-out questions about {best} are answered best, "
        f"exact match {mean_text(high.to_json())}, and those about {worst} worst, "
        f"{mean_text(low.to_json())}."
    )
