"""Numbers in, figure out: the same numbers of several runs side by side at one scale."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures.room import make_room
from interp.figures.seed_marks import FEWEST, mean_hover
from interp.figures.theme import style_figure
from training.statistics import Estimate

RUN_MARKS = (
    ("#1f2430", "circle"),
    ("#b35c00", "square"),
    ("#0b7a75", "diamond"),
    ("#8a3fa8", "triangle-up"),
    ("#5a6f1f", "triangle-down"),
    ("#7d828f", "cross"),
)
"""Colour and marker of each run in turn; no subset's, lest a run be taken for one."""
HEIGHT = 330  # pixels
_NARROWEST = 0.8  # of the space between two categories that the runs share


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One number a category of each run."""

    title: str
    unit: str
    categories: Sequence[str]
    runs: Mapping[str, Sequence[Estimate | None]]
    """By the run's name, an estimate for each category; None where a run has none."""
    twins: Mapping[str, Sequence[Estimate | None]] = field(default_factory=dict)
    """Those of the null twins of runs, by the run's name."""


def plot_side_by_side(panels: Sequence[Panel], *, title: str, what: str) -> go.Figure:
    """A dot for each seed of each run, mean and 95% t interval beside them; twins are open.

    Args:
        panels: From left to right.
        title: What is shown.
        what: What a category is.
    """
    titles = [panel.title for panel in panels]
    figure = make_subplots(cols=len(panels), horizontal_spacing=0.11, subplot_titles=titles)
    for col, panel in enumerate(panels, start=1):
        step = _NARROWEST / len(panel.runs)
        for place, (name, estimates) in enumerate(panel.runs.items()):
            centre = (place + 0.5) * step - _NARROWEST / 2
            color, symbol = RUN_MARKS[place % len(RUN_MARKS)]
            traces = [*_traces(name, estimates, centre, step, color, symbol)]
            twins = panel.twins.get(name)
            if twins is not None:
                traces.append(_twin_trace(name, twins, centre + 0.38 * step, color, symbol))
            for trace in traces:
                trace.showlegend = bool(trace.showlegend) and col == 1
                figure.add_trace(trace, row=1, col=col)
        figure.update_yaxes(title=panel.unit, zeroline=True, row=1, col=col)
        figure.update_xaxes(
            tickvals=list(range(len(panel.categories))),
            ticktext=list(panel.categories),
            tickangle=0,
            title=what,
            range=[-0.5, len(panel.categories) - 0.5],
            row=1,
            col=col,
        )
    style_figure(figure, title=title, height=HEIGHT, about=_about(panels))
    make_room(figure, inside=HEIGHT)
    return figure


def _about(panels: Sequence[Panel]) -> str:
    """What the marks stand for."""
    twins = "; open and without seeds: null twins" if any(p.twins for p in panels) else ""
    counts = {
        name: max((each.n_seeds for each in estimates if each is not None), default=0)
        for name, estimates in panels[0].runs.items()
    }
    seeds = ", ".join(f"{name} n = {n}" for name, n in counts.items())
    return f"one dot a seed ({seeds}); mean, and 95% t interval from {FEWEST} seeds on{twins}"


def _traces(
    name: str,
    estimates: Sequence[Estimate | None],
    centre: float,
    step: float,
    color: str,
    symbol: str,
) -> Iterator[go.Scatter]:
    """The dots of a run's seeds, and the means right of them."""
    known = [(place, each) for place, each in enumerate(estimates) if each is not None]
    dots = [
        (place + centre + sideways * step, value, seed)
        for place, each in known
        for sideways, (seed, value) in zip(
            np.linspace(-0.3, -0.05, len(each.per_seed)), each.per_seed.items(), strict=True
        )
    ]
    yield go.Scatter(
        x=[x for x, _, _ in dots],
        y=[y for _, y, _ in dots],
        text=[f"{name}, seed {seed}" for _, _, seed in dots],
        hovertemplate="%{text}: %{y:+.3f}<extra></extra>",
        mode="markers",
        marker={"color": color, "symbol": symbol, "size": 5, "opacity": 0.55},
        legendgroup=name,
        showlegend=False,
    )
    yield _mean_trace(name, known, centre + 0.14 * step, color, symbol)


def _twin_trace(
    name: str, estimates: Sequence[Estimate | None], shift: float, color: str, symbol: str
) -> go.Scatter:
    known = [(place, each) for place, each in enumerate(estimates) if each is not None]
    return _mean_trace(f"{name}: null twin", known, shift, color, f"{symbol}-open")


def _mean_trace(
    name: str, known: Sequence[tuple[int, Estimate]], shift: float, color: str, symbol: str
) -> go.Scatter:
    """Means with their intervals, where the seeds are enough for one."""
    halves = [e.ci_high - e.mean if e.n_seeds >= FEWEST else 0.0 for _, e in known]
    return go.Scatter(
        x=[place + shift for place, _ in known],
        y=[each.mean for _, each in known],
        error_y={"array": halves, "thickness": 1.8, "width": 5, "color": color},
        hovertemplate=mean_hover(f"{name}: mean ", [each.n_seeds for _, each in known]),
        name=name,
        legendgroup=name,
        mode="markers",
        marker={"color": color, "symbol": symbol, "size": 10},
        showlegend=True,
    )
