"""Frame in, figure out: what hypotheses expect of each row, and what was seen."""

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from data.errors import InputError
from interp.figures.grid_tables import ordered_axis, titled
from interp.figures.heat_maps import INSIDE, ColorScale, cells_height
from interp.figures.palette import FAINT, INK, NULL_COLOR, subset_style, transparent
from interp.figures.room import make_room, name_ticks
from interp.figures.seed_marks import seeds_words, shown_halves
from interp.figures.theme import style_figure
from training.designs import design_of

MARKS = {"more": "+", "none": "0", "less": "−"}
VERDICTS = {"refuted": -1.0, "undecided": 0.0, "supported": 1.0}
PALE = 0.4
"""Of a core prediction's colour, that of one which holds only if nothing else is at work."""
SCALE = ColorScale(low=-1.5, high=1.5, colors="RdBu")
"""Paler than its ends, so that what stands in the cells can be read."""
CONTROL_MARKS = ("diamond-open", "circle-open", "square-open", "x-thin-open", "triangle-up-open")
HEIGHT = 360  # pixels
REACH = 4.0
"""Margins up to which a mean is drawn where it is; beyond, it stands at the edge."""


def plot_matrix(table: pd.DataFrame) -> go.Figure:
    """What each hypothesis expects of each row, coloured by whether it was seen.

    The verdict on the whole hypothesis stands below its name, what was seen beside each row.

    Args:
        table: See `interp.hypotheses.matrix.matrix_table`.

    Raises:
        InputError: the table is empty.
    """
    rows, hypotheses = _names(table, "row"), _names(table, "hypothesis")
    values = np.full((len(rows), len(hypotheses)), np.nan)
    texts = np.full(values.shape, "", dtype=object)
    hovers = np.full(values.shape, "", dtype=object)
    for cell in table.to_dict("records"):
        at = rows.index(cell["row"]), hypotheses.index(cell["hypothesis"])
        values[at] = VERDICTS[cell["verdict"]] * (1 if cell["is_core"] else PALE)
        mark = MARKS[cell["expected"]] if cell["is_core"] else f"({MARKS[cell['expected']]})"
        ink = SCALE.ink_on(values[at])
        texts[at] = f'<span style="color:{ink}">{mark}</span>'
        hovers[at] = f"{cell['verdict']}; seen {_seen_text(cell)}<br>{cell['statement']}"
    figure = go.Figure(
        go.Heatmap(
            x=hypotheses, y=rows, z=values.tolist(), text=texts.tolist(), texttemplate="%{text}",
            textfont={"size": 14}, coloraxis="coloraxis", xgap=2, ygap=2, hoverongaps=False,
            hovertext=hovers.tolist(),
            hovertemplate="%{x}, %{y}: %{hovertext}<extra></extra>",
        )
    )  # fmt: skip
    n_seeds = int(table["n_seeds"].to_numpy().max())
    about = (
        f"n = {n_seeds} seeds; expected is + more than the margin, 0 within it, − less than minus "
        "the margin; in brackets and paler what is expected if nothing else is at work; empty: "
        "nothing is expected"
    )
    style_figure(figure, title="What each hypothesis expects, and what was seen", height=400,
                 about=about)  # fmt: skip
    wholes = table.drop_duplicates("hypothesis")["whole"]
    words = [f"{name}:<br>{whole}" for name, whole in zip(hypotheses, wholes, strict=True)]
    ticks = name_ticks(hypotheses, words, width=INSIDE)
    figure.update_xaxes(**(ordered_axis(hypotheses) | ticks), showgrid=False,
                        title="hypothesis: its verdict")  # fmt: skip
    seen = table.drop_duplicates("row").to_dict("records")
    figure.update_yaxes(**ordered_axis(rows[::-1]), showgrid=False,
                        ticktext=[_row_words(cell) for cell in seen[::-1]],
                        title="row: mean over seeds (margin)")  # fmt: skip
    height = cells_height(len(rows))
    axis = SCALE.axis("prediction", inside=height, tickvals=list(VERDICTS.values()),
                      ticktext=list(VERDICTS))  # fmt: skip
    figure.update_layout(coloraxis=axis)
    make_room(figure, inside=height)
    return figure


