"""The circuit tab's figures: the picture to click, the answers that move, what a part writes."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.circuits.picture import Floor, cell_words, draw_picture
from interp.circuits.unit_cells import Place
from interp.explorer.figures import BEFORE
from interp.explorer.grid_figure import CHANGED
from interp.explorer.look import HEIGHT, style_panel, told_apart
from interp.figures.markup import token_label
from interp.figures.palette import NULL_COLOR
from training.metrics import find_metric

ROOM, NARROW_ROOM = 540.0, 270.0
"""Pixels of the picture's horizontal axis, in a wide column and in a narrow one."""
RING = 9
"""Pixels that the ring around an ablated part is wider than its mark."""


def name_of(cell: Mapping[str, Any]) -> str:
    """The name of the unit or edge that a record of one model is of."""
    return next(iter(cell["own"].values()))[0]


def plot_board_picture(
    cells: Sequence[Mapping[str, Any]], chosen: Collection[str], *, circuit: str, about: str
) -> go.Figure:
    """The parts of a circuit where they stand; a click takes one away, which then has a ring.

    Args:
        cells: Records of `interp.circuits.unit_cells.unit_cells`, of one model.
        chosen: The names of the units that are ablated.
        circuit: Its name.
        about: How many rows were asked, and what chance would choose.
    """
    places = [cell["places"][0] for cell in cells]
    floor = Floor.of(places)
    figure = go.Figure()
    draw_picture(figure, cells, floor, room=ROOM)
    traces: list[Any] = list(figure.data)
    units = next(i for i, trace in enumerate(traces) if trace.meta == "units")
    components = _components(places)
    marks = traces[units]
    marks.customdata = [
        [components.index((place.layer, place.slot)), floor.roles.index(place.role)]
        for place in places
    ]
    ringed = [i for i, cell in enumerate(cells) if name_of(cell) in chosen]
    sizes = list(marks.marker.size)
    figure.add_scatter(
        x=[marks.x[i] for i in ringed], y=[marks.y[i] for i in ringed], mode="markers",
        name="ablated", hoverinfo="skip", showlegend=True,
        marker={
            "symbol": [f"{marks.marker.symbol[i]}-open" for i in ringed],
            "size": [sizes[i] + RING for i in ringed], "color": CHANGED, "line": {"width": 3},
        },
    )  # fmt: skip
    small = draw_sizes(cells, floor)
    style_panel(
        figure, title=f"{circuit}: click a part to ablate it", note=about,
        height=floor.height + 150,
        narrow={
            "layout.yaxis.ticktext": [
                f"{n}, {what}" for n in range(floor.n_layers) for what in ("heads", "MLP")
            ],
            "layout.margin.l": 76,
            "layout.height": floor.height + 190,
            f"data.{units}.marker.size": small,
            f"data.{units}.textfont.size": 10,
            f"data.{len(traces)}.marker.size": [small[i] + RING for i in ringed],
        },
    )  # fmt: skip
    figure.update_layout(
        margin={"l": 116, "b": 110, "t": 10},
        legend={"yref": "container", "y": 0, "yanchor": "bottom", "orientation": "h", "x": 0},
    )
    layout: Any = figure.layout
    layout.meta |= {"cells": _keyboard(cells, places, components, floor, chosen)}
    return figure


def draw_sizes(cells: Sequence[Mapping[str, Any]], floor: Floor) -> list[float]:
    """Sizes of the marks in a narrow column."""
    narrow = go.Figure()
    draw_picture(narrow, cells, floor, room=NARROW_ROOM)
    traces: list[Any] = list(narrow.data)
    return list(next(trace for trace in traces if trace.meta == "units").marker.size)


