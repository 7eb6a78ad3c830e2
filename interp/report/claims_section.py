"""The report's section that holds claims against a run or a sweep."""

from collections.abc import Sequence
from itertools import groupby

from interp.claims.text import rule_of
from interp.claims.verdicts import claims_of_run
from interp.figures.answer_first import Part, section_html
from interp.figures.markup import Html, as_html, table_html
from interp.figures.words import unbroken
from interp.verdicts.rule import Word
from interp.verdicts.verdict import Verdict
from interp.verdicts.wording import found_text
from training.runs.run import Run

SAID = {
    Word.HOLDS: ("holds", "hold"),
    Word.FAILS: ("fails", "fail"),
    Word.UNDECIDED: ("is undecided", "are undecided"),
    Word.NOT_MEASURED: ("is not measured", "are not measured"),
}
"""Of one claim and of several."""
HEAD = ("claim", "says", "verdict", "mean [95% interval]", "n seeds", "published")


def claims_section(run: Run) -> Html | None:
    """A row for each claim of the run's recipe, parts below their claim; None without claims."""
    return claims_html(claims_of_run(run))


def claims_html(verdicts: Sequence[Verdict]) -> Html | None:
    """A table for each group of runs that were compared, with a row for each claim."""
    if not verdicts:
        return None
    parts = []
    for runs, each in groupby(verdicts, key=lambda verdict: verdict.runs):
        group = list(each)
        name = f"Claims and verdicts, {runs}" if runs else "Claims and verdicts"
        table = table_html(HEAD, [_cells(verdict) for verdict in group], name=name)
        parts.append(Part(heading=runs, sentences=[_count_words(group)], tables=[table]))
    reasons = sorted(
        {f"±{v.equivalence.margin:g}: {v.margin_reason}" for v in verdicts if v.equivalence}
    )
    margins = f" Margins: {'; '.join(reasons)}." if reasons else ""
    return section_html("Claims", parts, notes=rule_of(verdicts) + margins)


def _count_words(verdicts: Sequence[Verdict]) -> str:
    """Which whole claims hold, which fail, and so on.

    A claim of parts counts once.
    """
    by_word: dict[Word, list[str]] = {}
    for verdict in verdicts:
        if not verdict.is_part:
            by_word.setdefault(verdict.word, []).append(verdict.id)
    total = sum(map(len, by_word.values()))
    found = [
        f"{len(ids)} {SAID[word][len(ids) > 1]} ({', '.join(ids)})" for word, ids in by_word.items()
    ]
    return f"Of {total} {'claim' if total == 1 else 'claims'} {'; '.join(found)}."


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
