"""The attention of one row as a figure."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.errors import InputError
from interp.figures.heat_maps import INSIDE, NUMBER_SIZE, has_room, number_texts, shares
from interp.figures.markup import token_label
from interp.figures.room import SLANT, make_room, middle_column, name_ticks
from interp.figures.theme import style_figure

TOKEN_HEIGHT = 13  # pixels that a token's name takes at least
MOST_NUMBERS = 6
"""Tokens of a row whose weights are written, too."""
SCALE = shares()
MOST_WIDE = 5
"""Heads side by side whose panels have room for the word layer, and for slanted names."""


def plot_attention(
    pattern: pd.DataFrame,
    tokens: Sequence[str] | None = None,
    *,
    title: str = "",
    about: str = "the weights of a row sum to 1",
) -> go.Figure:
    """Attention of one row, a panel for each layer (downwards) and head (rightwards).

    Args:
        pattern: Columns `layer head dest_pos src_pos attention`; a query's weights sum to 1. Of one
            row: of a table of `interp.attend` with several, choose one by its `row`.
        tokens: The row's tokens, to label positions; those that the table has unless given.
        title: What the row is.
        about: What else is said of it, in small lines below.
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
    is_written = len(tokens) <= MOST_NUMBERS and has_room(len(tokens) * len(heads))
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
        weights = np.where(visible, weights, np.nan)
        figure.add_trace(
            go.Heatmap(
                z=weights, coloraxis="coloraxis",
                text=[_numbers(line, is_written=is_written) for line in weights],
                texttemplate="%{text}", textfont={"size": NUMBER_SIZE},
                hovertemplate="from %{y} to %{x}: %{z:.3f}<extra></extra>",
            ),
            row=layers.index(layer) + 1, col=heads.index(head) + 1,
        )  # fmt: skip
    words = title or "Where each token looks"
    style_figure(figure, title=words, height=panel, about=about)
    places = list(range(len(tokens)))
    slant = SLANT if len(tokens) < 10 and is_wide else -90
    ticks = name_ticks(places, tokens, width=INSIDE / len(heads), slant=slant)
    figure.update_xaxes(**ticks, showgrid=False)
    figure.update_yaxes(
        tickvals=places, ticktext=list(tokens), showgrid=False, autorange="reversed"
    )
    figure.update_xaxes(title="attended token", row=len(layers), col=middle_column(len(heads)))
    figure.update_yaxes(title="at token", col=1)
    if not is_wide:
        for row, layer in enumerate(layers, start=1):
            figure.update_yaxes(title=f"<b>layer {layer}</b><br>at token", row=row, col=1)
    inside = panel * len(layers)
    figure.update_layout(coloraxis=SCALE.axis("attention<br>weight", inside=inside))
    make_room(figure, inside=inside)
    return figure


def _numbers(weights: np.ndarray, *, is_written: bool) -> list[str]:
    """A query's weights, without those of tokens that it cannot see."""
    texts = number_texts(weights, SCALE, is_written=is_written)
    return ["" if np.isnan(each) else text for each, text in zip(weights, texts, strict=True)]
