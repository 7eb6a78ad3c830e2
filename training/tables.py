"""A run's numbers as text, for the terminal."""

import math
from typing import Any

from data.vocabulary import SUBSETS
from training.claims.text import claims_text
from training.claims.verdicts import claims_of_run
from training.old_rules import old_rules_text
from training.runs import Run
from training.summary import end_of_stage, headlines_of, subset_estimates

UNITS = {"exact_match": "exact match", "answer_log_prob": "log-prob (nats)"}


def summary_text(run: Run) -> str:
    """Subsets by exact match at the end of each stage, the headline gaps, the paper's claims."""
    schedule = run.config.schedule
    columns = [f"end of Stage {int(stage)}" for stage in schedule.stages]
    lines = [
        f"{run.config.recipe}, {len(run.seeds)} seeds ({_ranges(run.seeds)}), {run.folder}",
        *([rules] if (rules := old_rules_text(run)) else []),
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
    lines += ["", f"{'gap':<12}{'metric':<18}{'mean [95% CI]':>22}{'p':>8}{'(least)':>9}"]
    summary = run.summary
    for gap in headlines_of(run.metrics):
        for metric, unit in UNITS.items():
            lines.append(_gap_line(gap, unit, summary[gap][metric]))
    if "null_equivalence" in summary:
        lines += ["", null_text(summary["null_equivalence"])]
    if verdicts := claims_of_run(run):
        lines += ["", claims_text(verdicts)]
    return "\n".join(lines)


def null_text(verdict: dict[str, Any]) -> str:
    """The null twin's verdict in a sentence."""
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
        f"{gap:<12}{unit:<18}{estimate['mean']:+.3f}{interval:<18}"
        f"{estimate['p_value']:>8.4f}{estimate['p_smallest']:>9.4f}"
    )


def _with_interval(mean: float, low: float, high: float) -> str:
    return f"{mean:.2f}" if math.isnan(low) else f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def _signed(value: float | None) -> str:
    return "?" if value is None else f"{value:+.3f}"


def _ranges(seeds: list[int]) -> str:
    """Consecutive seeds as `first-last`."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)
