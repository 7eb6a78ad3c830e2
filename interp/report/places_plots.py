"""Frame in, figure out: what is readable where and when, of every run of a sweep at once."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures.grid_tables import ALPHA, ordered_axis, ordered_states, state_names
from interp.figures.heat_maps import INSIDE, cells_height, differences, number_texts
from interp.figures.places import at_words
from interp.figures.room import inside_height, make_room, name_ticks, share_between
from interp.figures.theme import style_figure

COLUMNS = 3
BETWEEN = 64  # pixels
CAPTION_WIDTH = 130  # characters
SCALE = differences(1.0)
"""From always wrong over chance to always right, as in the figures of probes."""


def plot_places(cells: pd.DataFrame, names: Mapping[str, str]) -> go.Figure:
    """Accuracy of a probe by state and checkpoint: a panel a run, white at chance.

    Args:
        cells: Rows of a `probes_summary` of one target, role and kind of probe.
        names: What each run is called, by its id, in the order of the panels.
    """
    states = ordered_states(cells)
    times = [
        _time(*place) for place in sorted(set(zip(cells["stage"], cells["step"], strict=True)))
    ]
    n_rows = -(-len(names) // COLUMNS)
    n_cols = min(COLUMNS, len(names))
    inside = [cells_height(len(states))] * n_rows
    figure = make_subplots(
        rows=n_rows, cols=n_cols, shared_xaxes=True, shared_yaxes=True,
        subplot_titles=list(names.values()), horizontal_spacing=0.03,
        vertical_spacing=share_between(inside, BETWEEN),
    )  # fmt: skip
    for place, run_id in enumerate(names):
        of_run = cells.loc[cells["run_id"] == run_id]
        row, col = place // n_cols + 1, place % n_cols + 1
        figure.add_trace(_map(of_run), row=row, col=col)
    target, role, probe = (cells[name].iloc[0] for name in ("target", "role", "probe"))
    title = f"{target} read {at_words(role)} by {probe} probes, by checkpoint"
    style_figure(figure, title=title, height=inside[0])
    figure.update_xaxes(
        **(ordered_axis(times) | name_ticks(times, times, width=INSIDE / n_cols)), showgrid=False
    )
    figure.update_xaxes(title="stage.step", row=n_rows)
    figure.update_yaxes(**ordered_axis(states), showgrid=False)
    figure.update_yaxes(title="state that is read", col=1)
    height = inside_height(inside, BETWEEN)
    figure.update_layout(coloraxis=_colors(cells, height))
    make_room(figure, inside=height, caption=_caption(cells))
    return figure


def _time(stage: int, step: int) -> str:
    return f"{stage}.{step}"


def _map(cells: pd.DataFrame) -> go.Heatmap:
    """One run: how far each reading lies from chance, as a share of what could be."""
    chance, accuracy = cells["chance"].to_numpy(), cells["accuracy"].to_numpy()
    shares = (accuracy - chance) / (1 - chance)
    marks = ["▲" if found else "" for found in _found(cells)]
    wanted = ["accuracy", "ci_low", "ci_high", "null_accuracy", "p_corrected", "chance"]
    return go.Heatmap(
        x=[_time(stage, step) for stage, step in zip(cells["stage"], cells["step"], strict=True)],
        y=state_names(cells),
        z=shares,
        text=number_texts(shares, SCALE, marks=marks, is_written=False),
        customdata=cells[wanted].to_numpy(),
        texttemplate="%{text}",
        textfont={"size": 10},
        hovertemplate=(
            "%{y}, %{x}: %{customdata[0]:.3f} [%{customdata[1]:.3f}, %{customdata[2]:.3f}]"
            "<br>permuted labels %{customdata[3]:.3f}, chance %{customdata[5]:.2g}"
            "<br>corrected p %{customdata[4]:.3g}<extra></extra>"
        ),
        coloraxis="coloraxis",
        xgap=1,
        ygap=1,
    )


def _found(cells: pd.DataFrame) -> Sequence[bool]:
    above = cells["accuracy"] > cells["null_accuracy"]
    return ((cells["p_corrected"] <= ALPHA) & above).tolist()


def _colors(cells: pd.DataFrame, height: int) -> dict[str, Any]:
    is_halves = set(np.round(cells["chance"], 6)) == {0.5}
    ticks = {-1: "0", 0: "0.5 (chance)", 1: "1"} if is_halves else {0: "chance", 1: "always right"}
    named: Any = {"tickvals": list(ticks), "ticktext": list(ticks.values())}
    return SCALE.axis("accuracy", inside=height, **named)


def _caption(cells: pd.DataFrame) -> list[str]:
    seeds = int(cells["n_seeds"].min())
    text = (
        f"Means over {seeds} seed{'s' * (seeds != 1)}, 95% t intervals and the accuracy of "
        "permuted labels on hover. ▲ reads better than permuted labels, p ≤ .05, corrected over "
        "all cells of the sweep at once; so many seeds can give no p below "
        f"{cells['p_smallest'].max():.2g}."
    )
    return wrap(text, CAPTION_WIDTH)
