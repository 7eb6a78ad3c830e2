"""Frame in, figure out: which code each subset is written in, and what is left of the gap.

Colours are those of the subsets, nulls are grey. Every interval is over Stage-1 seeds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.errors import InputError
from interp.codes.edited import GAP, SHARE
from interp.codes.estimation import CODES, QUESTION, RELIABLE
from interp.codes.shape import CEILING, COSINE
from interp.codes.summary import summarize_codes
from interp.codes.wording import EDIT_WORDS, NULL_WORDS, place_words
from interp.figures.grid_tables import one_checkpoint, summarized, titled
from interp.figures.palette import FAINT, INK, NULL_COLOR, subset_style
from interp.figures.room import PAGE, make_room, name_ticks
from interp.figures.seed_marks import FEWEST, interval_hover, seeds_words
from interp.figures.theme import style_figure
from training.designs import design_of

ASIDE = 0.13
"""How far marks of one code or edit lie from its middle, of its width."""
ROW_HEIGHT = 230  # pixels
NULL_MARKS = {
    "null_other": "circle-open",
    "null_permuted": "square-open",
    "null_random": "diamond-open",
    "null_tag": "x-thin-open",
}
CODE_WORDS = {code: f"{code} tag's code" for code in CODES} | {QUESTION: "questions' code"}


def plot_codes(table: pd.DataFrame) -> go.Figure:
    """The cosine of each compared subset's mean change by entity with each code.

    The ceiling that noise allows is a line above each mark, entities permuted are grey.

    Args:
        table: Rows of `codes` or `codes_summary` of one run, checkpoint and place.

    Raises:
        InputError: several runs, checkpoints or places.
    """
    cells = _one_place(table)
    design = design_of(cells)
    figure = go.Figure()
    for subset, shift in zip(design.main.names, (-ASIDE, ASIDE), strict=True):
        of_subset = cells.loc[(cells["subset"] == subset) & (cells["edit"] == "")]
        found = _by_code(of_subset, COSINE)
        ceilings = _by_code(of_subset, CEILING)
        style = subset_style(subset, design)
        x = [place + shift for place in range(len(CODES))]
        name = subset.partition("_")[0]
        _add_marks(figure, x, found, name=name, color=style.color, symbol=style.symbol)
        figure.add_scatter(
            x=x, y=ceilings["value"], mode="markers", name="what noise allows",
            legendgroup="ceiling", showlegend=shift < 0,
            marker={"symbol": "line-ew-open", "size": 18, "color": FAINT, "line": {"width": 2}},
            hovertemplate="noise allows %{y:.2f}",
        )  # fmt: skip
        figure.add_scatter(
            x=x, y=found["null_permuted"], mode="markers", name="null: entities permuted",
            legendgroup="null", showlegend=shift < 0,
            marker={"symbol": "circle-open", "size": 8, "color": NULL_COLOR},
            hovertemplate="entities permuted %{y:.2f}",
        )  # fmt: skip
    title = titled(f"Which code the last stage writes: {place_words(cells)}", cells)
    style_figure(figure, title=title, height=ROW_HEIGHT, about=_about(cells))
    words = [CODE_WORDS[code] for code in CODES]
    figure.update_xaxes(
        **name_ticks(list(range(len(CODES))), words, width=PAGE - 100),
        range=[-0.6, len(CODES) - 0.4], title="code, estimated on Stage 1's aliases",
    )  # fmt: skip
    figure.update_yaxes(title="cosine with the mean<br>change by entity", zeroline=True)
    make_room(figure, inside=ROW_HEIGHT + 60)
    return figure


def plot_code_edits(table: pd.DataFrame, *, code: str = RELIABLE) -> go.Figure:
    """What each edit along a code leaves of the gap, in nats, and the share that it explains.

    Args:
        table: Rows of `codes` or `codes_summary` of one run, checkpoint and place.
        code: Along which code.

    Raises:
        InputError: several runs, checkpoints or places, or no edit along this code.
    """
    cells = _one_place(table)
    main = design_of(cells).main
    of_gap = cells.loc[cells["subset"] == main.gap]
    edited = of_gap.loc[of_gap["code"] == code].set_index(["quantity", "edit"])
    if edited.empty:
        raise InputError(f"the table has no edits along the code {code!r}; choose another")
    original = of_gap.loc[(of_gap["edit"] == "") & (of_gap["quantity"] == GAP)]
    has_shares = SHARE in set(of_gap["quantity"])
    figure = make_subplots(rows=1 + has_shares, shared_xaxes=True, vertical_spacing=0.07)
    edits = [
        each for each in EDIT_WORDS if (GAP, each) in edited.index or (SHARE, each) in edited.index
    ]
    edits = edits if has_shares else [each for each in edits if each != "set"]
    for row, quantity in enumerate((GAP, SHARE)[: 1 + has_shares], start=1):
        kept = [each for each in edits if (quantity, each) in edited.index]
        found = edited.loc[[(quantity, each) for each in kept]]
        x = [float(edits.index(each)) for each in kept]
        options: dict[str, Any] = {"row": row, "col": 1}
        _add_marks(figure, x, found, name="the code", color=INK, symbol="diamond",
                   showlegend=row == 1, **options)  # fmt: skip
        for place, (null, words) in enumerate(NULL_WORDS.items()):
            figure.add_scatter(
                x=[each + ASIDE * (place + 1) / 2 for each in x], y=found[null], mode="markers",
                name=f"null: {words}", legendgroup=null, showlegend=row == 1,
                marker={"symbol": NULL_MARKS[null], "size": 8, "color": NULL_COLOR},
                hovertemplate=f"{words}: %{{y:.2f}}", **options,
            )  # fmt: skip
    figure.add_hline(y=float(original["value"].iloc[0]), row=1, col=1,  # pyright: ignore[reportArgumentType]
                     line={"dash": "dash", "color": FAINT, "width": 1.2})  # fmt: skip
    title = titled(f"Edits along the {CODE_WORDS[code]}: {place_words(cells)}", cells)
    about = f"{_about(cells)}; dashed: the gap as trained; shares: bootstrap over seeds"
    style_figure(figure, title=title, height=ROW_HEIGHT, about=about)
    words = [EDIT_WORDS[each] for each in edits]
    figure.update_xaxes(
        **name_ticks(list(range(len(edits))), words, width=PAGE - 100),
        range=[-0.6, len(edits) - 0.4],
    )
    figure.update_xaxes(title="edit of the amounts", row=1 + has_shares)
    figure.update_yaxes(title=f"gap {main.words}<br>after the edit (nats)", zeroline=True, row=1)
    if has_shares:
        figure.update_yaxes(title="share of the gap<br>explained (1: all)", zeroline=True, row=2)
    make_room(figure, inside=ROW_HEIGHT * (1 + has_shares))
    return figure


def _one_place(table: pd.DataFrame) -> pd.DataFrame:
    """The summary of one run, checkpoint and place."""
    cells = summarized(table, summarize_codes)
    one_checkpoint(cells)
    if len(cells[["run_id", "site", "layer", "role"]].drop_duplicates()) > 1:
        raise InputError("the table has several runs or places; choose the rows of one")
    return cells


def _by_code(cells: pd.DataFrame, quantity: str) -> pd.DataFrame:
    return cells.loc[cells["quantity"] == quantity].set_index("code").reindex(list(CODES))


def _about(cells: pd.DataFrame) -> str:
    return seeds_words(int(cells["n_seeds"].to_numpy().max()), with_own=False)


def _add_marks(
    figure: go.Figure,
    x: Sequence[float],
    found: pd.DataFrame,
    *,
    name: str,
    color: str,
    symbol: str,
    **options: Any,
) -> None:
    """Values with their intervals, where seeds are enough to show one."""
    is_shown = (found["n_seeds"] >= FEWEST).to_numpy()
    ends: Mapping[str, np.ndarray] = {
        side: np.nan_to_num(np.where(is_shown, (found[f"value_{end}"] - found["value"]) * sign, 0))
        for side, end, sign in (("array", "high", 1), ("arrayminus", "low", -1))
    }
    figure.add_scatter(
        x=list(x),
        y=found["value"],
        error_y={**ends, "symmetric": False, "thickness": 1.4, "width": 3},
        customdata=found[["value_low", "value_high"]].to_numpy(),
        name=name,
        mode="markers",
        marker={"color": color, "symbol": symbol, "size": 9},
        hovertemplate=interval_hover("%{y:.2f}", found["n_seeds"]),
        **options,
    )
