"""The circuit tab's picture of edges: the strongest of them, each with a mark to click."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from interp.circuits.picture import MOST_EDGES, Floor, cell_words, draw_picture, edge_middle
from interp.explorer.circuit_figures import name_of, said_of
from interp.explorer.grid_figure import CHANGED
from interp.explorer.look import style_panel
from interp.figures.palette import INK

N_SHOWN = 20
"""The strongest edges, which are drawn at once: of more, neighbours' marks are hard to hit."""
MARK, NARROW_MARK, RING = 15, 9, 6
"""Pixels across the mark on an edge, and how much wider the ring around an ablated one is."""


def drawn_edges(
    cells: Sequence[Mapping[str, Any]], found: Collection[str], chosen: Collection[str]
) -> list[Mapping[str, Any]]:
    """The edges that the picture has, the strongest first: some of those found, and the ablated.

    Args:
        cells: Records of `interp.circuits.unit_cells.unit_cells`, of the edges of one model.
        found: The names that were searched for; all if nothing was.
        chosen: The names of the edges that are ablated.
    """
    ordered = sorted(cells, key=lambda cell: -abs(cell["effect"]))
    among = [name_of(cell) for cell in ordered if name_of(cell) in found]
    shown = {*among[:N_SHOWN], *chosen}
    return [cell for cell in ordered if name_of(cell) in shown][:MOST_EDGES]


def plot_board_edges(
    cells: Sequence[Mapping[str, Any]],
    drawn: Sequence[Mapping[str, Any]],
    chosen: Collection[str],
    *,
    circuit: str,
    about: str,
) -> go.Figure:
    """Edges between the components of a model; a click cuts one, whose mark then has a ring.

    Args:
        cells: Records of all edges of one model, which say what there is room for.
        drawn: Those that are shown, in the order in which the arrow keys go through them.
        chosen: The names of the edges that are ablated.
        circuit: Whose effects these are.
        about: What was asked, of how many rows.
    """
    floor = Floor.of([place for cell in cells for place in cell["places"]])
    figure = go.Figure()
    draw_picture(figure, drawn, floor)
    lines: list[Any] = list(figure.select_traces({"meta": "edge"}))
    for line in lines:
        line.update(hovertemplate=None, hoverinfo="skip")  # else it takes the clicks on its mark
    middles = [edge_middle(cell["places"], floor) for cell in drawn]
    _add_marks(figure, drawn, middles, chosen)
    traces: Any = figure.data
    marks = len(traces) - 2
    style_panel(
        figure, title=f"{circuit}: click the mark on an edge to ablate it", note=about,
        height=floor.height + 190,
        narrow={
            "layout.yaxis.ticktext": [row.removeprefix("layer ") for row in floor.rows.values()],
            "layout.margin.l": 76,
            "layout.height": floor.height + 230,
            f"data.{marks}.marker.size": NARROW_MARK,
            f"data.{marks}.textfont.size": 7,
            f"data.{marks + 1}.marker.size": NARROW_MARK + RING,
        },
    )  # fmt: skip
    figure.update_layout(
        margin={"l": 116, "b": 110, "t": 10},
        legend={"yref": "container", "y": 0, "yanchor": "bottom", "orientation": "h", "x": 0},
    )
    layout: Any = figure.layout
    layout.meta |= {
        "cells": {
            "rows": [name_of(cell) for cell in drawn],
            "columns": [""],
            "at": [[list(middle)] for middle in middles],
            "said": [[said_of(cell, name_of(cell) in chosen)] for cell in drawn],
        }
    }
    return figure


def _add_marks(
    figure: go.Figure,
    drawn: Sequence[Mapping[str, Any]],
    middles: Sequence[tuple[float, float]],
    chosen: Collection[str],
) -> None:
    """What is clicked: a mark in the middle of each edge, and a ring around those ablated."""
    taken = [i for i, cell in enumerate(drawn) if name_of(cell) in chosen]
    figure.add_scatter(
        x=[x for x, _ in middles], y=[y for _, y in middles], mode="markers+text", meta="edges",
        text=[cell["places"][-1].reads[:1] for cell in drawn], textfont={"size": 10, "color": INK},
        marker={"size": MARK, "color": "#ffffff", "line": {"width": 1, "color": INK}, "opacity": 1},
        customdata=[[i, 0] for i in range(len(drawn))], showlegend=False,
        hovertemplate=[cell_words(cell) + "<extra></extra>" for cell in drawn],
    )  # fmt: skip
    figure.add_scatter(
        x=[middles[i][0] for i in taken], y=[middles[i][1] for i in taken], mode="markers",
        name="ablated", hoverinfo="skip", showlegend=True,
        marker={"symbol": "circle-open", "size": MARK + RING, "color": CHANGED,
                "line": {"width": 3}},
    )  # fmt: skip
