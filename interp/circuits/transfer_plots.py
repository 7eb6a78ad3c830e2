"""Frame in, figure out: what one behaviour's circuit recovers of the others."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.circuits.null_marks import ordered_subsets, some, subset_words
from interp.circuits.unit_cells import of_ablation
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
from interp.figures.room import inside_height, make_room, name_ticks, share_between
from interp.figures.seed_marks import own_hover, own_note, with_own_words
from interp.figures.theme import style_figure

BETWEEN = 60  # pixels


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
    circuits = some(list(dict.fromkeys(shares["circuit"])), "transfer")
    subsets = ordered_subsets(shares)
    means = shares.groupby(["circuit", "subset"])[["value", "control"]].mean()
    names = [subset_words(subset, shares) for subset in subsets]
    panels = {"value": "the circuit alone", "control": "control: circuits of as many parts"}
    n_cols = columns_of(len(panels), len(subsets), characters=6)
    inside = [cells_height(len(circuits))] * (len(panels) // n_cols)
    figure = make_subplots(
        rows=len(inside), cols=n_cols, shared_yaxes=True, shared_xaxes=True,
        subplot_titles=list(panels.values()), horizontal_spacing=0.02,
        vertical_spacing=share_between(inside, BETWEEN),
    )  # fmt: skip
    scale = differences(max(1.0, float(means.abs().max(axis=None))))
    is_written = has_room(n_cols * len(names), characters=6)
    found = _above_null(summary, rows)
    places = pd.DataFrame(
        [(circuit, subset) for circuit in circuits for subset in subsets],
        columns=["circuit", "subset"],
    )
    cells = with_own_words(places, shares, list(panels), keys=["circuit", "subset"])
    for place, column in enumerate(panels):
        values = [[_at(means[column], c, s) for s in subsets] for c in circuits]
        marks = [
            " ▲" if column == "value" and (c, s) in found else "" for c in circuits for s in subsets
        ]
        row, col = divmod(place, n_cols)
        own = own_hover(cells, column)
        shares_of = _share_map(values, circuits, names, scale, marks if is_written else None, own)
        figure.add_trace(shares_of, row=row + 1, col=col + 1)
    n_seeds = len(set(rows["seed"]))
    about = (
        f"mean of n = {n_seeds} seed{'s' * (n_seeds > 1)}; 0: the model without any part, 1: whole"
    )
    about += own_note(cells)
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


def _above_null(summary: pd.DataFrame | None, rows: pd.DataFrame) -> set[tuple[str, str]]:
    """Circuits and subsets of which more is recovered than by matched circuits."""
    if summary is None:
        return set()
    ablation = rows["ablation"].iloc[0]
    cells = summary.loc[(summary["quantity"] == "transfer") & (summary["ablation"] == ablation)]
    found = cells.loc[(cells["p_corrected"] <= ALPHA) & (cells["difference"] > 0)]
    return set(zip(found["circuit"], found["subset"], strict=True))


def _at(means: pd.Series, circuit: str, subset: str) -> float:
    return float(means.to_dict().get((circuit, subset), np.nan))


def _share_map(
    values: list[list[float]],
    circuits: Sequence[str],
    names: Sequence[str],
    scale: ColorScale,
    marks: Sequence[str] | None,
    own: tuple[str, list[str] | None],
) -> go.Heatmap:
    flat = [value for row in values for value in row]
    texts = number_texts(flat, scale, marks=marks, is_written=marks is not None)
    return go.Heatmap(
        x=list(names), y=list(circuits), z=values,
        text=np.array(texts, dtype=object).reshape(len(circuits), len(names)).tolist(),
        texttemplate="%{text}", textfont={"size": 12}, coloraxis="coloraxis", xgap=2, ygap=2,
        hovertext=None if own[1] is None else np.reshape(own[1], np.shape(values)).tolist(),
        hovertemplate=f"%{{y}} in %{{x}}: %{{z:.3f}}{own[0]}<extra></extra>", hoverongaps=False,
    )  # fmt: skip
