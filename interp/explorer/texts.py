"""The explorer's texts: what is defined, what is asked, and how the answer came out."""

import numpy as np

from data.rows import Row
from data.vocabulary import Role
from interp.explorer.view import View
from interp.figures.markup import Html, as_html, kind_words, swatch_html, text_html
from interp.figures.palette import FAINT, FONT, INK, ROLE_COLORS
from interp.patching.analysis import Direction

MOST_DEFINITIONS = 4


def texts_html(view: View) -> Html:
    """Definition, question and corrupted question as a table, their roles coloured."""
    row = view.question.row
    definitions = view.rows.definitions(row)
    shown = [("definition", d, _truth(view, d)) for d in definitions[:MOST_DEFINITIONS]]
    shown.append(("question", row, _about(row)))
    if view.corrupted is not None:
        shown.append(("corrupted", view.corrupted.row, _about(view.corrupted.row)))
    body = "".join(_line(name, each, words) for name, each, words in shown)
    if not definitions:
        body = _cells(("definition", Html(f'<i style="color:{FAINT}">none</i>'), "")) + body
    legend = " ".join(
        f'<span style="background:{ROLE_COLORS[role]};color:{INK};padding:1px 4px">{role}</span>'
        for role in Role
    )
    return Html(
        f'<div style="font:14px/1.7 {FONT};color:{INK}">{swatch_html(row.subset)} &nbsp; {legend} '
        f"&nbsp;<u>underlined</u>: to be predicted"
        f'<table style="border-spacing:0 3px;border-collapse:separate">{body}</table></div>'
    )


def error_html(message: str) -> Html:
    """A message in red; empty if there is none."""
    return Html(f'<span style="color:#b00020">{as_html(message)}</span>' if message else "")


def pair_words(view: View, differences: tuple[float, float] | None, direction: Direction) -> str:
    """What the grid patches into what, with the logit differences that are its 1 and 0."""
    if view.corrupted is None or differences is None:
        return "no other alias of this subset has another answer: nothing to patch"
    clean, corrupted = differences
    names = [_subject(row) for row in (view.question.row, view.corrupted.row)]
    if direction is Direction.NOISE:
        names.reverse()
    if not np.isfinite(clean - corrupted) or abs(clean - corrupted) < 0.1:
        return "both questions are answered alike: effects mean nothing"
    return (
        f"{names[0]} into {names[1]} ({direction}); difference of the two answers' logits: "
        f"clean {clean:+.1f}, corrupted {corrupted:+.1f}"
    )


def _line(name: str, row: Row, words: str) -> Html:
    text = Html(f'<code style="background:none">{text_html(row)}</code>')
    return _cells((name, text, Html(f'<span style="color:{FAINT}">{as_html(words)}</span>')))


def _cells(values: tuple[str, str, str]) -> Html:
    style = 'style="padding:0 18px 0 0;text-align:left"'
    return Html(
        "<tr>" + "".join(f"<td {style}>{as_html(value)}</td>" for value in values) + "</tr>"
    )


def _about(row: Row) -> str:
    entity = f"; the answer follows {row.entity}" if row.entity and row.alias else ""
    return f"{kind_words(row)}{entity}"


def _truth(view: View, definition: Row) -> str:
    stated, row = view.rows.stated(view.question.row), view.question.row
    words = f"{kind_words(definition)}; {row.subset.tag} tag"
    if stated is None:
        return words
    if stated.rendered.answer != row.rendered.answer:
        return f"{words}; false: implies {stated.rendered.answer}"
    is_other = definition.entity not in (None, row.entity)
    return f"{words}; {'false, but implies this answer too' if is_other else 'true'}"


def _subject(row: Row) -> str:
    return row.alias or row.entity or row.row_id
