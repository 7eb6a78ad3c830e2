"""What the explorer's figures share: size, words of tokens, and what changes in a narrow column.

Title and remark of a figure stand above it as text of the page, which wraps; plotly's would be cut.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import plotly.graph_objects as go

from interp.explorer.view import View
from interp.figures.markup import token_label
from interp.figures.palette import INK
from interp.figures.places import at_words, role_words
from interp.figures.theme import style_figure
from interp.hooked.addresses import AnyTokenRole

WIDTH, HEIGHT = 700, 400
"""Pixels: of a figure at most, less where the board has less room; of one, title not counted."""
COLOR_BAR: Mapping[str, Any] = {
    "orientation": "h", "thickness": 10, "lenmode": "fraction", "len": 1, "x": 0.5,
    "xanchor": "center", "y": 1, "yanchor": "bottom", "ypad": 6, "tickfont": {"size": 10},
}  # fmt: skip
"""Above the cells, so that they have the whole width; its title is the figure's remark."""


def style_panel(
    figure: go.Figure,
    *,
    title: str,
    note: str,
    height: int,
    narrow: Mapping[str, Any] | None = None,
) -> None:
    """Gives a figure the look of all of the board's.

    Args:
        figure: Changed in place.
        title: Stands above it.
        note: Stands below the title.
        height: In pixels.
        narrow: What is otherwise in a narrow column, by its path from `data` or `layout` on.
    """
    shared = {name: each for name, each in shared_look().items() if name != "template"}
    figure.layout.template = None
    figure.update_layout(
        shared | {"width": WIDTH, "height": height, "dragmode": False},
        font={"color": INK, "size": 12}, margin={"t": 8, "r": 16},
        meta={"title": title, "note": note, "narrow": dict(narrow or {})},
    )  # fmt: skip


@cache
def shared_look() -> Mapping[str, Any]:
    """The look of all figures of the project as a layout.

    The board has its template once: plotly takes longer to copy it than to make a figure.
    """
    figure = go.Figure()
    style_figure(figure, title="", height=HEIGHT)
    return figure.to_plotly_json()["layout"]


def plain(text: str) -> str:
    """Text that plotly shows as it is: it reads some tags."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def label(token: str) -> str:
    """A token as an axis shows it."""
    return plain(token_label(token))


def slanted_height(labels: Sequence[str]) -> int:
    """Pixels that labels take that stand upright.

    >>> slanted_height(["mom", "Lily<br>who"])
    28
    """
    return 7 * max((len(part) for each in labels for part in each.split("<br>")), default=0)


def told_apart(tokens: Sequence[str]) -> list[str]:
    """Tokens as labels; of those that differ in white space alone, the space is shown.

    >>> told_apart(["mom", "mom ", " dad"])
    ['mom', 'mom␣', 'dad']
    """
    labels = list(map(label, tokens))
    return [
        plain(token.replace(" ", "␣")) if labels.count(name) > 1 else name
        for token, name in zip(tokens, labels, strict=True)
    ]


def columns_of(view: View) -> list[str]:
    """What stands at the grid's columns: the token, and below it its role if it has one."""
    tokens = [label(view.prompt[role.position(view.question)]) for role in view.roles]
    roles = [_role_at(view, role) for role in view.roles]
    return [
        f"{token}<br>{plain(role)}" if role else token
        for token, role in zip(tokens, roles, strict=True)
    ]


def place_words(view: View, role: AnyTokenRole) -> str:
    """Where a cell of the grid is, in a sentence."""
    if not view.is_own:
        return at_words(role)
    place = role.position(view.question)
    return f"at token {place} ({token_label(view.prompt[place])})"


def _role_at(view: View, role: AnyTokenRole) -> str:
    if not view.is_own:
        return role_words(role).removesuffix(" token")
    place, own = role.position(view.question), view.question.row.rendered.spans
    names = [
        name
        for name, (first, last) in view.question.spans.items()
        if name in own and first <= place <= last
    ]
    return ", ".join(names)
