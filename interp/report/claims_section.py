"""The report's section that holds the paper's claims against a run or a sweep."""

from collections.abc import Sequence
from itertools import groupby

from interp.claims.text import RULE
from interp.claims.verdicts import claims_of_run
from interp.figures.markup import Html, as_html, note_html, table_html
from interp.figures.words import unbroken
from interp.verdicts.verdict import Verdict
from interp.verdicts.wording import found_text
from training.runs.run import Run

HEAD = ("claim", "says", "verdict", "mean [95% interval]", "n seeds", "paper")


def claims_section(run: Run) -> Html | None:
    """A row for each claim of the run's recipe, parts below their claim; None without claims."""
    return claims_html(claims_of_run(run))


def claims_html(verdicts: Sequence[Verdict]) -> Html | None:
    """A table for each group of runs that were compared, with a row for each claim."""
    if not verdicts:
        return None
    tables = ""
    for runs, group in groupby(verdicts, key=lambda verdict: verdict.runs):
        heading = f"<h3>{as_html(runs)}</h3>\n" if runs else ""
        tables += heading + table_html(HEAD, [_cells(verdict) for verdict in group])
    reasons = sorted(
        {f"±{v.equivalence.margin:g}: {v.margin_reason}" for v in verdicts if v.equivalence}
    )
    margins = f" Margins: {'; '.join(reasons)}." if reasons else ""
    return Html(f"<h2>The paper's claims</h2>\n{tables}{note_html(RULE + margins)}")


def _cells(verdict: Verdict) -> list[object]:
    """The cells of a claim's row: a part's name is indented, that of a whole claim stands out."""
    part = verdict.id.partition(".")[2]
    estimate = verdict.estimate
    return [
        Html(f'<span style="white-space:nowrap">&emsp;{as_html(part)}</span>')
        if part
        else Html(f"<b>{as_html(verdict.id)}</b>"),
        verdict.statement,
        str(verdict.word) if part else Html(f"<b>{as_html(verdict.word)}</b>"),
        unbroken(found_text(verdict)),
        estimate.n_seeds if estimate else "",
        verdict.paper,
    ]
