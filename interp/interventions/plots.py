"""Frame in, figure out: what ablations, knock-outs and erasures change, beside their controls.

Filled markers are effects, open ones their controls; 95% t intervals over Stage-1 seeds.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.errors import InputError
from interp.figures.grid_tables import (
    checkpoint_words,
    one_checkpoint,
    run_names,
    with_run_columns,
)
from interp.figures.palette import FAINT, INK
from interp.figures.places import address_words, at_words, route_words, site_words
from interp.figures.seed_marks import add_seeds, mean_hover, seeds_words, shown_halves
from interp.figures.theme import style_figure
from interp.interventions.ablation_analysis import ALL, KNOCK_OUT, QUESTION
from interp.interventions.erasure_analysis import ALL as EVERYWHERE
from interp.interventions.erasure_analysis import PROBE_ACCURACY
from training.designs import design_of
from training.metrics import find_metric
from training.statistics import t_interval

KIND_COLORS = {"zero": "#1f5fc4", "mean": "#2a8a3e", "resample": "#ea8a12", KNOCK_OUT: "#d02b2b"}
KIND_NAMES = {KNOCK_OUT: "knock-out of a route"}
CELL = ["subset", "intervention", "site", "layer", "head", "route"]
READ_MARKS = {
    "before": ("before", "line-ew-open", INK),
    "after": ("tag erased", "circle", "#d02b2b"),
    "control": ("control: as many random directions", "circle-open", FAINT),
    "control_distance": ("control: as far in random directions", "diamond-open", FAINT),
}


ABOVE, NAMES, ABOVE_AND_BELOW = 100, 190, 345  # pixels


def component_names(table: pd.DataFrame) -> list[str]:
    """How figures name what was taken away: a head, an MLP, a route in a layer or in all."""
    return [_component_name(row) for row in table.to_dict("records")]


def _component_name(row: dict[str, Any]) -> str:
    if row["route"]:
        layer = "all layers" if row["layer"] == ALL else f"layer {row['layer']}"
        return f"{route_words(*row['route'].split('->'))}, {layer}"
    return site_words(row["site"], row["layer"], row["head"])


def plot_ablation(
    table: pd.DataFrame,
    subsets: Sequence[str] | None = None,
    *,
    metric: str = "answer_log_prob",
    kind: str = QUESTION,
) -> go.Figure:
    """How much worse each subset is answered without each component or route: a panel for each.

    Args:
        table: Rows of an `ablation` table of one run and checkpoint, of one seed or more.
        subsets: Those to show, from top to bottom; all that the table has unless given.
        metric: `answer_log_prob` or `exact_match`.
        kind: `question` or `definition`.

    Raises:
        InputError: nothing of the subsets, or several runs or checkpoints.
    """
    table = with_run_columns(table)
    subsets = list(dict.fromkeys(table["subset"])) if subsets is None else subsets
    chosen = (table["metric"] == metric) & (table["kind"] == kind)
    cells = _checked(table.loc[chosen & table["subset"].isin(subsets)], subsets)
    shown = [subset for subset in subsets if subset in set(cells["subset"])]
    figure = make_subplots(
        rows=len(shown), shared_xaxes=True, shared_yaxes=True,
        subplot_titles=shown, vertical_spacing=0.3 / (len(shown) + 2),
    )  # fmt: skip
    names = list(dict.fromkeys(component_names(cells)))
    for row, subset in enumerate(shown, start=1):
        of_subset = cells.loc[cells["subset"] == subset]
        for name in dict.fromkeys(of_subset["intervention"]):
            part = of_subset.loc[of_subset["intervention"] == name]
            label, color = KIND_NAMES.get(name, f"{name} ablation"), KIND_COLORS[name]
            _add_means(figure, part, "effect", label, ("circle", color), row)
            if name == KNOCK_OUT:
                as_many = "control: as many other tokens"
                _add_means(figure, part, "control", as_many, ("circle-open", color), row)
    height = ABOVE_AND_BELOW + 210 * len(shown)
    asked = (
        f"{find_metric(metric).words} of {kind}s" if kind != QUESTION else find_metric(metric).words
    )
    title = f"What ablations change: {asked}, {checkpoint_words(cells)}"
    title += f"<br><sup>{_about(cells)}</sup>"
    style_figure(figure, title=title, height=height)
    unit = find_metric(metric).unit
    figure.update_yaxes(title=f"change<br>({unit})", zeroline=True, matches="y")
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=names, tickangle=-40)
    _make_room(figure, height)
    return figure


def plot_erasure(
    table: pd.DataFrame, *, target: str = "tag", metric: str = "answer_log_prob"
) -> go.Figure:
    """What is read and answered before and after erasing a target, and after random erasures.

    Args:
        table: Rows of an `erasure` table of one run and checkpoint.
        target: What was erased.
        metric: Of the answers; the top panel is the probe's accuracy.

    Raises:
        InputError: nothing of the target, or several runs or checkpoints.
    """
    table = with_run_columns(table)
    wanted = table["metric"].isin([metric, PROBE_ACCURACY]) & (table["target"] == target)
    cells = _checked(table.loc[wanted], [target])
    design = design_of(cells)
    subsets = [name for name in (*design.names, design.main.gap) if name in set(cells["subset"])]
    titles = [name.replace("-", " − ") for name in subsets]
    figure = make_subplots(
        rows=len(subsets) + 1, shared_xaxes=True, vertical_spacing=0.25 / (len(subsets) + 2),
        subplot_titles=["probe fitted anew (dotted: chance)", *titles],
    )  # fmt: skip
    for row, subset in enumerate([EVERYWHERE, *subsets], start=1):
        part = cells.loc[cells["subset"] == subset]
        if subset == EVERYWHERE and "read_at" in part:
            part = part.assign(role=part["role"].where(part["site"] != EVERYWHERE, part["read_at"]))
        for column, (label, symbol, color) in READ_MARKS.items():
            _add_means(figure, part, column, label, (symbol, color), row)
        title = (
            "accuracy" if subset == EVERYWHERE else find_metric(metric).label.replace("answer ", "")
        )
        y_range = _fitting(figure, row, [0.5] if subset == EVERYWHERE else [])
        figure.update_yaxes(title=title.replace("(", "<br>(", 1), range=y_range, row=row)
    chance = {"dash": "dot", "color": FAINT, "width": 1.2}
    figure.add_hline(0.5, line=chance, row=1, col=1)  # pyright: ignore[reportArgumentType]
    title = (
        f"Erasing {target_words(target)} while questions are answered, {checkpoint_words(cells)}"
    )
    height = ABOVE_AND_BELOW + 150 * (len(subsets) + 1)
    style_figure(figure, title=f"{title}<br><sup>{_about(cells)}</sup>", height=height)
    figure.update_xaxes(type="category", tickangle=-45)
    _make_room(figure, height)
    return figure


def target_words(target: str) -> str:
    """What an eraser was fitted to, in words.

    >>> target_words("tag"), target_words("tag_stage2")
    ('tag', 'tag (Stage 2)')
    """
    return target.replace("_stage2", " (Stage 2)")


def over_seeds(table: pd.DataFrame, by: Sequence[str], column: str) -> pd.DataFrame:
    """A column's mean, 95% t interval and number of seeds, for each cell in the table's order."""
    groups = table.groupby(list(by), sort=False)[column]
    intervals = groups.agg(lambda values: t_interval(values))
    return pd.DataFrame(
        {
            "mean": groups.mean(),
            "ci_low": [low for low, _ in intervals],
            "ci_high": [high for _, high in intervals],
            "n_seeds": groups.size(),
        }
    ).reset_index()


def _checked(cells: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    if cells.empty:
        raise InputError(f"the table has no rows of {', '.join(wanted)}; choose others")
    one_checkpoint(cells)
    if len(run_names(cells)) > 1:
        raise InputError("the table holds several runs; choose the rows of one run_id")
    return cells


def _add_means(
    figure: go.Figure,
    cells: pd.DataFrame,
    column: str,
    label: str,
    look: tuple[str, str],
    row: int,
) -> None:
    """One marker with its interval for each cell; `look` is a symbol and a colour."""
    erased = "role" in cells.columns
    means = over_seeds(cells, ["site", "layer", "role"] if erased else CELL, column)
    names = _place_names(means) if erased else component_names(means)
    symbol, color = look
    if column in ("effect", "after"):
        own = _place_names(cells) if erased else component_names(cells)
        add_seeds(figure, own, cells[column].tolist(), cells["seed"].tolist(), color=color,
                  row=row, group=label)  # fmt: skip
    place: dict[str, Any] = {"row": row, "col": 1}
    figure.add_scatter(
        x=names,
        y=means["mean"],
        name=label,
        legendgroup=label,
        offsetgroup=label,
        showlegend=not list(figure.select_traces({"name": label})),
        mode="markers",
        marker={"symbol": symbol, "color": color, "size": 9, "line": {"width": 2, "color": color}},
        error_y={
            "array": shown_halves(means["mean"], means["ci_high"], means["n_seeds"]),
            "color": color,
            "thickness": 1.2,
            "width": 3,
        },
        hovertemplate=mean_hover("%{x}: ", means["n_seeds"]),
        **place,
    )


def _fitting(figure: go.Figure, row: int, shown: Sequence[float]) -> list[float]:
    """Limits of a panel's y axis around its marks; traces side by side would start it at 0."""
    ends = list(shown)
    traces: list[Any] = list(figure.select_traces(row=row, col=1))
    for trace in traces:
        half = 0.0 if trace.error_y.array is None else trace.error_y.array
        for values in (np.asarray(trace.y) - half, np.asarray(trace.y) + half):
            ends += values[np.isfinite(values)].tolist()
    space = 0.08 * (max(ends) - min(ends)) or 0.5
    return [min(ends) - space, max(ends) + space]


def _make_room(figure: go.Figure, height: int) -> None:
    """For the slanted names below the last panel, and the legend below those."""
    inside = height - ABOVE_AND_BELOW
    margin = {"t": ABOVE, "b": ABOVE_AND_BELOW - ABOVE}
    legend = {"y": -NAMES / inside}
    figure.update_layout(margin=margin, legend=legend, scattermode="group")
    figure.update_traces(cliponaxis=False)  # a mark at the end of an axis is whole


def _place_names(means: pd.DataFrame) -> list[str]:
    """Site, layer and role, or `everywhere`, of a probe with the place that it reads."""
    return [
        f"everywhere{'' if role == EVERYWHERE else f',<br>{_in_lines(address_words(role))}'}"
        if site == EVERYWHERE
        else _in_lines(f"{site_words(site, layer)} {at_words(role)}")
        for site, layer, role in zip(means["site"], means["layer"], means["role"], strict=True)
    ]


def _in_lines(place: str) -> str:
    """A site and its token below each other."""
    return place.replace(" at the ", ",<br>")


def _about(cells: pd.DataFrame) -> str:
    return seeds_words(len(set(cells["seed"])))
