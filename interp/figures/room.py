"""How much room the texts of a figure take: names at its axes, margins and height follow from it.

Plotly neither breaks names into lines nor keeps a legend off what stands above it, and a figure is
drawn as wide as its page. Widths are therefore counted in characters of the widest common font,
for the narrowest page that a figure is made for.
"""

import re
from collections.abc import Iterator, Sequence
from math import ceil, cos, radians, sin
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from interp.figures.palette import CAPTION

PAGE = 1000.0
"""Pixels of a figure's width in a window of 1,100."""
TITLE_SIZE, TEXT_SIZE, ABOUT_SIZE = 17.0, 13.0, 12.5
CHARACTER, LINE = 0.54, 1.3
"""Width of a character and distance of lines, of the size of the font."""
ABOVE = 14
"""Pixels above the title, and around other parts of a figure."""
SLANT = -40
"""Degrees by which names are turned that have no room beside each other."""
SLANTED = 19
"""Pixels that a slanted name takes of its axis."""
MOST_LINES = 4
NO_BREAK = "\N{NO-BREAK SPACE}"
LEGEND_MARK, LEGEND_LINE = 46, 20
"""Pixels beside the name of a legend's entry, and from one row of entries to the next."""


def text_width(text: str, size: float = TEXT_SIZE) -> float:
    """Pixels of a text's longest line.

    >>> text_width("ab<br><b>abcd</b>", size=10.0)
    21.6
    """
    return round(max(map(len, _lines(text))) * CHARACTER * size, 2)


def name_ticks(
    places: Sequence[Any], words: Sequence[str], *, width: float, slant: int = SLANT
) -> dict[str, Any]:
    """Ticks of a horizontal axis whose names can all be read.

    They stand level, in a few lines, where there is room; else slanted; and where even that
    is too narrow, as of a model of thirty layers, every second, third ... one is left.

    Args:
        places: Where the names stand on the axis.
        words: The names.
        width: Of the axis, in pixels.
        slant: Degrees, where names are slanted.

    >>> name_ticks([0, 1], ["layer 0, MLP", "layer 1, MLP"], width=150.0)["ticktext"]
    ['layer 0,<br>MLP', 'layer 1,<br>MLP']
    >>> name_ticks(list(range(4)), ["stream after"] * 4, width=40.0)
    {'tickvals': [0, 2], 'ticktext': ['stream after', 'stream after'], 'tickangle': -40}
    """
    slot = 0.96 * width / max(len(places), 1)
    across = max(int(slot / (TEXT_SIZE * CHARACTER)), 1)
    level = ["<br>".join(_wrapped(word, across)) for word in words]
    if all(text_width(text) <= slot and text.count("<br>") < MOST_LINES for text in level):
        return {"tickvals": list(places), "ticktext": level, "tickangle": 0}
    step = max(1, ceil(SLANTED / slot))
    return {
        "tickvals": list(places)[::step],
        "ticktext": list(words)[::step],
        "tickangle": slant,
    }


def _wrapped(name: str, width: int) -> list[str]:
    """A name in lines, none of which is a number alone."""
    kept = re.sub(r" (?=[#\d])", NO_BREAK, name)
    lines = [
        line
        for part in kept.split("<br>")
        for line in wrap(part, width, break_long_words=False, break_on_hyphens=False)
    ]
    return [line.replace(NO_BREAK, " ") for line in lines]


def middle_column(n_cols: int) -> int | None:
    """The column of panels whose axis says what all of them have; none, so all do, of two."""
    return None if n_cols == 2 else (n_cols + 1) // 2


def share_between(heights: Sequence[int], pixels: int) -> float:
    """What `make_subplots` takes for so many pixels between panels of these heights."""
    return pixels / inside_height(heights, pixels) if len(heights) > 1 else 0.0


def inside_height(heights: Sequence[int], pixels: int) -> int:
    """Pixels of panels below each other, with so many between two.

    >>> inside_height([100, 200], 30), inside_height([100], 30)
    (330, 100)
    """
    return sum(heights) + pixels * (len(heights) - 1)


