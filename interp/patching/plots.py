"""Frame in, figure out: patching grids beside their control, heads, attribution beside exact.

An effect of 0 is the unpatched prompt, 1 the prompt that the activation comes from.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.errors import InputError
from interp.figures.grid_tables import (
    ALPHA,
    checkpoint_words,
    one_checkpoint,
    ordered_axis,
    ordered_states,
    run_names,
    state_names,
    summarized_with_rows,
    with_run_columns,
)
from interp.figures.heat_maps import (
    CELL_HEIGHT,
    INSIDE,
    ColorScale,
    cells_height,
    columns_of,
    differences,
    has_room,
    number_texts,
)
from interp.figures.palette import FAINT, subset_style
from interp.figures.places import role_words
from interp.figures.room import PAGE, inside_height, make_room, name_ticks, share_between
from interp.figures.seed_marks import (
    FEWEST,
    difference_words,
    fitting_range,
    own_hover,
    own_note,
    with_own_words,
)
from interp.figures.theme import style_figure
from interp.hooked.addresses import SITE_HOOKS, in_order
from interp.patching.kept import is_counted, kept_texts
from interp.patching.marks import SPREAD, add_estimates, add_ranks, ranked_heads
from interp.patching.pair_batches import EVERYWHERE, PatchMetric
from interp.patching.summary import CELL, attribution_correlation, summarize_patching
from interp.patching.units import is_of_tags, unit_words
from interp.patching.wording import ENDS, correlation_words, patch_caption
from training.columns import WITHOUT_SEED
from training.designs import design_of

READINGS = {"effect": "effect", "control": "control: another pair"}
HEADS_HEIGHT, ESTIMATES_HEIGHT, BETWEEN = 190, 320, 52  # pixels
MOST_SLOTS = 28
"""So many ranks of heads have room side by side."""
SITE_MARKS = (
    "circle", "diamond", "square", "cross", "x", "triangle-up", "star", "hexagon", "bowtie",
)  # fmt: skip


def plot_patching(
    summary: pd.DataFrame,
    rows: pd.DataFrame | None = None,
    *,
    direction: str = "denoise",
    metric: str = "logit_diff",
) -> go.Figure:
    """Sites by roles: the effect and its control for each subset, whole sites without heads.

    ▲ marks cells that do more than the control after correction, ▼ those that do less.

    Args:
        summary: Rows of a `patching_summary` of one run, checkpoint and kind of pairs, or what
            `patch_pairs` returns.
        rows: Of `patching`, to say each seed's own value on hover where seeds are few.
        direction: `denoise` or `noise`.
        metric: What is read.

    Raises:
        InputError: several runs, checkpoints or kinds of pairs, or nothing of the sort.
    """
    summary, rows = summarized_with_rows(summary, rows, summarize_patching, dropped=np.nan)
    grid = _of_grid(summary, direction, metric)
    cells = grid.loc[grid["head"] < 0]
    if cells.empty:
        raise InputError("the table has heads only; patch whole sites too, or plot the heads")
    counted = None if rows is None else rows.loc[is_counted(rows)]
    cells = with_own_words(cells, counted, list(READINGS), keys=[*WITHOUT_SEED, *CELL])
    subsets, states = _subsets(cells), ordered_states(cells)
    roles = [role_words(role) for role in _ordered_roles(cells)]
    titles = [f"<b>{name}</b><br>{words}" for name in subsets for words in READINGS.values()]
    n_cols = columns_of(len(titles), len(roles), characters=6)
    inside = [cells_height(len(states))] * (len(titles) // n_cols)
    figure = make_subplots(
        rows=len(inside), cols=n_cols, shared_yaxes=True, shared_xaxes=True, subplot_titles=titles,
        horizontal_spacing=0.012, vertical_spacing=share_between(inside, BETWEEN),
    )  # fmt: skip
    scale, is_written = _scale(cells), has_room(n_cols * len(roles), characters=6)
    places = [(name, reading) for name in subsets for reading in READINGS]
    for place, (name, reading) in enumerate(places):
        row, col = divmod(place, n_cols)
        panel = cells.loc[cells["subset"] == name]
        figure.add_trace(
            _effect_map(panel, reading, scale, is_written=is_written), row=row + 1, col=col + 1
        )
    title = f"Activation patching: {_about(cells)}"
    style_figure(figure, title=title, height=CELL_HEIGHT)
    ticks = name_ticks(roles, roles, width=INSIDE / n_cols)
    figure.update_xaxes(**(ordered_axis(roles) | ticks), showgrid=False)
    figure.update_xaxes(title="patched token", row=len(inside))
    figure.update_yaxes(**ordered_axis(states), showgrid=False)
    figure.update_yaxes(title="patched site", col=1)
    height = inside_height(inside, BETWEEN)
    bar = scale.axis(f"effect<br>({unit_words(cells)})", inside=height)
    figure.update_layout(coloraxis=bar)
    caption = patch_caption(cells, subsets, about_means=own_note(cells))
    make_room(figure, inside=height, caption=caption)
    return figure


def plot_patched_heads(
    table: pd.DataFrame, *, direction: str = "denoise", metric: str = "logit_diff"
) -> go.Figure:
    """Single heads, strongest first within each layer and seed; the control of each in grey.

    A head of one seed is not the head of that number in another, so ranks are compared instead. As
    the ranking is by the very effect that is shown, the first ranks lie too high, also by chance.

    Args:
        table: Rows of a `patching` table of one run, checkpoint and kind of pairs, or what
            `patch_pairs` returns.
        direction: `denoise` or `noise`.
        metric: What is read.

    Raises:
        InputError: as for `plot_patching`, or there are no heads.
    """
    grid = _of_grid(with_run_columns(table), direction, metric)
    is_single = (grid["head"] >= 0) & (grid["role"] != EVERYWHERE)
    heads = grid.loc[is_single & is_counted(grid) & grid["effect"].notna()]
    if heads.empty:
        raise InputError("the table has no heads at single tokens; patch a site with heads, as z")
    ranked, design = ranked_heads(heads), design_of(heads)
    slots = list(dict.fromkeys(ranked.sort_values(["site", "layer", "rank"])["slot"]))
    is_many = len(slots) > MOST_SLOTS
    if is_many:
        ranked = ranked.loc[ranked["rank"] == 1]
        slots = [slot for slot in slots if slot in set(ranked["slot"])]
    subsets, roles = _subsets(ranked), _ordered_roles(ranked)
    figure = make_subplots(rows=len(roles), shared_xaxes=True, vertical_spacing=0.15 / len(roles))
    for row, role in enumerate(roles, start=1):
        for place, subset in enumerate(subsets):
            is_here = (ranked["role"] == role) & (ranked["subset"] == subset)
            middle = (2 * place + 1 - len(subsets)) * SPREAD
            style = subset_style(subset, design)
            add_ranks(figure, ranked.loc[is_here], slots, style, shift=middle, row=row)
        figure.update_yaxes(
            title=f"<b>{role_words(role)}</b><br>effect ({unit_words(ranked)})", row=row
        )
    n_seeds = len(set(ranked["seed"]))
    interval = " with its 95% t interval" if n_seeds >= FEWEST else ""
    about = (
        f"a dot a seed (n = {n_seeds}), line: mean{interval}; grey: the same head, another "
        "pair's activation; ranked in each seed by this effect, so #1 is too high, also by chance"
        + ("; the first of each layer alone" if is_many else "")
    )
    title = f"Single heads: {_about(ranked)}"
    about = f"{about}<br>{kept_texts(grid)}"
    style_figure(figure, title=title, height=HEADS_HEIGHT, about=about)
    ticks = name_ticks(list(range(len(slots))), slots, width=PAGE - 100)
    figure.update_xaxes(**ticks, range=[-0.6, len(slots) - 0.4])
    figure.update_xaxes(title="layer, rank of the head", row=len(roles))
    least = [0.0] if is_of_tags(ranked) else [0.0, 0.5]
    figure.update_yaxes(range=fitting_range(figure, least), zeroline=True)
    make_room(figure, inside=HEADS_HEIGHT * len(roles))
    return figure


def plot_attribution_patching(
    table: pd.DataFrame, *, direction: str = "denoise", metric: str = "logit_diff"
) -> go.Figure:
    """The linear estimate against the exact effect: a dot for each cell and seed.

    Takes and refuses what `plot_patched_heads` does, except that heads are not needed.
    """
    shown = _of_grid(with_run_columns(table), direction, metric)
    cells = shown.loc[is_counted(shown) & shown["effect"].notna()]
    if cells.empty:
        raise InputError("no seed keeps enough pairs; patch others, or with less confidence")
    found, design = attribution_correlation(cells), design_of(cells)
    subsets, sites = _subsets(cells), [name for name in SITE_HOOKS if name in set(cells["site"])]
    titles = [
        f"<b>{name}</b><br>"
        + correlation_words(found.loc[found["subset"] == name]).replace("), ", "),<br>")
        for name in subsets
    ]
    figure = make_subplots(
        cols=len(subsets), subplot_titles=titles, shared_yaxes="all",  # pyright: ignore[reportArgumentType]
        shared_xaxes="all", horizontal_spacing=0.04,  # pyright: ignore[reportArgumentType]
    )  # fmt: skip
    least = [0.0] if is_of_tags(cells) else [0.0, 1.0]
    values = np.append(cells[["effect", "attribution"]].to_numpy(), least)
    ends = [float(values.min()), float(values.max())]
    for col, subset in enumerate(subsets, start=1):
        figure.add_scatter(
            x=ends, y=ends, mode="lines", line={"color": FAINT, "dash": "dot", "width": 1.2},
            hoverinfo="skip", showlegend=False, row=1, col=col,
        )  # fmt: skip
        for site, symbol in zip(sites, SITE_MARKS, strict=False):
            panel = cells.loc[(cells["subset"] == subset) & (cells["site"] == site)]
            is_first = subset == cells.loc[cells["site"] == site, "subset"].iloc[0]
            mark = replace(subset_style(subset, design), symbol=symbol)
            add_estimates(figure, panel, mark, col=col, is_first=is_first)
    about = f"a dot a cell and seed, n = {cells['seed'].nunique()} seeds; dotted: equal"
    title = f"Attribution patching: {_about(cells)}"
    about = f"{about}<br>{kept_texts(shown)}"
    style_figure(figure, title=title, height=ESTIMATES_HEIGHT, about=about)
    figure.update_xaxes(title=f"exact effect ({unit_words(cells)})", zeroline=True, showgrid=True)
    figure.update_yaxes(title=f"attribution ({unit_words(cells)})", zeroline=True, col=1)
    make_room(figure, inside=ESTIMATES_HEIGHT)
    return figure


def _of_grid(table: pd.DataFrame, direction: str, metric: str) -> pd.DataFrame:
    """The rows of one direction and metric, of one run, checkpoint and kind of pairs."""
    grid = table.loc[(table["direction"] == direction) & (table["metric"] == metric)]
    if grid.empty:
        known = sorted(set(zip(table["direction"], table["metric"], strict=True)))
        listed = ", ".join(" ".join(each) for each in known) or "nothing"
        raise InputError(f"the table has no {direction} {metric}; it has {listed}")
    if len(run_names(grid)) > 1 or len(set(grid["pair_kind"])) > 1:
        raise InputError("the table holds several runs or kinds of pairs; choose the rows of one")
    one_checkpoint(grid)
    return grid


def _subsets(cells: pd.DataFrame) -> list[str]:
    found = list(dict.fromkeys(cells["subset"]))
    order = design_of(cells).names
    return sorted(found, key=lambda name: order.index(name) if name in order else len(order))


def _ordered_roles(cells: pd.DataFrame) -> list[str]:
    roles = in_order(cells["role"])
    return sorted(roles, key=EVERYWHERE.__eq__)  # which comes last


def _about(cells: pd.DataFrame) -> str:
    """What was done, to which pairs, where."""
    kind, direction, metric = (cells[name].iloc[0] for name in ("pair_kind", "direction", "metric"))
    pairs = f"{kind.replace('_', ' ')} pairs"
    return f"{ENDS[direction][0]}, {pairs}, {PatchMetric(metric).words}; {checkpoint_words(cells)}"


def _scale(cells: pd.DataFrame) -> ColorScale:
    """Shares from -1 to 1; of tag pairs, whose effects are no shares, as far as they go."""
    most = float(cells[["effect", "control"]].abs().max(axis=None))
    return differences(most if is_of_tags(cells) else 1.0)


def _effect_map(
    cells: pd.DataFrame, reading: str, scale: ColorScale, *, is_written: bool
) -> go.Heatmap:
    """One panel; only effects were tested, against their control."""
    values = cells[reading].to_numpy()
    marks = [_mark(cell) if reading == "effect" else "" for cell in cells.to_dict("records")]
    details = [
        (difference_words(cell), cell["p_value"], cell["p_corrected"], cell["attribution"])
        for cell in cells.to_dict("records")
    ]
    own, hovertext = own_hover(cells, reading)
    hover = (
        f"%{{y}}, %{{x}}: %{{z:.3f}}{own}<br>effect − control "
        "%{customdata[0]}<br>p %{customdata[1]:.3g}, corrected %{customdata[2]:.3g}"
        "<br>attribution %{customdata[3]:.3f}"
    )
    return go.Heatmap(
        x=cells["role"].map(role_words),
        y=state_names(cells),
        z=values,
        text=number_texts(values, scale, marks=marks, is_written=is_written),
        customdata=details,
        texttemplate="%{text}",
        textfont={"size": 12},
        hovertext=hovertext,
        hovertemplate=f"{hover}<extra>{cells['subset'].iloc[0]}, {READINGS[reading]}</extra>",
        coloraxis="coloraxis",
        xgap=2,
        ygap=2,
    )


def _mark(cell: dict[str, Any]) -> str:
    """Whether the effect differs from its control after correction, and whither."""
    if not cell["p_corrected"] <= ALPHA:
        return ""
    return " ▲" if cell["difference"] > 0 else " ▼"
