"""The grid of a prompt as a figure, and its cells in words."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.explorer.grid import cells_of_rows
from interp.explorer.look import (
    COLOR_BAR,
    HEIGHT,
    columns_of,
    place_words,
    slanted_height,
    style_panel,
)
from interp.explorer.view import Edit, GridCell, View
from interp.figures.places import site_kind_words, site_words

ROW_HEIGHT, LEAST_ROW = 22, 9  # pixels
MOST_PIXELS = 1500
LEAST_END = 0.1
"""Nats at which the colours of an ablation grid end at least."""
MOST_NUMBERED = 10
"""Columns up to which a cell has room for its number; in a narrow column half of them."""
CHANGED = "#d9730d"
FRAME = {
    "line": {"color": CHANGED, "width": 4},
    "fillcolor": "rgba(0, 0, 0, 0)",
    "opacity": 1,
    "layer": "above",
}
"""How a changed cell is marked."""
ORDER = ["resid_pre", "z", "attn_out", "mlp_out"]
TO = {Edit.MEAN: "to its mean", Edit.ZERO: "to zero", Edit.CORRUPTED: "from the corrupted prompt"}
"""What a cell is changed to, in words."""

Component = tuple[int, str, int | None]
"""A component as a row of the grid: layer, site and head."""


def plot_grid(
    grid: pd.DataFrame, view: View, *, cells: Collection[GridCell], edit: Edit, about: str
) -> go.Figure:
    """The grid, a row a site and head, layers upwards; changed cells are framed.

    Args:
        grid: See `interp.explorer.grid.grid_of_view`.
        view: The prompts.
        cells: The changed ones.
        edit: What a click does.
        about: What the effects are.
    """
    components = grid_rows(grid, view)
    effect = np.full((len(components), len(view.roles)), np.nan)
    shapes = []
    for cell, value in zip(cells_of_rows(grid, view), grid["effect"], strict=True):
        y = components.index((cell.site.layer, cell.site.name, cell.site.head))
        x = view.roles.index(cell.role)
        effect[y, x] = value
        if cell in cells:
            shapes.append(_frame(x, y))
    columns = columns_of(view)
    end = 1.0
    if view.corrupted is None:  # of a state of the stream all is lost: it would pale the others
        parts = [i for i, (_, site, _) in enumerate(components) if not site.startswith("resid")]
        end = max(LEAST_END, float(np.nan_to_num(np.abs(effect[parts])).max()))
    figure = go.Figure(_heatmap(effect, columns, is_share=view.corrupted is not None, end=end))
    title = "Patching" if view.corrupted is not None else f"Ablating each cell {TO[edit]}"
    is_slanted = view.is_own or len(columns) > 7
    bottom = 64 + (slanted_height(columns) if is_slanted else 26)
    labels = {
        "layout.yaxis.ticktext": [short_label(c) for c in components],
        "layout.margin.l": 96,
        "layout.margin.b": 64 + slanted_height(columns),
        "layout.xaxis.tickangle": -90,
        **({"data.0.texttemplate": ""} if len(columns) > MOST_NUMBERED // 2 else {}),
    }
    style_panel(
        figure, title=f"{title}: click a cell to change it", note=about,
        height=grid_height(grid, view) + bottom, narrow=labels,
    )  # fmt: skip
    figure.update_xaxes(
        title={"text": "token and its role", "standoff": 8 if is_slanted else 26}, showgrid=False
    )
    figure.update_xaxes(tickvals=list(range(len(columns))), ticktext=columns)
    figure.update_xaxes(tickangle=-90 if is_slanted else 0, tickfont={"size": 11})
    figure.update_yaxes(title="layer and site", tickvals=list(range(len(components))))
    figure.update_yaxes(ticktext=[component_label(c) for c in components], showgrid=False)
    rows = [component_label(c) for c in components]
    places = [place_words(view, role) for role in view.roles]
    figure.layout.meta |= {"cells": {"rows": rows, "columns": places}}
    figure.update_layout(shapes=shapes, margin={"b": bottom, "l": 150})
    return figure


def _heatmap(
    effect: np.ndarray, columns: Sequence[str], *, is_share: bool, end: float
) -> go.Heatmap:
    title = "effect (share of the difference)" if is_share else "change of log-probability (nats)"
    return go.Heatmap(
        z=[[None if np.isnan(v) else v for v in row] for row in effect.tolist()],
        zmin=-end, zmax=end, colorscale="RdBu_r" if is_share else "RdBu",
        texttemplate="%{z:.2f}" if len(columns) <= MOST_NUMBERED else None,
        textfont={"size": 11}, hoverongaps=True, xgap=1, ygap=1,
        hovertemplate="%{y}, %{x}: %{z:.3f}<br>click to change<extra></extra>",
        colorbar={**COLOR_BAR, "title": {"text": title, "side": "top", "font": {"size": 11}}},
    )  # fmt: skip


def grid_height(grid: pd.DataFrame, view: View) -> int:
    """Pixels of a grid's figure, but for what stands below its cells."""
    rows = len(grid_rows(grid, view))
    pixels = min(ROW_HEIGHT * rows, max(MOST_PIXELS, LEAST_ROW * rows))
    return max(HEIGHT - 90, 70 + pixels)


def grid_rows(grid: pd.DataFrame, view: View) -> list[Component]:
    """The components of a grid, from the first layer to the last, as the model computes them."""
    cells = cells_of_rows(grid, view)
    found = {(cell.site.layer, cell.site.name, cell.site.head) for cell in cells}
    return sorted(found, key=lambda c: (c[0], ORDER.index(c[1]), -1 if c[2] is None else c[2]))


def component_label(component: Component) -> str:
    """How a row of the grid is named.

    >>> component_label((1, "z", 2)), component_label((0, "resid_pre", None))
    ('layer 1, head 2', 'stream before layer 0')
    """
    layer, site, head = component
    return site_words(site, layer, -1 if head is None else head)


def short_label(component: Component) -> str:
    """The same where there is little room.

    >>> short_label((1, "z", 2)), short_label((0, "resid_pre", None)), short_label((0, "mlp_out", None))
    ('1, head 2', '0, stream', '0, MLP')
    """  # noqa: E501
    layer, site, head = component
    words = site_kind_words(site).removesuffix(" before a layer")
    return f"{layer}, {words if head is None else f'head {head}'}"


def cell_words(view: View, cells: Sequence[GridCell], edit: Edit) -> str:
    """Which cells are changed, and to what; empty if none is."""
    if not cells:
        return ""
    named = [
        f"{component_label((c.site.layer, c.site.name, c.site.head))} {place_words(view, c.role)}"
        for c in cells
    ]
    return f"{'; '.join(named)} ({TO[edit]})"


def _frame(x: int, y: int) -> dict[str, Any]:
    place = {"x0": x - 0.48, "x1": x + 0.48, "y0": y - 0.46, "y1": y + 0.46}
    return {"type": "rect", **place, **FRAME}
