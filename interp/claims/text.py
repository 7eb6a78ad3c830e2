"""Verdicts in words, for the terminal and the report."""

from collections.abc import Sequence
from textwrap import wrap

from interp.claims.verdicts import Verdict

WIDTH = 100
RULE = (
    "A claim holds when the 95% t interval over Stage-1 seeds lies wholly on its side, fails when "
    "wholly on the other, and is undecided else. One of no effect holds when the 90% interval lies "
    "within its margin and Stage 1 was learned (D1 answers a quarter of what a guess leaves "
    "unanswered), and fails when the 95% interval lies wholly outside. One of several parts holds "
    "if all hold, and fails if any fails: the more parts, the likelier by chance. A claim about a "
    "tag compares equally true definitions, or a run with its null twin. Nothing is corrected for "
    "the number of claims: of 20 about nothing, one is decided."
)
_NAME_WIDTH = 22
_INDENT = " " * 4


def claims_text(verdicts: Sequence[Verdict]) -> str:
    """Of each claim a line with what was found, and below it what it says."""
    lines = ["claims of the paper", *wrap(RULE, WIDTH)]
    runs = ""
    for verdict in verdicts:
        if verdict.runs != runs:
            runs = verdict.runs
            lines += ["", f"runs with {runs}" if runs else "all runs"]
        lines += _lines(verdict)
    return "\n".join(lines)


def found_text(verdict: Verdict) -> str:
    """Estimate and interval: the 90% one beside its margin where no effect is claimed."""
    estimate, null = verdict.estimate, verdict.equivalence
    if estimate is None:
        return verdict.reason
    low, high = (null.ci_low, null.ci_high) if null else (estimate.ci_low, estimate.ci_high)
    text = f"{estimate.mean:+.3f}"
    if estimate.n_seeds > 1:
        text += f" [{low:+.3f}, {high:+.3f}]"
    if null:
        text = f"{text} at 90%, margin {null.margin:g}"
        return f"{text}; {verdict.reason}" if verdict.reason else text
    return f"{text}, to be above {verdict.threshold:+g}" if verdict.threshold else text


def _lines(verdict: Verdict) -> list[str]:
    found = f"{verdict.id:<{_NAME_WIDTH}}{verdict.word:<14}{found_text(verdict)}"
    if verdict.estimate:
        found += f", n {verdict.estimate.n_seeds}"
    says = verdict.statement + (f"; paper: {verdict.paper}" if verdict.paper else "")
    return [found, *wrap(says, WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)]
