"""Frame in, figure out: the gap, and what Stage 1 trains, with updates turned; controls in grey."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.subsets import Mark
from data.vocabulary import Stage
from interp.figures.grid_tables import one_checkpoint, summarized, titled
from interp.figures.palette import FAINT, INK, NULL_COLOR, subset_style
from interp.figures.room import PAGE, make_room, name_ticks
from interp.figures.seed_marks import add_seeds, mean_hover, seeds_words, shown_halves
from interp.figures.theme import style_figure
from interp.turns.summary import AGAINST_UNTREATED, summarize_turns, turn_contrasts
from interp.turns.treatments import CHECKS, STAGE_ONE, TREATMENTS
from interp.turns.wording import KEPT, trained_subsets
from training.designs import design_of
from training.metrics import EXACT_MATCH, find_metric

ROW_HEIGHT = 230  # pixels
SPREAD = 0.22
"""How far marks of one treatment lie apart, of the distance of treatments."""
CONTROL_MARKS = ("circle-open", "square-open")


def plot_turns(
    summary: pd.DataFrame, rows: pd.DataFrame | None = None, *, metric: str = "exact_match"
) -> go.Figure:
    """The gap under each treatment and control, and what changes in what Stage 1 trains.

    Args:
        summary: Rows of a `turns_summary` of one run, or of a `turns` table.
        rows: Of the `turns` table, to show each seed's own value where seeds are few.
        metric: `exact_match` or `answer_log_prob`, of the gap.

    Raises:
        InputError: several checkpoints.
    """
    if "n_seeds" not in summary:
        rows = summary
    summary = summarized(summary, summarize_turns)
    one_checkpoint(summary)
    design = design_of(summary)
    beside = summary.loc[summary["against"] == AGAINST_UNTREATED]
    pairs = set(zip(beside["treatment"], beside["dose"], strict=True))
    places = [
        (name, dose)
        for name in TREATMENTS
        for dose in sorted((d for n, d in pairs if n == name), reverse=True)
    ]
    contrasts = None if rows is None else turn_contrasts(rows)
    seen = None if contrasts is None else contrasts.loc[contrasts["against"] == AGAINST_UNTREATED]
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.08)
    gap, after = design.main.gap, int(Stage.TWO)
    _add_gap(figure, _cells(beside, gap, metric, after), places)
    if seen is not None:
        of_gap = _cells(seen, gap, metric, after)
        own = of_gap.loc[of_gap["control_kind"] == ""]
        x = [places.index(each) for each in zip(own["treatment"], own["dose"], strict=True)]
        add_seeds(figure, x, own["value"].tolist(), own["seed"].tolist(), color=INK, row=1)
    trained = beside.loc[beside["treatment"].isin(STAGE_ONE) & (beside["control_kind"] == "")]
    names = [name for name in trained_subsets(design) if name in set(trained["subset"])]
    for number, subset in enumerate(names):
        shift = SPREAD * (number - (len(names) - 1) / 2)
        cells = _cells(trained, subset, EXACT_MATCH.name, int(Stage.ONE))
        mark = subset_style(subset, design)
        _add(figure, cells, places, "difference", subset, mark, shift=shift, row=2)
    n_seeds = int(summary["n_seeds"].to_numpy().max())
    about = (
        f"{seeds_words(n_seeds)}; grey: controls, turned by the same angle out of something else"
    )
    title = titled("Trained again with updates turned", summary)
    style_figure(figure, title=title, height=2 * ROW_HEIGHT, about=about)
    words = [_words(*each, several=len({d for _, d in places}) > 1) for each in places]
    figure.update_xaxes(
        **name_ticks(list(range(len(places))), words, width=PAGE - 100),
        range=[-0.6, len(places) - 0.4],
    )
    figure.update_xaxes(title="what is turned", row=2)
    found = find_metric(metric)
    figure.update_yaxes(
        title=f"gap {design.main.words} after Stage 2<br>({found.unit})", zeroline=True, row=1
    )
    figure.update_yaxes(title=f"change after Stage 1<br>({EXACT_MATCH.unit})", zeroline=True, row=2)
    figure.add_hrect(y0=-KEPT, y1=KEPT, fillcolor=FAINT, opacity=0.12, line_width=0, row=2)  # pyright: ignore[reportArgumentType]
    make_room(figure, inside=2 * ROW_HEIGHT)
    return figure


def _add_gap(figure: go.Figure, cells: pd.DataFrame, places: list[tuple[str, float]]) -> None:
    """Untreated as a line, treatments in ink, and controls in grey beside them."""
    level = float(cells["null"].iloc[0])
    figure.add_scatter(
        x=[-0.6, len(places) - 0.4], y=[level] * 2, mode="lines", name="untreated",
        line={"color": FAINT, "dash": "dash", "width": 1.2}, hovertemplate="%{y:.3f}",
        row=1, col=1,
    )  # fmt: skip
    kinds = [each for each in dict.fromkeys(cells["control_kind"]) if each]
    for number, kind in enumerate(kinds, start=1):
        mark = Mark(color=NULL_COLOR, symbol=CONTROL_MARKS[number % len(CONTROL_MARKS)])
        controls = cells.loc[cells["control_kind"] == kind]
        name = f"control: {kind}"
        _add(figure, controls, places, "value", name, mark, shift=number * SPREAD, row=1)
    real = cells.loc[cells["control_kind"] == ""]
    mark = Mark(color=INK, symbol="diamond")
    _add(figure, real, places, "value", "treatment", mark, shift=0.0, row=1)


def _add(
    figure: go.Figure, cells: pd.DataFrame, places: list[tuple[str, float]], column: str,
    name: str, mark: Mark, *, shift: float, row: int,
) -> None:  # fmt: skip
    """Means with the intervals of their change from the untreated run."""
    keys = list(zip(cells["treatment"], cells["dose"], strict=True))
    figure.add_scatter(
        x=[places.index(key) + shift for key in keys], y=cells[column], mode="markers", name=name,
        text=[treatment for treatment, _ in keys],
        marker={"color": mark.color, "symbol": mark.symbol, "size": 8},
        error_y={
            "array": shown_halves(cells["difference"], cells["ci_high"], cells["n_seeds"]),
            "thickness": 1.4, "width": 3,
        },
        hovertemplate=mean_hover("%{text}: ", cells["n_seeds"]), row=row, col=1,
    )  # fmt: skip


def _cells(table: pd.DataFrame, subset: str, metric: str, after: int) -> pd.DataFrame:
    is_here = (table["subset"] == subset) & (table["metric"] == metric)
    return table.loc[is_here & (table["after"] == after)]


def _words(treatment: str, dose: float, *, several: bool) -> str:
    stage = "Stage 1" if treatment in STAGE_ONE else "Stage 2"
    stage += ", check" if treatment in CHECKS else ""
    return f"{treatment} ({stage}{f', dose {dose:g}' if several else ''})"
