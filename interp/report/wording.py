"""A run in words: sentences that follow from its numbers."""

from collections.abc import Mapping
from typing import Any

from data.vocabulary import LossPolicy, Stage, Subset
from interp.claims.summary_text import null_text
from interp.figures.words import gap_text
from training.schedules import Schedule
from training.summary import HEADLINE_METRICS

POLICIES = {
    LossPolicy.ANSWER: "the loss covers only a row's answer; a definition's answer is its last "
    "element, so runs of different word orders differ in objective too",
    LossPolicy.TEXT: "the loss covers every token of a row and one end token",
    LossPolicy.ALL: "the loss covers every token of a padded block, padding included",
}


def headline_sentence(
    summary: Mapping[str, Any],
    schedule: Schedule = Schedule.TWO_STAGE,
    *,
    is_twin: bool = False,
) -> str:
    """Is there implicit meta-learning? Interval, number of seeds and p value included.

    Args:
        summary: A run's `summary`.
        schedule: The run's.
        is_twin: Whether it is a null twin, which can show nothing of a tag.
    """
    stage = int(schedule.read_at(Stage.TWO))
    gap, nats = (summary["iml_gap"][metric] for metric in HEADLINE_METRICS)
    low, high = gap["ci_low"], gap["ci_high"]
    if is_twin:
        verdict = "This run is a null twin, whose tags mean nothing"
    elif low is None:
        verdict = "One seed cannot show whether the tag changes what is internalized"
    elif low > 0:
        verdict = "New definitions with the reliable tag are internalized more"
    elif high < 0:
        verdict = "New definitions with the reliable tag are internalized less"
    else:
        verdict = "This run does not show that the tag changes what is internalized"
    return (
        f"{verdict}: at the end of Stage {stage}, exact match on questions about D5_CONS (reliable "
        f"tag) minus D6_CONS (unreliable tag, equally true) is {gap_text(gap)}, and answer "
        f"log-probability differs by {gap_text(nats)} nats (means with 95% t intervals, "
        f"n = {gap['n_seeds']} Stage-1 seeds). For exact match p = {gap['p_value']:.2g} by sign "
        f"flips over seeds; so many seeds can give no p below {gap['p_smallest']:.2g}."
    )


def null_sentence(verdict: Mapping[str, Any]) -> str:
    """The verdict on the null twin, from a summary's `null_equivalence`."""
    text = null_text(dict(verdict))
    return f"{text[0].upper()}{text[1:]}."


def definition_words(subset: Subset) -> str:
    """How a subset's aliases are defined."""
    if subset.tag is None:
        return "none" if subset.replaced else "none; asked by name"
    return f"{subset.tag} tag, {'true' if subset.consistent else 'false'}"