def unit_at(row: int, column: int, cells: Sequence[Mapping[str, Any]]) -> str | None:
    """The name of what is at a row and column that a click or key names; None if nothing is."""
    by_place = {cell["places"][0]: name_of(cell) for cell in cells}
    components, roles = _components([*by_place]), Floor.of([*by_place]).roles
    if not (0 <= row < len(components) and 0 <= column < len(roles)):
        return None
    layer, slot = components[row]
    return by_place.get(Place(layer=layer, slot=slot, role=roles[column]))


def said_of(cell: Mapping[str, Any], is_taken: bool) -> str:
    """What the keyboard's walk says of a part."""
    first, second, third, *_ = cell_words(cell).split("<br>")
    words = "; ".join([first.removeprefix("<b>").removesuffix("</b>"), second, third])
    return f"{words}{'; ablated' if is_taken else ''}"


def plot_watched(
    losses: pd.DataFrame, *, changed: str, like: str = "parts of the same layers"
) -> go.Figure:
    """What the watched subsets answer, before, without the chosen units, and without random ones.

    Args:
        losses: See `interp.explorer.circuit_bench.CircuitBench.losses`.
        changed: What is taken away, in words; empty for nothing.
        like: What the random choices are made of, in words.
    """
    metrics = list(dict.fromkeys(losses["metric"]))
    figure = make_subplots(cols=len(metrics), horizontal_spacing=0.17)
    for col, metric in enumerate(metrics, start=1):
        rows = losses.loc[losses["metric"] == metric].reset_index(drop=True)
        _add_watched(figure, rows, is_changed=bool(changed), col=col)
        names = [subset.partition("_")[0] for subset in rows["subset"]]
        title = find_metric(metric).label.replace(" (", "<br>(")
        figure.update_yaxes(title=title, col=col)
        figure.update_xaxes(tickvals=list(range(len(names))), ticktext=names, tickangle=0, col=col,
                            range=[-0.6, len(names) - 0.4], title="questions about")  # fmt: skip
    figure.update_yaxes(range=[-0.09, 1.09], col=1)
    n_null, n = max(losses["n_null"].tolist()), min(losses["n"].tolist())
    note = f"right answers, n = {n} held-out rows each"
    if changed:
        others = f"{n_null} random choices" if n_null else "no random choice exists"
        note += f"; ablated: {changed}; grey: {others} of as many {like}"
        note += ", from the least to the most" if n_null else ", sharing at most half with it"
    style_panel(
        figure, title="What is still answered", note=note, height=HEIGHT - 40,
        narrow={"layout.margin.l": 66, "layout.yaxis2.title.standoff": 2,
                "layout.yaxis.title.text": "exact match (share)",
                "layout.yaxis2.title.text": "log-probability (nats)",
                "layout.xaxis.title.text": "asked of", "layout.xaxis2.title.text": "asked of"},
    )  # fmt: skip
    above = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(legend=above, margin={"t": 34, "b": 56, "l": 76})
    return figure


def _add_watched(figure: go.Figure, rows: pd.DataFrame, *, is_changed: bool, col: int) -> None:
    places = list(range(len(rows)))
    place: dict[str, Any] = {"row": 1, "col": col, "showlegend": col == 1}
    low, high = rows["null_low"].tolist(), rows["null_high"].tolist()
    held = [i for i in places if is_changed and low[i] == low[i]]
    figure.add_scatter(
        x=[i + 0.22 for i in held], y=[(low[i] + high[i]) / 2 for i in held], mode="markers",
        name="random choices", legendgroup="null",
        marker={"symbol": "line-ew", "size": 11, "line": {"color": NULL_COLOR, "width": 4}},
        error_y={"array": [(high[i] - low[i]) / 2 for i in held], "thickness": 8, "width": 0,
                 "color": NULL_COLOR},
        customdata=[[low[i], high[i]] for i in held],
        hovertemplate="random choices: %{customdata[0]:.3f} to %{customdata[1]:.3f}<extra></extra>",
        **place,
    )  # fmt: skip
    series = {"before": ("circle-open", BEFORE, -0.22, "after")}
    if is_changed:
        series["after"] = ("diamond", CHANGED, 0.0, "before")
    for name, (symbol, color, aside, other) in series.items():
        is_above = (rows[name] > rows[other]) | ((rows[name] == rows[other]) & (name == "before"))
        figure.add_scatter(
            x=[i + aside for i in places], y=rows[name].tolist(), mode="markers+text",
            name=f"{name} the change", legendgroup=name,
            text=[f"{value:.2f}" for value in rows[name]],
            textposition=[f"{'top' if above else 'bottom'} center" for above in is_above],
            textfont={"size": 10.5}, cliponaxis=False,
            marker={"symbol": symbol, "color": color, "size": 11,
                    "line": {"width": 2, "color": color}},
            hovertemplate=f"{name}: %{{y:.4f}}<extra></extra>", **place,
        )  # fmt: skip


