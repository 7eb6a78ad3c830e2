"""One row's attention, token by token: heads side by side, or one at a time in Jupyter.

Tokens are coloured by role. The figures are plain plotly ones: nothing is fetched, and no widget
library is needed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from data.errors import InputError
from data.rows import PROMPTS
from data.tokens import TokenizedRow
from data.vocabulary import Role
from interp.attention.pattern_plots import plot_attention
from interp.attention.patterns import OTHER, check_head, token_attention, token_roles
from interp.figures.markup import LONGEST_TOKEN, token_label
from interp.figures.palette import FAINT
from interp.figures.theme import style_figure
from interp.hooked.model import HookedModel

ROLE_INKS = {
    str(Role.TAG): "#a66f00",
    str(Role.ALIAS): "#1f5fc4",
    str(Role.ENTITY): "#2a8a3e",
    str(Role.QUESTION): "#7a3fa8",
    str(Role.ANSWER): "#c8472f",
    OTHER: FAINT,
}
"""The hues of `palette.ROLE_COLORS`, dark enough for text on white."""
OWN_INK = "#0b7285"
"""Of roles that a person named."""
MOST_ROWS = 50
"""What one page can hold: each row brings the patterns of all heads along."""
LONGEST_NAME = 30  # characters of a menu's label; the rest is cut
CHARACTER, TOKEN_HEIGHT, LEAST_PLOT = 7.5, 19, 380  # pixels
ABOVE, BELOW = 116, 230
"""Pixels over the tokens: title and menu; below: slanted tokens, the axis's title and the slider.

