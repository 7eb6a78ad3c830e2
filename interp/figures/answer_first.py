"""A section of the report: its answer and one figure stand open, all else is folded below them.

What is folded says what it holds. Its figures are drawn when it is unfolded.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape

import plotly.graph_objects as go

from interp.figures.markup import Html, as_html, figure_html, figure_title, note_html

CAPTION = re.compile("<caption>(.*?)</caption>")
FEW = 3
"""Sentences of an answer that stand open."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one checkpoint, kind of pairs or test has to say."""

    heading: str = ""
    sentences: Sequence[str] = ()
    """What was found, the answer first."""
    figures: Mapping[str, go.Figure] = field(default_factory=dict)
    """By name; the first shows what the first sentence says."""
    side_by_side: int = 1
    """How many figures belong together, such as that of a run and that of its null twin."""
    shown: int = 1
    """How many figures stand open, one below the other, where none stand side by side."""
    tables: Sequence[Html] = ()
    """The first stands open where there is no figure."""
    settings: str = ""
    """What it was measured with, for the caption of the first figure."""


def section_html(title: str, parts: Sequence[Part], *, notes: str = "") -> Html:
    """A section whose first part shows its answer, with the other parts folded.

    Args:
        title: The heading of the section.
        parts: What it holds, the part with the answer first.
        notes: What a reader must know to read its tables and figures.
    """
    first, *others = parts
    pieces = [f"<h2>{as_html(title)}</h2>", _opened(first), *map(_folded, others)]
    if notes:
        pieces.append(folded_html("How to read this", note_html(notes)))
    return Html("\n".join(pieces))


def folded_html(summary: str, content: Html, *, heading: str = "") -> Html:
    """Content that a click or a key unfolds.

    Args:
        summary: What it holds, which is shown while it is folded.
        content: What is folded.
        heading: What stands before the summary as a heading of the page, if anything.
    """
    head = f"<h3>{as_html(heading)}</h3> " if heading else ""
    return Html(
        f"<details><summary>{head}<span>{as_html(summary)}</span></summary>\n{content}</details>\n"
    )


def result_html(sentences: Sequence[str]) -> Html:
    """Sentences with what was found, set apart from the text around them."""
    words = "".join(f"<p>{as_html(sentence)}</p>" for sentence in sentences)
    return Html(f'<div class="result">{words}</div>\n' if words else "")


def _opened(part: Part) -> Html:
    """The first sentences and the first figure of a part, and the rest of it folded."""
    n_figures = max(part.side_by_side, part.shown)
    n_tables = int(not part.figures)
    shown, rest = part.sentences[:FEW], part.sentences[FEW:]
    drawn = _drawn(part)
    pieces = [f"<h3>{as_html(part.heading)}</h3>\n" if part.heading else "", result_html(shown)]
    pieces += part.tables[:n_tables]
    pieces.append(_panels(drawn[:n_figures], part.side_by_side))
    if part.settings and not drawn:
        pieces.append(note_html(part.settings))
    folded = Part(
        heading=part.heading,
        sentences=rest,
        figures=dict(list(part.figures.items())[n_figures:]),
        tables=part.tables[n_tables:],
    )
    if holds := _holds(folded):
        content = [result_html(rest), _panels(drawn[n_figures:], part.side_by_side)]
        pieces.append(folded_html(f"More: {holds}", Html("".join([*content, *folded.tables]))))
    return Html("".join(pieces))


def _folded(part: Part) -> Html:
    """A whole part that a click unfolds."""
    content = [result_html(part.sentences), _panels(_drawn(part), part.side_by_side), *part.tables]
    if part.settings and not part.figures:
        content.append(note_html(part.settings))
    return folded_html(_holds(part), Html("".join(content)), heading=part.heading)


def _drawn(part: Part) -> list[Html]:
    """The figures of a part; the first has the settings below it, and says its first sentence."""
    says, caption = "".join(part.sentences[:1]), part.settings
    drawn = []
    for name, figure in part.figures.items():
        drawn.append(figure_html(figure, name, says=says, caption=caption))
        says = caption = ""
    return drawn


def _panels(drawn: Sequence[Html], side_by_side: int) -> Html:
    content = "".join(drawn)
    return Html(f'<div class="panels">{content}</div>\n' if drawn and side_by_side > 1 else content)


def _holds(part: Part) -> str:
    """What a fold holds: how much of each kind, and what figures and tables are called."""
    held = {"sentence": part.sentences, "figure": part.figures, "table": part.tables}
    counts = {noun: len(each) for noun, each in held.items() if each}
    words = ", ".join(f"{n} {noun}{'s' * (n > 1)}" for noun, n in counts.items())
    known = f", {part.heading.partition(':')[0]}"  # the checkpoint, which titles say as well
    titles = [figure_title(figure).replace(known, "") for figure in part.figures.values()]
    titles += [unescape(name) for table in part.tables for name in CAPTION.findall(table)]
    named = "; ".join(dict.fromkeys(filter(None, titles)))
    return f"{words} ({named})" if named else words
