"""The explorer's figures: frame in, figure out."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.attention.pattern_plots import TOKEN_HEIGHT, plot_attention
from interp.explorer.view import GridCell, cells_of_rows
from interp.figures.grid_tables import ordered_axis
from interp.figures.markup import token_label
from interp.figures.palette import FAINT, INK
from interp.figures.places import at_words, role_words, site_words
from interp.figures.theme import style_figure
from interp.hooked.addresses import TokenRole
from interp.interventions.ablation import AblationKind

WIDTH, HEIGHT = 640, 430  # pixels; two panels side by side in a notebook
LABELLED = 0.02
"""The length from which on a bar has its number on it."""
BEFORE, AFTER = "#8b93a5", "#d9730d"
ROW_HEIGHT = 22
LEAST_HEADS = 80  # pixels of a head's panel
LINES = {
    "answer": ("#1f5fc4", "circle", "solid", 2.4),
    "entity": ("#2a8a3e", "square", "solid", 2.4),
    "stated answer": ("#d02b2b", "triangle-down", "solid", 1.6),
    "stated entity": ("#7a3fa8", "triangle-up", "solid", 1.6),
    "other answers (mean)": ("#8fb0e3", "circle-open", "dot", 1.2),
    "other entities (mean)": ("#94c79f", "square-open", "dot", 1.2),
}
"""Colour, marker, dash and width of each of the lens's quantities."""
FRAME = {
    "line": {"color": AFTER, "width": 4},
    "fillcolor": "rgba(0, 0, 0, 0)",
    "opacity": 1,
    "layer": "above",
}
"""How an ablated cell is marked."""


def plot_answers(answers: pd.DataFrame, *, chance: float, ablated: str = "") -> go.Figure:
    """Bars of the likeliest answers, the true one marked; before and after an ablation.

    Args:
        answers: See `interp.explorer.view.answers_table`.
        chance: Where guessing would be.
        ablated: What is ablated, in words.
    """
    marks = [
        f"<b>★ {token}</b>" if is_answer else (f"<b>✗ {token}</b>" if is_stated else token)
        for token, is_answer, is_stated in zip(
            answers["token"].map(_label), answers["is_answer"], answers["is_stated"], strict=True
        )
    ]
    places = list(range(len(answers)))
    is_long = answers[["before", "after"]].max(axis=1) >= LABELLED
    figure = go.Figure()
    for name, color, shape in (("before", BEFORE, ""), ("after", AFTER, "/")):
        figure.add_bar(
            x=places, y=answers[name].tolist(), name=f"{name} the ablation" if ablated else name,
            marker={"color": color, "pattern": {"shape": shape, "solidity": 0.25}},
            text=[f"{p:.2f}" if shown and p == p else ""
                  for p, shown in zip(answers[name], is_long, strict=True)],
            textposition="outside", textfont={"size": 10}, cliponaxis=False, textangle=0,
            customdata=answers["token"].map(_label).tolist(),
            hovertemplate="%{customdata}: %{y:.4f}<extra>" + name + "</extra>",
            showlegend=bool(ablated),
        )  # fmt: skip
    figure.add_scatter(
        x=[-0.6, len(places) - 0.4], y=[chance, chance], mode="lines",
        line={"color": FAINT, "dash": "dot", "width": 1.5}, hoverinfo="skip",
        name=f"guessing among the answers: {chance:.3g}", showlegend=True,
    )  # fmt: skip
    notes = "★ true answer"
    notes += ", ✗ what the definition implies" if True in answers["is_stated"].tolist() else ""
    notes += f"; ablated: {ablated}" if ablated else ""
    _style(figure, f"What the model answers<br><sup>{_cut(notes)}</sup>", height=HEIGHT)
    figure.update_xaxes(title="next token", tickvals=places, ticktext=marks, tickangle=-35)
    figure.update_xaxes(range=[-0.6, len(places) - 0.4])
    figure.update_yaxes(title="probability", range=[0, 1.08], tickvals=[0, 0.25, 0.5, 0.75, 1])
    corner = {"orientation": "v", "x": 1, "xanchor": "right", "y": 1, "yanchor": "top"}
    figure.update_layout(barmode="group", bargap=0.25, legend=corner)
    return figure


