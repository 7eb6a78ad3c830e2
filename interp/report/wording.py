"""A run in words: sentences that follow from its numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from data.vocabulary import LossPolicy, Stage, Subset
from training.schedules import Schedule
from training.summary import HEADLINE_METRICS
from training.tables import null_text

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


def gap_text(estimate: Mapping[str, Any]) -> str:
    """A difference with its sign and, where there is one, its interval.

    >>> gap_text({"mean": 0.25, "ci_low": -0.1, "ci_high": 0.6})
    '+0.250 [-0.100, +0.600]'
    """
    if estimate["ci_low"] is None:
        return f"{estimate['mean']:+.3f}"
    return f"{estimate['mean']:+.3f} [{estimate['ci_low']:+.3f}, {estimate['ci_high']:+.3f}]"


def mean_text(estimate: Mapping[str, Any]) -> str:
    """A mean and, where there is one, its interval."""
    if estimate["ci_low"] is None:
        return f"{estimate['mean']:.2f}"
    return f"{estimate['mean']:.2f} [{estimate['ci_low']:.2f}, {estimate['ci_high']:.2f}]"


def unbroken(text: str) -> str:
    """The same, for a narrow table: a line may end before an interval, but not within."""
    return text.replace(", ", ",\N{NO-BREAK SPACE}")


def definition_words(subset: Subset) -> str:
    """How a subset's aliases are defined."""
    if subset.tag is None:
        return "none" if subset.replaced else "none; asked by name"
    return f"{subset.tag} tag, {'true' if subset.consistent else 'false'}"


def plain(value: object) -> str:
    """A parameter's value as `--set` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def seed_ranges(seeds: Sequence[int]) -> str:
    """Consecutive seeds as `first to last`.

    >>> seed_ranges([1, 2, 3, 7])
    '1 to 3, 7'
    """
    ranges = consecutive(seeds)
    return ", ".join(f"{low} to {high}" if high > low else f"{low}" for low, high in ranges)


def consecutive(seeds: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each stretch without a gap."""
    starts = [seed for seed in seeds if seed - 1 not in seeds]
    ends = [seed for seed in seeds if seed + 1 not in seeds]
    return list(zip(starts, ends, strict=True))
