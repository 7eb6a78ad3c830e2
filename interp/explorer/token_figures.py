"""What is said and what is looked at, token by token: frame in, figure out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.attention.pattern_plots import TOKEN_HEIGHT, plot_attention
from interp.explorer.look import COLOR_BAR, HEIGHT, label, slanted_height, style_panel

LEAST_HEADS = 80  # pixels of a head's panel
MOST_PANELS, MOST_TOKENS = 5, 8
"""Heads of a layer, and tokens, up to which the patterns of all heads are legible side by side."""
ROW_HEIGHT, LEAST_ROW = 22, 9  # pixels
MOST_PIXELS = 1500
MOST_WORDED = 7
"""States of the stream side by side up to which a token's text fits between them."""


def plot_said(said: pd.DataFrame, tokens: Sequence[str], *, answer: str, note: str) -> go.Figure:
    """What the logit lens reads as the next token: the prompt's tokens down, the layers across.

    Args:
        said: See `interp.explorer.tables.said_table`.
        tokens: The tokens of the prompt.
        answer: The answer's token, which is marked.
        note: What is changed, in words.
    """
    states = list(dict.fromkeys(said["state"]))
    shape = (len(states), len(tokens))
    words = np.array(
        [f"★ {label(t)}" if t == answer else label(t) for t in said["token"]], dtype=object
    ).reshape(shape)
    probability = said["probability"].to_numpy().reshape(shape)
    of_answer = said["answer"].to_numpy().reshape(shape)
    title = "its probability"
    figure = go.Figure(
        go.Heatmap(
            z=probability.T, text=words.T, customdata=of_answer.T, zmin=0, zmax=1,
            colorscale="Blues", xgap=1, ygap=1,
            texttemplate="%{text}" if len(states) <= MOST_WORDED else None,
            textfont={"size": 11},
            hovertemplate="at %{y}, %{x}: %{text}, %{z:.3f}<br>the answer: %{customdata:.4f}"
            "<extra></extra>",
            colorbar={**COLOR_BAR, "title": {"text": title, "side": "top", "font": {"size": 11}}},
        )
    )  # fmt: skip
    rows = len(tokens)
    pixels = min(ROW_HEIGHT * rows, max(MOST_PIXELS, LEAST_ROW * rows))
    style_panel(
        figure, title="The likeliest next token after each layer, at each token", note=note,
        height=max(HEIGHT, 150 + pixels),
        narrow={"data.0.texttemplate": ""} if len(states) > MOST_WORDED // 2 else {},
    )  # fmt: skip
    across = ["before<br>layer 0", *(f"after<br>layer {i}" for i in range(len(states) - 1))]
    figure.update_xaxes(title={"text": "residual stream", "standoff": 26}, showgrid=False)
    figure.update_xaxes(tickvals=list(range(len(states))), ticktext=across)
    figure.update_xaxes(tickangle=0 if len(states) <= MOST_WORDED else -90)
    figure.update_yaxes(title="at token", autorange="reversed", showgrid=False)
    figure.update_yaxes(tickvals=list(range(rows)), ticktext=[label(t) for t in tokens])
    figure.update_layout(margin={"l": 110, "b": 84})
    return figure


def plot_where_heads_look(
    pattern: pd.DataFrame, tokens: Sequence[str], *, note: str = ""
) -> go.Figure:
    """Attention to the prompt's tokens, of all heads or of one.

    The patterns of many heads, or over many tokens, have no room side by side: of these a row shows
    where the prompt's last token looks.

    Args:
        pattern: See `interp.explorer.tables.attention_table`.
        tokens: The tokens of the prompt.
        note: What is changed, in words.
    """
    heads, n_layers = len(set(pattern["head"])), len(set(pattern["layer"]))
    is_one = heads * n_layers == 1
    if not is_one and (heads > MOST_PANELS or len(tokens) > MOST_TOKENS):
        return _plot_last_token(pattern, tokens, note=note)
    figure = plot_attention(pattern, [label(token) for token in tokens])
    space = max(LEAST_HEADS, TOKEN_HEIGHT * len(tokens))
    style_panel(
        figure, title="Where each head looks", note=note,
        height=max(HEIGHT, 200 + (64 + space) * n_layers), narrow=_narrow_panels(figure, note),
    )  # fmt: skip
    figure.update_annotations(font_size=12)
    figure.update_traces(textfont={"size": 10})
    figure.update_xaxes(tickangle=-90)
    figure.update_layout(coloraxis={"colorbar": _bar()}, margin={"t": 40})
    figure.update_layout(coloraxis_colorbar_ypad=24)
    return figure


def _narrow_panels(figure: go.Figure, note: str) -> dict[str, Any]:
    """Panels of heads where there is little room: short titles, and no numbers."""
    titles = [str(each.text) for each in figure.layout.annotations]
    narrow: dict[str, Any] = {"layout.margin.l": 66}
    if len(titles) > 1:
        short = [title.replace("layer ", "").replace(", head ", "/") for title in titles]
        narrow |= {f"layout.annotations.{i}.text": text for i, text in enumerate(short)}
        narrow |= {f"data.{i}.texttemplate": "" for i in range(len(titles))}
        about = f"above each panel: layer/head{'; ' if note else ''}{note}"
        narrow["layout.meta.note"] = about
    return narrow


def _plot_last_token(pattern: pd.DataFrame, tokens: Sequence[str], *, note: str) -> go.Figure:
    last = pattern.loc[pattern["dest_pos"] == len(tokens) - 1].sort_values(
        ["layer", "head", "src_pos"]
    )
    rows = list(dict.fromkeys(zip(last["layer"], last["head"], strict=True)))
    weights = last["attention"].to_numpy().reshape(len(rows), len(tokens))
    figure = go.Figure(
        go.Heatmap(
            z=weights, zmin=0, zmax=1, colorscale="Blues", xgap=1, ygap=1, colorbar=_bar(),
            hovertemplate="%{y} to %{x}: %{z:.3f}<extra></extra>",
        )
    )  # fmt: skip
    pixels = min(ROW_HEIGHT * len(rows), max(MOST_PIXELS, LEAST_ROW * len(rows)))
    about = "from the prompt's last token; choose one head to see all of its pattern"
    style_panel(
        figure, title="Where each head looks", note=f"{about}; {note}" if note else about,
        height=max(HEIGHT, 190 + pixels),
        narrow={
            "layout.margin.l": 84,
            "layout.yaxis.ticktext": [f"{layer}, head {head}" for layer, head in rows],
        },
    )  # fmt: skip
    figure.update_xaxes(title={"text": "attended token", "standoff": 6}, showgrid=False)
    figure.update_xaxes(tickvals=list(range(len(tokens))), tickangle=-90)
    figure.update_xaxes(ticktext=[label(token) for token in tokens])
    figure.update_yaxes(title="layer and head", showgrid=False, tickvals=list(range(len(rows))))
    figure.update_yaxes(ticktext=[f"layer {layer}, head {head}" for layer, head in rows])
    names = [label(token) for token in tokens]
    figure.update_layout(margin={"b": 64 + slanted_height(names), "l": 110})
    return figure


def _bar() -> dict[str, Any]:
    return {
        **COLOR_BAR, "title": {"text": "attention weight", "side": "top", "font": {"size": 11}},
    }  # fmt: skip