A menu or a slider that is wider than its place would push the margins until no plot is left.
"""


def plot_pattern(
    model: HookedModel, row: TokenizedRow, *, layer: int | None = None, head: int | None = None
) -> go.Figure:
    """One row's attention: a panel for each layer (downwards) and head (rightwards).

    Args:
        model: Read only.
        row: What it reads.
        layer: Only this one.
        head: Only this one of that layer.

    Raises:
        InputError: the model has no such layer or head, or a head is named without a layer.
    """
    if layer is None and head is not None:
        raise InputError(f"head {head} of which layer? name the layer too")
    if layer is not None:
        check_head(model, layer, head or 0)
    pattern = token_attention(model, row, layers=None if layer is None else [layer])
    if head is not None:
        pattern = pattern.loc[pattern["head"] == head]
    labels = token_labels(model, row)
    about = f"{row.row.row_id}; {_role_legend(row)}"
    return plot_attention(pattern, labels, title="Attention", about=about)


def show_attention(model: HookedModel, rows: Sequence[TokenizedRow]) -> go.Figure:
    """A figure to explore: a menu of rows, and a slider over the heads and their mean.

    Args:
        model: Read only; the patterns are computed now, so that the figure needs it no more.
        rows: At most `MOST_ROWS`.

    Raises:
        InputError: there are no rows, or too many.
    """
    if not 1 <= len(rows) <= MOST_ROWS:
        raise InputError(f"{len(rows)} rows to show; choose 1 to {MOST_ROWS}")
    heads = [
        f"layer {layer}, head {head}"
        for layer in range(model.n_layers)
        for head in range(model.n_heads)
    ]
    names = ["mean of all heads", *heads]
    patterns = [_patterns(token_attention(model, row)) for row in rows]
    figure = go.Figure(
        [
            go.Heatmap(
                z=pattern, name=name, visible=place == 0, coloraxis="coloraxis", xgap=2, ygap=2,
                texttemplate="%{z:.2f}", hovertemplate="from %{y} to %{x}: %{z:.3f}",
            )
            for place, (name, pattern) in enumerate(zip(names, patterns[0], strict=True))
        ]
    )  # fmt: skip
    layouts = [_row_layout(model, row) for row in rows]
    longest = max(len(row.input_ids) for row in rows)
    height = ABOVE + BELOW + max(LEAST_PLOT, TOKEN_HEIGHT * longest)
    style_figure(figure, title="", height=height)
    figure.update_xaxes(title={"text": "attended token", "standoff": 4}, tickangle=-40)
    figure.update_yaxes(title="at token")
    # With room for the longest label, no row's labels move the plot.
    figure.update_xaxes(showgrid=False, automargin=False)
    figure.update_yaxes(showgrid=False, automargin=False)
    bar = {"thickness": 14, "title": {"text": "attention<br>weight"}}
    figure.update_layout(
        layouts[0],
        coloraxis={"cmin": 0, "cmax": 1, "colorscale": "Blues", "colorbar": bar},
        updatemenus=[_row_menu(rows, patterns, layouts)],
        sliders=[_head_slider(names)],
        margin={"t": ABOVE, "b": BELOW, "l": 50 + CHARACTER * LONGEST_TOKEN},
    )
    return figure


def token_words(model: HookedModel, row: TokenizedRow) -> list[str]:
    """The tokens as text."""
    words = row.row.rendered.text.split()
    if len(words) != len(row.input_ids):
        tokenizer = model.tokenizer
        words = (
            list(map(str, row.input_ids))
            if tokenizer is None
            else [str(tokenizer.decode([token])) for token in row.input_ids]
        )
    return words


def token_labels(model: HookedModel, row: TokenizedRow) -> list[str]:
    """The tokens as text, each in the colour of its role."""
    words, roles = token_words(model, row), token_roles(row)
    return [_inked(token_label(word), role) for word, role in zip(words, roles, strict=True)]


def _patterns(table: pd.DataFrame) -> list[list[list[float | None]]]:
    """The mean over heads, then each head; None where a causal model cannot look."""
    n_pos = int(table["dest_pos"].to_numpy().max()) + 1
    heads = table["attention"].to_numpy().reshape(-1, n_pos, n_pos)
    every = np.concatenate([heads.mean(0, keepdims=True), heads]).round(4).tolist()
    return [
        [[weight if src <= dest else None for src, weight in enumerate(weights)]
         for dest, weights in enumerate(pattern)]
        for pattern in every
    ]  # fmt: skip


def _row_layout(model: HookedModel, row: TokenizedRow) -> dict[str, Any]:
    """The title and axes of the figure, which change with the row that is shown."""
    n_pos, labels = len(row.input_ids), token_labels(model, row)
    layout: dict[str, Any] = {
        "title.text": f"Attention in {row.row.row_id}",
        "title.subtitle.text": _role_legend(row),
        "xaxis.range": [-0.5, n_pos - 0.5],
        "yaxis.range": [n_pos - 0.5, -0.5],
    }
    for axis in ("xaxis", "yaxis"):
        layout |= {f"{axis}.tickvals": list(range(n_pos)), f"{axis}.ticktext": labels}
    return layout


def _row_menu(
    rows: Sequence[TokenizedRow],
    patterns: list[list[list[list[float | None]]]],
    layouts: list[dict[str, Any]],
) -> dict[str, Any]:
    buttons = [
        {
            "label": token_label(f"{number}. {_subject(row)}", LONGEST_NAME),
            "method": "update",
            "args": [{"z": pattern}, layout],
        }
        for number, (row, pattern, layout) in enumerate(
            zip(rows, patterns, layouts, strict=True), start=1
        )
    ]
    place = {"x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "pad": {"b": 6}}
    return {"buttons": buttons, "showactive": True, **place}


def _head_slider(names: list[str]) -> dict[str, Any]:
    """The slider that chooses the head shown; the menu of rows fills the traces of all heads."""
    steps = [
        {
            "label": name,
            "method": "restyle",
            "args": [{"visible": [place == chosen for place in range(len(names))]}],
        }
        for chosen, name in enumerate(names)
    ]
    return {
        "steps": steps,
        "active": 0,
        "pad": {"t": BELOW - 100},
        "currentvalue": {"prefix": "shown: "},
    }


def _subject(row: TokenizedRow) -> str:
    """What the menu calls a row: the prompt itself stands at the axes."""
    if row.row.subset == PROMPTS:
        return row.row.rendered.prompt
    return f"{row.row.subset.name} {row.row.alias or row.row.entity or row.row.row_id}"


def _role_legend(row: TokenizedRow) -> str:
    return "roles: " + " ".join(_inked(role, role) for role in dict.fromkeys(token_roles(row)))


def _inked(text: str, role: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f'<span style="color:{ROLE_INKS.get(role, OWN_INK)}">{escaped}</span>'
