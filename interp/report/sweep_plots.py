"""Frame in, figure out: the figures of a sweep's report, like the paper's Figure 4.

A row of panels for each group of cells that differ in more than the parameter looked at.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.design import Contrast
from data.subsets import Mark
from data.vocabulary import Part
from interp.figures.grid_tables import titled
from interp.figures.palette import FAINT, INK, subset_style
from interp.figures.room import PAGE, inside_height, make_room, name_ticks, share_between
from interp.figures.seed_marks import FEWEST, add_seeds, mean_hover, seeds_words, shown_halves
from interp.figures.theme import style_figure
from training.designs import design_of
from training.metrics import EXACT_MATCH, HEADLINE_METRICS, find_metric

AXIS_TITLES = {
    "alpha": "alpha (share of definitions whose tag tells the truth)",
    "batch_size": "batch size (rows, log scale)",
    "alias_tokens": "tokens of an alias",
    "word_order": "order of tag (T), alias (A) and entity (E)",
}
_LOGARITHMIC = {"batch_size"}
_PANEL_HEIGHT, _BETWEEN = 270, 90  # pixels


@dataclass(frozen=True)
class _Axis:
    """The axis of a sweep's settings: where each of them stands."""

    name: str
    settings: Sequence[Any]

    @property
    def is_numeric(self) -> bool:
        return not any(isinstance(setting, str) for setting in self.settings)

    @property
    def places(self) -> dict[Any, float]:
        if not self.is_numeric:
            return {setting: float(i) for i, setting in enumerate(self.settings)}
        place = math.log2 if self.name in _LOGARITHMIC else float
        return {setting: place(setting) for setting in self.settings}

    @property
    def gap(self) -> float:
        """The smallest distance of two settings."""
        places = sorted(self.places.values())
        return min((b - a for a, b in pairwise(places)), default=1.0)

    def apply(self, figure: go.Figure, n_rows: int) -> None:
        """Gives a figure ticks at the settings alone, and titles at the bottom."""
        places = self.places
        low, high = min(places.values()), max(places.values())
        space = max(0.06 * (high - low), 0.5 * self.gap)
        words = [setting_text(self.name, setting) for setting in places]
        figure.update_xaxes(
            **name_ticks(list(places.values()), words, width=0.42 * PAGE),
            range=[low - space, high + space],
        )
        words = AXIS_TITLES.get(self.name, self.name.replace("_", " "))
        figure.update_xaxes(title=words, row=n_rows)


def setting_text(name: str, setting: object) -> str:
    """A setting as figures and tables show it."""
    return str(setting).upper() if name == "word_order" else str(setting)


def plot_levels(levels: pd.DataFrame, varies: str, *, chance: float | None = None) -> go.Figure:
    """Exact match by setting: subsets of X1 on the left, of X2 on the right.

    As in the paper's figure, subsets that are asked about but never defined in X1 are left out
    where others are defined.

    Args:
        levels: `FinishedSweep.levels`.
        varies: The parameter whose settings are compared.
        chance: Where guessing would be, drawn if it is known.
    """
    design = design_of(levels)
    undefined = [s.name for s in design.subsets if s.part is Part.X1 and not s.has_definitions]
    is_defined = ~levels["subset"].isin(undefined)
    levels = levels.loc[is_defined] if is_defined.to_numpy().any() else levels
    panels, parts = list(dict.fromkeys(levels["panel"])), sorted(set(levels["part"]))
    axis = _Axis(varies, list(dict.fromkeys(levels["setting"])))
    stages = [int(levels.loc[levels["part"] == part, "stage"].iloc[0]) for part in parts]
    titles = [
        f"{f'{panel_words(panel)}<br>' if panel else ''}subsets of X{part}, end of Stage {stage}"
        for panel in panels
        for part, stage in zip(parts, stages, strict=True)
    ]
    figure = _panels(titles, len(panels), len(parts))
    for (panel, part, name), rows in levels.groupby(["panel", "part", "subset"], sort=False):  # pyright: ignore[reportGeneralTypeIssues]
        peers = [s for s in design.names if s in set(levels.loc[levels["part"] == part, "subset"])]
        shift = (peers.index(name) - (len(peers) - 1) / 2) * min(0.12, 0.6 / len(peers)) * axis.gap
        row, col = panels.index(panel) + 1, parts.index(part) + 1
        places = [axis.places[setting] + shift for setting in rows["setting"]]
        style = subset_style(name, design)
        trace = _level_trace(name, rows, axis, places, style)
        trace.showlegend = panel == panels[0]
        figure.add_trace(trace, row=row, col=col)
        for x, own in zip(places, rows["per_seed"], strict=True):
            values = list(own.values())
            add_seeds(
                figure,
                [x] * len(own),
                values,
                [*own],
                color=style.color,
                group=name,
                row=row,
                col=col,
            )
    if chance is not None:
        figure.add_hline(chance, line={"dash": "dot", "color": INK, "width": 1.2}, opacity=0.8)
    title = f"{EXACT_MATCH.label.capitalize()} by {varies.replace('_', ' ')}"
    about = _levels_text(levels)
    about += "" if chance is None else f"; dotted: guessing ({chance:.2f})"
    figure.update_yaxes(title=_in_two(EXACT_MATCH.label), range=[-0.03, 1.03])
    _finish(figure, titled(title, levels), about, axis, len(panels))
    return figure


