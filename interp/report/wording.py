"""A run in words: sentences that follow from its numbers."""

from collections.abc import Mapping
from typing import Any

from data.design import Design
from interp.claims.summary_text import null_text
from interp.figures.words import gap_text
from training.metrics import HEADLINE_METRICS
from training.schedules import Schedule


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
