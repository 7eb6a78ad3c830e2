"""Frame in, figure out: the gap of a run, of its twins with exchanged tags, and of both."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures.grid_tables import titled
from interp.figures.palette import INK, NULL_COLOR, subset_style, transparent
from interp.figures.room import make_room
from interp.figures.seed_marks import mean_hover, over_seeds, seeds_words, shown_halves
from interp.figures.theme import style_figure
from interp.twins.summary import ESTIMATORS
from training.designs import design_of
from training.metrics import find_metric

HEIGHT = 320  # pixels


def plot_twins(table: pd.DataFrame, *, metric: str = "answer_log_prob") -> go.Figure:
    """A line for each seed over run, twin and paired; means with intervals; 0 is no effect.

    Args:
        table: Rows of a `twins` table of one run.
        metric: The metric of the gap.
    """
    rows = table.loc[table["metric"] == metric]
    design = design_of(table)
    color = subset_style(design.main.higher.name, design).color
    stages = sorted(set(rows["exchanged_in"]))
    titles = [f"tags exchanged in Stage {stage}" for stage in stages]
    figure = make_subplots(
        cols=len(stages), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.04
    )
    names = list(ESTIMATORS)
    for col, stage in enumerate(stages, start=1):
        of_stage = rows.loc[rows["exchanged_in"] == stage]
        for seed, values in zip(of_stage["seed"], of_stage[names].to_numpy(), strict=True):
            figure.add_scatter(
                x=names, y=values, mode="lines+markers", showlegend=False,
                line={"color": transparent(NULL_COLOR, 0.6), "width": 1}, marker={"size": 4},
                hovertemplate=f"seed {seed}, %{{x}}: %{{y:+.3f}}<extra></extra>", row=1, col=col,
            )  # fmt: skip
        long = of_stage.melt("seed", names, var_name="estimator", value_name="gap")
        means = over_seeds(long, ["estimator"], "gap")
        figure.add_scatter(
            x=means["estimator"], y=means["mean"], mode="markers", showlegend=False,
            marker={"color": color, "size": 11},
            error_y={"array": shown_halves(means["mean"], means["ci_high"], means["n_seeds"]),
                     "color": INK, "thickness": 1.6, "width": 5},
            hovertemplate=mean_hover("", means["n_seeds"]), row=1, col=col,
        )  # fmt: skip
    n_seeds = rows["seed"].nunique()
    style_figure(
        figure,
        title=titled("Each alias with either tag", table),
        height=HEIGHT,
        about=f"{seeds_words(n_seeds)}; grey: each seed; paired: the mean of run and twin",
    )
    found = find_metric(metric)
    figure.update_xaxes(title="gap of (paired: mean of both)")
    figure.update_yaxes(zeroline=True, rangemode="tozero")
    figure.update_yaxes(title=f"{design.main.name}<br>({found.words}, {found.unit})", col=1)
    make_room(figure, inside=HEIGHT)
    return figure
