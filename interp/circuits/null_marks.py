"""A circuit's numbers beside what other circuits give: the marks of figures, and their places."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from data.errors import InputError
from interp.circuits.disruption import GAP
from interp.figures.palette import FAINT, NULL_COLOR
from interp.figures.room import PAGE, name_ticks
from interp.figures.seed_marks import FEWEST, mean_hover, over_seeds, shown_halves
from training.designs import design_of

CIRCUIT_COLOR = "#0b7285"
ASIDE, SPREAD = 0.16, 0.07
"""How far circuit and null lie from a place's middle, and seeds from each other, of its width."""


def add_null_keys(figure: go.Figure) -> None:
    """The legend's entries, once for all panels."""
    for name, marker in (
        ("circuit", {"color": CIRCUIT_COLOR, "size": 9}),
        ("control", {"color": NULL_COLOR, "size": 9,
                                              "symbol": "circle-open", "line": {"width": 2}}),
    ):  # fmt: skip
        figure.add_scatter(
            x=[None], y=[None], mode="markers", marker=marker, name=name, showlegend=True,
            row=1, col=1,
        )  # fmt: skip


def add_beside_null(
    figure: go.Figure,
    rows: pd.DataFrame,
    column: str,
    order: Sequence[str],
    *,
    row: int,
    col: int = 1,
) -> None:
    """Each seed's value, their mean with its interval, and the null's mean and range beside them.

    Args:
        figure: With panels below each other; changed in place.
        rows: Of one quantity, with `value control null_low null_high seed`.
        column: What tells the places apart.
        order: Its values, from left to right at 0, 1 ...
        row: Of the panel.
        col: Of the panel.
    """
    own = rows.loc[rows[column].isin(order) & rows["value"].notna()]
    if own.empty:
        return
    place: dict[str, Any] = {"row": row, "col": col}
    seeds = sorted(set(own["seed"]))
    steps = np.linspace(-SPREAD, SPREAD, len(seeds)) if len(seeds) > 1 else [0.0]
    shift = dict(zip(seeds, steps, strict=True))
    held = zip(own[column], own["seed"], strict=True)
    words = [
        f"seed {seed}{f', {unit}' if unit else ''}" + (f", p {p:.3g}" if p == p else "")
        for seed, unit, p in zip(own["seed"], own["unit"], own["p_value"], strict=True)
    ]
    figure.add_scatter(
        x=[order.index(name) + ASIDE + shift[seed] for name, seed in held], y=own["value"].tolist(),
        mode="markers", marker={"color": CIRCUIT_COLOR, "size": 5, "opacity": 0.5}, text=words,
        hovertemplate="%{text}: %{y:.3f}<extra></extra>", showlegend=False, **place,
    )  # fmt: skip
    # Of several members a seed has one mean, so that seeds count, not members.
    means = over_seeds(own.groupby([column, "seed"], sort=False)["value"].mean().reset_index(),
                       [column], "value")  # fmt: skip
    figure.add_scatter(
        x=[order.index(name) + ASIDE for name in means[column]], y=means["mean"].tolist(),
        mode="markers", marker={"color": CIRCUIT_COLOR, "size": 10}, showlegend=False,
        error_y={
            "array": shown_halves(means["mean"], means["ci_high"], means["n_seeds"]),
            "thickness": 1.6, "width": 4,
        },
        text=means[column].tolist(), hovertemplate=mean_hover("%{text}: ", means["n_seeds"]),
        **place,
    )  # fmt: skip
    _add_null(figure, own, column, order, place)


def _add_null(
    figure: go.Figure,
    own: pd.DataFrame,
    column: str,
    order: Sequence[str],
    place: dict[str, Any],
) -> None:
    null = own.loc[own["control"].notna()].groupby(column, sort=False)
    means = null[["control", "null_low", "null_high"]].mean()
    if means.empty:
        return
    figure.add_scatter(
        x=[order.index(str(name)) - ASIDE for name in means.index], y=means["control"].tolist(),
        mode="markers", showlegend=False, text=list(map(str, means.index)),
        marker={"color": NULL_COLOR, "size": 9, "symbol": "circle-open", "line": {"width": 2}},
        error_y={
            "array": (means["null_high"] - means["control"]).clip(lower=0).tolist(),
            "arrayminus": (means["control"] - means["null_low"]).clip(lower=0).tolist(),
            "symmetric": False, "color": NULL_COLOR, "thickness": 5, "width": 0,
        },
        customdata=means[["null_low", "null_high"]].to_numpy().tolist(),
        hovertemplate="%{text}, random circuits: %{y:.3f}, 5 to 95%% %{customdata[0]:.3f} to "
        "%{customdata[1]:.3f}<extra></extra>".replace("%%", "%"),
        **place,
    )  # fmt: skip


def null_range(rows: pd.DataFrame) -> list[float]:
    """The ends of all null ranges, which an axis must hold as well."""
    ends = rows[["null_low", "null_high"]].to_numpy().ravel()
    known = ends[np.isfinite(ends)]
    return [float(known.min()), float(known.max())] if len(known) else []


def add_line(figure: go.Figure, at: float, n_places: int, *, row: int, col: int = 1) -> None:
    """A dotted level across a panel."""
    figure.add_scatter(
        x=[-0.6, n_places - 0.4], y=[at, at], mode="lines", hoverinfo="skip", showlegend=False,
        line={"color": FAINT, "dash": "dot", "width": 1.3}, row=row, col=col,
    )  # fmt: skip


def name_places(figure: go.Figure, names: Sequence[str], title: str, *, n_rows: int) -> None:
    """Names the places of all panels, which stand at 0, 1 ..."""
    places = list(range(len(names)))
    figure.update_xaxes(
        **name_ticks(places, names, width=PAGE - 110), range=[-0.6, len(names) - 0.4]
    )
    figure.update_xaxes(title=title, row=n_rows)


def marks_words(rows: pd.DataFrame, null: str) -> str:
    """What marks stand for, of how many seeds.

    Args:
        rows: What is drawn.
        null: What grey is, in words.
    """
    n_seeds = len(set(rows["seed"]))
    interval = " and 95% t interval" if n_seeds >= FEWEST else ""
    seeds = f"small: a seed, large: mean{interval} of n = {n_seeds} seeds"
    marks = seeds if n_seeds > 1 else "n = 1 seed"
    return f"{marks}; grey: {null}, mean and 5 to 95%"


def ordered_subsets(rows: pd.DataFrame) -> list[str]:
    """What is measured, in the design's order: questions, the gap, then what is recited."""
    order = [*design_of(rows).names, GAP]
    known = list(dict.fromkeys(rows["subset"]))

    def place(name: str) -> tuple[bool, int]:
        bare = name.removeprefix("recite ")
        return bare != name, order.index(bare) if bare in order else len(order)

    return sorted(known, key=place)


def subset_words(subset: str, rows: pd.DataFrame) -> str:
    """What a figure calls it: the gap by its two sides."""
    return f"gap {design_of(rows).main.words}" if subset == GAP else subset


def some(found: list[str], what: str) -> list[str]:
    """What was found.

    Raises:
        InputError: nothing was.
    """
    if not found:
        raise InputError(f"the table has no {what} of any circuit; measure some with iml circuit")
    return found