def plot_rows(table: pd.DataFrame) -> go.Figure:
    """What was seen of each row, in units of its margin, beside its control.

    Args:
        table: See `interp.hypotheses.matrix.matrix_table`.

    Raises:
        InputError: the table is empty.
    """
    cells = table.loc[table["seen"].notna()].drop_duplicates("row")
    rows = [row for row in _names(table, "row") if row in set(cells["row"])]
    if not rows:
        raise InputError("nothing was seen of any row; make the tables that it needs")
    cells = cells.set_index("row").loc[rows].reset_index()
    shown = cells["seen"].clip(-REACH, REACH)
    halves = shown_halves(cells["seen"], cells["ci_high"], cells["n_seeds"])
    halves = np.where(cells["seen"].abs() <= REACH, halves, 0.0)
    is_beyond = cells["seen"].abs() > REACH
    figure = go.Figure()
    figure.add_vrect(x0=-1, x1=1, fillcolor=transparent(NULL_COLOR, 0.3), line_width=0,
                     layer="below")  # fmt: skip
    figure.add_scatter(
        x=shown, y=rows, mode="markers+text", name="the run",
        text=[f"{value:.1f}" if beyond else "" for value, beyond in
              zip(cells["seen"], is_beyond, strict=True)],
        textposition=np.where(shown > 0, "middle left", "middle right").tolist(),
        marker={"color": INK, "size": 10,
                "symbol": np.select([shown >= REACH, shown <= -REACH],
                                    ["triangle-right", "triangle-left"], "circle").tolist()},
        error_x={"type": "data", "array": halves, "thickness": 1.5, "width": 0},
        hovertext=[_seen_text(cell) for cell in cells.to_dict("records")],
        hovertemplate="%{y}: %{hovertext}<extra></extra>",
    )  # fmt: skip
    known = cells.loc[cells["control"].notna()]
    for place, (words, those) in enumerate(known.groupby("control_words", sort=False)):
        figure.add_scatter(
            x=those["control"].clip(-REACH, REACH), y=those["row"], mode="markers",
            name=f"control: {words}", customdata=those["control"],
            marker={"color": NULL_COLOR, "size": 9, "line": {"width": 2},
                    "symbol": CONTROL_MARKS[place % len(CONTROL_MARKS)]},
            hovertemplate=f"%{{y}}, {words}: %{{customdata:.2f}} margins<extra></extra>",
        )  # fmt: skip
    n_seeds = int(cells["n_seeds"].to_numpy().max())
    about = f"{seeds_words(n_seeds, with_own=False)}; grey: what counts as none"
    if is_beyond.any():
        about += f"; triangles: beyond {REACH:g} margins"
    style_figure(figure, title="What was seen of each row", height=400, about=about)
    lows = [*(shown - halves), *known["control"].clip(-REACH, REACH)]
    figure.update_xaxes(
        title="mean over seeds (margins of the row)",
        range=[min(-1.0, *lows) - 0.1 * REACH, REACH * 1.1],
    )
    figure.update_yaxes(**ordered_axis(rows[::-1]), title="row")
    make_room(figure, inside=cells_height(len(rows)))
    return figure


def plot_third_tag(table: pd.DataFrame) -> go.Figure:
    """A third tag's answers beside the line through the two that are compared.

    Small marks are seeds, large ones their means. Grey is where it would lie halfway.

    Args:
        table: See `interp.hypotheses.held_out.third_tag_table`.
    """
    design = design_of(table)
    means = table.groupby("subset", sort=False).agg({"amount": "mean", "nats": "mean"})
    higher, lower = (means.loc[name] for name in design.main.names)
    (third,) = (name for name in means.index if name not in design.main.names)
    figure = go.Figure()
    slope = (higher["nats"] - lower["nats"]) / (higher["amount"] - lower["amount"])
    ends = np.array([table["amount"].min(), table["amount"].max()])
    figure.add_scatter(
        x=ends, y=lower["nats"] + slope * (ends - lower["amount"]), mode="lines",
        line={"color": FAINT, "width": 1.5, "dash": "dash"}, hoverinfo="skip",
        name=f"line through {' and '.join(design.main.short_names)}",
    )  # fmt: skip
    for subset in (*design.main.names, third):
        mark, rows = subset_style(subset, design), table.loc[table["subset"] == subset]
        for shown, size, opacity in ((rows, 6, 0.45), (means.loc[[subset]], 14, 1.0)):
            is_mean = len(shown) == 1 and size > 6
            figure.add_scatter(
                x=shown["amount"], y=shown["nats"], mode="markers", legendgroup=subset,
                name=subset.partition("_")[0], showlegend=is_mean,
                marker={"color": transparent(mark.color, opacity), "symbol": mark.symbol,
                        "size": size},
                hovertemplate=f"{subset}: %{{x:.3f}} of the code, %{{y:.2f}} nats<extra></extra>",
            )  # fmt: skip
    figure.add_scatter(
        x=[means.loc[third, "amount"]], y=[(higher["nats"] + lower["nats"]) / 2], mode="markers",
        name="control: halfway", hovertemplate="halfway: %{y:.2f} nats<extra></extra>",
        marker={"color": NULL_COLOR, "size": 12, "symbol": "diamond-open", "line": {"width": 2}},
    )  # fmt: skip
    n_seeds = table["seed"].nunique()
    about = f"large: means over n = {n_seeds} seeds; small: seeds; the line is fitted to two alone"
    style_figure(figure, title=titled("A third tag, predicted by its code", table), height=HEIGHT,
                 about=about)  # fmt: skip
    figure.update_xaxes(title="amount of the questions' code (of what questions wrote)")
    figure.update_yaxes(title="answers<br>(log-probability, nats)")
    make_room(figure, inside=HEIGHT)
    return figure


def _names(table: pd.DataFrame, column: str) -> list[str]:
    if table.empty:
        raise InputError("no hypothesis was checked; run iml hypothesis first")
    return list(dict.fromkeys(table[column]))


def _seen_text(cell: dict) -> str:
    """A mean in units of what was measured, and the margin that it is held against."""
    if math.isnan(cell["seen"]):
        return "nothing yet"
    return f"{cell['seen'] * cell['margin']:.3f} {cell['unit']}, margin {cell['margin']:g}"


def _row_words(cell: dict) -> str:
    """A row with what was seen of it."""
    if math.isnan(cell["seen"]):
        return f"{cell['row']}: –"
    return f"{cell['row']}: {cell['seen'] * cell['margin']:+z.2f} ({cell['margin']:g})"
