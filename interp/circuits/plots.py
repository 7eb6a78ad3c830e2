"""Frame in, figure out: circuits as pictures, and how surely their parts are chosen."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.circuits.null_marks import (
    ASIDE,
    CIRCUIT_COLOR,
    add_beside_null,
    add_line,
    null_range,
    some,
)
from interp.circuits.picture import MOST_EDGES, Floor, draw_picture
from interp.circuits.unit_cells import (
    cells_by_circuit,
    chance_of_inclusion,
    circuits_of,
    of_ablation,
    unit_cells,
)
from interp.figures.grid_tables import checkpoint_words, ordered_axis
from interp.figures.palette import FAINT
from interp.figures.room import PAGE, inside_height, make_room, name_ticks, share_between
from interp.figures.theme import style_figure

PANEL_HEIGHT, BETWEEN = 150, 44  # pixels
MOST_SHOWN = 32
"""Parts that have room beside each other; of more, those that are chosen most are drawn."""
MEMBER_COLOR = "#8a5a44"


def plot_circuit(table: pd.DataFrame, circuit: str, *, ablation: str | None = None) -> go.Figure:
    """The parts of a circuit where they stand, with their effects and how often they are chosen.

    Args:
        table: Rows of a `circuits` table of one run and checkpoint.
        circuit: Its name, such as `answer D5`.
        ablation: What its scores are made with; the first in the table unless named.

    Raises:
        InputError: several runs or checkpoints, or no such circuit or ablation.
    """
    rows = of_ablation(table, ablation)
    cells = unit_cells(rows, circuit)
    floor = Floor.of([place for cell in cells for place in cell["places"]])
    alone = rows.loc[(rows["circuit"] == circuit) & (rows["quantity"] == "faithfulness")]
    figure = make_subplots(cols=2, column_widths=[0.82, 0.18], horizontal_spacing=0.09)
    draw_picture(figure, cells, floor, room=0.75 * PAGE)
    title = f"Parts of <i>{circuit}</i>, by effect and frequency: {checkpoint_words(rows)}"
    style_figure(figure, title=title, height=floor.height, about=_about_parts(rows, cells, circuit))
    add_beside_null(figure, alone, "circuit", [circuit], row=1, col=2)
    for level in (0.0, 1.0):
        add_line(figure, level, 1, row=1, col=2)
    ends = [0.0, 1.0, *null_range(alone), *alone["value"]]
    _name_alone(figure, [min(ends) - 0.1, max(ends) + 0.1])
    make_room(figure, inside=floor.height)
    return figure


def _name_alone(figure: go.Figure, ends: Sequence[float]) -> None:
    """Names the axes of the panel that shows what chosen parts alone recover."""
    layout: Any = figure.layout
    layout.yaxis2.update(title="recovered by chosen parts alone (share)", range=list(ends))
    layout.xaxis2.update(
        title="on other aliases",
        tickvals=[-ASIDE, ASIDE],
        ticktext=["control", "chosen"],
        range=[-0.4, 0.4],
    )


def plot_inclusion(table: pd.DataFrame, *, ablation: str | None = None) -> go.Figure:
    """How often each part is chosen over draws of aliases and over seeds: a panel a circuit.

    Args:
        table: Rows of a `circuits` table of one run and checkpoint.
        ablation: What its scores are made with; the first in the table unless named.

    Raises:
        InputError: several runs or checkpoints, or no circuits.
    """
    rows = of_ablation(table, ablation)
    circuits = some(circuits_of(rows), "inclusion")
    by_circuit = cells_by_circuit(rows)
    names, left_out = _most_chosen(by_circuit)
    inside = [PANEL_HEIGHT] * len(circuits)
    figure = make_subplots(
        rows=len(circuits), shared_xaxes=True, subplot_titles=circuits,
        vertical_spacing=share_between(inside, BETWEEN),
    )  # fmt: skip
    for row, (circuit, cells) in enumerate(by_circuit.items(), start=1):
        shown = [cell for cell in cells if part_words(cell) in names]
        _add_frequencies(figure, shown, row=row)
        chance = chance_of_inclusion(rows, circuit)
        figure.add_scatter(
            x=[names[0], names[-1]], y=[chance, chance], mode="lines", hoverinfo="skip",
            line={"color": FAINT, "dash": "dot", "width": 1.5}, legendgroup="chance",
            name="by chance: as many parts, drawn", showlegend=row == 1, row=row, col=1,
        )  # fmt: skip
    n_seeds = len(set(rows["seed"]))
    about = (
        f"small: a seed, large: mean of n = {n_seeds} seed{'s' * (n_seeds > 1)}; heads are ranked "
        f"in each seed by what they do in all circuits{left_out}"
    )
    title = f"How surely parts are chosen: {checkpoint_words(rows)}"
    style_figure(figure, title=title, height=PANEL_HEIGHT, about=about)
    figure.update_xaxes(**(ordered_axis(names) | name_ticks(names, names, width=PAGE - 110)))
    figure.update_xaxes(title="part", row=len(circuits))
    figure.update_yaxes(title="chosen (share)", range=[-0.06, 1.06])
    figure.update_traces(cliponaxis=False)
    make_room(figure, inside=inside_height(inside, BETWEEN))
    return figure


def _about_parts(rows: pd.DataFrame, cells: Sequence[Mapping[str, Any]], circuit: str) -> str:
    n_seeds = max(cell["n_seeds"] for cell in cells)
    largest = max(abs(cell["effect"]) for cell in cells)
    n_edges = sum(len(cell["places"]) > 1 for cell in cells)
    kind, chance = rows["ablation"].iloc[0], chance_of_inclusion(rows, circuit)
    seeds, mean = ("seeds", "mean of ") if n_seeds > 1 else ("seed", "")
    ranked = any(place.is_ranked for cell in cells for place in cell["places"])
    words = [
        f"area: nats lost by {kind} ablation, {mean}n = {n_seeds} {seeds} (largest {largest:.2f})",
        f"fill: how often it is chosen when aliases are drawn again ({chance:.0%} by chance)",
        "circles: heads, squares: MLPs",
    ]
    words.append("right: random circuits of as many parts of each layer and kind")
    if ranked:
        words.append(
            "heads are ranked in each seed by what they do in all circuits: #1 is too large, also "
            "by chance"
        )
    if n_edges:
        shown = f", the {MOST_EDGES} strongest of {n_edges}" if n_edges > MOST_EDGES else ""
        words.append(f"lines: edges, as wide as their effect, as dark as often chosen{shown}")
    return "; ".join(words)


def part_words(cell: Mapping[str, Any]) -> str:
    """A unit by its place, an edge by those of both ends."""
    return " → ".join(place.words for place in cell["places"])


def _most_chosen(by_circuit: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[list[str], str]:
    """The parts that have room, in the order of the model, and what a figure says of the others."""
    most: dict[str, float] = {}
    for cells in by_circuit.values():
        for cell in cells:
            name = part_words(cell)
            most[name] = max(most.get(name, 0.0), cell["inclusion"])
    if len(most) <= MOST_SHOWN:
        return list(most), ""
    shown = set(sorted(most, key=lambda name: -most[name])[:MOST_SHOWN])
    return (
        [name for name in most if name in shown],
        f"; the {MOST_SHOWN} of {len(most)} parts that are chosen most",
    )


def _add_frequencies(figure: go.Figure, cells: Sequence[Mapping[str, Any]], *, row: int) -> None:
    names = [part_words(cell) for cell in cells]
    own = [
        (name, inclusion, f"seed {seed}: {unit}")
        for name, cell in zip(names, cells, strict=True)
        for seed, (unit, _, inclusion) in cell["own"].items()
    ]
    series = {
        "over draws of aliases, each seed": (
            [name for name, _, _ in own], [value for _, value, _ in own],
            {"color": CIRCUIT_COLOR, "size": 5, "opacity": 0.45},
        ),
        "mean over seeds": (
            names, [cell["inclusion"] for cell in cells], {"color": CIRCUIT_COLOR, "size": 10},
        ),
        "share of seeds in whose circuit it is": (
            names, [cell["member"] for cell in cells],
            {"color": MEMBER_COLOR, "size": 9, "symbol": "diamond-open", "line": {"width": 2}},
        ),
    }  # fmt: skip
    for label, (x, y, marker) in series.items():
        text = [words for _, _, words in own] if label.endswith("each seed") else [label] * len(x)
        figure.add_scatter(
            x=x, y=y, mode="markers", marker=marker, name=label, legendgroup=label, text=text,
            showlegend=row == 1, hovertemplate="%{x}<br>%{text}: %{y:.0%}<extra></extra>",
            row=row, col=1,
        )  # fmt: skip
