"""Frame in, figure out: the figures of the report and the notebooks.

How a subset looks is in `interp.figures.palette`. Every interval is over Stage-1 seeds.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.design import Contrast, Design
from data.subsets import Mark
from data.vocabulary import HELD_OUT
from interp.figures.grid_tables import titled
from interp.figures.palette import FAINT, INK, NULL_COLOR, subset_style, transparent
from interp.figures.room import make_room
from interp.figures.seed_marks import FEWEST, interval_hover, mean_hover, seeds_words
from interp.figures.theme import style_figure
from training.designs import design_of
from training.metrics import HEADLINE_METRICS, find_metric
from training.schedules import Schedule
from training.statistics import t_interval

CURVES_HEIGHT, GAPS_HEIGHT = 300, 270  # pixels
HALF_PAGE = 470.0
"""Pixels of a figure's width beside another."""


def learning_curves(metrics: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Each subset's mean over seeds with its 95% t interval, at every evaluation of both stages.

    Columns `subset stage step epoch mean ci_low ci_high n_seeds`; `epoch` counts from the start of
    Stage 1 on, in Stage 2 too. Of one seed the interval is NaN.
    """
    rows = metrics.loc[(metrics["question"] == HELD_OUT) & (metrics["metric"] == metric)]
    if rows.empty:
        known = ", ".join(sorted(set(metrics["metric"])))
        raise ValueError(f"the table has no metric {metric!r}; choose one of {known}")
    point = ["subset", "stage", "step", "epoch"]
    per_seed = rows.groupby([*point, "seed"])["value"].mean()  # Stage-2 seeds count equally
    records = [
        (*place, values.mean(), *t_interval(values.to_numpy()), len(values))
        for place, values in per_seed.groupby(level=point)
    ]
    curves = pd.DataFrame(records, columns=[*point, "mean", "ci_low", "ci_high", "n_seeds"])
    for stage, start in _starts(rows).items():
        curves.loc[curves["stage"] == stage, "epoch"] += start
    return curves


def plot_curves(
    metrics: pd.DataFrame,
    metric: str = "exact_match",
    *,
    title: str = "",
    chance: float | None = None,
    y_range: tuple[float, float] | None = None,
) -> go.Figure:
    """Every subset over both stages, a dashed line between them; the paper's Figure 3.

    Args:
        metrics: The `metrics` of a run.
        metric: The metric to show.
        title: What the run is; the number of seeds is added.
        chance: Where guessing would be, drawn if it is known.
        y_range: Limits of the y axis, to compare figures.
    """
    curves = learning_curves(metrics, metric)
    figure, design = go.Figure(), design_of(metrics)
    for name in design.names:
        of_subset = curves.loc[curves["subset"] == name]
        if not of_subset.empty:
            _add_curve(figure, name, of_subset, subset_style(name, design))
    _add_own_curves(figure, metrics, metric)
    for stage, boundary in list(_starts(metrics).items())[1:]:
        figure.add_vline(boundary, line={"dash": "dash", "color": INK, "width": 1.5}, opacity=1)
        for text, anchor in (
            (f"Stage {stage - 1} &#160;", "right"),
            (f"&#160; Stage {stage}", "left"),
        ):
            place: dict[str, Any] = {"x": boundary, "y": 1.0, "yref": "paper", "yanchor": "bottom"}
            figure.add_annotation(text=text, xanchor=anchor, showarrow=False, **place)
    if chance is not None:
        figure.add_hline(chance, line={"dash": "dot", "color": FAINT, "width": 1})
        figure.add_annotation(
            text=f"guessing<br>{chance:.2f}",
            x=1,
            xref="paper",
            xanchor="left",
            y=chance,
            align="left",
            showarrow=False,
            font={"color": FAINT, "size": 12},
        )
    beside = 20 if chance is None else 66
    n_seeds = int(curves["n_seeds"].to_numpy().max())
    whose = titled(title or find_metric(metric).words, metrics)
    style_figure(figure, title=whose, height=CURVES_HEIGHT, about=seeds_words(n_seeds))
    figure.update_xaxes(title="training (epochs, over all stages)", rangemode="nonnegative")
    label = find_metric(metric).label.replace(" (", "<br>(")
    figure.update_yaxes(title=label, range=y_range)
    figure.update_layout(margin={"r": beside})
    make_room(figure, inside=CURVES_HEIGHT, width=HALF_PAGE)
    return figure


def plot_gaps(
    summary: Mapping[str, Any],
    design: Design,
    null_summary: Mapping[str, Any] | None = None,
    schedule: Schedule = Schedule.TWO_STAGE,
) -> go.Figure:
    """The headline gaps: a dot for each seed, mean and 95% t interval; the control beside.

    The grey box is the equivalence margin of the null twin's main contrast in exact match; the
    thick bar in it, which must stay inside, its 90% interval.

    Args:
        summary: A run's `summary`; its `null_equivalence` gives margin and bar.
        design: The design of the run.
        null_summary: The `summary` of the control twin.
        schedule: The schedule of the run.
    """
    shown = [contrast for contrast in design.contrasts if contrast.name in summary]
    figure = make_subplots(
        cols=len(HEADLINE_METRICS),
        horizontal_spacing=0.13,
        subplot_titles=[find_metric(name).words for name in HEADLINE_METRICS],
    )
    runs = [(summary, "run", INK, "circle", -0.27)]
    if null_summary is not None:
        runs.append((null_summary, design.control_name, NULL_COLOR, "circle-open", 0.13))
    for col, metric in enumerate(HEADLINE_METRICS, start=1):
        if metric == "exact_match" and null_summary is not None and "null_equivalence" in summary:
            _add_margin(figure, summary["null_equivalence"])
        for gaps, name, color, symbol, shift in runs:
            estimates = [gaps[contrast.name][metric] for contrast in shown]
            for trace in _gap_traces(estimates, name, color, symbol, shift):
                trace.showlegend = col == 1
                figure.add_trace(trace, row=1, col=col)
        figure.update_yaxes(title=find_metric(metric).gap_label, zeroline=True, row=1, col=col)
    n_seeds = summary[shown[0].name]["exact_match"]["n_seeds"]
    seeds = f"n = {n_seeds} {'seed' if n_seeds == 1 else 'seeds'}"
    style_figure(
        figure, title=f"Headline gaps: {design.name}", height=GAPS_HEIGHT,
        about=f"one dot a seed, {seeds}; interval: 95% t interval over seeds" if n_seeds >= FEWEST
        else f"one dot a seed, {seeds}",
    )  # fmt: skip
    figure.update_xaxes(
        tickvals=list(range(len(shown))),
        ticktext=[_difference(contrast, schedule) for contrast in shown],
        tickangle=0,
        range=[-0.5, len(shown) - 0.5],
        title="gap, and what it compares",
    )
    make_room(figure, inside=GAPS_HEIGHT)
    return figure


def _starts(metrics: pd.DataFrame) -> dict[int, float]:
    """Epochs trained before each stage."""
    starts, start = {}, 0.0
    for stage in sorted(set(metrics["stage"])):
        starts[int(stage)] = start
        start += float(metrics["epoch"].to_numpy()[metrics["stage"] == stage].max())
    return starts


def _add_curve(figure: go.Figure, name: str, curve: pd.DataFrame, style: Mark) -> None:
    """Adds a band and a line above it; both follow one click in the legend."""
    curve = curve.sort_values(["stage", "step"])
    epochs, low, high = (curve[column].to_numpy() for column in ("epoch", "ci_low", "ci_high"))
    if np.isfinite(low).all() and bool((curve["n_seeds"].to_numpy() >= FEWEST).all()):
        figure.add_scatter(
            x=np.concatenate([epochs, epochs[::-1]]),
            y=np.concatenate([high, low[::-1]]),
            fill="toself",
            fillcolor=transparent(style.color, 0.13),
            line={"width": 0},
            mode="lines",  # else a band of few evaluations has markers of plotly's own
            hoverinfo="skip",
            showlegend=False,
            legendgroup=name,
        )
    figure.add_scatter(
        x=epochs,
        y=curve["mean"].to_numpy(),
        name=name,
        legendgroup=name,
        mode="lines+markers",
        line={"color": style.color, "dash": style.dash, "width": 2},
        marker={"symbol": style.symbol, "size": 8, "line": {"color": "white", "width": 0.5}},
        customdata=curve[["ci_low", "ci_high", "stage", "step"]].to_numpy(),
        hovertemplate=interval_hover(
            "Stage %{customdata[2]}, step %{customdata[3]}: %{y:.3f}", curve["n_seeds"]
        ),
    )


def _add_own_curves(figure: go.Figure, metrics: pd.DataFrame, metric: str) -> None:
    """Each seed's own curve, thin and without marks, where seeds are few but more than one."""
    seeds, design = sorted(set(metrics["seed"])), design_of(metrics)
    if not 1 < len(seeds) < FEWEST:
        return
    for seed in seeds:
        curves = learning_curves(metrics.loc[metrics["seed"] == seed], metric)
        for name, curve in curves.sort_values(["stage", "step"]).groupby("subset"):
            figure.add_scatter(
                x=curve["epoch"].to_numpy(), y=curve["mean"].to_numpy(), mode="lines",
                line={"color": subset_style(str(name), design).color, "width": 0.8}, opacity=0.6,
                name=f"seed {seed}", legendgroup=str(name), showlegend=False,
                hovertemplate="%{y:.3f}",
            )  # fmt: skip


def _gap_traces(
    estimates: Sequence[Mapping[str, Any]], name: str, color: str, symbol: str, shift: float
) -> Iterator[go.Scatter]:
    """Dots of the seeds, spread sideways in order of seed, and the means beside them."""
    dots = [
        (place + shift + sideways, value, seed)
        for place, estimate in enumerate(estimates)
        for sideways, (seed, value) in zip(
            np.linspace(-0.06, 0.06, len(estimate["per_seed"])),
            estimate["per_seed"].items(),
            strict=True,
        )
    ]
    yield go.Scatter(
        x=[x for x, _, _ in dots],
        y=[y for _, y, _ in dots],
        text=[f"seed {seed}" for _, _, seed in dots],
        hovertemplate="%{text}: %{y:+.3f}",
        name=f"{name}: one seed",
        mode="markers",
        marker={"color": color, "symbol": symbol, "size": 7, "opacity": 0.75},
    )
    means = [estimate["mean"] for estimate in estimates]
    high = [e["ci_high"] - e["mean"] if e["n_seeds"] >= FEWEST else 0.0 for e in estimates]
    yield go.Scatter(
        x=[place + shift + 0.15 for place in range(len(estimates))],
        y=means,
        error_y={"array": high, "thickness": 1.8, "width": 5, "color": color},
        hovertemplate=mean_hover("mean ", [e["n_seeds"] for e in estimates]),
        name=f"{name}: mean" + (", 95% interval" if any(high) else ""),
        mode="markers",
        marker={"color": color, "symbol": "diamond", "size": 10},
    )


def _add_margin(figure: go.Figure, verdict: Mapping[str, Any]) -> None:
    """The null twin's margin around its contrast, and the 90% interval that is to lie inside."""
    left, right, margin = 0.03, 0.43, verdict["margin"]
    figure.add_scatter(
        x=[left, right, right, left],
        y=[-margin, -margin, margin, margin],
        fill="toself",
        fillcolor="rgba(134, 139, 152, 0.22)",
        line={"width": 0},
        mode="lines",
        name=f"equivalence margin ±{margin:g}",
        hoverinfo="skip",
        row=1,
        col=1,
    )
    figure.add_scatter(
        x=[0.37, 0.37],
        y=[verdict["ci_low"], verdict["ci_high"]],
        mode="lines",
        line={"color": NULL_COLOR, "width": 6},
        name="null twin: 90% interval",
        row=1,
        col=1,
    )


def _difference(contrast: Contrast, schedule: Schedule) -> str:
    """A headline's name above the subsets that it compares, by the first part of their names."""
    stage = schedule.read_at(contrast.part)
    return f"{contrast.name}<br>{contrast.words}<br>after Stage {int(stage)}"