def plot_lens_of_prompt(
    lens: pd.DataFrame, *, chance: float, ablated: str = "", height: int = HEIGHT
) -> go.Figure:
    """What the logit lens reads at the prompt's last token, state by state.

    Args:
        lens: See `interp.explorer.view.lens_table`.
        chance: The probability of guessing.
        ablated: What is ablated, in words.
        height: In pixels.
    """
    figure = go.Figure()
    states = list(dict.fromkeys(lens["state"]))
    for quantity, rows in lens.groupby("quantity", sort=False):
        _add_lens_lines(figure, str(quantity), rows)
    figure.add_scatter(
        x=[states[0], states[-1]], y=[np.log(chance)] * 2, mode="lines", name="guessing the answer",
        line={"color": FAINT, "dash": "dot", "width": 1.5}, hoverinfo="skip",
    )  # fmt: skip
    notes = "at the prompt's last token" + ("; dashed, open: after the ablation" if ablated else "")
    _style(figure, f"What the logit lens reads<br><sup>{notes}</sup>", height=height)
    figure.update_xaxes(title={"text": "state of the residual stream", "standoff": 4})
    figure.update_xaxes(**ordered_axis(states), tickangle=-40)
    figure.update_xaxes(range=[-0.2, len(states) - 0.8])
    figure.update_yaxes(title="log-probability (nats)")
    at_bottom = {"yref": "container", "y": 0, "yanchor": "bottom"}
    figure.update_layout(legend=at_bottom, margin={"b": 165})
    return figure


def _add_lens_lines(figure: go.Figure, quantity: str, rows: pd.DataFrame) -> None:
    """Lines of a quantity before and, unless it is a control, after; one entry in the legend."""
    color, symbol, dash, width = LINES[quantity]
    looks = {"before": (symbol, dash, width)}
    if not quantity.startswith("other"):
        looks["after"] = (f"{symbol}-open", "dash", 1.6)
    for name, (marker, line, thickness) in looks.items():
        figure.add_scatter(
            x=rows["state"].tolist(), y=rows[name].tolist(), mode="lines+markers", name=quantity,
            line={"color": color, "dash": line, "width": thickness},
            marker={"symbol": marker, "size": 8},
            legendgroup=quantity, showlegend=name == "before",
            hovertemplate=f"{quantity}, {name}: %{{y:.2f}} nats<extra></extra>",
        )  # fmt: skip


def plot_where_heads_look(
    pattern: pd.DataFrame, tokens: Sequence[str], *, ablated: str = ""
) -> go.Figure:
    """Attention to the prompt's tokens, of all heads or of one.

    Args:
        pattern: See `interp.explorer.view.attention_table`.
        tokens: The tokens of the prompt.
        ablated: What is ablated, in words.
    """
    title = "Where each head looks" + (" after the ablation" if ablated else "")
    figure = plot_attention(pattern, [_label(token) for token in tokens], title=title)
    n_layers, space = pattern["layer"].nunique(), max(LEAST_HEADS, TOKEN_HEIGHT * len(tokens))
    height = max(HEIGHT, 140 + (40 + space) * n_layers)
    figure.update_layout(width=WIDTH, height=height, font={"size": 12}, dragmode=False)
    figure.update_annotations(font_size=12)
    figure.update_traces(textfont={"size": 10})
    return figure


