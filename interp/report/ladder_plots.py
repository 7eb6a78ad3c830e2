"""Frame in, figure out: two contrasts along the rungs of a ladder."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.design import Contrast
from interp.figures.palette import FAINT, INK, NULL_COLOR
from interp.figures.room import PAGE, inside_height, make_room, name_ticks, share_between
from interp.figures.seed_marks import FEWEST, mean_hover, shown_halves
from interp.figures.theme import style_figure
from interp.sweeps.rungs import FOR_LADDER

_HEIGHT, _BETWEEN = 250, 56  # pixels
_TWIN, _KNOBS = -0.26, (0.22, 0.4)  # places of marks beside their rung
_KNOB_MARKS = (("#b35c00", "square"), ("#0b7a75", "triangle-up"))


def plot_ladder(table: pd.DataFrame, contrasts: Sequence[Contrast]) -> go.Figure:
    """Contrasts in exact match along the rungs: means with 95% t intervals over Stage-1 seeds.

    Args:
        table: `interp.sweeps.ladder.ladder_table`.
        contrasts: Those of the table, from above.
    """
    titles = [f"{each.label} ({each.words})" for each in contrasts]
    figure = make_subplots(
        rows=len(contrasts), subplot_titles=titles, shared_xaxes=True,
        vertical_spacing=share_between([_HEIGHT] * len(contrasts), _BETWEEN),
    )  # fmt: skip
    rungs = list(dict.fromkeys(table.loc[table["knob"] == "", "rung"]))
    knobs = list(dict.fromkeys(table.loc[table["knob"] != "", "knob"]))
    for row, contrast in enumerate(contrasts, start=1):
        of_one = table.loc[table["contrast"] == contrast.name]
        for trace in _traces(of_one, rungs, knobs):
            trace.showlegend = row == 1
            figure.add_trace(trace, row=row, col=1)
        figure.add_hline(0, line={"dash": "dot", "color": INK, "width": 1.2}, row=row, col=1)
        figure.update_yaxes(title="gap (share of questions)", row=row, col=1)
    style_figure(figure, title="Along the ladder", height=_HEIGHT, about=_about(table))
    places = [float(place) for place in range(len(rungs))]
    figure.update_xaxes(
        **name_ticks(places, rungs, width=PAGE - 90), range=[-0.6, len(rungs) - 0.4]
    )
    figure.update_xaxes(title="rung", row=len(contrasts))
    make_room(figure, inside=inside_height([_HEIGHT] * len(contrasts), _BETWEEN))
    return figure


def _traces(table: pd.DataFrame, rungs: list[str], knobs: list[str]) -> list[go.Scatter]:
    """The rungs, those that may not be judged, knobs, and null twins."""
    is_rung, may = table["knob"] == "", table["is_admissible"].astype(bool)
    places = {name: float(i) for i, name in enumerate(rungs)}
    at_own = table["rung"].map(places)
    traces = [_marks(table.loc[is_rung & may], at_own, "rung", INK, "circle")]
    for i, knob in enumerate(knobs):
        of_knob = table.loc[(table["knob"] == knob) & may]
        color, symbol = _KNOB_MARKS[i % len(_KNOB_MARKS)]
        beside = table["after"].map(places) + _KNOBS[i % len(_KNOBS)]
        traces.append(_marks(of_knob, beside, f"beside it: {knob}", color, symbol))
        at_own = at_own.where(table["knob"] != knob, beside)
    traces.append(_marks(table.loc[~may], at_own, "inadmissible", FAINT, "x-thin-open"))
    twins = table.loc[table["twin"].notna()]
    twins = twins.assign(mean=twins["twin"], ci_high=twins["twin_high"])
    traces.append(_marks(twins, at_own + _TWIN, "null twin", NULL_COLOR, "circle-open"))
    return [trace for trace in traces if trace.x is not None and len(trace.x)]


def _marks(rows: pd.DataFrame, places: pd.Series, name: str, color: str, symbol: str) -> go.Scatter:
    halves = shown_halves(rows["mean"], rows["ci_high"], rows["n_seeds"])
    return go.Scatter(
        x=places.loc[rows.index].tolist(),
        y=rows["mean"].tolist(),
        error_y={"array": halves.tolist(), "thickness": 1.6, "width": 4, "color": color},
        text=rows["rung"].tolist(),
        hovertemplate=mean_hover("%{text}: ", rows["n_seeds"]),
        name=name,
        legendgroup=name,
        mode="markers",
        marker={"color": color, "symbol": symbol, "size": 9, "line": {"width": 2, "color": color}},
    )


def _about(table: pd.DataFrame) -> str:
    """What marks and bars stand for, and how many seeds there are."""
    low, high = min(table["n_seeds"].tolist()), max(table["n_seeds"].tolist())
    seeds = f"n = {low}" if low == high else f"n = {low} to {high}"
    bars = " and 95% t intervals" if high >= FEWEST else ""
    return (
        f"means{bars}, {seeds} seeds, exact match on held-out questions; dotted: 0, no difference; "
        f"inadmissible: less than {FOR_LADDER:g} of what Stage 1 teaches is answered"
    )
