"""Frame in, figure out: how good autoencoders are by sparsity, and what their features carry.

Baselines and controls are grey, the null twin's marks are open. Every interval is over Stage-1
seeds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.errors import InputError
from interp.dictionaries.analysis import PCA, PCA_OWN, RANDOM
from interp.dictionaries.rows import AUROC, LOG_PROB
from interp.dictionaries.summary import summarize_dictionaries
from interp.dictionaries.wording import (
    BASELINES,
    KIND_WORDS,
    by_place,
    kind_of,
    place_words,
    target_words,
)
from interp.figures.grid_tables import one_checkpoint, summarized, titled
from interp.figures.palette import FAINT, INK, NULL_COLOR, subset_style
from interp.figures.room import PAGE, make_room, name_ticks
from interp.figures.seed_marks import FEWEST, interval_hover, seeds_words
from interp.figures.theme import style_figure
from training.designs import design_of

PANEL_HEIGHT, ROW_HEIGHT = 300, 290  # pixels
CURVES = {
    "explained_variance": "variance<br>explained",
    "loss_recovered": "loss<br>recovered",
    "kl_recovered": "KL<br>recovered",
}
LINES: Mapping[str, tuple[str, str]] = {
    PCA: ("dash", "circle-open"),
    PCA_OWN: ("dot", "square-open"),
    RANDOM: ("dashdot", "diamond-open"),
}
"""Dash and symbol of each baseline."""
TARGETS = "what the features were chosen for"
ASIDE = 0.13
"""How far marks of one target lie from each other, of its width."""


def plot_dictionaries(table: pd.DataFrame) -> go.Figure:
    """What autoencoders explain and recover by features a vector, beside baselines of as many.

    Args:
        table: Rows of `dictionaries` or `dictionaries_summary` of one run, checkpoint and place.

    Raises:
        InputError: several runs, checkpoints or places.
    """
    cells = _one_place(table)
    kind = kind_of(cells)
    figure = make_subplots(cols=len(CURVES), horizontal_spacing=0.09)
    for col, (quantity, words) in enumerate(CURVES.items(), start=1):
        for name in (kind, PCA, PCA_OWN, RANDOM):
            found = _curve(cells, name, quantity)
            dash, symbol = LINES.get(name, ("solid", "circle"))
            color = NULL_COLOR if name in BASELINES else INK
            figure.add_scatter(
                x=found["l0"], y=found["value"], error_y=_ends(found), name=KIND_WORDS[name],
                mode="lines+markers", line={"dash": dash, "color": color},
                marker={"symbol": symbol, "size": 8, "color": color},
                customdata=found[["value_low", "value_high"]].to_numpy(),
                hovertemplate=interval_hover("%{x:.1f} features: %{y:.3f}", found["n_seeds"]),
                legendgroup=name, showlegend=col == 1, row=1, col=col,
            )  # fmt: skip
        figure.add_hline(y=1, line={"color": FAINT, "dash": "dot", "width": 1}, row=1, col=col)  # pyright: ignore[reportArgumentType]
        ticks = sorted(set(cells["k"].tolist()))
        figure.update_xaxes(
            title="features a vector (L0)", type="log", tickvals=ticks,
            ticktext=list(map(str, ticks)), row=1, col=col,
        )  # fmt: skip
        figure.update_yaxes(title=f"{words} (share)", row=1, col=col)
    title = titled(f"Sparse autoencoders of {place_words(cells)}", cells)
    about = f"{_about(cells)}; on aliases never seen; 1: all of it, 0: as with vectors of 0 (of "
    about += "variance: as with their mean)"
    style_figure(figure, title=title, height=PANEL_HEIGHT, about=about)
    make_room(figure, inside=PANEL_HEIGHT)
    return figure


def plot_features(table: pd.DataFrame, twin: pd.DataFrame | None = None) -> go.Figure:
    """How well the best single feature tells the classes of each target, on unseen aliases.

    Args:
        table: Rows of `dictionaries` or `dictionaries_summary` of one run, checkpoint and place.
        twin: The same of its null twin.

    Raises:
        InputError: several runs, checkpoints or places.
    """
    cells = _one_place(table)
    found = _by_target(cells, AUROC)
    figure = go.Figure()
    _add_marks(figure, found, -1, name="the best feature of each class", color=INK)
    _add_controls(figure, found, 0, name="features that fire as often")
    if twin is not None:
        theirs = _by_target(_one_place(twin), AUROC).reindex(found.index)
        _add_marks(figure, theirs, 1, name="the best feature, in the null twin", color=INK,
                   symbol="circle-open")  # fmt: skip
    figure.add_hline(y=0.5, line={"color": FAINT, "dash": "dash", "width": 1})
    title = titled(f"What features of {place_words(cells)} carry", cells)
    about = f"{_about(cells)}; dashed: chance; chosen on other aliases than those that are shown"
    style_figure(figure, title=title, height=ROW_HEIGHT, about=about)
    _name_targets(figure, found.index)
    figure.update_yaxes(title="AUROC of a class<br>(.5 by chance)")
    make_room(figure, inside=ROW_HEIGHT)
    return figure


def plot_feature_ablation(table: pd.DataFrame, twin: pd.DataFrame | None = None) -> go.Figure:
    """What answers of the two compared subsets, and their difference, lose without features.

    Args:
        table: Rows of `dictionaries` or `dictionaries_summary` of one run, checkpoint and place.
        twin: The same of its null twin.

    Raises:
        InputError: several runs, checkpoints or places.
    """
    cells = _one_place(table)
    design = design_of(cells)
    shown = (*design.main.names, design.main.gap)
    names = (*design.main.short_names, design.main.words)
    figure = make_subplots(rows=len(shown), shared_xaxes=True, vertical_spacing=0.06)
    targets = _by_target(cells, LOG_PROB, shown[0]).index
    for row, (subset, words) in enumerate(zip(shown, names, strict=True), start=1):
        found = _by_target(cells, LOG_PROB, subset).reindex(targets)
        style, where = subset_style(subset, design), {"row": row, "col": 1}
        _add_marks(figure, found, -1, name=f"{words}, without the features", color=style.color,
                   symbol=style.symbol, **where)  # fmt: skip
        _add_controls(figure, found, 0, name="without features alike in rate and norm",
                      showlegend=row == 1, legendgroup="control", **where)  # fmt: skip
        if twin is not None:
            theirs = _by_target(_one_place(twin), LOG_PROB, subset).reindex(targets)
            _add_marks(figure, theirs, 1, name=f"{words}, null twin", color=style.color,
                       symbol=f"{style.symbol}-open", **where)  # fmt: skip
        figure.update_yaxes(title=f"{words}: change<br>(nats)", zeroline=True, row=row, col=1)
    title = titled(f"Answers without features of {place_words(cells)}", cells)
    about = f"{_about(cells)}; of the answer's log-probability, on aliases never seen"
    style_figure(figure, title=title, height=ROW_HEIGHT, about=about)
    _name_targets(figure, targets, row=len(shown))
    make_room(figure, inside=len(shown) * 170)
    return figure


def _one_place(table: pd.DataFrame) -> pd.DataFrame:
    """The summary of a table of one place.

    Raises:
        InputError: it is of several.
    """
    cells = summarized(table, summarize_dictionaries)
    one_checkpoint(cells)
    n_places = len(by_place(cells))
    if n_places != 1:
        raise InputError(
            f"a table of one place and kind is needed, this has {n_places}; choose its rows by "
            "site, layer, role and dictionary"
        )
    return cells


def _curve(cells: pd.DataFrame, name: str, quantity: str) -> pd.DataFrame:
    """A quality of an autoencoder or baseline by sparsity, with how many features a vector has."""
    here = cells.loc[cells["dictionary"] == name]
    active = here.loc[here["quantity"] == "l0"].set_index("k")["value"]
    found = here.loc[here["quantity"] == quantity].sort_values("k")
    # A mean over seeds has its interval also where nothing is there to be held against.
    return found.assign(l0=active.loc[found["k"]].to_numpy(), n_seeds=cells["n_seeds"].max())


def _by_target(cells: pd.DataFrame, quantity: str, subset: str = "") -> pd.DataFrame:
    """The rows of a quantity by target, in the table's order of difference."""
    found = cells.loc[(cells["quantity"] == quantity) & (cells["subset"] == subset)]
    return found.sort_values("value", ascending=False, kind="stable").set_index("target")


