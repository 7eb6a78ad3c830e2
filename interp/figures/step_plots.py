"""Frame in, figure out: several measures along training, each on a scale of its own, side by side.

What is there first, and what grows with what? Curves of one panel are in one unit. Steps are in
their order, not to scale, since checkpoints are spaced by ratios.
"""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.errors import InputError
from interp.figures.grid_tables import ordered_axis
from interp.figures.palette import INK, NULL_COLOR, transparent
from interp.figures.room import PAGE, make_room, middle_column, name_ticks
from interp.figures.seed_marks import (
    FEWEST,
    add_seeds,
    interval_hover,
    over_seeds,
    seeds_words,
)
from interp.figures.theme import style_figure

COLUMNS = ("panel", "unit", "name", "is_control", "step", "seed", "value")
COLORS = (INK, "#1f5fc4", "#d02b2b", "#2a8a3e", "#ea8a12", "#7a3fa8")
HEIGHT, INSIDE = 300, PAGE - 110  # pixels


def plot_steps(table: pd.DataFrame, *, title: str) -> go.Figure:
    """A panel for each measure, checkpoints from left to right; controls are grey and dotted.

    Args:
        table: A row for each curve, step and seed, with columns `panel unit name is_control step
            seed value`; panels and curves are in the order in which they come.
        title: What is shown, of which run.

    Raises:
        InputError: the table lacks a column, or has no rows.
    """
    lacking = [name for name in COLUMNS if name not in table]
    if lacking or table.empty:
        what = f"lacks {', '.join(lacking)}" if lacking else "has no rows"
        raise InputError(f"the table of curves {what}; give a row for each step and seed")
    panels = list(dict.fromkeys(table["panel"]))
    steps = [str(step) for step in sorted(set(table["step"]))]
    figure = make_subplots(cols=len(panels), column_titles=panels, horizontal_spacing=0.09)
    for col, panel in enumerate(panels, start=1):
        of_panel = table.loc[table["panel"] == panel]
        names = list(dict.fromkeys(of_panel["name"]))
        for place, name in enumerate(names):
            _add_curve(figure, of_panel.loc[of_panel["name"] == name], COLORS[place], col)
        figure.update_yaxes(title=of_panel["unit"].iloc[0], col=col)
    style_figure(figure, title=title, height=HEIGHT, about=seeds_words(len(set(table["seed"]))))
    figure.update_xaxes(
        **(ordered_axis(steps) | name_ticks(steps, steps, width=INSIDE / len(panels))),
        range=[-0.5, len(steps) - 0.5],
    )
    figure.update_xaxes(title="training step (not to scale)", col=middle_column(len(panels)))
    make_room(figure, inside=HEIGHT)
    return figure


def _add_curve(figure: go.Figure, rows: pd.DataFrame, color: str, col: int) -> None:
    """A mean over seeds with its band, or with each seed's own value where seeds are few."""
    is_control, name = bool(rows["is_control"].iloc[0]), str(rows["name"].iloc[0])
    color = NULL_COLOR if is_control else color
    means = over_seeds(rows.sort_values("step"), ["step"], "value")
    x, place = means["step"].astype(str), {"legendgroup": f"{col} {name}", "row": 1, "col": col}
    if min(means["n_seeds"]) >= FEWEST:
        low, high = means["ci_low"].to_numpy(), means["ci_high"].to_numpy()
        figure.add_scatter(
            x=[*x, *x.iloc[::-1]], y=np.concatenate([high, low[::-1]]), fill="toself",
            fillcolor=transparent(color, 0.13), line={"width": 0}, mode="lines",
            hoverinfo="skip", showlegend=False, **place,
        )  # fmt: skip
    else:
        values: list[Any] = [rows["step"].astype(str), rows["value"], rows["seed"]]
        add_seeds(
            figure, *(each.tolist() for each in values), color=color, row=1, col=col,
            group=f"{col} {name}",
        )  # fmt: skip
    figure.add_scatter(
        x=x, y=means["mean"], name=name, mode="lines+markers",
        line={"color": color, "width": 2.2, "dash": "dot" if is_control else "solid"},
        marker={"size": 7, "symbol": "circle-open" if is_control else "circle"},
        customdata=means[["ci_low", "ci_high"]].to_numpy(),
        hovertemplate=interval_hover("step %{x}: %{y:.3f}", means["n_seeds"]),
        **place,
    )  # fmt: skip
