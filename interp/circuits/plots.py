"""Frame in, figure out: circuits as pictures, how stable they are, and what they hold up against.

Each takes rows of a `circuits` table of one run and checkpoint. Grey is what circuits are held
against: matched random ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.errors import InputError
from interp.circuits.null_marks import CIRCUIT_COLOR, add_beside_null, add_null_keys
from interp.circuits.picture import MOST_EDGES, Floor, draw_picture
from interp.circuits.unit_cells import chance_of_inclusion, circuits_of, of_ablation, unit_cells
from interp.figures.grid_tables import ALPHA, checkpoint_words, ordered_axis
from interp.figures.heat_maps import (
    INSIDE,
    ColorScale,
    cells_height,
    columns_of,
    differences,
    has_room,
    number_texts,
)
from interp.figures.palette import FAINT
from interp.figures.room import PAGE, inside_height, make_room, name_ticks, share_between
from interp.figures.seed_marks import fitting_range
from interp.figures.theme import style_figure
from training.designs import design_of

PANEL_HEIGHT, BETWEEN = 150, 44  # pixels
MOST_SHOWN = 32
"""Parts that have room beside each other; of more, those that are chosen most are drawn."""
GAP = "gap"


@dataclass(frozen=True, kw_only=True)
class _Test:
    """A criterion: its panel's title, its axis, and lines that a reader needs."""

    title: str
    axis: str
    lines: tuple[float, ...] = ()


TESTS = {
    "faithfulness": _Test(
        title="faithfulness: the circuit alone recovers (dotted: the whole model)",
        axis="share of the answers'<br>log-probability (of 1)", lines=(1.0,),
    ),
    "completeness": _Test(
        title="completeness: knocking its parts out changes it as it changes the model (dotted)",
        axis="agreement<br>(share)", lines=(1.0,),
    ),
    "minimality": _Test(
        title="minimality: each member's loss, beside parts outside that are added",
        axis="log-probability<br>lost (nats)", lines=(0.0,),
    ),
    "independence": _Test(
        title="independence: what is left without it goes along with the answers (dotted: not)",
        axis="rank correlation<br>(-1 to 1)", lines=(0.0,),
    ),
}  # fmt: skip
LOSSES = {
    "disruption": ("What is lost without the circuit", "log-probability<br>lost (nats)"),
    "disruption_exact": ("What is lost without the circuit", "exact matches<br>lost (share)"),
    "restored": (
        "What is lost with the circuit's weights of Stage 1",
        "log-probability<br>lost (nats)",
    ),
}


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
    figure = go.Figure()
    draw_picture(figure, cells, floor)
    title = f"Parts that could carry <i>{circuit}</i>: {checkpoint_words(rows)}"
    style_figure(figure, title=title, height=floor.height, about=_about_parts(rows, cells, circuit))
    make_room(figure, inside=floor.height)
    return figure


def plot_inclusion(table: pd.DataFrame, *, ablation: str | None = None) -> go.Figure:
    """How often each part is chosen over draws of aliases and over seeds: a panel a circuit.

    Args:
        table: Rows of a `circuits` table of one run and checkpoint.
        ablation: What its scores are made with; the first in the table unless named.

    Raises:
        InputError: several runs or checkpoints, or no circuits.
    """
    rows = of_ablation(table, ablation)
    circuits = _some(circuits_of(rows), "inclusion")
    by_circuit = {circuit: unit_cells(rows, circuit) for circuit in circuits}
    names, left_out = _most_chosen(by_circuit)
    inside = [PANEL_HEIGHT] * len(circuits)
    figure = make_subplots(
        rows=len(circuits), shared_xaxes=True, subplot_titles=circuits,
        vertical_spacing=share_between(inside, BETWEEN),
    )  # fmt: skip
    for row, (circuit, cells) in enumerate(by_circuit.items(), start=1):
        shown = [cell for cell in cells if _part_words(cell) in names]
        _add_frequencies(figure, shown, row=row)
        chance = chance_of_inclusion(rows, circuit)
        figure.add_scatter(
            x=[names[0], names[-1]], y=[chance, chance], mode="lines", hoverinfo="skip",
            line={"color": FAINT, "dash": "dot", "width": 1.5}, legendgroup="chance",
            name="by chance: as many parts, drawn", showlegend=row == 1, row=row, col=1,
        )  # fmt: skip
    n_seeds = rows["seed"].nunique()
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


