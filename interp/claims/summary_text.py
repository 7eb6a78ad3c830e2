"""A run's numbers as text, for the terminal."""

import math
from collections.abc import Mapping
from textwrap import wrap
from typing import Any

from data.design import Design
from data.errors import printable
from interp.claims.text import claims_text
from interp.claims.verdicts import claims_of_run
from interp.figures.words import consecutive
from interp.verdicts.gaps import contrasts_in, gaps_beyond_twin, has_learned_twin, no_gap_in
from interp.verdicts.null_twin import RUN_MINUS_TWIN
from interp.verdicts.spread import spread_sentences, spreads_of
from interp.verdicts.wording import WIDTH
from training.metrics import HEADLINE_METRICS, find_metric
from training.runs.old_rules import old_rules_text
from training.runs.run import Run
from training.summary import end_of_stage, subset_estimates

TWIN_NOT_LEARNED = "the null twin did not learn Stage 1, so that it shows nothing"


def summary_text(run: Run, half_width: float | None = None) -> str:
    """Subsets by exact match at the end of each stage, the gaps, the paper's claims.

    Args:
        run: A finished run.
        half_width: See `interp.verdicts.spread.spreads_of`.
    """
    schedule = run.config.schedule
    columns = [f"end of Stage {int(stage)}" for stage in schedule.stages]
    place = printable(run.folder)
    lines = [
        f"{run.config.recipe}, {len(run.seeds)} seeds ({_ranges(run.seeds)}), {place}",
        *([rules] if (rules := old_rules_text(run)) else []),
    ]
    twin = run.design.null_twin
    if run.config.is_null_twin and twin is not None:
        lines.append(f"a null twin: {twin.meaning}; a gap is no effect of what was taken away")
    lines += [
        "",
        "exact match, mean [95% CI]  " + "".join(f"{c:>20}" for c in columns) + f"{'n':>8}",
    ]
    estimates = [
        subset_estimates(run.metrics, run.design, s, "exact_match") for s in schedule.stages
    ]
    last = end_of_stage(run.metrics, schedule.stages[-1])
    n_rows = dict(zip(last["subset"], last["n"].tolist(), strict=True))
    for name in estimates[-1]:
        cells = "".join(
            f"{_with_interval(e.mean, e.ci_low, e.ci_high):>20}"
            for e in (each[name] for each in estimates)
        )
        lines.append(f"{name:<28}{cells}{n_rows[name]:>8}")
    summary = run.summary
    lines += ["", *_gap_lines(run)]
    if spread := spread_sentences(run, spreads_of(run, half_width)):
        lines += ["", *(line for text in spread for line in wrap(text, WIDTH))]
    if "null_equivalence" in summary:
        lines += ["", null_text(summary["null_equivalence"], run.design)]
        lines += [] if has_learned_twin(run) else [TWIN_NOT_LEARNED]
    if verdicts := claims_of_run(run):
        lines += ["", claims_text(verdicts)]
    return "\n".join(lines)


def _gap_lines(run: Run) -> list[str]:
    """The headline gaps, those of a new tag, and what of each is not in the null twin."""
    head = f"{'mean [95% CI]':>22}{'p':>8}{'(least)':>9}"
    gaps = contrasts_in(run)
    words = [" - ".join(run.design.contrast(gap).short_names) for gap in gaps]
    width = max(14, *(len(each) + 1 for each in (*gaps, *words)))
    lines = [f"{'gap':<{width}}{'metric':<18}{head}"]
    for gap, found in gaps.items():
        lines += [_gap_line(gap, width, metric, found[metric]) for metric in HEADLINE_METRICS]
    if not run.config.is_null_twin:
        lines += [line for text in note_texts(run, gaps) for line in wrap(text, WIDTH)]
    if beyond := gaps_beyond_twin(run):
        does = run.design.null_twin.beyond if run.design.null_twin else ""
        lines += ["", f"{RUN_MINUS_TWIN}, by seed: {does}".rstrip(": ")]
        for gap, of_gap in beyond.items():
            words = " - ".join(run.design.contrast(gap).short_names)
            lines += [_gap_line(words, width, m, e.to_json()) for m, e in of_gap.items()]
    return lines


def note_texts(run: Run, found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the design says of contrasts that split another, and whether each is shown to be none.

    Such as `trust_gap`, which is none where the reliable tag is no better than a new one.

    Args:
        run: Whose they are.
        found: Its contrasts, as `contrasts_in` returns them.
    """
    texts = []
    for gap, words in run.design.notes.items():
        if gap not in found or run.config.null_margin is None:
            continue
        null = no_gap_in(run, found[gap]["exact_match"])
        word = "none" if null.passed else "not shown to be none"
        texts.append(
            f"{words}; {gap}, 90% CI [{_signed(null.ci_low)}, {_signed(null.ci_high)}]: {word} "
            f"within ±{null.margin:g}"
        )
    return texts


def null_text(verdict: Mapping[str, Any], design: Design) -> str:
    """The null twin's verdict in a sentence."""
    assert design.null_twin is not None, "a verdict on a twin is of a design that has one"
    interval = f"[{_signed(verdict['ci_low'])}, {_signed(verdict['ci_high'])}]"
    word = "none" if verdict["passed"] else "not shown to be none"
    return (
        f"null twin ({design.null_twin.meaning}): {design.null_twin.contrast} "
        f"{_signed(verdict['mean'])}, 90% CI {interval}: {word} by equivalence within "
        f"±{verdict['margin']:g}"
    )


def _gap_line(gap: str, width: int, metric: str, estimate: dict[str, Any]) -> str:
    low, high = estimate["ci_low"], estimate["ci_high"]
    interval = "" if low is None else f" [{low:+.3f}, {high:+.3f}]"
    return (
        f"{gap:<{width}}{find_metric(metric).heading:<18}{estimate['mean']:+.3f}{interval:<18}"
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
