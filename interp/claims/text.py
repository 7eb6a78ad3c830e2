"""The verdicts on claims of papers in words, for the terminal and the report."""

from collections.abc import Sequence
from textwrap import wrap

from interp.claims.all_claims import CLAIMS
from interp.verdicts.claim import PAPER
from interp.verdicts.verdict import Verdict
from interp.verdicts.wording import WIDTH, verdict_lines

RULE = (
    "A claim holds when the 95% t interval over Stage-1 seeds lies wholly on its side, fails when "
    "wholly on the other, and is undecided else. One of no effect holds when the 90% interval lies "
    "within its margin and Stage 1 was learned (a quarter of what a guess leaves unanswered is "
    "answered), and fails when the 95% interval lies wholly outside. One of several parts holds if "
    "all hold, and fails if any fails: the more parts, the likelier by chance.{of_tags} Nothing is "
    "corrected for the number of claims: of 20 about nothing, one is decided."
)
OF_TAGS = " A claim about a tag compares equally true definitions, or a run with its null twin."


def rule_of(verdicts: Sequence[Verdict]) -> str:
    """By what rule the verdicts were found; of tags only where a claim is about one."""
    claims = [claim for claim in CLAIMS if claim.group in {_group(each) for each in verdicts}]
    return RULE.format(of_tags=OF_TAGS if any(claim.tag for claim in claims) else "")


def source_of(verdicts: Sequence[Verdict]) -> str:
    """Whose claims they are, in words."""
    groups = {_group(each) for each in verdicts}
    found = [claim.source for claim in CLAIMS if claim.group in groups]
    return " and ".join(dict.fromkeys(found))


def title_of(verdicts: Sequence[Verdict]) -> str:
    """The heading of a section about them."""
    source = source_of(verdicts)
    return "The paper's claims" if source == PAPER else f"Claims of {source}"


def _group(verdict: Verdict) -> str:
    return verdict.id.partition(".")[0]


def claims_text(verdicts: Sequence[Verdict]) -> str:
    """The verdicts line by line: what was found of each claim, and below it what it says."""
    lines = [f"claims of {source_of(verdicts)}", *wrap(rule_of(verdicts), WIDTH)]
    runs = ""
    for verdict in verdicts:
        if verdict.runs != runs:
            runs = verdict.runs
            lines += ["", f"runs with {runs}" if runs else "all runs"]
        lines += verdict_lines(verdict)
    return "\n".join(lines)