def plot_circuit_tests(table: pd.DataFrame, *, ablation: str | None = None) -> go.Figure:
    """Each criterion of every circuit on held-out aliases, beside its null: a panel a criterion.

    Args:
        table: Rows of a `circuits` table of one run and checkpoint.
        ablation: What it was measured with; the first in the table unless named.

    Raises:
        InputError: several runs or checkpoints, or no criteria.
    """
    rows = of_ablation(table, ablation)
    tests = {name: test for name, test in TESTS.items() if name in set(rows["quantity"])}
    circuits = _some(circuits_of(rows), "criteria") if tests else _some([], "criteria")
    inside = [PANEL_HEIGHT] * len(tests)
    figure = make_subplots(
        rows=len(tests), shared_xaxes=True, subplot_titles=[each.title for each in tests.values()],
        vertical_spacing=share_between(inside, BETWEEN),
    )  # fmt: skip
    add_null_keys(figure)
    for row, (quantity, test) in enumerate(tests.items(), start=1):
        measured = rows.loc[rows["quantity"] == quantity]
        add_beside_null(figure, measured, "circuit", circuits, row=row)
        for line in test.lines:
            _add_line(figure, line, len(circuits), row=row)
        figure.update_yaxes(title=test.axis, range=fitting_range(figure, test.lines, row=row),
                            row=row)  # fmt: skip
    title = f"Do the circuits hold on other aliases? {checkpoint_words(rows)}"
    style_figure(figure, title=title, height=PANEL_HEIGHT, about=_about_marks(rows))
    _name_places(figure, circuits, "circuit", n_rows=len(tests))
    make_room(figure, inside=inside_height(inside, BETWEEN))
    return figure


def plot_disruption(
    table: pd.DataFrame, *, quantity: str = "disruption", ablation: str | None = None
) -> go.Figure:
    """What each subset loses without each circuit, beside matched circuits: a panel a circuit.

    Args:
        table: Rows of a `circuits` table of one run and checkpoint.
        quantity: `disruption` (nats), `disruption_exact`, or `restored`, with Stage-1 weights.
        ablation: What it was measured with; the first in the table unless named.

    Raises:
        InputError: several runs or checkpoints, or nothing of the quantity.
    """
    rows = of_ablation(table, ablation)
    lost = rows.loc[(rows["quantity"] == quantity) & (rows["unit"] == "")]
    circuits = _some(list(dict.fromkeys(lost["circuit"])), quantity)
    subsets = _ordered_subsets(lost)
    words, axis = LOSSES[quantity]
    inside = [PANEL_HEIGHT] * len(circuits)
    figure = make_subplots(
        rows=len(circuits), shared_xaxes=True, subplot_titles=circuits,
        vertical_spacing=share_between(inside, BETWEEN),
    )  # fmt: skip
    add_null_keys(figure)
    for row, circuit in enumerate(circuits, start=1):
        add_beside_null(figure, lost.loc[lost["circuit"] == circuit], "subset", subsets, row=row)
        _add_line(figure, 0.0, len(subsets), row=row)
    title = f"{words}: {checkpoint_words(rows)}"
    style_figure(figure, title=title, height=PANEL_HEIGHT, about=_about_marks(rows))
    _name_places(
        figure,
        [_subset_words(each, lost) for each in subsets],
        "what is asked",
        n_rows=len(circuits),
    )
    figure.update_yaxes(title=axis, range=fitting_range(figure, [0.0]))
    make_room(figure, inside=inside_height(inside, BETWEEN))
    return figure


