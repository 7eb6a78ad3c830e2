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
    ordered_axis,
    run_names,
    with_run_columns,
)
from interp.figures.palette import FAINT, INK
from interp.figures.places import address_words, at_words, route_words, site_words
from interp.figures.room import PAGE, inside_height, make_room, name_ticks, share_between
from interp.figures.seed_marks import (
    add_seeds,
    fitting_range,
    mean_hover,
    over_seeds,
    seeds_words,
    shown_halves,
)
from interp.figures.theme import style_figure
from interp.interventions.ablation_analysis import ALL, KNOCK_OUT, QUESTION
from interp.interventions.erasure_analysis import ALL as EVERYWHERE
from interp.interventions.erasure_analysis import PROBE_ACCURACY
from training.designs import design_of
from training.metrics import find_metric

KIND_LOOKS = {
    "zero": ("circle", "#1f5fc4"),
    "mean": ("square", "#2a8a3e"),
    "resample": ("diamond", "#ea8a12"),
    KNOCK_OUT: ("triangle-down", "#d02b2b"),
}
"""Symbols tell apart what colours do not, in print and to the colour-blind."""
KIND_NAMES = {KNOCK_OUT: "knock-out of a route"}
EVERYWHERE_WORDS = "everywhere"
PLACE = ["site", "layer", "role", "read_at"]
CELL = ["subset", "intervention", "site", "layer", "head", "route"]
READ_MARKS = {
    "before": ("before", "line-ew-open", INK),
    "after": ("tag erased", "circle", "#d02b2b"),
    "control": ("control: as many random directions", "circle-open", FAINT),
    "control_distance": ("control: as far in random directions", "diamond-open", FAINT),
}


ABLATION_HEIGHT, ERASURE_HEIGHT, BETWEEN = 170, 122, 40  # pixels
MOST_COMPONENTS = 40
"""So many have room side by side; of more, those that change most are drawn."""


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
    cells, left_out = _strongest(cells)
    inside = [ABLATION_HEIGHT] * len(shown)
    figure = make_subplots(
        rows=len(shown), shared_xaxes=True, shared_yaxes=True,
        subplot_titles=shown, vertical_spacing=share_between(inside, BETWEEN),
    )  # fmt: skip
    names = list(dict.fromkeys(component_names(cells)))
    for row, subset in enumerate(shown, start=1):
        of_subset = cells.loc[cells["subset"] == subset]
        for name in dict.fromkeys(of_subset["intervention"]):
            part = of_subset.loc[of_subset["intervention"] == name]
            label, look = KIND_NAMES.get(name, f"{name} ablation"), KIND_LOOKS[name]
            if name != KNOCK_OUT:
                _add_means(figure, part, "effect", label, look, row)
                continue
            symbol, color = look
            as_many = "control: as many other tokens"
            _add_means(figure, part, "effect", label, look, row, beside="mean ablation")
            _add_means(
                figure, part, "control", as_many, (f"{symbol}-open", color), row,
                beside="resample ablation",
            )  # fmt: skip
    metric_of = find_metric(metric)
    asked = metric_of.words + (f" of {kind}s" if kind != QUESTION else "")
    title = f"What ablations change: {asked}; {checkpoint_words(cells)}"
    about = _about(cells) + _about_heads(cells) + left_out
    style_figure(figure, title=title, height=ABLATION_HEIGHT, about=about)
    figure.update_yaxes(title=f"change<br>({metric_of.unit})", zeroline=True, matches="y")
    figure.update_xaxes(**(ordered_axis(names) | name_ticks(names, names, width=PAGE - 110)))
    figure.update_xaxes(title="what is taken away", row=len(shown))
    _finish(figure, inside)
    return figure


