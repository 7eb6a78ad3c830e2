"""The look that all figures share."""

import plotly.graph_objects as go

from interp.figures.palette import FONT, INK

UPLOADS = ("sendChartToCloud",)
"""Buttons of plotly's that send a figure to a server."""


def style_figure(figure: go.Figure, *, title: str, height: int) -> None:
    """Gives a figure the look of all: light, no chart junk, the legend below to free the width."""
    figure.update_layout(
        template="simple_white",
        title={"text": title, "x": 0.02, "xanchor": "left", "font": {"size": 16}},
        font={"family": FONT, "color": INK, "size": 13},
        legend={"orientation": "h", "yanchor": "top", "y": -0.2, "x": 0, "xanchor": "left"},
        margin={"l": 70, "r": 20, "t": 80, "b": 40},
        height=height,
        hoverlabel={"namelength": -1},
        # Part of the figure, so that it holds wherever it is shown or exported.
        modebar={"remove": list(UPLOADS)},
    )
    figure.update_xaxes(exponentformat="power")
    figure.update_yaxes(exponentformat="power")
    figure.update_yaxes(showgrid=True, gridcolor="#e9ebf0", zerolinecolor=INK)
