"""Frame in, figure out: attention over a dataset by head, with its control beside it.

The heads are those of one seed, or, from a summary, the cells that mean the same in every seed:
`all` heads of a layer, and its heads by rank. ▲ marks cells that lie above their control after
correction over the whole summary, ▼ those below.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.errors import InputError
from interp.attention.analysis import COORDINATES, attention_contrast, paired_by_seed
from interp.attention.cells import ALL_HEADS, head_name, is_comparable
from interp.figures.grid_tables import ALPHA, checkpoint_words, ordered_axis, with_run_columns
from interp.figures.heat_maps import (
    CELL_HEIGHT,
    INSIDE,
    NUMBER_SIZE,
    ColorScale,
    cells_height,
    differences,
    has_room,
    number_texts,
    shares,
)
from interp.figures.places import route_words
from interp.figures.room import (
    inside_height,
    make_room,
    middle_column,
    name_ticks,
    share_between,
)
from interp.figures.seed_marks import difference_words, own_hover, own_note, with_own_words
from interp.figures.theme import style_figure
from training.columns import WITHOUT_SEED

UNITS = {
    "pattern": "share of attention",
    "value_norm": "length of what is written",
    "direct_logit": "part of the answer's logit",
}
TEXTS = {"qa": "questions", "definition": "definitions"}
CONTROLS = {
    "pattern": "control: even attention",
    "value_norm": "control: as many other tokens",
    "direct_logit": "control: answers of other rows",
}
ARROW = "attended token → token that attends"
BETWEEN = 40  # pixels
CHARACTERS, BAR_PLACES = 6, (1.01, 1.14)
"""Of the longest number with its mark, and where bars of colours stand."""
FIRST_RANK = "#1"
MOST_HEADS = 60
"""So many rows of cells are drawn; of more heads, the first of each layer."""
MEANS = ["value", "control"]
"""Columns of a summary that are drawn."""
KEYS_OF_PAIRED = [*WITHOUT_SEED, *COORDINATES[1:]]
KEYS = [*KEYS_OF_PAIRED, "subset"]


@dataclass(frozen=True, kw_only=True)
class _Panel:
    """A heat-map: a column of the cells, and how it looks."""

    column: str
    title: str
    scale: ColorScale
    color_axis: str = "coloraxis"
    is_marked: bool = False


def plot_heads(
    cells: pd.DataFrame,
    rows: pd.DataFrame | None = None,
    *,
    subset: str,
    kind: str = "pattern",
    text: str = "qa",
    destinations: Sequence[str] | None = None,
) -> go.Figure:
    """Heads by (destination → source): the measurement, and its control on the same scale.

    Args:
        cells: Rows of an `attention_summary` of one checkpoint, or of one seed's `attention`.
        rows: Of `attention`, to say on hover what each seed has where a summary's seeds are few.
        subset: Whose rows.
        kind: `pattern`, `value_norm` or `direct_logit`.
        text: `qa` or `definition`.
        destinations: Which to show; all unless given.

    Raises:
        InputError: nothing of that sort is there, or several checkpoints or seeds are.
    """
    cells = with_run_columns(cells) if "n_seeds" not in cells.columns else cells
    chosen = _chosen(cells.loc[cells["subset"] == subset], kind, text, destinations, subset)
    if "seed" in chosen.columns and len(set(chosen["seed"])) > 1:
        raise InputError("heads of several seeds cannot be averaged; choose a seed or the summary")
    is_summary = "p_corrected" in chosen.columns
    chosen = with_own_words(chosen, rows if is_summary else None, MEANS, keys=KEYS)
    scale = _scale(chosen[["value", "control"]].to_numpy(), kind)
    panels = [
        _Panel(column="value", title=subset, scale=scale, is_marked=is_summary),
        _Panel(column="control", title=CONTROLS[kind], scale=scale),
    ]
    title = f"{UNITS[kind].capitalize()}: {subset} beside its control"
    return _heat_maps(chosen, panels, title=title, text=text, bars=[_words(kind)])


def plot_attention_contrast(
    table: pd.DataFrame,
    higher: str,
    lower: str,
    *,
    kind: str = "pattern",
    text: str = "qa",
    destinations: Sequence[str] | None = None,
) -> go.Figure:
    """Two subsets and their difference, paired by seed; marks are of the difference.

    Args:
        table: Rows of an `attention` table of one run and checkpoint.
        higher: The subset that is subtracted from.
        lower: The subset that is subtracted.
        kind: As for `plot_heads`.
        text: As for `plot_heads`.
        destinations: As for `plot_heads`.

    Raises:
        InputError: nothing of that sort is there, or several checkpoints are.
    """
    contrast = attention_contrast(with_run_columns(table), higher, lower)
    chosen = _chosen(contrast, kind, text, destinations, f"{higher} and {lower}")
    paired = paired_by_seed(with_run_columns(table), higher, lower)
    chosen = with_own_words(chosen, paired, [*MEANS, "difference"], keys=KEYS_OF_PAIRED)
    scale = _scale(chosen[["value", "control"]].to_numpy(), kind)
    gap = differences(float(np.abs(chosen["difference"].to_numpy()).max()))
    panels = [
        _Panel(column="value", title=higher, scale=scale),
        _Panel(column="control", title=lower, scale=scale),
        _Panel(
            column="difference",
            title="difference",
            scale=gap,
            color_axis="coloraxis2",
            is_marked=True,
        ),
    ]
    title = f"{UNITS[kind].capitalize()}: {higher} minus {lower}"
    return _heat_maps(chosen, panels, title=title, text=text, bars=[_words(kind), "difference"])


def _chosen(
    cells: pd.DataFrame,
    kind: str,
    text: str,
    destinations: Sequence[str] | None,
    whose: str,
) -> pd.DataFrame:
    if kind not in UNITS:
        raise InputError(f"no figure of {kind!r}; choose one of {', '.join(UNITS)}")
    cells = cells.loc[(cells["kind"] == kind) & (cells["text"] == text)]
    if destinations is not None:
        cells = cells.loc[cells["destination"].isin(destinations)]
    if cells.empty:
        raise InputError(f"the attention table has no {kind} of {whose} in {text}; choose others")
    if len(set(cells["run_id"])) > 1:
        raise InputError("the table holds several runs; choose the rows of one run_id")
    if "seed" in cells.columns:
        cells = cells.loc[~is_comparable(cells)]
    heads = [head_name(*place) for place in zip(cells["layer"], cells["head"], strict=True)]
    pairs = zip(cells["destination"], cells["source"], strict=True)
    return cells.assign(
        y=heads, x=[route_words(source, destination) for destination, source in pairs]
    )


def _heat_maps(
    cells: pd.DataFrame, panels: Sequence[_Panel], *, title: str, text: str, bars: Sequence[str]
) -> go.Figure:
    about = f"{TEXTS[text]}; {checkpoint_words(cells)}; {_seeds(cells)}"
    if len(set(cells["y"])) > MOST_HEADS:
        cells = cells.loc[cells["head"].isin([ALL_HEADS, FIRST_RANK])]
        about += "; of each layer all heads together and the first"
    pairs, heads = list(dict.fromkeys(cells["x"])), _ordered_heads(cells)
    n_across = len(pairs) * len(panels)
    n_cols = len(panels) if has_room(n_across, characters=CHARACTERS) else 1
    is_written = has_room(len(pairs) * n_cols, characters=CHARACTERS)
    inside = [cells_height(len(heads))] * (len(panels) // n_cols)
    figure = make_subplots(
        rows=len(inside), cols=n_cols, shared_yaxes=True, shared_xaxes=True,
        horizontal_spacing=0.015, vertical_spacing=share_between(inside, BETWEEN),
        subplot_titles=[panel.title for panel in panels],
    )  # fmt: skip
    for place, panel in enumerate(panels):
        row, col = divmod(place, n_cols)
        figure.add_trace(_heat_map(cells, panel, is_written), row=row + 1, col=col + 1)
    style_figure(figure, title=title, height=CELL_HEIGHT, about=about)
    ticks = name_ticks(pairs, pairs, width=INSIDE / n_cols)
    figure.update_xaxes(**(ordered_axis(pairs) | ticks), showgrid=False)
    figure.update_xaxes(title=ARROW, row=len(inside), col=middle_column(n_cols))
    figure.update_yaxes(**ordered_axis(heads), showgrid=False)
    figure.update_yaxes(title="layer, rank of the head", col=1)
    height = inside_height(inside, BETWEEN)
    colored = dict.fromkeys((panel.color_axis, panel.scale) for panel in panels)
    for (axis, scale), words, x in zip(colored, bars, BAR_PLACES, strict=False):
        figure.update_layout({axis: scale.axis(words, inside=height, x=x, tickfont_size=11)})
    make_room(figure, inside=height)
    return figure


def _heat_map(cells: pd.DataFrame, panel: _Panel, is_written: bool) -> go.Heatmap:
    records = cells.to_dict("records")
    numbers = cells[panel.column].to_numpy()
    own, hovertext = own_hover(cells, panel.column)
    hover = "%{y}, %{x}: %{z:.3f}" + own
    details = None
    if "p_corrected" in cells.columns:
        details = [
            (difference_words(record), record["p_value"], record["p_corrected"])
            for record in records
        ]
        hover += (
            "<br>difference %{customdata[0]}"
            "<br>p %{customdata[1]:.3g}, corrected %{customdata[2]:.3g}"
        )
    marks = [_mark(record) if panel.is_marked else "" for record in records]
    return go.Heatmap(
        x=cells["x"],
        y=cells["y"],
        z=numbers,
        text=number_texts(numbers, panel.scale, marks=marks, is_written=is_written),
        texttemplate="%{text}",
        textfont={"size": NUMBER_SIZE},
        customdata=details,
        hovertext=hovertext,
        hovertemplate=f"{hover}<extra>{panel.title}</extra>",
        coloraxis=panel.color_axis,
        xgap=1,
        ygap=1,
    )


def _ordered_heads(cells: pd.DataFrame) -> list[str]:
    """From below: layers upwards; within one the weakest rank first and all heads last."""

    def key(place: tuple[int, str]) -> tuple[int, int]:
        layer, head = place
        return layer, 1 if head == ALL_HEADS else -int(head.removeprefix("#"))

    places = dict.fromkeys(zip(cells["layer"], cells["head"], strict=True))
    return [head_name(*place) for place in sorted(places, key=key)]


def _mark(cell: dict[str, Any]) -> str:
    """Whether the difference survives correction, and whither it points."""
    if not cell["p_corrected"] <= ALPHA:
        return ""
    return "▲" if cell["difference"] > 0 else "▼"


def _scale(numbers: np.ndarray, kind: str) -> ColorScale:
    """Shares from 0 to 1, lengths from 0; what can be negative has white at 0."""
    if kind == "pattern":
        return shares()
    largest = float(np.abs(numbers).max())
    return shares(largest) if kind == "value_norm" else differences(largest)


def _words(kind: str) -> str:
    """Above a bar of colours, which has room for short lines."""
    return (
        UNITS[kind]
        .replace("of the ", "of the<br>")
        .replace("of attention", "of<br>attention")
        .replace("answer's logit", "answer's<br>logit")
    )


def _seeds(cells: pd.DataFrame) -> str:
    """What the numbers are means over."""
    if "seed" in cells.columns:
        return f"seed {cells['seed'].iloc[0]}" if cells["run_id"].iloc[0] else "its own heads"
    n_seeds = int(cells["n_seeds"].to_numpy().max())
    return f"mean over {n_seeds} seeds{own_note(cells)}" if n_seeds > 1 else "1 seed"