def plot_sweep_gaps(gaps: pd.DataFrame, varies: str, contrast: Contrast) -> go.Figure:
    """The main contrast by setting in both metrics: a dot for each seed, mean and 95% t interval.

    Args:
        gaps: `FinishedSweep.gaps`.
        varies: The parameter whose settings are compared.
        contrast: The contrast that the gaps are of.
    """
    panels = list(dict.fromkeys(gaps["panel"]))
    axis = _Axis(varies, list(dict.fromkeys(gaps["setting"])))
    titles = [
        f"{f'{panel_words(panel)}<br>' if panel else ''}{name}"
        for panel in panels
        for name in (find_metric(each).words for each in HEADLINE_METRICS)
    ]
    figure = _panels(titles, len(panels), len(HEADLINE_METRICS))
    for (panel, metric), rows in gaps.groupby(["panel", "metric"], sort=False):  # pyright: ignore[reportGeneralTypeIssues]
        row, col = panels.index(panel) + 1, HEADLINE_METRICS.index(metric) + 1
        for trace in _gap_traces(rows.to_dict("records"), axis):
            trace.showlegend = (row, col) == (1, 1)
            figure.add_trace(trace, row=row, col=col)
    stage = int(gaps["stage"].iloc[0])
    title = (
        f"{contrast.label} ({contrast.words}, end of Stage {stage}) by {varies.replace('_', ' ')}"
    )
    about = f"one dot a seed, mean{_interval_text(gaps)}, {_seeds_text(gaps)}"
    for col, metric in enumerate(HEADLINE_METRICS, start=1):
        first = "y" if col == 1 else f"y{col}"  # panels of one metric have the same limits
        figure.update_yaxes(
            title=find_metric(metric).gap_label, zeroline=True, matches=first, col=col
        )
    _finish(figure, titled(title, gaps), about, axis, len(panels))
    return figure


def _panels(titles: list[str], n_rows: int, n_cols: int) -> go.Figure:
    return make_subplots(
        rows=n_rows,
        cols=n_cols,
        subplot_titles=titles,
        horizontal_spacing=0.09,
        vertical_spacing=share_between([_PANEL_HEIGHT] * n_rows, _BETWEEN),
    )


def _finish(figure: go.Figure, title: str, about: str, axis: _Axis, n_rows: int) -> None:
    style_figure(figure, title=title, height=_PANEL_HEIGHT, about=about)
    axis.apply(figure, n_rows)
    make_room(figure, inside=inside_height([_PANEL_HEIGHT] * n_rows, _BETWEEN))


def _in_two(label: str) -> str:
    """What is measured above its unit."""
    return label.replace(" (", "<br>(")


