"""What the model answers, and how the answer comes about: frame in, figure out."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.explorer.grid_figure import CHANGED
from interp.explorer.look import HEIGHT, style_panel, told_apart
from interp.figures.grid_tables import ordered_axis
from interp.figures.palette import FAINT

LABELLED = 0.02
"""The length from which on a bar has its number on it."""
BEFORE = "#8b93a5"
LINES = {
    "answer": ("#1f5fc4", "circle", "solid", 2.4),
    "entity": ("#2a8a3e", "square", "solid", 2.4),
    "stated answer": ("#d02b2b", "triangle-down", "solid", 1.6),
    "stated entity": ("#7a3fa8", "triangle-up", "solid", 1.6),
    "answer of the corrupted prompt": ("#d02b2b", "triangle-down", "solid", 1.6),
    "other answers (mean)": ("#8fb0e3", "circle-open", "dot", 1.2),
    "all other tokens (mean)": ("#8fb0e3", "circle-open", "dot", 1.2),
    "other entities (mean)": ("#94c79f", "square-open", "dot", 1.2),
}
"""Colour, marker, dash and width of each of the lens's quantities."""


def plot_answers(
    answers: pd.DataFrame, *, chance: float, among: str, changed: str = ""
) -> go.Figure:
    """Bars of the likeliest answers, the true one marked; before and after cells are changed.

    Args:
        answers: See `interp.explorer.tables.answers_table`.
        chance: Where guessing would be.
        among: What would be guessed among, in words.
        changed: What is changed, in words.
    """
    names = told_apart(answers["token"].tolist())
    marks = [
        f"<b>★ {token}</b>" if is_answer else (f"<b>✗ {token}</b>" if is_stated else token)
        for token, is_answer, is_stated in zip(
            names, answers["is_answer"], answers["is_stated"], strict=True
        )
    ]
    places = list(range(len(answers)))
    is_long = answers[["before", "after"]].max(axis=1) >= LABELLED
    figure = go.Figure()
    for name, color, shape in (("before", BEFORE, ""), ("after", CHANGED, "/")):
        figure.add_bar(
            x=places, y=answers[name].tolist(), name=f"{name} the change",
            marker={"color": color, "pattern": {"shape": shape, "solidity": 0.25}},
            text=[f"{p:.2f}" if shown and p == p else ""
                  for p, shown in zip(answers[name], is_long, strict=True)],
            textposition="outside", textfont={"size": 10}, cliponaxis=False, textangle=0,
            customdata=names,
            hovertemplate="%{customdata}: %{y:.4f}<extra>" + name + "</extra>",
            showlegend=bool(changed),
        )  # fmt: skip
    figure.add_scatter(
        x=[-0.6, len(places) - 0.4], y=[chance, chance], mode="lines",
        line={"color": FAINT, "dash": "dot", "width": 1.5}, hoverinfo="skip",
        name=f"guessing among {among}: {chance:.3g}", showlegend=True,
    )  # fmt: skip
    notes = "★ the answer"
    notes += ", ✗ what the definition implies" if True in answers["is_stated"].tolist() else ""
    notes += f"; changed: {changed}" if changed else ""
    style_panel(
        figure, title="What the model answers", note=notes, height=HEIGHT,
        narrow={"layout.xaxis.tickangle": -90, "layout.margin.l": 56},
    )  # fmt: skip
    figure.update_xaxes(title="next token", tickvals=places, ticktext=marks, tickangle=-35)
    figure.update_xaxes(range=[-0.6, len(places) - 0.4])
    figure.update_yaxes(title="probability", range=[0, 1.08], tickvals=[0, 0.25, 0.5, 0.75, 1])
    above = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"}
    figure.update_layout(barmode="group", bargap=0.25, legend=above)
    return figure


def plot_lens_of_prompt(
    lens: pd.DataFrame, *, chance: float, among: str, changed: str = ""
) -> go.Figure:
    """What the logit lens reads at the prompt's last token, state by state.

    Args:
        lens: See `interp.explorer.tables.lens_table`.
        chance: The probability of guessing.
        among: What would be guessed among, in words.
        changed: What is changed, in words.
    """
    figure = go.Figure()
    states = list(dict.fromkeys(lens["state"]))
    for quantity, rows in lens.groupby("quantity", sort=False):
        _add_lens_lines(figure, str(quantity), rows)
    figure.add_scatter(
        x=[states[0], states[-1]], y=[np.log(chance)] * 2, mode="lines",
        name=f"guessing among {among}",
        line={"color": FAINT, "dash": "dot", "width": 1.5}, hoverinfo="skip",
    )  # fmt: skip
    note = "at the prompt's last token"
    note += f"; dashed, open: with {changed}" if changed else ""
    legend_rows = -(-(1 + lens["quantity"].nunique()) // 2)
    style_panel(
        figure, title="What the logit lens reads after each layer", note=note, height=HEIGHT + 60,
        narrow={"layout.margin.b": 130 + 24 * legend_rows * 2, "layout.height": HEIGHT + 120},
    )  # fmt: skip
    figure.update_xaxes(title={"text": "state of the residual stream", "standoff": 4})
    figure.update_xaxes(**ordered_axis(states), tickangle=-40)
    figure.update_xaxes(range=[-0.2, len(states) - 0.8])
    figure.update_yaxes(title="log-probability (nats)")
    at_bottom = {"yref": "container", "y": 0, "yanchor": "bottom"}
    bottom = 130 + 24 * legend_rows
    figure.update_layout(legend=at_bottom, margin={"b": bottom, "t": 16})
    return figure


def _add_lens_lines(figure: go.Figure, quantity: str, rows: pd.DataFrame) -> None:
    """Lines of a quantity before and, unless it is a control, after; one entry in the legend."""
    color, symbol, dash, width = LINES[quantity]
    looks = {"before": (symbol, dash, width)}
    if not quantity.endswith("(mean)"):
        looks["after"] = (f"{symbol}-open", "dash", 1.6)
    for name, (marker, line, thickness) in looks.items():
        figure.add_scatter(
            x=rows["state"].tolist(), y=rows[name].tolist(), mode="lines+markers", name=quantity,
            line={"color": color, "dash": line, "width": thickness},
            marker={"symbol": marker, "size": 8},
            legendgroup=quantity, showlegend=name == "before",
            hovertemplate=f"{quantity}, {name}: %{{y:.2f}} nats<extra></extra>",
        )  # fmt: skip
