"""HTML pieces of the report and the notebooks: tables, and rows with their roles coloured.

Everything that is not `Html` already is escaped.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape, unescape
from typing import Any

import plotly.graph_objects as go

from data.rows import Row
from data.subsets import Mark, Subset
from data.vocabulary import Kind, Role, Split
from interp.figures.palette import INK, OWN_ROLE_COLOR, ROLE_COLORS

LONGEST_TOKEN = 16  # characters
ONE_PANEL, MORE_PANEL, MOST = 560, 220, 1000
"""Pixels of width that a figure needs: with one panel, for each further one, and at most."""
LESS_THAN = "\\u003c"  # in JSON, so that no text of a figure ends the script that holds it


class Html(str):
    """Text that is HTML already."""


def as_html(value: object) -> Html:
    """Escapes anything but HTML.

    >>> as_html("a < b"), as_html(Html("<b>"))
    ('a &lt; b', '<b>')
    """
    return value if isinstance(value, Html) else Html(escape(str(value)))


def token_label(token: str, most: int = LONGEST_TOKEN) -> str:
    r"""A token's text as an axis or a menu has room for it; white space alone is told by a sign.

    >>> token_label(" Cleopatra"), token_label("\n"), token_label("incomprehensibility")
    ('Cleopatra', '⏎', 'incomprehensibi…')
    """
    text = token.strip() or token.replace(" ", "␣").replace("\n", "⏎")
    return text if len(text) <= most else f"{text[: most - 1]}…"


def table_html(head: Sequence[object], body: Iterable[Sequence[object]], *, name: str = "") -> Html:
    """A table that scrolls sideways on its own where the page is narrow.

    Args:
        head: The heading of each column.
        body: The cells of each row.
        name: What the table is called, which stands above it and names the file it is saved to.
    """
    top = "".join(f'<th scope="col">{as_html(cell)}</th>' for cell in head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{as_html(cell)}</td>" for cell in row) + "</tr>\n" for row in body
    )
    caption, label = "", ""
    if name:  # a box that scrolls can be reached and scrolled by the keyboard, and has a name
        caption = f"<caption>{as_html(name)}</caption>"
        label = f' role="group" tabindex="0" aria-label="{escape(name)}"'
    return Html(
        f'<div class="scroll"{label}><table>{caption}<thead><tr>{top}</tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div>\n"
    )


def swatch_html(subset: Subset) -> Html:
    """A subset's name after a square of its colour."""
    color = (subset.mark or Mark(color=INK, symbol="circle")).color
    # Made of its border, which is printed where backgrounds are not.
    square = f"display:inline-block;border:.36em solid {color};margin-right:.3em"
    return Html(
        f'<span style="white-space:nowrap"><i style="{square}"></i>{escape(subset.name)}</span>'
    )


def rows_html(rows: Iterable[Row]) -> Html:
    """Rows as a table, each role of the text on its colour, what is to be predicted underlined.

    Where rows have entities, the last column is the one that a definition names or that a
    question's answer follows: of a false definition and the questions about its alias they differ.
    """
    rows = list(rows)
    shown = {role for row in rows for role in row.rendered.spans}
    legend = " ".join(_coloured(str(role), role) for role in Role if role in shown)
    head = ["subset", "row", "text"]
    body = [[swatch_html(row.subset), kind_words(row), text_html(row)] for row in rows]
    if any(row.entity for row in rows):
        head.append("entity")
        body = [[*cells, row.entity or "–"] for cells, row in zip(body, rows, strict=True)]
    note = f"<p>Roles: {legend} &nbsp;<u>underlined</u>: to be predicted</p>"
    return Html(f"{note}\n{table_html(head, body, name='Rows as the model reads them')}")


def text_html(row: Row, colors: Mapping[str, str] = ROLE_COLORS) -> Html:
    """A row's text with its roles coloured and its answer underlined."""
    rendered = row.rendered
    parts: list[str] = []
    end = 0
    for (start, stop), role in sorted((span, role) for role, span in rendered.spans.items()):
        piece = _coloured(rendered.text[start:stop], role, colors)
        is_answer = (start, stop) == rendered.answer_span
        parts += [escape(rendered.text[end:start]), f"<u>{piece}</u>" if is_answer else piece]
        end = stop
    return Html("".join([*parts, escape(rendered.text[end:])]))


def kind_words(row: Row) -> str:
    """What a row is, and whether it was trained on."""
    if row.kind is Kind.DEFINITION:
        return f"definition, trained in Stage {int(row.subset.part)}"
    if row.split is Split.TEST:
        return "question, held out"
    return f"question, trained in Stage {int(row.subset.part)}"


def _coloured(text: str, role: str, colors: Mapping[str, str] = ROLE_COLORS) -> str:
    color = colors.get(role, OWN_ROLE_COLOR)
    style = f"background:{color};color:{INK};padding:1px 4px;border-radius:3px"
    return f'<span title="{role}" style="{style}">{escape(text)}</span>'


def figure_html(figure: go.Figure, name: str, *, says: str = "", caption: str = "") -> Html:
    """A figure for the page, whose script draws it when it comes into view.

    Args:
        figure: The figure.
        name: Its id on the page, which keeps the bytes of a rebuilt page the same, and the name of
            the file that it is saved to.
        says: The sentence that it shows, for those who cannot see it; its title is said as well.
        caption: What stands below it.
    """
    layout: Any = figure.layout
    height = int(layout.height or 450)
    axes: Any = figure.select_xaxes()
    n_panels = len({tuple(axis.domain or ()) for axis in axes})
    # On a narrow page a figure keeps the width that its panels need, and scrolls in its own box.
    size = f"height:{height}px;min-width:{min(ONE_PANEL + (n_panels - 1) * MORE_PANEL, MOST)}px"
    title = figure_title(figure, whole=True).removesuffix(".")
    label = escape(" ".join(part for part in (f"{title}." if title else "", says) if part))
    content = figure.to_json(engine="json") or ""
    below = f"<figcaption>{as_html(caption)}</figcaption>" if caption else ""
    return Html(
        f'<figure><div class="plot"><div id="{name}" class="plotly-graph-div" role="img" '
        f'aria-label="{label}" style="{size}"></div></div>\n'
        f'<script type="application/json">{content.replace("<", LESS_THAN)}</script>\n'
        f"{below}</figure>\n"
    )


def figure_title(figure: go.Figure, *, whole: bool = False) -> str:
    """A figure's title without marks: its first line, or what stands below that, too."""
    layout: Any = figure.layout
    title: str = layout.title.text or ""
    lines = [unescape(re.sub(r"<[^>]+>", "", line)).strip() for line in title.split("<br>")]
    return "; ".join(filter(None, lines if whole else lines[:1]))


def note_html(text: str) -> Html:
    """What a reader must know to read a table or figure."""
    return Html(f'<p class="note">{as_html(text)}</p>')
