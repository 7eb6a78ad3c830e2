"""The marks of figures of patching: single heads by rank, and estimates beside exact effects."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from data.subsets import Mark
from interp.figures.palette import INK, NULL_COLOR
from interp.figures.places import at_words, site_kind_words, site_words
from interp.figures.seed_marks import mean_hover, over_seeds, shown_halves

SPREAD = 0.17
"""How far the two subsets lie from the middle of a rank, of the width of a rank."""


def ranked_heads(heads: pd.DataFrame) -> pd.DataFrame:
    """With `rank`, from 1, within each layer, role and seed, and `slot`, its name on the axis."""
    within = ["subset", "site", "layer", "role", "seed"]
    ranks = heads.groupby(within)["effect"].rank(method="first", ascending=False).astype(int)
    slots = [
        f"layer {layer}, #{rank}" + ("" if site == "z" else f" ({site_kind_words(site)})")
        for layer, site, rank in zip(heads["layer"], heads["site"], ranks, strict=True)
    ]
    return heads.assign(rank=ranks, slot=slots)


def add_ranks(
    figure: go.Figure,
    ranked: pd.DataFrame,
    slots: Sequence[str],
    style: Mark,
    *,
    shift: float,
    row: int,
) -> None:
    """One subset's heads in one panel: control to the left, effect to the right, means as lines."""
    subset = str(ranked["subset"].iloc[0])
    series = {
        "control": (-SPREAD / 3, NULL_COLOR, f"{style.symbol}-open", f"{subset}, control"),
        "effect": (SPREAD / 3, style.color, style.symbol, f"{subset}, effect"),
    }
    for column, (sideways, color, symbol, name) in series.items():
        middles = np.array([slots.index(slot) + shift + sideways for slot in ranked["slot"]])
        figure.add_scatter(
            x=middles, y=ranked[column], mode="markers", name=name, legendgroup=name,
            showlegend=row == 1, marker={"color": color, "symbol": symbol, "size": 9},
            opacity=0.65, customdata=ranked[["seed", "layer", "head"]].to_numpy(),
            hovertemplate="seed %{customdata[0]}, layer %{customdata[1]}, head %{customdata[2]}: "
            f"%{{y:.3f}}<extra>{name}</extra>",
            row=row, col=1,
        )  # fmt: skip
        means = over_seeds(ranked.assign(x=middles), ["x"], column)
        ink = INK if column == "effect" else NULL_COLOR
        figure.add_scatter(
            x=means["x"], y=means["mean"], mode="markers",
            marker={"symbol": "line-ew-open", "size": 11, "line": {"width": 2.4}, "color": ink},
            error_y={
                "array": shown_halves(means["mean"], means["ci_high"], means["n_seeds"]),
                "thickness": 1.4, "width": 4, "color": ink,
            },
            hovertemplate=[
                f"{words}<extra>{name}</extra>" for words in mean_hover("mean ", means["n_seeds"])
            ],
            showlegend=False, legendgroup=name, row=row, col=1,
        )  # fmt: skip


def add_estimates(
    figure: go.Figure, panel: pd.DataFrame, mark: Mark, *, col: int, is_first: bool
) -> None:
    """One site's cells in one panel; the first of a site stands for it in the legend."""
    if panel.empty:
        return
    site = panel["site"].iloc[0]
    figure.add_scatter(
        x=panel["effect"], y=panel["attribution"], mode="markers", opacity=0.55,
        name=site_kind_words(site), legendgroup=site_kind_words(site), showlegend=is_first,
        marker={"color": mark.color, "symbol": mark.symbol, "size": 9},
        text=[
            f"seed {seed}, {site_words(site, layer, head)} {at_words(role)}"
            for seed, layer, head, role in zip(
                *(panel[name] for name in ("seed", "layer", "head", "role")), strict=True
            )
        ],
        hovertemplate="%{text}: exact %{x:.3f}, attribution %{y:.3f}<extra></extra>",
        row=1, col=col,
    )  # fmt: skip
