"""The verdicts on claims in words, for the terminal and the report."""

from collections.abc import Sequence
from textwrap import wrap

from interp.verdicts.verdict import Verdict
from interp.verdicts.wording import WIDTH, verdict_lines

RULE = (
    "A claim holds when the 95% t interval over Stage-1 seeds lies wholly on its side, fails when "
    "wholly on the other, and is undecided else. One of no effect holds when the 90% interval lies "
    "within its margin and Stage 1 was learned (a quarter is answered of what a guess leaves "
    "unanswered), and fails when the 95% interval lies wholly outside. One of several parts holds "
    "if all hold, and fails if any fails: the more parts, the likelier by chance. Nothing is "
    "corrected for the number of claims: of 20 about nothing, one is decided."
)
OF_TAGS = " A claim about a tag compares equally true definitions, or a run with its null twin."


def rule_of(verdicts: Sequence[Verdict]) -> str:
    """How verdicts come about, as far as these do."""
    return RULE + OF_TAGS * any(verdict.is_of_tag for verdict in verdicts)


def claims_text(verdicts: Sequence[Verdict]) -> str:
    """The verdicts line by line: what was found of each claim, and below it what it says."""
    lines = ["claims", *wrap(rule_of(verdicts), WIDTH)]
    runs = ""
    for verdict in verdicts:
        if verdict.runs != runs:
            runs = verdict.runs
            lines += ["", f"runs with {runs}" if runs else "all runs"]
        lines += verdict_lines(verdict)
    return "\n".join(lines)
