"""The look that all figures share."""

from textwrap import wrap
from typing import Any

import plotly.graph_objects as go
import plotly.io as pio

from interp.figures.palette import CAPTION, FONT, INK
from interp.figures.room import ABOUT_SIZE, ABOVE, TEXT_SIZE, TITLE_SIZE

UPLOADS = ("sendChartToCloud",)
"""Buttons of plotly's that send a figure to a server."""
ABOUT_WIDTH = 128
"""Characters of a line below the title, which has room in the narrowest report."""


def _template() -> go.layout.Template:
    """A template, and no update of a figure, since a title that is set later has its font, too."""
    template = go.layout.Template(pio.templates["simple_white"])
    layout: Any = template.layout
    for axis in (layout.xaxis, layout.yaxis):
        axis.title.font.size = TEXT_SIZE + 1
        axis.title.standoff = 8
        axis.exponentformat = "power"
    layout.yaxis.update(showgrid=True, gridcolor="#e9ebf0", zerolinecolor=INK)
    return template


TEMPLATE = _template()


def style_figure(figure: go.Figure, *, title: str, height: int, about: str = "") -> None:
    """Gives a figure the look of all: light, no chart junk, the legend below to free the width.

    Args:
        figure: Changed in place.
        title: What is shown, of which run.
        height: In pixels; `make_room` sets it anew from what is in the figure.
        about: What marks and bars stand for, how many seeds there are: in small lines below.
    """
    small = {"size": ABOUT_SIZE, "color": CAPTION}
    lines = [line for part in about.split("<br>") for line in wrap(part, ABOUT_WIDTH)]
    figure.update_layout(
        template=TEMPLATE,
        title={
            "text": title,
            "subtitle": {"text": "<br>".join(lines), "font": small},
            "font": {"size": TITLE_SIZE},
            "x": 0, "xanchor": "left", "yref": "container", "y": 1, "yanchor": "top",
            "pad": {"l": 14, "t": ABOVE},
        },
        font={"family": FONT, "color": INK, "size": TEXT_SIZE},
        legend={"orientation": "h", "yanchor": "top", "y": -0.2, "x": 0, "xanchor": "left",
                "tracegroupgap": 0},
        margin={"l": 70, "r": 20, "t": 80, "b": 40},
        height=height,
        hoverlabel={"namelength": -1},
        # Part of the figure, so that it holds wherever it is shown or exported.
        modebar={"remove": list(UPLOADS)},
    )  # fmt: skip
    figure.update_annotations(selector=_is_panel_title, font={"size": TEXT_SIZE + 1})


def _is_panel_title(annotation: Any) -> bool:
    """Whether `make_subplots` wrote it; nothing else has its size."""
    return annotation.font.size == 16
