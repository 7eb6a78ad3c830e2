"""Frame in, figure out: curves of training on one axis, each scaled to its own change."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.figures.grid_tables import titled
from interp.figures.palette import FAINT
from interp.figures.room import make_room
from interp.figures.seed_marks import mean_hover, over_seeds, seeds_words, shown_halves
from interp.figures.theme import style_figure
from interp.orders.curves import CURVES
from interp.orders.summary import scaled, timed_curves

HEIGHT = 420  # pixels
NEAREST = 0.22
"""On the axis, in log(1 + step), the least distance of two ticks."""


def plot_orders(table: pd.DataFrame) -> go.Figure:
    """Each curve from 0 to 1 of its own mean change, with intervals over seeds, and half times.

    Args:
        table: Rows of an `orders` table of one run and stage.
    """
    figure = go.Figure()
    curves, rows = timed_curves(table)[1], scaled(table)
    for place, name in enumerate(name for name in CURVES if name in set(rows["curve"])):
        curve, of_curve = CURVES[name], rows.loc[rows["curve"] == name]
        means = over_seeds(of_curve.sort_values("step"), ["step"], "scaled")
        n_seeds = max(means["n_seeds"].tolist())
        figure.add_scatter(
            x=np.log1p(means["step"]), y=means["mean"], mode="lines+markers", legendgroup=name,
            name=f"{curve.words} (n = {n_seeds})", customdata=means["step"],
            line={"color": curve.color, "dash": "solid" if curve.is_tested else "dot"},
            marker={"size": 6, "color": curve.color},
            error_y={"array": shown_halves(means["mean"], means["ci_high"], means["n_seeds"]),
                     "thickness": 1.1, "width": 2},
            hovertemplate=mean_hover(f"{curve.words}, step %{{customdata}}: ", means["n_seeds"]),
        )  # fmt: skip
        if name in curves and curves[name].is_shown:
            times = curves[name].half_times
            figure.add_scatter(
                x=np.log1p(list(times.values())), y=[-0.13 - 0.07 * place] * len(times),
                mode="markers", marker={"color": curve.color, "symbol": "line-ns-open", "size": 9},
                text=[f"seed {seed}: step {time:.0f}" for seed, time in times.items()],
                hovertemplate=f"{curve.words} is half-way, %{{text}}<extra></extra>",
                showlegend=False, legendgroup=name,
            )  # fmt: skip
    figure.add_hline(y=0.5, line={"color": FAINT, "width": 1, "dash": "dash"})
    stage, n_seeds = int(table["stage"].iloc[0]), len(set(table["seed"]))
    style_figure(
        figure,
        title=titled(f"What comes first in Stage {stage}", table),
        height=HEIGHT,
        about=f"{seeds_words(n_seeds)}; each curve from 0 at the first to 1 at the last checkpoint "
        "on average; strokes below: when each seed is half-way; dotted: drawn, not tested",
    )
    ticks = _apart(sorted(set(rows["step"])))
    figure.update_xaxes(
        tickvals=np.log1p(ticks), ticktext=[str(step) for step in ticks],
        title="training step within the stage (log scale)",
    )  # fmt: skip
    figure.update_yaxes(title="scaled value (share of own change)", zeroline=True)
    make_room(figure, inside=HEIGHT)
    return figure


def _apart(steps: list[int]) -> list[int]:
    """Those steps whose names have room beside each other, the last among them."""
    kept: list[int] = []
    for step in reversed(steps):
        if not kept or np.log1p(kept[-1]) - np.log1p(step) >= NEAREST:
            kept.append(step)
    return kept[::-1]