def plot_transfer(
    table: pd.DataFrame, summary: pd.DataFrame | None = None, *, ablation: str | None = None
) -> go.Figure:
    """What each circuit alone recovers of what is said in each subset, beside matched circuits.

    Args:
        table: Rows of a `circuits` table of one run and checkpoint.
        summary: Of `circuits_summary`, to mark what is more than matched circuits recover.
        ablation: What it was measured with; the first in the table unless named.

    Raises:
        InputError: several runs or checkpoints, or no transfer.
    """
    rows = of_ablation(table, ablation)
    shares = rows.loc[rows["quantity"] == "transfer"]
    circuits = _some(list(dict.fromkeys(shares["circuit"])), "transfer")
    subsets = _ordered_subsets(shares)
    means = shares.groupby(["circuit", "subset"])[["value", "control"]].mean()
    names = [_subset_words(subset, shares) for subset in subsets]
    panels = {"value": "the circuit alone", "control": "control: circuits of as many parts"}
    n_cols = columns_of(len(panels), len(subsets), characters=6)
    inside = [cells_height(len(circuits))] * (len(panels) // n_cols)
    figure = make_subplots(
        rows=len(inside), cols=n_cols, shared_yaxes=True, subplot_titles=list(panels.values()),
        horizontal_spacing=0.02, vertical_spacing=share_between(inside, BETWEEN),
    )  # fmt: skip
    scale = differences(max(1.0, float(means.abs().max(axis=None))))
    found = _above_null(summary, rows)
    for place, column in enumerate(panels):
        values = [[_at(means[column], c, s) for s in subsets] for c in circuits]
        marks = [
            " ▲" if column == "value" and (c, s) in found else "" for c in circuits for s in subsets
        ]
        row, col = divmod(place, n_cols)
        figure.add_trace(
            _share_map(values, circuits, names, scale, marks, has_room(n_cols * len(names), characters=6)),
            row=row + 1, col=col + 1,
        )  # fmt: skip
    n_seeds = rows["seed"].nunique()
    about = (
        f"mean of n = {n_seeds} seed{'s' * (n_seeds > 1)}; 0: the model without any part, 1: whole"
    )
    about += f"; ▲ above the control, corrected p ≤ {ALPHA:g}" if summary is not None else ""
    style_figure(
        figure, title=f"What each circuit recovers where: {checkpoint_words(rows)}", height=400,
        about=about,
    )  # fmt: skip
    ticks = name_ticks(names, names, width=INSIDE / n_cols)
    figure.update_xaxes(**(ordered_axis(names) | ticks), showgrid=False)
    figure.update_xaxes(title="what is said", row=len(inside))
    figure.update_yaxes(**ordered_axis(circuits[::-1]), showgrid=False)
    figure.update_yaxes(title="circuit", col=1)
    height = inside_height(inside, BETWEEN)
    figure.update_layout(coloraxis=scale.axis("recovered<br>(share)", inside=height))
    make_room(figure, inside=height)
    return figure


def _about_parts(rows: pd.DataFrame, cells: list[dict], circuit: str) -> str:
    n_seeds = max(cell["n_seeds"] for cell in cells)
    largest = max(abs(cell["effect"]) for cell in cells)
    n_edges = sum(len(cell["places"]) > 1 for cell in cells)
    ranked = any(place.is_ranked for cell in cells for place in cell["places"])
    words = [
        f"area: nats lost under {rows['ablation'].iloc[0]} ablation, "
        f"{'mean of ' if n_seeds > 1 else ''}n = {n_seeds} seed{'s' * (n_seeds > 1)} "
        f"(largest {largest:.2f})",
        "fill: how often it is chosen when the aliases are drawn again "
        f"({chance_of_inclusion(rows, circuit):.0%} by chance)",
        "circles: heads, squares: MLPs",
    ]
    if ranked:
        words.append(
            "heads are ranked in each seed by what they do in all circuits: #1 is too large, also "
            "by chance"
        )
    if n_edges:
        shown = f", the {MOST_EDGES} strongest of {n_edges}" if n_edges > MOST_EDGES else ""
        words.append(f"lines: edges, as wide as their effect, as dark as often chosen{shown}")
    return "; ".join(words)


def _some(found: list[str], what: str) -> list[str]:
    if not found:
        raise InputError(f"the table has no {what} of any circuit; measure some with iml circuit")
    return found


def _part_words(cell: dict) -> str:
    return " → ".join(place.words for place in cell["places"])


def _most_chosen(by_circuit: dict[str, list[dict]]) -> tuple[list[str], str]:
    """The parts that have room, in the order of the model, and what a figure says of the others."""
    most: dict[str, float] = {}
    for cells in by_circuit.values():
        for cell in cells:
            name = _part_words(cell)
            most[name] = max(most.get(name, 0.0), cell["inclusion"])
    if len(most) <= MOST_SHOWN:
        return list(most), ""
    shown = set(sorted(most, key=lambda name: -most[name])[:MOST_SHOWN])
    return (
        [name for name in most if name in shown],
        f"; the {MOST_SHOWN} of {len(most)} parts that are chosen most",
    )


def _add_frequencies(figure: go.Figure, cells: list[dict], *, row: int) -> None:
    names = [_part_words(cell) for cell in cells]
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
            {"color": "#8a5a44", "size": 9, "symbol": "diamond-open", "line": {"width": 2}},
        ),
    }  # fmt: skip
    for label, (x, y, marker) in series.items():
        text = [words for _, _, words in own] if label.endswith("each seed") else [label] * len(x)
        figure.add_scatter(
            x=x, y=y, mode="markers", marker=marker, name=label, legendgroup=label, text=text,
            showlegend=row == 1, hovertemplate="%{x}<br>%{text}: %{y:.0%}<extra></extra>",
            row=row, col=1,
        )  # fmt: skip


