"""The verdicts on the paper's claims in words, for the terminal and the report."""

from collections.abc import Sequence
from textwrap import wrap

from interp.verdicts.verdict import Verdict
from interp.verdicts.wording import WIDTH, verdict_lines

RULE = (
    "A claim holds when the 95% t interval over Stage-1 seeds lies wholly on its side, fails when "
    "wholly on the other, and is undecided else. One of no effect holds when the 90% interval lies "
    "within its margin and Stage 1 was learned (D1 answers a quarter of what a guess leaves "
    "unanswered), and fails when the 95% interval lies wholly outside. One of several parts holds "
    "if all hold, and fails if any fails: the more parts, the likelier by chance. A claim about a "
    "tag compares equally true definitions, or a run with its null twin. Nothing is corrected for "
    "the number of claims: of 20 about nothing, one is decided."
)


def claims_text(verdicts: Sequence[Verdict]) -> str:
    """The verdicts line by line: what was found of each claim, and below it what it says."""
    lines = ["claims of the paper", *wrap(RULE, WIDTH)]
    runs = ""
    for verdict in verdicts:
        if verdict.runs != runs:
            runs = verdict.runs
            lines += ["", f"runs with {runs}" if runs else "all runs"]
        lines += verdict_lines(verdict)
    return "\n".join(lines)