def plot_grid(
    grid: pd.DataFrame, *, tokens: Sequence[str], cells: Collection[GridCell], about: str
) -> go.Figure:
    """The patching grid, a row a site and head, layers upwards; ablated cells are framed.

    Args:
        grid: See `interp.explorer.view.patch_grid_of_pair`.
        tokens: The clean prompt's token at each of the grid's roles.
        cells: The ablated ones.
        about: What is patched into what.
    """
    components, roles = grid_rows(grid), grid_roles(grid)
    effect = np.full((len(components), len(roles)), np.nan)
    shapes = []
    for cell, value in zip(cells_of_rows(grid), grid["effect"], strict=True):
        y, x = components.index((cell.site.layer, cell.site.name, cell.site.head)), roles.index(
            cell.role
        )  # fmt: skip
        effect[y, x] = value
        if cell in cells:
            shapes.append(_frame(x, y))
    figure = go.Figure(
        go.Heatmap(
            z=effect,
            x=list(range(len(roles))), y=list(range(len(components))),
            zmin=-1, zmax=1, colorscale="RdBu_r", texttemplate="%{z:.2f}", textfont={"size": 11},
            hovertemplate="%{y}, %{x}: effect %{z:.3f}<br>click to ablate<extra></extra>",
            colorbar={"title": "effect<br>(share)", "thickness": 14}, xgap=2, ygap=2,
        )
    )  # fmt: skip
    title = f"Patching: click a cell to ablate it<br><sup>{_cut(about)}</sup>"
    _style(figure, title, height=grid_height(grid))
    labels = [
        f"{_label(token)}<br>{role_words(role).removesuffix(' token')}"
        for token, role in zip(tokens, roles, strict=True)
    ]
    figure.update_xaxes(title="token and its role", tickvals=list(range(len(roles))))
    figure.update_xaxes(ticktext=labels, showgrid=False, tickangle=0, tickfont={"size": 11})
    figure.update_yaxes(title="layer and site", tickvals=list(range(len(components))))
    figure.update_yaxes(ticktext=[component_label(c) for c in components], showgrid=False)
    figure.update_layout(shapes=shapes, margin={"b": 80, "l": 150})
    return figure


def grid_height(grid: pd.DataFrame) -> int:
    """Pixels of a grid's figure."""
    return max(HEIGHT, 190 + ROW_HEIGHT * len(grid_rows(grid)))


Component = tuple[int, str, int | None]
"""A component as a row of the grid: layer, site and head."""


def grid_rows(grid: pd.DataFrame) -> list[Component]:
    """The components of a grid, from the first layer to the last, as the model computes them."""
    order = ["resid_pre", "z", "attn_out", "mlp_out"]
    found = {(cell.site.layer, cell.site.name, cell.site.head) for cell in cells_of_rows(grid)}
    return sorted(found, key=lambda c: (c[0], order.index(c[1]), -1 if c[2] is None else c[2]))


def grid_roles(grid: pd.DataFrame) -> list[TokenRole]:
    """The roles of a grid, in the order of the prompt."""
    return [TokenRole(role) for role in dict.fromkeys(grid["role"])]


def component_label(component: Component) -> str:
    """How a row of the grid is named.

    >>> component_label((1, "z", 2)), component_label((0, "resid_pre", None))
    ('layer 1, head 2', 'stream before layer 0')
    """
    layer, site, head = component
    return site_words(site, layer, -1 if head is None else head)


def cell_words(cells: Sequence[GridCell], ablation: AblationKind) -> str:
    """Which cells are ablated, and how; empty if none is."""
    if not cells:
        return ""
    named = [
        f"{component_label((c.site.layer, c.site.name, c.site.head))} {at_words(c.role)}"
        for c in cells
    ]
    return f"{'; '.join(named)} (to {'zero' if ablation is AblationKind.ZERO else 'its mean'})"


def _frame(x: int, y: int) -> dict[str, Any]:
    place = {"x0": x - 0.48, "x1": x + 0.48, "y0": y - 0.46, "y1": y + 0.46}
    return {"type": "rect", **place, **FRAME}


def _style(figure: go.Figure, title: str, *, height: int) -> None:
    style_figure(figure, title=title, height=height)
    figure.update_layout(width=WIDTH, font={"color": INK, "size": 12}, dragmode=False)


def _plain(text: str) -> str:
    """Text that plotly shows as it is: it reads some tags."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _label(token: str) -> str:
    return _plain(token_label(token))


def _cut(text: str, most: int = 110) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
