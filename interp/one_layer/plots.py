"""Frame in, figure out: blocks of a value matrix, its spectrum, and a direction along training.

The control is the same model with its value matrix merged, or without a norm.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures.grid_tables import titled
from interp.figures.heat_maps import INSIDE, NUMBER_SIZE, cells_height, differences, number_texts
from interp.figures.palette import FAINT, INK, NULL_COLOR, subset_style
from interp.figures.room import make_room, name_ticks
from interp.figures.seed_marks import mean_hover, over_seeds, seeds_words, shown_halves
from interp.figures.theme import style_figure
from interp.one_layer.measures import FROBENIUS, NUCLEAR, OTHER, OWN
from training.designs import design_of
from training.models.own import AFTER, BEFORE

HEIGHT, LEAST_HEIGHT = 300, 120  # pixels
RUN_COLOR, CONTROL_COLOR = "#1f5fc4", "#ea8a12"
STEP_AXIS = {"type": "log", "title": "1 + step (updates)", "dtick": 1}
BLOCK_STATES = {OWN: "to its own", OTHER: "to others"}


def plot_blocks(table: pd.DataFrame, control: pd.DataFrame | None = None) -> go.Figure:
    """Mean weights of each block to the word that belongs, and to others, at the last step.

    Args:
        table: Rows of a `blocks` table of one run.
        control: Those of its control.
    """
    shown = {"": table} | ({} if control is None else {"control: ": control})
    means = {
        words + of_state: _last(each, "block", state)
        for words, each in shown.items()
        for state, of_state in BLOCK_STATES.items()
    }
    scale = differences(
        max(float(np.abs(cells["mean"].to_numpy()).max()) for cells in means.values())
    )
    first = next(iter(means.values()))
    sources, targets = (
        list(dict.fromkeys(part.split(" → ")[side] for part in first["part"])) for side in (0, 1)
    )
    figure = make_subplots(
        cols=len(means), shared_yaxes=True, subplot_titles=list(means), horizontal_spacing=0.02
    )
    for place, cells in enumerate(means.values()):
        values = dict(zip(cells["part"], cells["mean"].tolist(), strict=True))
        grid = [[values[f"{source} → {target}"] for source in sources] for target in targets]
        texts = [number_texts(row, scale) for row in grid]
        figure.add_heatmap(
            z=grid, x=list(range(len(sources))), y=targets, customdata=[sources] * len(targets),
            text=texts, texttemplate="%{text}", textfont={"size": NUMBER_SIZE},
            coloraxis="coloraxis",
            hovertemplate="%{customdata} → %{y}: %{z:.3f}<extra></extra>",
            row=1, col=place + 1,
        )  # fmt: skip
    height = max(cells_height(len(targets)), LEAST_HEIGHT)
    title = titled("What the value matrix adds", table)
    n_seeds = table["seed"].nunique()
    about = f"mean weight of a block at the last step, mean over n = {n_seeds} seeds"
    style_figure(figure, title=title, height=height, about=about)
    figure.update_layout(coloraxis=scale.axis("weight<br>(logits)", inside=height))
    ticks = name_ticks(list(range(len(sources))), sources, width=INSIDE / len(means))
    figure.update_xaxes(**ticks, title="attended to (kind of word)")
    figure.update_yaxes(title="added to (kind)", col=1)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    make_room(figure, inside=height)
    return figure


def plot_spectrum(table: pd.DataFrame, control: pd.DataFrame | None = None) -> go.Figure:
    """Nuclear norm over training, that over the Frobenius norm, and singular values at the end.

    Args:
        table: Rows of a `blocks` table of one run.
        control: Those of its control.
    """
    titles = ["nuclear norm", "nuclear / Frobenius norm", "singular values, last step"]
    figure = make_subplots(cols=3, subplot_titles=titles, horizontal_spacing=0.09)
    for name, each, color in _both(table, control):
        keys = ["seed", "step"]
        nuclear, frobenius = (
            each.loc[each["quantity"] == norm].set_index(keys)["value"]
            for norm in (NUCLEAR, FROBENIUS)
        )
        ratio = (nuclear / frobenius.where(frobenius > 0)).dropna()
        for col, values in enumerate((nuclear, ratio), start=1):
            curve = over_seeds(values.rename("value").reset_index(), ["step"], "value")
            x = curve["step"] + 1
            _add_curve(figure, curve, x, name=name, color=color, col=col, is_named=col == 1)
        values = _last(each, "singular values")
        x = values["part"].astype(int)
        _add_curve(figure, values, x, name=name, color=color, col=3, is_named=False)
    title = titled("Singular values of the value matrix", table)
    style_figure(figure, title=title, height=HEIGHT, about=_about(table))
    for col, words in ((1, "sum (logits)"), (2, "ratio (1 = rank 1)"), (3, "value (logits)")):
        figure.update_yaxes(title=words, rangemode="tozero", col=col)
    figure.update_xaxes(STEP_AXIS)
    figure.update_xaxes(type="linear", title="place by size (1 = largest)", dtick=10, col=3)
    make_room(figure, inside=HEIGHT)
    return figure


def plot_directions(table: pd.DataFrame, control: pd.DataFrame | None = None) -> go.Figure:
    """The AUC of a linear classifier at each place over training, before and after the norm.

    Args:
        table: Rows of a `blocks` table of one run, with `auc`.
        control: Those of its control, which has no norm.
    """
    auc = table.loc[table["quantity"] == "auc"]
    places = list(dict.fromkeys(auc["part"]))
    titles = [f"at {PLACES.get(place, place)}" for place in places]
    figure = make_subplots(
        cols=len(places), subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.03
    )
    curves = [(AFTER, auc, AFTER, RUN_COLOR), (BEFORE, auc, BEFORE, NULL_COLOR)]
    if control is not None:
        of_control = control.loc[control["quantity"] == "auc"]
        curves.append(("control: no norm", of_control, BEFORE, CONTROL_COLOR))
    for col, place in enumerate(places, start=1):
        for name, rows, state, color in curves:
            cells = rows.loc[(rows["part"] == place) & (rows["state"] == state)]
            curve = over_seeds(cells.sort_values("step", kind="stable"), ["step"], "value")
            x = curve["step"] + 1
            _add_curve(figure, curve, x, name=name, color=color, col=col, is_named=col == 1)
        figure.add_hline(y=0.5, line={"color": FAINT, "dash": "dot", "width": 1}, col=col)  # pyright: ignore[reportArgumentType]
    higher, lower = design_of(table).main.names
    title = titled(f"A linear classifier tells {higher} from {lower}", table)
    about = f"{_about(auc)}; dotted: guessing; on texts not fitted on"
    style_figure(figure, title=title, height=HEIGHT, about=about)
    figure.update_xaxes(STEP_AXIS)
    figure.update_yaxes(range=[0.35, 1.05])
    figure.update_yaxes(title="AUC (area under the curve)", col=1)
    make_room(figure, inside=HEIGHT)
    return figure


PLACES: Mapping[str, str] = {"alias": "x'"}
"""What figures call a place of the texts, if not as the rows do."""


def plot_probabilities(table: pd.DataFrame, control: pd.DataFrame | None = None) -> go.Figure:
    """The mean probability of the answer over training, by subset, beside that of the control.

    Args:
        table: Rows of a `blocks` table of one run.
        control: Those of its control.
    """
    shown = [("run", table)] + ([] if control is None else [("control", control)])
    figure = make_subplots(
        cols=len(shown), subplot_titles=[words for words, _ in shown], shared_yaxes=True,
        horizontal_spacing=0.03,
    )  # fmt: skip
    design = design_of(table)
    for col, (_, each) in enumerate(shown, start=1):
        rows = each.loc[each["quantity"] == "probability"].sort_values("step", kind="stable")
        for name in (name for name in design.names if name in set(rows["part"])):
            curve = over_seeds(rows.loc[rows["part"] == name], ["step"], "value")
            color, x = subset_style(name, design).color, curve["step"] + 1
            _add_curve(figure, curve, x, name=name, color=color, col=col, is_named=col == 1)
    title = titled("Probability of the answer to held-out questions", table)
    style_figure(figure, title=title, height=HEIGHT, about=_about(table))
    figure.update_xaxes(STEP_AXIS)
    figure.update_yaxes(range=[-0.03, 1.03])
    figure.update_yaxes(title="mean probability (0 to 1)", col=1)
    make_room(figure, inside=HEIGHT)
    return figure


def _about(table: pd.DataFrame) -> str:
    return seeds_words(len(set(table["seed"])), with_own=False)


def _both(table: pd.DataFrame, control: pd.DataFrame | None) -> list[tuple[str, pd.DataFrame, str]]:
    found = [("run", table, RUN_COLOR)]
    return found if control is None else [*found, ("control", control, CONTROL_COLOR)]


def _last(table: pd.DataFrame, quantity: str, state: str = "") -> pd.DataFrame:
    """The cells of a quantity over seeds, at each seed's last step."""
    rows = table.loc[(table["quantity"] == quantity) & (table["state"] == state)]
    rows = rows.loc[rows["step"] == rows.groupby("seed")["step"].transform("max")]
    return over_seeds(rows, ["part"], "value")


def _add_curve(
    figure: go.Figure, curve: pd.DataFrame, x: Any, *, name: str, color: str, col: int,
    is_named: bool,
) -> None:  # fmt: skip
    """Means over seeds with their intervals, joined by a line."""
    halves = shown_halves(curve["mean"], curve["ci_high"], curve["n_seeds"])
    figure.add_scatter(
        x=x, y=curve["mean"], mode="lines+markers", name=name, legendgroup=name,
        showlegend=is_named, line={"color": color, "width": 2}, marker={"size": 5},
        error_y={"array": halves, "color": INK, "thickness": 1, "width": 2},
        hovertemplate=mean_hover(f"{name}, %{{x}}: ", curve["n_seeds"]), row=1, col=col,
    )  # fmt: skip
