"""Frame in, figure out: what circuits hold up against, each number beside its null.

Filled is a circuit, open and grey what it is held against.
"""

from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.circuits.null_marks import (
    add_beside_null,
    add_line,
    add_null_keys,
    marks_words,
    name_places,
    null_range,
    ordered_subsets,
    some,
    subset_words,
)
from interp.circuits.unit_cells import circuits_of, of_ablation
from interp.figures.grid_tables import checkpoint_words
from interp.figures.room import inside_height, make_room, share_between
from interp.figures.seed_marks import fitting_range
from interp.figures.theme import style_figure

PANEL_HEIGHT, BETWEEN = 150, 44  # pixels
CRITERIA_NULL = (
    "random circuits of as many parts of each layer and kind (minimality: parts outside the "
    "circuit; independence: permuted aliases)"
)
MATCHED = (
    "random circuits of as many parts of each layer and kind that cost the trained subsets as much"
)


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
    "restored_exact": (
        "What is lost with the circuit's weights of Stage 1",
        "exact matches<br>lost (share)",
    ),
}


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
    circuits = some(circuits_of(rows), "criteria") if tests else some([], "criteria")
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
            add_line(figure, line, len(circuits), row=row)
        ends = fitting_range(figure, [*test.lines, *null_range(measured)], row=row)
        figure.update_yaxes(title=test.axis, range=ends, row=row)
    title = f"Do the circuits hold on other aliases? {checkpoint_words(rows)}"
    style_figure(
        figure,
        title=title,
        height=PANEL_HEIGHT,
        about=f"{marks_words(rows, CRITERIA_NULL)}; {_ablation_words(rows)}",
    )
    name_places(figure, circuits, "circuit", n_rows=len(tests))
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
    circuits = some(list(dict.fromkeys(lost["circuit"])), quantity)
    subsets = ordered_subsets(lost)
    words, axis = LOSSES[quantity]
    titles = [_matched_words(lost.loc[lost["circuit"] == circuit]) for circuit in circuits]
    inside = [PANEL_HEIGHT] * len(circuits)
    figure = make_subplots(
        rows=len(circuits), shared_xaxes=True, subplot_titles=titles,
        vertical_spacing=share_between(inside, BETWEEN),
    )  # fmt: skip
    add_null_keys(figure)
    for row, circuit in enumerate(circuits, start=1):
        add_beside_null(figure, lost.loc[lost["circuit"] == circuit], "subset", subsets, row=row)
        add_line(figure, 0.0, len(subsets), row=row)
    title = f"{words}: {checkpoint_words(rows)}"
    about = marks_words(rows, MATCHED)
    about += "" if quantity.startswith("restored") else f"; {_ablation_words(rows)}"
    style_figure(figure, title=title, height=PANEL_HEIGHT, about=about)
    name_places(
        figure,
        [subset_words(each, lost) for each in subsets],
        "what is asked",
        n_rows=len(circuits),
    )
    figure.update_yaxes(title=axis, range=fitting_range(figure, [0.0, *null_range(lost)]))
    make_room(figure, inside=inside_height(inside, BETWEEN))
    return figure


def _matched_words(lost: pd.DataFrame) -> str:
    """A circuit's name, and in how many seeds there is any circuit to hold it against."""
    held = lost.loc[lost["n_null"] > 0, "seed"].nunique()
    n_seeds = len(set(lost["seed"]))
    few = "" if held == n_seeds else f": matched circuits exist in {held} of {n_seeds} seeds"
    return f"{lost['circuit'].iloc[0]}{few}"


def _ablation_words(rows: pd.DataFrame) -> str:
    return f"{rows['ablation'].iloc[0]} ablation"
