"""A verdict in words, for the terminal and the report."""

from textwrap import wrap

from interp.verdicts.verdict import Verdict

WIDTH = 100
_NAME_WIDTH = 22
_INDENT = " " * 4


def found_text(verdict: Verdict) -> str:
    """Estimate and interval: the 90% one beside its margin where no effect is claimed."""
    estimate, null = verdict.estimate, verdict.equivalence
    if estimate is None:
        return verdict.reason
    if verdict.share is not None:
        words = verdict.share.words
        return f"{words}; {verdict.reason}" if verdict.reason else words
    low, high = (null.ci_low, null.ci_high) if null else (estimate.ci_low, estimate.ci_high)
    text = f"{estimate.mean:+.3f}"
    if estimate.n_seeds > 1:
        text += f" [{low:+.3f}, {high:+.3f}]"
    if null:
        text = f"{text} at 90%, margin {null.margin:g}"
        return f"{text}; {verdict.reason}" if verdict.reason else text
    return f"{text}, to be {verdict.side} {verdict.threshold:+g}" if verdict.threshold else text


def verdict_lines(verdict: Verdict) -> list[str]:
    """A line with what was found of a claim, and below it what the claim says."""
    found = f"{verdict.id:<{_NAME_WIDTH}}{verdict.word:<14}{found_text(verdict)}"
    if verdict.estimate:
        found += f", n {verdict.estimate.n_seeds}"
    says = verdict.statement + (f"; paper: {verdict.paper}" if verdict.paper else "")
    return [found, *wrap(says, WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)]