def make_room(
    figure: go.Figure, *, inside: int, caption: Sequence[str] = (), width: float = PAGE
) -> None:
    """Sets margins and height so that no text stands on another or is cut.

    To be called when all else of the figure is set. The legend comes to stand at the bottom.

    Args:
        figure: Changed in place.
        inside: Height of all panels and what lies between them, in pixels.
        caption: Lines of text below the axes.
        width: Pixels that the figure has on its page.
    """
    layout: Any = figure.layout
    top = _above(layout)
    ticks = max((_below_axis(axis) for axis in _axes(figure.select_xaxes())), default=0.0)
    legend = _legend_height(figure, width)
    below = ticks + legend + TEXT_SIZE * LINE * len(caption) + (ABOVE if caption else 0) + ABOVE
    left = max((_beside_axis(axis) for axis in _axes(figure.select_yaxes())), default=0.0)
    height = round(top + inside + below)
    figure.update_layout(
        height=height,
        margin={"t": top, "b": below, "l": max(left, 76), "autoexpand": True},
        legend={"yref": "container", "y": 6 / height, "yanchor": "bottom"},
    )
    if caption:
        figure.add_annotation(
            text="<br>".join(caption), x=0, y=0, xref="paper", yref="paper", xanchor="left",
            yanchor="top", xshift=14 - max(left, 76), yshift=-ticks - ABOVE, align="left",
            showarrow=False, font={"color": CAPTION, "size": ABOUT_SIZE},
        )  # fmt: skip


def _above(layout: Any) -> float:
    """Of title, what stands below it, and the titles of the first row of panels."""
    titles = [
        each for each in layout.annotations
        if each.yref == "paper" and each.yanchor == "bottom" and (each.y or 0) > 0.999
    ]  # fmt: skip
    n_lines = max((len(_lines(each.text)) for each in titles), default=0)
    about = layout.title.subtitle.text
    n_about = len(_lines(about)) if about else 0
    # Plotly starts the line below a title 1.6 of its own size below the title's foot.
    n_title = len(_lines(layout.title.text or ""))
    heading = ABOVE + n_title * TITLE_SIZE * LINE + (n_about and 12 + n_about * ABOUT_SIZE * LINE)
    return heading + ABOVE + n_lines * (TEXT_SIZE + 1) * LINE


def _axes(axes: Iterator[Any]) -> list[Any]:
    return [axis for axis in axes if axis.showticklabels is not False]


def _names(axis: Any) -> list[str]:
    """What stands at an axis of names; nothing at one of numbers."""
    return [str(name) for name in (axis.ticktext or axis.categoryarray or ())]


def _title_height(axis: Any) -> float:
    text = axis.title.text
    return 8 + (TEXT_SIZE + 1) * LINE * len(_lines(text)) if text else 0.0


def _below_axis(axis: Any) -> float:
    names = _names(axis) or ["0"]
    wide = max(map(text_width, names))
    tall = max(len(_lines(name)) for name in names) * TEXT_SIZE * LINE
    turn = radians(abs(axis.tickangle or 0))
    return 12 + wide * sin(turn) + tall * cos(turn) + _title_height(axis)


def _beside_axis(axis: Any) -> float:
    return 12 + max(map(text_width, _names(axis)), default=0.0) + _title_height(axis)


def _legend_height(figure: go.Figure, width: float) -> float:
    traces: list[Any] = list(figure.data)
    shown = [t for t in traces if t.name and t.type != "heatmap" and t.showlegend is not False]
    layout: Any = figure.layout
    if layout.showlegend is False or (len(shown) < 2 and not any(t.showlegend for t in shown)):
        return 0.0
    wide = [LEGEND_MARK + text_width(trace.name) for trace in shown]
    n_rows = 1 if sum(wide) <= width else ceil(len(wide) / max(int(width / max(wide)), 1))
    return float(2 * ABOVE + LEGEND_LINE * n_rows)


def _lines(text: str) -> list[str]:
    """A text's lines as they are drawn, without its tags."""
    return [re.sub("<[^>]*>", "", line) for line in text.split("<br>")]
