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
from interp.codes.edits import BESIDE, EXPLAINING, REVERSING
from interp.codes.estimation import CODES, QUESTION, RELIABLE
from interp.codes.shape import CEILING, COSINE
from interp.codes.summary import SET, summarize_codes
from interp.codes.wording import EDIT_WORDS, NULL_WORDS, place_words
from interp.figures.grid_tables import one_checkpoint, summarized, titled
from interp.figures.palette import FAINT, INK, NULL_COLOR, subset_style
from interp.figures.room import PAGE, make_room, name_ticks
from interp.figures.seed_marks import FEWEST, interval_hover, seeds_words
from interp.figures.theme import style_figure
from training.designs import design_of

ASIDE, TWIN = 0.16, 0.09
"""How far marks of one code or edit lie from its middle, of its width, and the twin's from them."""
LAST = 2000
"""Rank of what stands last in a legend; 1000 unless said."""
ROW_HEIGHT = 230  # pixels
NULL_MARKS = {
    "null_other": "circle-open",
    "null_permuted": "square-open",
    "null_random": "diamond-open",
    "null_tag": "x-thin-open",
}
CODE_WORDS = {code: f"{code} tag's code" for code in CODES} | {QUESTION: "questions' code"}


def plot_codes(table: pd.DataFrame, twin: pd.DataFrame | None = None) -> go.Figure:
    """The cosine of each compared subset's mean change by entity with each code.

    The ceiling that noise allows is a line above each mark, entities permuted are grey, the null
    twin's marks are open.

    Args:
        table: Rows of `codes` or `codes_summary` of one run, checkpoint and place.
        twin: The same of its null twin.

    Raises:
        InputError: several runs, checkpoints or places.
    """
    cells = _one_place(table)
    design, theirs = design_of(cells), None if twin is None else _one_place(twin)
    figure = go.Figure()
    for at, subset in enumerate(design.main.names):
        style, name = subset_style(subset, design), design.main.short_names[at]
        shifts = (2 * at - 1) * ASIDE, (2 * at - 1) * ASIDE + (0.0 if theirs is None else TWIN)
        x = [place + shifts[0] for place in range(len(CODES))]
        found = _by_code(cells, subset, COSINE)
        _add_marks(figure, x, found, name=name, color=style.color, symbol=style.symbol)
        figure.add_scatter(
            x=x, y=_by_code(cells, subset, CEILING)["value"], mode="markers",
            name="the most that noise allows", legendgroup="ceiling", legendrank=LAST,
            showlegend=not at, hovertemplate="noise allows %{y:.2f}",
            marker={"symbol": "line-ew-open", "size": 18, "color": FAINT, "line": {"width": 2}},
        )  # fmt: skip
        figure.add_scatter(
            x=x, y=found["null_permuted"], mode="markers", name="null: entities permuted",
            legendgroup="null", legendrank=LAST, showlegend=not at,
            marker={"symbol": "circle-open", "size": 8, "color": NULL_COLOR},
            hovertemplate="entities permuted %{y:.2f}",
        )  # fmt: skip
        if theirs is not None:
            x = [place + shifts[1] for place in range(len(CODES))]
            _add_marks(figure, x, _by_code(theirs, subset, COSINE), name=f"{name}, null twin",
                       color=style.color, symbol=f"{style.symbol}-open")  # fmt: skip
    title = titled(f"Which code the last stage writes in {place_words(cells)}", cells)
    about = f"{_about(cells)}; 0: nothing in common, as by chance"
    style_figure(figure, title=title, height=ROW_HEIGHT, about=about)
    words = [CODE_WORDS[code] for code in CODES]
    figure.update_xaxes(
        **name_ticks(list(range(len(CODES))), words, width=PAGE - 100),
        range=[-0.6, len(CODES) - 0.4], title="code, estimated on Stage 1's aliases",
    )  # fmt: skip
    figure.update_yaxes(title="cosine with the mean<br>change by entity", zeroline=True)
    make_room(figure, inside=ROW_HEIGHT + 60)
    return figure


