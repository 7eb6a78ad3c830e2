"""The explorer's texts: what is defined, what is asked, and how the answer came out."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from data.rows import Row
from data.vocabulary import Role
from interp.explorer.view import View
from interp.figures.markup import Html, as_html, kind_words, swatch_html, text_html
from interp.figures.palette import FAINT, FONT, INK, ROLE_COLORS
from interp.patching.analysis import Direction

MOST_DEFINITIONS = 4
OWN_COLORS = ("#c9dcff", "#ffdf9e", "#c6ebcd", "#e6d6fa", "#cdeef2", "#f3e3c8")
"""Of the roles that a person named, in turn."""


def texts_html(view: View) -> Html:
    """Definition, question and corrupted question as a table, their roles coloured."""
    if view.is_own:
        return _own_texts_html(view)
    row = view.question.row
    definitions = view.rows.definitions(row)
    shown = [("definition", d, _truth(view, d)) for d in definitions[:MOST_DEFINITIONS]]
    shown.append(("question", row, _about(row)))
    if view.corrupted is not None:
        shown.append(("corrupted", view.corrupted.row, _about(view.corrupted.row)))
    body = "".join(_line(name, text_html(each), words) for name, each, words in shown)
    if not definitions:
        body = _line("definition", Html(f'<i style="color:{FAINT}">none</i>'), "") + body
    legend = _legend({role: ROLE_COLORS[role] for role in Role})
    return _page(Html(f"{swatch_html(row.subset)} &nbsp; {legend}"), body)


def _own_texts_html(view: View) -> Html:
    """A person's own prompts, the roles that they named coloured."""
    rows = [row.row for row in (view.question, view.corrupted) if row is not None]
    names = list(dict.fromkeys(name for row in rows for name in row.rendered.spans))
    colors = {name: OWN_COLORS[i % len(OWN_COLORS)] for i, name in enumerate(names)}
    colors[Role.ANSWER] = ROLE_COLORS[Role.ANSWER]
    body = "".join(
        _line(name, text_html(_with_answer(row), colors), "")
        for name, row in zip(("prompt", "corrupted"), rows, strict=False)
    )
    return _page(_legend(colors), body)


def _with_answer(row: Row) -> Row:
    """The row with its answer among the roles; of roles that overlap the one that begins first."""
    text, end = row.rendered, 0
    spans: dict[str, tuple[int, int]] = {}
    every = text.spans | {Role.ANSWER: text.answer_span}
    for name, span in sorted(every.items(), key=lambda item: item[1]):
        if span[0] >= end:
            spans[name], end = span, span[1]
    return replace(row, rendered=replace(text, spans=spans))


def _legend(colors: Mapping[str, str]) -> Html:
    return Html(
        " ".join(
            f'<span style="background:{color};color:{INK};padding:1px 4px">{as_html(role)}</span>'
            for role, color in colors.items()
        )
    )


def _page(legend: Html, body: str) -> Html:
    return Html(
        f'<div style="font:14px/1.7 {FONT};color:{INK}">{legend} '
        f"&nbsp;<u>underlined</u>: to be predicted"
        f'<table style="border-spacing:0 3px;border-collapse:separate">{body}</table></div>'
    )


def error_html(message: str) -> Html:
    """A message in red, which screen readers say; empty if there is none."""
    style = "color:#b00020;line-height:1.5"
    return Html(f'<span role="alert" style="{style}">{as_html(message)}</span>' if message else "")


def note_html(message: str) -> Html:
    """What happened on the side, which screen readers say; empty if nothing did."""
    style = f"color:{INK};background:#fff4d6;padding:2px 6px;line-height:1.5"
    return Html(f'<span role="status" style="{style}">{as_html(message)}</span>' if message else "")


def grid_words(view: View, differences: tuple[float, float] | None, direction: Direction) -> str:
    """What the grid patches into what, with the logit differences that are its 1 and 0."""
    if view.corrupted is None or differences is None:
        answer = view.rows.tokens([view.answer])[0].strip()
        return f"log-probability of {answer!r} without the cell minus with it, in nats"
    clean, corrupted = differences
    names = [_subject(row) for row in (view.question.row, view.corrupted.row)]
    if view.is_own:
        names = ["clean", "corrupted"]
    if direction is Direction.NOISE:
        names.reverse()
    if not np.isfinite(clean - corrupted) or abs(clean - corrupted) < 0.1:
        return "both prompts are answered alike: effects mean nothing"
    return (
        f"{names[0]} into {names[1]} ({direction}); difference of the two answers' logits: "
        f"clean {clean:+.1f}, corrupted {corrupted:+.1f}"
    )


def _line(name: str, text: Html, words: str) -> Html:
    """A row of the table: what it is, the text, and after it a remark."""
    cell = 'style="padding:0 12px 0 0;text-align:left;vertical-align:top'
    wrapped = "background:none;white-space:pre-wrap;overflow-wrap:anywhere"
    remark = f' <span style="color:{FAINT}">{as_html(words)}</span>' if words else ""
    return Html(
        f'<tr><td {cell}">{as_html(name)}</td><td {cell}">'
        f'<code style="{wrapped}">{text}</code>{remark}</td></tr>'
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
