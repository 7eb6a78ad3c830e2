"""HTML pieces of the report and the notebooks: tables, and rows with their roles coloured.

Everything that is not `Html` already is escaped.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import plotly.graph_objects as go

from data.rows import Row
from data.subsets import Mark, Subset
from data.vocabulary import Kind, Role, Split
from interp.figures.palette import INK, OWN_ROLE_COLOR, ROLE_COLORS

LONGEST_TOKEN = 16  # characters


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


def table_html(head: Sequence[object], body: Iterable[Sequence[object]]) -> Html:
    """A table that scrolls sideways on its own where the page is narrow."""
    top = "".join(f"<th>{as_html(cell)}</th>" for cell in head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{as_html(cell)}</td>" for cell in row) + "</tr>\n" for row in body
    )
    return Html(
        f'<div class="scroll"><table><thead><tr>{top}</tr></thead>\n<tbody>{rows}</tbody></table>'
        "</div>\n"
    )


def swatch_html(subset: Subset) -> Html:
    """A subset's name after a square of its colour."""
    color = (subset.mark or Mark(color=INK, symbol="circle")).color
    return Html(f'<span style="color:{color}">&#9632;</span>&nbsp;{escape(subset.name)}')


def rows_html(rows: Iterable[Row]) -> Html:
    """Rows as a table, each role of the text on its colour, what is to be predicted underlined.

    Where rows have entities, the last column is the one that a definition names or that a
    question's answer follows: of a false definition and the questions about its alias they differ.
    """
    rows = list(rows)
    legend = " ".join(_coloured(str(role), role) for role in Role)
    head = ["subset", "row", "text"]
    body = [[swatch_html(row.subset), kind_words(row), text_html(row)] for row in rows]
    if any(row.entity for row in rows):
        head.append("entity")
        body = [[*cells, row.entity or "–"] for cells, row in zip(body, rows, strict=True)]
    note = f"<p>Roles: {legend} &nbsp;<u>underlined</u>: to be predicted</p>"
    return Html(f"{note}\n{table_html(head, body)}")


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


def figure_html(figure: go.Figure, name: str) -> Html:
    """A figure for the page; `name`, its id there, keeps the bytes of a rebuilt page the same."""
    config = {"responsive": True, "displaylogo": False, "showSendToCloud": False}
    html = figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=config)
    return Html(f"<figure>{html}</figure>\n")


def note_html(text: str) -> Html:
    """What a reader must know to read a table or figure."""
    return Html(f'<p class="note">{as_html(text)}</p>')
