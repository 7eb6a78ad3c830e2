"""Frame in, figure out: heat-maps of probes over roles and states, real beside control.

A state is named by site and layer; layers go upwards. Accuracies are means over Stage-1 seeds.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.errors import InputError
from interp.figures.grid_tables import (
    ALPHA,
    checkpoint_words,
    ordered_axis,
    ordered_states,
    run_names,
    state_names,
    summarized_with_rows,
)
from interp.figures.heat_maps import (
    CELL_HEIGHT,
    INSIDE,
    cells_height,
    differences,
    has_room,
    number_texts,
)
from interp.figures.places import role_words
from interp.figures.room import inside_height, make_room, name_ticks, share_between
from interp.figures.seed_marks import interval_hover, own_hover, own_note, with_own_words
from interp.figures.theme import style_figure
from interp.hooked.addresses import in_order
from interp.probes.kinds import find_kind
from interp.probes.summary import CELL, summarize_own, summarize_probes
from interp.probes.targets import PLANTED, targets_of
from interp.probes.wording import own_caption, probe_caption, refuse_outdated
from training.columns import WITHOUT_SEED
from training.designs import design_of

READINGS = {
    "accuracy": "unseen aliases",
    "null_accuracy": "null: permuted labels",
    "seen_accuracy": "seen aliases",
    "control_accuracy": "control: random labels",
}
"""Columns of the figure; each real accuracy has its control to the right."""
OWN_READINGS = {"accuracy": "unseen rows", "null_accuracy": "null: permuted labels"}
"""Of labels of one's own, see `interp.probe`."""
NOT_READ = dict.fromkeys(
    ("seen_accuracy", "control_accuracy", "selectivity", "twin_accuracy"), float("nan")
)
"""What a table of labels of one's own lacks."""
SCALE = differences(1.0)
"""From always wrong over chance to always right."""
BETWEEN = 26  # pixels
CHARACTERS = 6
"""Of a number with its mark."""


def plot_probes(
    summary: pd.DataFrame, rows: pd.DataFrame | None = None, *, probe: str = "logistic"
) -> go.Figure:
    """Real accuracy beside its control, for each target (and run), state and role.

    ▲ marks cells that read better than their permuted labels after correction, ▼ worse ones. The
    colour says how far a reading is from chance, on the same scale everywhere.

    Args:
        summary: Rows of a `probes_summary` of one checkpoint, of one run or several, or what
            `probe_checkpoint` returns.
        rows: Of `probes`, to say each seed's own value on hover where seeds are few.
        probe: `logistic` or `mass_mean`.

    Raises:
        InputError: the rows are of several checkpoints, none is of the probe, or the table is
            outdated.
    """
    is_own = "n_seeds" not in summary.columns and "seen_accuracy" not in summary.columns
    summary, rows = summarized_with_rows(
        summary, rows, summarize_own if is_own else summarize_probes, **NOT_READ
    )
    refuse_outdated(summary)
    of_probe = summary.loc[summary["probe"] == probe]
    cells = of_probe.loc[of_probe["target"] != PLANTED.name]
    if cells.empty:
        raise InputError(f"the table has no {probe} probes; choose another probe or table")
    cells = with_own_words(cells, rows, list(READINGS), keys=[*WITHOUT_SEED, *CELL])
    readings = OWN_READINGS if is_own else READINGS
    names, states = run_names(cells), ordered_states(cells)
    caption = own_caption(cells) if is_own else probe_caption(of_probe, about_means=own_note(cells))
    groups: Any = cells.groupby(["target", "run_id"], sort=False)
    known = [target.name for target in targets_of(design_of(cells))]
    panels = sorted(groups, key=partial(_target_order, known))
    roles = [role_words(role) for role in in_order(cells["role"])]
    inside = [cells_height(len(states))] * len(panels)
    figure = make_subplots(
        rows=len(panels), cols=len(readings), shared_xaxes=True, shared_yaxes=True,
        column_titles=list(readings.values()), horizontal_spacing=0.02,
        vertical_spacing=share_between(inside, BETWEEN),
    )  # fmt: skip
    is_written = has_room(len(roles) * len(readings), characters=CHARACTERS)
    for row, ((target, run_id), panel) in enumerate(panels, start=1):
        for col, reading in enumerate(readings, start=1):
            figure.add_trace(_reading_map(panel, reading, is_written), row=row, col=col)
        name = f"<b>{target}</b>" + (f"<br>{names[run_id]}" if names[run_id] else "")
        figure.update_yaxes(title={"text": name}, row=row, col=1)
    title = f"Accuracy of {find_kind(probe).words} probes: {checkpoint_words(cells)}"
    style_figure(figure, title=title, height=CELL_HEIGHT)
    ticks = name_ticks(roles, roles, width=INSIDE / len(readings))
    figure.update_xaxes(**(ordered_axis(roles) | ticks), showgrid=False)
    figure.update_xaxes(title="token that is read", row=len(panels))
    figure.update_yaxes(**ordered_axis(states), showgrid=False)
    height = inside_height(inside, BETWEEN)
    figure.update_layout(coloraxis=_color_axis(cells, height))
    make_room(figure, inside=height, caption=caption)
    return figure


