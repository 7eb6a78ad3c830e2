"""The attention of one row as a figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.errors import InputError
from interp.figures.markup import token_label
from interp.figures.theme import style_figure

TOKEN_HEIGHT = 13  # pixels that a token's name takes at least
MOST_WIDE = 5
"""Heads side by side whose panels have room for the word layer, and for slanted names."""


def plot_attention(
    pattern: pd.DataFrame, tokens: Sequence[str] | None = None, *, title: str = ""
) -> go.Figure:
    """Attention of one row, a panel for each layer (downwards) and head (rightwards).

    Args:
        pattern: Columns `layer head dest_pos src_pos attention`; a query's weights sum to 1. Of one
            row: of a table of `interp.attend` with several, choose one by its `row`.
        tokens: The row's tokens, to label positions; those that the table has unless given.
        title: What the row is.
    """
    if "row" in pattern.columns and len(set(pattern["row"])) > 1:
        raise InputError("the pattern is of several rows; choose one by the column row")
    if tokens is None:
        if "src_token" not in pattern.columns:
            raise InputError("the pattern does not say its tokens; give those of its row")
        in_order = pattern.drop_duplicates("src_pos").sort_values("src_pos")
        tokens = list(map(token_label, in_order["src_token"]))
    if pattern.empty or pattern[["dest_pos", "src_pos"]].to_numpy().max() >= len(tokens):
        raise ValueError(f"a pattern does not fit {len(tokens)} tokens; give those of its row")
    layers, heads = (sorted(set(pattern[axis])) for axis in ("layer", "head"))
    is_wide = len(heads) <= MOST_WIDE
    names = {layer: f"layer {layer}, " if is_wide else "" for layer in layers}
    panel = max(210, 60 + TOKEN_HEIGHT * len(tokens))
    figure = make_subplots(
        rows=len(layers), cols=len(heads), shared_xaxes=True, shared_yaxes=True,
        horizontal_spacing=0.02, vertical_spacing=50 / panel / len(layers),
        subplot_titles=[f"{names[layer]}head {head}" for layer in layers for head in heads],
    )  # fmt: skip
    for (layer, head), cells in pattern.groupby(["layer", "head"]):  # pyright: ignore[reportGeneralTypeIssues]
        weights = cells.pivot(index="dest_pos", columns="src_pos", values="attention").to_numpy()
        visible = np.tril(np.ones_like(weights, dtype=bool))  # a causal model looks back only
        figure.add_trace(
            go.Heatmap(
                z=np.where(visible, weights, np.nan), coloraxis="coloraxis",
                texttemplate="%{z:.2f}" if len(tokens) <= 6 else None,
                hovertemplate="from %{y} to %{x}: %{z:.3f}<extra></extra>",
            ),
            row=layers.index(layer) + 1, col=heads.index(head) + 1,
        )  # fmt: skip
    style_figure(figure, title=title, height=140 + panel * len(layers))
    slant = -40 if len(tokens) < 10 and is_wide else -90
    ticks: dict[str, Any] = {"tickvals": list(range(len(tokens))), "ticktext": list(tokens)}
    figure.update_xaxes(**ticks, showgrid=False, tickangle=slant)
    figure.update_yaxes(**ticks, showgrid=False, autorange="reversed")
    figure.update_xaxes(title="attended token", row=len(layers), col=(len(heads) + 1) // 2)
    figure.update_yaxes(title="at token", col=1)
    if not is_wide:
        for row, layer in enumerate(layers, start=1):
            figure.update_yaxes(title=f"<b>layer {layer}</b><br>at token", row=row, col=1)
    bar = {"title": "attention<br>weight", "thickness": 14}
    figure.update_layout(coloraxis={"cmin": 0, "cmax": 1, "colorscale": "Blues", "colorbar": bar})
    return figure