def _strongest(cells: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The components that have room, and what a figure says of those left out."""
    names = pd.Series(component_names(cells), index=cells.index)
    by_name = pd.Series(np.abs(cells["effect"].to_numpy()), names).groupby(level=0)
    sizes = pd.Series(by_name.mean())
    if len(sizes) <= MOST_COMPONENTS:
        return cells, ""
    shown = sizes.nlargest(MOST_COMPONENTS).index
    words = f"; the {MOST_COMPONENTS} of {len(sizes)} that change most, in the order of the model"
    return cells.loc[names.isin(shown)], words


def _about_heads(cells: pd.DataFrame) -> str:
    has_heads = (cells["head"].to_numpy() >= 0).any() and len(set(cells["seed"])) > 1
    return "; a head's number means another head in each seed" if has_heads else ""


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
    is_read = cells["metric"] == PROBE_ACCURACY
    known = cells.get("read_at", "")  # tables that were made before have no such column
    cells = cells.assign(read_at=known)
    cells["read_at"] = cells["read_at"].where(is_read, "").fillna("")
    design = design_of(cells)
    subsets = [name for name in (*design.names, design.main.gap) if name in set(cells["subset"])]
    panels = _erasure_panels(cells, subsets)
    inside = [ERASURE_HEIGHT] * len(panels)
    figure = make_subplots(
        rows=len(panels), shared_xaxes=True, subplot_titles=list(panels),
        vertical_spacing=share_between(inside, BETWEEN),
    )  # fmt: skip
    for row, part in enumerate(panels.values(), start=1):
        of_probe = bool((part["metric"] == PROBE_ACCURACY).all())
        for column, (label, symbol, color) in READ_MARKS.items():
            _add_means(figure, part, column, label, (symbol, color), row)
        title = "accuracy<br>(share)" if of_probe else find_metric(metric).label
        title = title.replace("answer ", "").replace(" (", "<br>(", 1)
        figure.update_yaxes(
            title=title, range=fitting_range(figure, [0.5] if of_probe else [], row=row), row=row
        )
        if of_probe:
            chance = {"dash": "dot", "color": FAINT, "width": 1.2}
            figure.add_hline(0.5, line=chance, row=row, col=1)  # pyright: ignore[reportArgumentType]
    title = (
        f"Erasing {target_words(target)} while questions are answered: {checkpoint_words(cells)}"
    )
    about = f"{_about(cells)}; each panel has a scale of its own"
    style_figure(figure, title=title, height=ERASURE_HEIGHT, about=about)
    names = list(dict.fromkeys(name for part in panels.values() for name in _place_names(part)))
    names.sort(key=EVERYWHERE_WORDS.__eq__)  # which comes last
    ticks = name_ticks(names, names, width=PAGE - 130)
    figure.update_xaxes(**(ordered_axis(names) | ticks))
    figure.update_xaxes(title="where it is erased, or a probe reads", row=len(panels))
    _finish(figure, inside)
    return figure


def _erasure_panels(cells: pd.DataFrame, subsets: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The rows of each panel by its title: probes of each way to erase, then each subset."""
    probes = cells.loc[cells["subset"] == EVERYWHERE]
    is_all = probes["site"] == EVERYWHERE
    panels = {"probe fitted anew, where it was erased (dotted: chance)": probes.loc[~is_all]}
    if is_all.any():
        panels["probe fitted anew, erased everywhere (dotted: chance)"] = probes.loc[is_all]
    for name in subsets:
        panels[name.replace("-", " − ")] = cells.loc[cells["subset"] == name]
    return panels


def target_words(target: str) -> str:
    """What an eraser was fitted to, in words.

    >>> target_words("tag"), target_words("tag_stage2")
    ('tag', 'tag (Stage 2)')
    """
    return target.replace("_stage2", " (Stage 2)")


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
    *,
    beside: str | None = None,
) -> None:
    """One marker with its interval for each cell.

    Args:
        figure: Changed in place.
        cells: Of one panel.
        column: What is drawn.
        label: In the legend.
        look: A symbol and a colour.
        row: Of the panel.
        beside: Of what it has the place within a name's width, if not one of its own.
    """
    erased = "role" in cells.columns
    means = over_seeds(cells, PLACE if erased else CELL, column)
    names = _place_names(means) if erased else component_names(means)
    symbol, color = look
    if column in ("effect", "after"):
        own = _place_names(cells) if erased else component_names(cells)
        add_seeds(figure, own, cells[column].tolist(), cells["seed"].tolist(), color=color,
                  row=row, group=label, beside=beside)  # fmt: skip
    place: dict[str, Any] = {"row": row, "col": 1}
    figure.add_scatter(
        x=names,
        y=means["mean"],
        name=label,
        legendgroup=label,
        offsetgroup=beside or label,
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


def _finish(figure: go.Figure, inside: Sequence[int]) -> None:
    figure.update_layout(scattermode="group")
    figure.update_traces(cliponaxis=False)  # a mark at the end of an axis is whole
    make_room(figure, inside=inside_height(inside, BETWEEN))


def _place_names(cells: pd.DataFrame) -> list[str]:
    """Site and token that were erased, or that a probe reads after all were."""
    return [
        _in_lines(address_words(read_at))
        if site == EVERYWHERE and read_at
        else EVERYWHERE_WORDS
        if site == EVERYWHERE
        else _in_lines(f"{site_words(site, layer)} {at_words(role)}")
        for site, layer, role, read_at in cells[PLACE].itertuples(index=False, name=None)
    ]


def _in_lines(place: str) -> str:
    """A site and its token below each other."""
    return place.replace(" at the ", ",<br>")


def _about(cells: pd.DataFrame) -> str:
    return seeds_words(len(set(cells["seed"])))