def plot_written(written: pd.DataFrame | None, *, part: str) -> go.Figure:
    """What a part adds to the logits at its token, beside the same in other prompts.

    Args:
        written: See `interp.explorer.circuit_bench.CircuitBench.written`.
        part: The part in words.
    """
    figure = go.Figure()
    known = pd.DataFrame() if written is None else written
    note = f"{part}, read there as if the model ended; grey: mean over prompts laid out alike"
    if written is None:
        note = f"{part}: the prompt on view has no such token; choose another part or prompt"
    else:
        names = told_apart(known["token"].tolist())
        labels = [
            f"<b>★ {name}</b>" if is_answer else name
            for name, is_answer in zip(names, known["is_answer"], strict=True)
        ]
        for column, color, symbol, words in (
            ("here", CHANGED, "circle", "in this prompt"),
            ("elsewhere", NULL_COLOR, "circle-open", "in other prompts (mean)"),
        ):
            figure.add_scatter(
                x=list(range(len(known))),
                y=known[column].tolist(),
                mode="markers",
                name=words,
                marker={
                    "color": color,
                    "symbol": symbol,
                    "size": 11,
                    "line": {"width": 2, "color": color},
                },
                text=list(map(token_label, known["token"])),
                hovertemplate=f"%{{text}}, {words}: %{{y:.3f}}<extra></extra>",
            )
        figure.update_xaxes(tickvals=list(range(len(known))), ticktext=labels)
        figure.update_xaxes(range=[-0.6, len(known) - 0.4])
    style_panel(figure, title="What it writes: the tokens it raises most", note=note,
                height=HEIGHT - 40, narrow={"layout.xaxis.tickangle": -90})  # fmt: skip
    figure.update_xaxes(title="token (★ the answer)", tickangle=-35)
    figure.update_yaxes(title="added to its logit<br>(above the mean of all)", zeroline=True)
    above = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(legend=above, margin={"t": 34, "b": 110, "l": 86})
    return figure


def _components(places: Sequence[Place]) -> list[tuple[int, int]]:
    """Layer and head (-1: the MLP) of each row that the arrow keys go through, upwards."""
    found = {(place.layer, place.slot) for place in places}
    return sorted(found, key=lambda each: (each[0], each[1] < 0, each[1]))


def _keyboard(
    cells: Sequence[Mapping[str, Any]],
    places: Sequence[Place],
    components: Sequence[tuple[int, int]],
    floor: Floor,
    chosen: Collection[str],
) -> dict[str, Any]:
    """Where the arrow keys lead, and what is said there."""
    by_place = dict(zip(places, cells, strict=True))
    at, said = [], []
    for layer, slot in components:
        row = [Place(layer=layer, slot=slot, role=role) for role in floor.roles]
        at.append([list(floor.at(place)) for place in row])
        there = [by_place.get(place) for place in row]
        said.append([
            "no part here" if cell is None else said_of(cell, name_of(cell) in chosen)
            for cell in there
        ])  # fmt: skip
    names = [Place(layer=n, slot=slot, role="").component for n, slot in components]
    return {"rows": names, "columns": list(floor.roles), "at": at, "said": said}