def _reading_map(cells: pd.DataFrame, reading: str, is_written: bool) -> go.Heatmap:
    """One panel; the interval is known, and the test was made, of the first reading only."""
    is_tested = reading == "accuracy"
    chance = cells["chance"].to_numpy()
    accuracy = cells[reading].to_numpy()
    marks = [_mark(cell) if is_tested else "" for cell in cells.to_dict("records")]
    known = (accuracy - chance) / (1 - chance)
    own, hovertext = own_hover(cells, reading)
    hover = "%{y}, %{x}: %{customdata[2]:.3f}" + own
    if is_tested:
        # The intervals of a panel are all shown or none: its cells have the same seeds.
        hover = interval_hover(hover, cells["n_seeds"])[0] + (
            "<br>p %{customdata[3]:.3g}, corrected %{customdata[4]:.3g}"
            "<br>min. detectable %{customdata[5]:.2f}"
        )
    measured = ["ci_low", "ci_high", reading, "p_value", "p_corrected", "min_detectable"]
    return go.Heatmap(
        x=cells["role"].map(role_words),
        y=state_names(cells),
        z=known,
        text=number_texts(accuracy, SCALE, marks=marks, at=known, is_written=is_written),
        customdata=cells[measured].to_numpy(),
        texttemplate="%{text}",
        textfont={"size": 12},  # else the width of tags counts, and marked panels shrink
        hovertext=hovertext,
        hovertemplate=f"{hover}<br>chance {chance[0]:.2g}<extra>{READINGS[reading]}</extra>",
        coloraxis="coloraxis",
        xgap=2,
        ygap=2,
    )


def _mark(cell: dict[str, Any]) -> str:
    """Whether a number differs from its null after correction, and whither."""
    if not cell["p_corrected"] <= ALPHA:
        return ""
    return " ▲" if cell["accuracy"] > cell["null_accuracy"] else " ▼"


def _target_order(known: Sequence[str], panel: tuple[Any, pd.DataFrame]) -> int:
    """Targets as they are listed in `interp.probes.targets`, runs as they come."""
    target = panel[0][0]
    return known.index(target) if target in known else len(known)


def _color_axis(cells: pd.DataFrame, height: int) -> dict[str, Any]:
    """Chance in the middle, certainty at the end; accuracies where all cells have one chance."""
    chances = set(np.round(cells["chance"], 6))
    ticks = {0: "chance", 0.5: "half-way", 1: "always right"}
    if chances == {0.5}:
        ticks = {-1: "0", -0.5: "0.25", 0: "0.5 (chance)", 0.5: "0.75", 1: "1"}
    named = {"tickvals": list(ticks), "ticktext": list(ticks.values())}
    return SCALE.axis("accuracy", inside=height, **named)