def _about(cells: pd.DataFrame) -> str:
    return seeds_words(int(cells["n_seeds"].to_numpy().max()), with_own=False)


def _ends(found: pd.DataFrame) -> dict[str, Any]:
    """Error bars to the ends of the intervals, where seeds are enough to show one."""
    is_shown = (found["n_seeds"] >= FEWEST).to_numpy()
    high, low = (
        np.nan_to_num(np.where(is_shown, (found[f"value_{end}"] - found["value"]) * sign, 0))
        for end, sign in (("high", 1), ("low", -1))
    )
    return {"array": high, "arrayminus": low, "symmetric": False, "thickness": 1.4, "width": 3}


def _add_marks(
    figure: go.Figure,
    found: pd.DataFrame,
    side: int,
    *,
    name: str,
    color: str,
    symbol: str = "circle",
    **options: Any,
) -> None:
    """A mark with its interval for each target, left of its middle or right of it."""
    figure.add_scatter(
        x=np.arange(len(found)) + side * ASIDE, y=found["value"], error_y=_ends(found), name=name,
        mode="markers", marker={"color": color, "symbol": symbol, "size": 9},
        customdata=found[["value_low", "value_high"]].to_numpy(),
        hovertemplate=interval_hover("%{y:.2f}", found["n_seeds"]), **options,
    )  # fmt: skip


def _add_controls(
    figure: go.Figure, found: pd.DataFrame, side: int, *, name: str, **options: Any
) -> None:
    figure.add_scatter(
        x=np.arange(len(found)) + side * ASIDE, y=found["control"], name=name, mode="markers",
        marker={"color": NULL_COLOR, "symbol": "x-thin-open", "size": 9},
        hovertemplate=f"{name}: %{{y:.2f}}<extra></extra>", **options,
    )  # fmt: skip


def _name_targets(figure: go.Figure, targets: Sequence[str] | pd.Index, row: int = 1) -> None:
    """Names the targets below the last row of panels, with ticks in all of them."""
    words = [target_words(str(target)) for target in targets]
    ticks = name_ticks(list(range(len(words))), words, width=PAGE - 100)
    figure.update_xaxes(**ticks, range=[-0.6, len(words) - 0.4])
    figure.update_layout({f"xaxis{row if row > 1 else ''}_title_text": TARGETS})