def _add_line(figure: go.Figure, at: float, n_places: int, *, row: int) -> None:
    figure.add_scatter(
        x=[-0.6, n_places - 0.4], y=[at, at], mode="lines", hoverinfo="skip", showlegend=False,
        line={"color": FAINT, "dash": "dot", "width": 1.3}, row=row, col=1,
    )  # fmt: skip


def _name_places(figure: go.Figure, names: Sequence[str], title: str, *, n_rows: int) -> None:
    places = list(range(len(names)))
    figure.update_xaxes(
        **name_ticks(places, names, width=PAGE - 110), range=[-0.6, len(names) - 0.4]
    )
    figure.update_xaxes(title=title, row=n_rows)


def _about_marks(rows: pd.DataFrame) -> str:
    """What marks stand for, and how many random circuits there were."""
    n_seeds = rows["seed"].nunique()
    nulls = rows.loc[rows["n_null"] > 0, "n_null"]
    few = int(nulls.min()) if len(nulls) else 0
    return (
        f"small: a seed, large: mean and 95% t interval of n = {n_seeds} seeds; grey: random "
        f"circuits of as many parts of each layer and kind, mean and their 5 to 95% "
        f"(at least {few} a seed); {rows['ablation'].iloc[0]} ablation"
    )


def _ordered_subsets(rows: pd.DataFrame) -> list[str]:
    """Subsets in the design's order, the gap, then what is recited."""
    order = [*design_of(rows).names, GAP]
    known = list(dict.fromkeys(rows["subset"]))

    def place(name: str) -> tuple[bool, int]:
        bare = name.removeprefix("recite ")
        return bare != name, order.index(bare) if bare in order else len(order)

    return sorted(known, key=place)


def _subset_words(subset: str, rows: pd.DataFrame) -> str:
    return f"gap {design_of(rows).main.words}" if subset == GAP else subset


def _above_null(summary: pd.DataFrame | None, rows: pd.DataFrame) -> set[tuple[str, str]]:
    """Circuits and subsets of which more is recovered than by matched circuits."""
    if summary is None:
        return set()
    ablation = rows["ablation"].iloc[0]
    cells = summary.loc[(summary["quantity"] == "transfer") & (summary["ablation"] == ablation)]
    found = cells.loc[(cells["p_corrected"] <= ALPHA) & (cells["difference"] > 0)]
    return set(zip(found["circuit"], found["subset"], strict=True))


def _at(means: pd.Series, circuit: str, subset: str) -> float:
    return float(means.get((circuit, subset), np.nan))


def _share_map(
    values: list[list[float]],
    circuits: Sequence[str],
    names: Sequence[str],
    scale: ColorScale,
    marks: Sequence[str],
    is_written: bool,
) -> go.Heatmap:
    flat = [value for row in values for value in row]
    texts = number_texts(flat, scale, marks=marks, is_written=is_written)
    return go.Heatmap(
        x=list(names), y=list(circuits), z=values,
        text=np.array(texts, dtype=object).reshape(len(circuits), len(names)).tolist(),
        texttemplate="%{text}", textfont={"size": 12}, coloraxis="coloraxis", xgap=2, ygap=2,
        hovertemplate="%{y} in %{x}: %{z:.3f}<extra></extra>", hoverongaps=False,
    )  # fmt: skip