def plot_code_edits(
    table: pd.DataFrame, twin: pd.DataFrame | None = None, *, code: str = RELIABLE
) -> go.Figure:
    """What each edit along a code leaves of the gap, in nats, and the share that it explains.

    Args:
        table: Rows of `codes` or `codes_summary` of one run, checkpoint and place.
        twin: The same of its null twin, whose gap stands beside the run's.
        code: Along which code.

    Raises:
        InputError: several runs, checkpoints or places, or no edit along this code.
    """
    cells = _one_place(table)
    main = design_of(cells).main
    edited = _of_gap(cells, code)
    if edited.empty:
        raise InputError(f"the table has no edits along the code {code!r}; choose another")
    original = float(_of_gap(cells, "").loc[(GAP, ""), "value"])  # pyright: ignore[reportArgumentType]
    shown = [quantity for quantity in (GAP, SHARE) if quantity in edited.index]
    figure = make_subplots(rows=len(shown), shared_xaxes=True, vertical_spacing=0.07)
    edits = [each for each in EDIT_WORDS if any((quantity, each) in edited.index
                                               for quantity in shown)]  # fmt: skip
    for row, quantity in enumerate(shown, start=1):
        _add_whole(figure, edits, original, quantity, row)
        _add_edits(figure, edits, edited, quantity, row)
    if twin is not None:
        theirs = _of_gap(_one_place(twin), code)
        kept = [each for each in edits if (GAP, each) in theirs.index]
        _add_marks(figure, [edits.index(each) - ASIDE for each in kept],
                   theirs.loc[[(GAP, each) for each in kept]], name="the code, in the null twin",
                   color=NULL_COLOR, symbol="diamond", row=1, col=1)  # fmt: skip
    title = titled(f"Edits along the {CODE_WORDS[code]} in {place_words(cells)}", cells)
    about = f"{_about(cells)}; of shares a bootstrap over seeds; nulls: means of draws"
    style_figure(figure, title=title, height=ROW_HEIGHT, about=about)
    words = [EDIT_WORDS[each] for each in edits]
    figure.update_xaxes(
        **name_ticks(list(range(len(edits))), words, width=PAGE - 100),
        range=[-0.6, len(edits) - 0.4],
    )
    figure.update_xaxes(title="edit of each alias along the code", row=len(shown))
    figure.update_yaxes(title=f"gap {main.words}<br>after the edit (nats)", zeroline=True, row=1)
    if SHARE in shown:
        figure.update_yaxes(title="share of the gap<br>explained (1: all)", zeroline=True, row=2)
    make_room(figure, inside=ROW_HEIGHT * len(shown))
    return figure


def _add_edits(
    figure: go.Figure, edits: Sequence[str], edited: pd.DataFrame, quantity: str, row: int
) -> None:
    """What each edit gives with the code, and with each kind of null beside it."""
    kept = [each for each in edits if (quantity, each) in edited.index]
    found = edited.loc[[(quantity, each) for each in kept]]
    x = [float(edits.index(each)) for each in kept]
    options: dict[str, Any] = {"row": row, "col": 1, "showlegend": row == 1}
    _add_marks(figure, x, found, name="the code", color=INK, symbol="diamond", **options)
    for place, (null, words) in enumerate(NULL_WORDS.items()):
        figure.add_scatter(
            x=[each + ASIDE * (place + 1.5) / 2 for each in x], y=found[null], mode="markers",
            name=f"null: {words}", legendgroup=null, legendrank=LAST,
            marker={"symbol": NULL_MARKS[null], "size": 8, "color": NULL_COLOR},
            hovertemplate=f"{words}: %{{y:.2f}}", **options,
        )  # fmt: skip


def _add_whole(
    figure: go.Figure, edits: Sequence[str], original: float, quantity: str, row: int
) -> None:
    """Where the marks lie if nothing of the gap is the code's (dashed), and if all of it is."""
    if quantity == GAP:
        ends = [-0.6, len(edits) - 0.4]
        figure.add_scatter(
            x=ends, y=[original] * 2, mode="lines", name="the gap as trained", row=row, col=1,
            line={"dash": "dash", "color": FAINT, "width": 1.5}, hoverinfo="skip",
        )  # fmt: skip
    due = {each: -original if each in REVERSING else 0.0 for each in edits if each in EXPLAINING}
    if quantity == SHARE:
        due = dict.fromkeys([each for each in edits if each in (*EXPLAINING, SET)], 1.0)
    if BESIDE in due:  # if all of it is in the directions, none is beside them
        due[BESIDE] = original if quantity == GAP else 0.0
    figure.add_scatter(
        x=[edits.index(each) for each in due], y=list(due.values()), mode="markers",
        name="if the code makes all of the gap", legendgroup="whole", showlegend=row == 1,
        marker={"symbol": "line-ew-open", "size": 22, "color": FAINT, "line": {"width": 2}},
        hovertemplate="if the code makes all of the gap: %{y:.2f}", row=row, col=1,
    )  # fmt: skip


def _of_gap(cells: pd.DataFrame, code: str) -> pd.DataFrame:
    """What a code's edits do to the gap, by quantity and edit."""
    is_there = (cells["subset"] == design_of(cells).main.gap) & (cells["code"] == code)
    return cells.loc[is_there & cells["quantity"].isin([GAP, SHARE])].set_index(
        ["quantity", "edit"]
    )


def _one_place(table: pd.DataFrame) -> pd.DataFrame:
    """The summary of one run, checkpoint and place."""
    cells = summarized(table, summarize_codes)
    one_checkpoint(cells)
    if len(cells[["run_id", "site", "layer", "role"]].drop_duplicates()) > 1:
        raise InputError("the table has several runs or places; choose the rows of one")
    return cells


def _by_code(cells: pd.DataFrame, subset: str, quantity: str) -> pd.DataFrame:
    """A quantity of a subset as trained, a row for each code."""
    is_there = (cells["subset"] == subset) & (cells["edit"] == "")
    chosen = cells.loc[is_there & (cells["quantity"] == quantity)]
    return chosen.set_index("code").reindex(list(CODES))


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
