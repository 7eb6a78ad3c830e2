"""A run's numbers as text, for the terminal."""

import math
from collections.abc import Mapping
from textwrap import wrap
from typing import Any

from data.errors import printable
from data.vocabulary import SUBSETS
from interp.claims.gaps import gaps_beyond_twin, has_learned_twin, new_tag_gaps, no_gap_in
from interp.claims.text import claims_text
from interp.claims.verdicts import claims_of_run
from interp.figures.words import UNITS, consecutive
from interp.verdicts.null_twin import RUN_MINUS_TWIN, SHUFFLED, is_null_twin
from interp.verdicts.wording import WIDTH
from training.runs.old_rules import old_rules_text
from training.runs.run import Run
from training.summary import (
    ALL_GAPS,
    end_of_stage,
    headlines_of,
    subset_estimates,
)

NOT_LEARNED = "the null twin did not learn Stage 1, so that it shows nothing"


def summary_text(run: Run) -> str:
    """Subsets by exact match at the end of each stage, the gaps, the paper's claims."""
    schedule = run.config.schedule
    columns = [f"end of Stage {int(stage)}" for stage in schedule.stages]
    place = printable(run.folder)
    lines = [
        f"{run.config.recipe}, {len(run.seeds)} seeds ({_ranges(run.seeds)}), {place}",
        *([rules] if (rules := old_rules_text(run)) else []),
    ]
    if is_null_twin(run.config):
        lines.append(f"{SHUFFLED}; a gap is no effect of them")
    lines += [
        "",
        "exact match, mean [95% CI]  " + "".join(f"{c:>20}" for c in columns) + f"{'n':>8}",
    ]
    estimates = [subset_estimates(run.metrics, s, "exact_match") for s in schedule.stages]
    last = end_of_stage(run.metrics, schedule.stages[-1])
    n_rows = dict(zip(last["subset"], last["n"].tolist(), strict=True))
    for name in estimates[-1]:
        cells = "".join(
            f"{_with_interval(e.mean, e.ci_low, e.ci_high):>20}"
            for e in (each[name] for each in estimates)
        )
        lines.append(f"{name:<28}{cells}{n_rows[name]:>8}")
    summary = run.summary
    lines += ["", *_gap_lines(run, summary)]
    if "null_equivalence" in summary:
        lines += ["", null_text(summary["null_equivalence"])]
        lines += [] if has_learned_twin(run) else [NOT_LEARNED]
    if verdicts := claims_of_run(run):
        lines += ["", claims_text(verdicts)]
    return "\n".join(lines)


def _gap_lines(run: Run, summary: Mapping[str, Any]) -> list[str]:
    """The headline gaps, those of a new tag, and what of each is not in the null twin."""
    head = f"{'mean [95% CI]':>22}{'p':>8}{'(least)':>9}"
    lines = [f"{'gap':<14}{'metric':<18}{head}"]
    gaps = {gap: summary[gap] for gap in headlines_of(run.metrics)} | new_tag_gaps(run)
    for gap, found in gaps.items():
        lines += [_gap_line(gap, unit, found[metric]) for metric, unit in UNITS.items()]
    if "trust_gap" in gaps and not is_null_twin(run.config):
        lines += wrap(new_tag_text(run, gaps["trust_gap"]["exact_match"]), WIDTH)
    if beyond := gaps_beyond_twin(run):
        lines += ["", f"{RUN_MINUS_TWIN}, by seed: what the tag does"]
        for gap, of_gap in beyond.items():
            words = compared_words(gap)
            lines += [_gap_line(words, UNITS[m], e.to_json()) for m, e in of_gap.items()]
    return lines


def compared_words(gap: str) -> str:
    """The subsets of a gap, such as `D5 - D6`."""
    higher, lower, _ = ALL_GAPS[gap]
    return " - ".join(subset.name.partition("_")[0] for subset in (higher, lower))


def new_tag_text(run: Run, gap: Mapping[str, Any]) -> str:
    """What the gap of a new tag is, and whether the reliable tag is shown to be no better.

    Args:
        run: Whose margin counts.
        gap: Its `trust_gap` in exact match.
    """
    null = no_gap_in(run, gap)
    word = "none" if null.passed else "not shown to be none"
    return (
        "D8 has a new tag: D5 - D6 is trust_gap (D5 - D8) and distrust_gap (D8 - D6) together; "
        f"trust_gap, 90% CI [{_signed(null.ci_low)}, {_signed(null.ci_high)}]: {word} within "
        f"±{null.margin:g}"
    )


def null_text(verdict: dict[str, Any]) -> str:
    """Whether the null twin shows no gap, as its equivalence test has it, in a sentence."""
    interval = f"[{_signed(verdict['ci_low'])}, {_signed(verdict['ci_high'])}]"
    word = "none" if verdict["passed"] else "not shown to be none"
    return (
        f"null twin (tags shuffled): iml_gap {_signed(verdict['mean'])}, 90% CI {interval}: "
        f"{word} by equivalence within ±{verdict['margin']:g}"
    )


def subset_notation() -> str:
    """The legend of subset names, one a line."""
    width = max(map(len, SUBSETS)) + 1
    return "\n".join(f"{subset.name:<{width}}{subset.paper}" for subset in SUBSETS.values())


def _gap_line(gap: str, unit: str, estimate: dict[str, Any]) -> str:
    low, high = estimate["ci_low"], estimate["ci_high"]
    interval = "" if low is None else f" [{low:+.3f}, {high:+.3f}]"
    return (
        f"{gap:<14}{unit:<18}{estimate['mean']:+.3f}{interval:<18}"
        f"{estimate['p_value']:>8.4f}{estimate['p_smallest']:>9.4f}"
    )


def _with_interval(mean: float, low: float, high: float) -> str:
    return f"{mean:.2f}" if math.isnan(low) else f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def _signed(value: float | None) -> str:
    return "?" if value is None or math.isnan(value) else f"{value:+.3f}"


def _ranges(seeds: list[int]) -> str:
    """The seeds as text, with consecutive ones as `first-last`."""
    ranges = consecutive(seeds)
    return ", ".join(f"{low}-{high}" if high > low else str(low) for low, high in ranges)