def _level_trace(
    name: str, rows: pd.DataFrame, axis: _Axis, places: Sequence[float], style: Mark
) -> go.Scatter:
    half = shown_halves(rows["mean"], rows["ci_high"], rows["n_seeds"])
    return go.Scatter(
        x=list(places),
        y=rows["mean"].tolist(),
        error_y={"array": half.tolist(), "thickness": 1.6, "width": 4, "color": style.color},
        name=name,
        legendgroup=name,
        mode="lines+markers" if axis.is_numeric else "markers",
        line={"color": style.color, "dash": style.dash, "width": 1.6},
        marker={"color": style.color, "symbol": style.symbol, "size": 9},
        text=[setting_text(axis.name, setting) for setting in rows["setting"]],
        customdata=rows[["n_seeds", "n_questions"]].to_numpy().tolist(),
        hovertemplate=[
            f"{words}, %{{customdata[0]}} seeds of %{{customdata[1]}} questions"
            for words in mean_hover("%{text}: ", rows["n_seeds"])
        ],
    )


def _gap_traces(estimates: Iterable[Mapping[str, Any]], axis: _Axis) -> list[go.Scatter]:
    """The dots of all seeds left of each setting, and the means right of it."""
    estimates, places, width = list(estimates), axis.places, axis.gap
    dots = [
        (places[each["setting"]] + sideways * width, value, seed)
        for each in estimates
        for sideways, (seed, value) in zip(
            np.linspace(-0.25, -0.05, len(each["per_seed"])), each["per_seed"].items(), strict=True
        )
    ]
    half = [e["ci_high"] - e["mean"] if e["n_seeds"] >= FEWEST else 0.0 for e in estimates]
    return [
        go.Scatter(
            x=[x for x, _, _ in dots],
            y=[y for _, y, _ in dots],
            text=[f"seed {seed}" for _, _, seed in dots],
            hovertemplate="%{text}: %{y:+.3f}",
            name="one seed",
            legendgroup="one seed",
            mode="markers",
            marker={"color": FAINT, "size": 6, "opacity": 0.7},
        ),
        go.Scatter(
            x=[places[each["setting"]] + 0.15 * width for each in estimates],
            y=[each["mean"] for each in estimates],
            error_y={"array": half, "thickness": 1.8, "width": 5, "color": INK},
            text=[setting_text(axis.name, each["setting"]) for each in estimates],
            hovertemplate=mean_hover("%{text}: mean ", [e["n_seeds"] for e in estimates]),
            name="mean, 95% interval" if any(half) else "mean",
            legendgroup="mean",
            mode="lines+markers" if axis.is_numeric else "markers",
            line={"color": INK, "width": 1.2},
            marker={"color": INK, "symbol": "diamond", "size": 10},
        ),
    ]


def panel_words(panel: str) -> str:
    """What the cells of a panel share, in words.

    >>> panel_words("loss_policy=text, tied_embeddings=False")
    'loss policy text, tied embeddings false'
    """
    words = re.sub(r"(\w+)=", lambda name: f"{name[1].replace('_', ' ')} ", panel)
    return re.sub(r"\b(True|False)\b", lambda value: value[1].lower(), words)


def _levels_text(table: pd.DataFrame) -> str:
    """What marks stand for, whether or not cells have equally many seeds."""
    numbers = set(table["n_seeds"].tolist())
    if len(numbers) == 1:
        return seeds_words(numbers.pop())
    return f"mean{_interval_text(table)}, {_seeds_text(table)}"


def _interval_text(table: pd.DataFrame) -> str:
    """What bars stand for, if any cell has seeds enough for an interval."""
    return " and 95% t interval" if bool((table["n_seeds"].to_numpy() >= FEWEST).any()) else ""


def _seeds_text(table: pd.DataFrame) -> str:
    """How many seeds, or from how many to how many where cells differ."""
    low, high = min(table["n_seeds"].tolist()), max(table["n_seeds"].tolist())
    return f"n = {low} seeds" if low == high else f"n = {low} to {high} seeds"
