"""Frame in, figure out: probes over sites and roles, lenses by layer, logits by component.

A state of the residual stream is named by its site and layer, `resid_post.1`; layers go upwards
in heat-maps and rightwards in curves. Intervals are over Stage-1 seeds, but for attributions, whose
intervals are over rows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.errors import InputError
from data.vocabulary import SUBSETS
from interp.addresses import SITE_HOOKS
from interp.grid_wording import probe_caption
from interp.palette import FAINT, INK, SUBSET_STYLES, transparent
from interp.plots import style_figure
from interp.probe_targets import Target
from training.statistics import t_interval

ALPHA = 0.05
READINGS = {
    "accuracy": "unseen aliases",
    "null_accuracy": "null: permuted labels",
    "seen_accuracy": "seen aliases",
    "control_accuracy": "control task: random labels",
}
"""Columns of heat-maps; each real accuracy has its control to the right."""
LENS_PANELS = {"answer": "answer", "entity": "entity", "other_entity": "other entity (control)"}
LENS_MARKS = {"logit": ("", 2.4), "tuned": ("-open", 1.1)}
"""Of each lens: what is added to the subset's marker, and the width of its lines."""
COMPARED = ("D5_CONS", "D6_CONS")


def plot_probes(summary: pd.DataFrame, *, probe: str = "logistic") -> go.Figure:
    """Real accuracy beside its control, for each target (and run), site, layer and role.

    ▲ marks cells read better than their permuted labels after correction, ▼ worse. The colour says
    how far a reading is from chance, on the same scale everywhere.

    Args:
        summary: Rows of a `probes_summary` of one checkpoint, of one run or several.
        probe: `logistic` or `mass_mean`.

    Raises:
        InputError: several checkpoints, or no rows of the probe.
    """
    check_one_checkpoint(summary)
    of_probe = summary.loc[summary["probe"] == probe]
    cells = of_probe.loc[of_probe["target"] != Target.PLANTED_TAG]
    if cells.empty:
        raise InputError(f"the table has no {probe} probes; choose another probe or table")
    names = run_names(cells)
    panels = [(t, r) for t in dict.fromkeys(cells["target"]) for r in names]
    panels = [p for p in panels if (cells[["target", "run_id"]] == p).all(axis=1).any()]
    states = len(state_names(cells))
    height = len(panels) * (44 + 30 * states)
    caption = probe_caption(of_probe)
    figure = make_subplots(
        rows=len(panels), cols=len(READINGS), shared_xaxes=True, shared_yaxes=True,
        column_titles=list(READINGS.values()), horizontal_spacing=0.02,
        vertical_spacing=40 / height if len(panels) > 1 else 0,
    )  # fmt: skip
    for row, (target, run) in enumerate(panels, start=1):
        chosen = cells.loc[(cells["target"] == target) & (cells["run_id"] == run)]
        for col, reading in enumerate(READINGS, start=1):
            figure.add_trace(_reading_map(chosen, reading), row=row, col=col)
        name = f"<b>{target}</b>" + (f", {names[run]}" if names[run] else "")
        figure.update_yaxes(title={"text": f"{name}<br>state", "standoff": 8}, row=row, col=1)
    stage, step = (int(cells[name].iloc[0]) for name in ("stage", "step"))
    title = f"Accuracy of {probe} probes, Stage {stage}, step {step}"
    style_figure(figure, title=title, height=height + 150 + 18 * len(caption))
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_xaxes(title="role of the token that is read", row=len(panels))
    figure.update_yaxes(type="category", showgrid=False)
    figure.update_layout(coloraxis=_accuracy_axis(cells), margin={"b": 80 + 18 * len(caption)})
    _add_caption(figure, caption, shift=64)
    return figure


def plot_lens(
    summary: pd.DataFrame, subsets: Sequence[str] = COMPARED, *, guess: float | None = None
) -> go.Figure:
    """Log-probabilities that the lenses read by layer: a row of panels for each role.

    Filled markers and thick lines are the logit lens, open markers and thin lines the tuned lens.

    Args:
        summary: Rows of a `lens_summary` of one run and checkpoint.
        subsets: Whose questions to compare; those that the table lacks are left out.
        guess: Log-probability of an answer drawn at random among the attribute's values, if known.

    Raises:
        InputError: several checkpoints or runs, or none of the subsets.
    """
    check_one_checkpoint(summary)
    if len(run_names(summary)) > 1:
        raise InputError("the table holds several runs; choose the rows of one run_id")
    cells = _of_subsets(summary, subsets)
    roles, quantities = list(dict.fromkeys(cells["role"])), _ordered(cells["quantity"], LENS_PANELS)
    states = state_names(cells)
    figure = make_subplots(
        rows=len(roles), cols=len(quantities), shared_xaxes=True, shared_yaxes="rows",
        column_titles=[LENS_PANELS[q] for q in quantities], horizontal_spacing=0.02,
        vertical_spacing=0.12 / len(roles),
    )  # fmt: skip
    for row, role in enumerate(roles, start=1):
        for col, quantity in enumerate(quantities, start=1):
            panel = cells.loc[(cells["role"] == role) & (cells["quantity"] == quantity)]
            panel = panel.assign(x=_names(panel))
            _add_lens_curves(figure, panel, subsets, (row, col), states, guess)
        text = f"<b>at {role}</b><br>log-probability (nats)"
        figure.update_yaxes(title=text, row=row, col=1)
    stage, step = (int(cells[name].iloc[0]) for name in ("stage", "step"))
    about = _seeds_words(int(cells["n_seeds"].to_numpy().max()))
    title = f"What the lenses read, Stage {stage}, step {step}<br><sup>{about}</sup>"
    style_figure(figure, title=title, height=240 + 260 * len(roles))
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=states)
    figure.update_xaxes(title="state of the residual stream", row=len(roles))
    figure.update_layout(legend={"y": -0.42 / len(roles)}, margin={"t": 100})
    return figure


def plot_lens_steps(
    table: pd.DataFrame,
    subsets: Sequence[str] = COMPARED,
    *,
    role: str = "question_last",
    quantity: str = "answer",
    guess: float | None = None,
) -> go.Figure:
    """A lens along training: a panel for each state, checkpoints from left to right.

    Args:
        table: Rows of `lens` tables of one run and stage at several steps.
        subsets: Whose questions to compare.
        role: Where it is read.
        quantity: What is read.
        guess: As for `plot_lens`.
    """
    read = _of_subsets(table, subsets)
    read = read.loc[(read["role"] == role) & (read["quantity"] == quantity)]
    states = state_names(read)
    point = ["subset", "lens", "site", "layer", "step"]
    records = [
        (*place, values.mean(), *t_interval(values.to_numpy()), len(values))
        for place, values in read.groupby(point)["log_prob"]
    ]
    names = [*point, "log_prob", "ci_low", "ci_high", "n_seeds"]
    cells = pd.DataFrame(records, columns=names)
    figure = make_subplots(
        cols=len(states), shared_yaxes=True, column_titles=states, horizontal_spacing=0.02
    )
    steps = [str(step) for step in sorted(set(cells["step"]))]
    for col, state in enumerate(states, start=1):
        panel = cells.loc[[name == state for name in _names(cells)]]
        panel = panel.assign(x=panel["step"].astype(str))
        _add_lens_curves(figure, panel, subsets, (1, col), steps, guess)
    about = _seeds_words(int(cells["n_seeds"].to_numpy().max()))
    title = f"The {quantity} at {role} along Stage {int(read['stage'].iloc[0])}"
    style_figure(figure, title=f"{title}<br><sup>{about}</sup>", height=460)
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=steps)
    figure.update_xaxes(title="training step (not to scale)")
    figure.update_yaxes(title="log-probability (nats)", col=1)
    figure.update_layout(legend={"y": -0.28}, margin={"t": 100})
    return figure


def plot_attribution(frame: pd.DataFrame, *, title: str = "") -> go.Figure:
    """What each component writes into the answer's logit: mean over rows, 95% t interval.

    The last bar, all components together, is the answer's logit above the mean of the vocabulary.

    Args:
        frame: Of `attribute_logits`; a column `subset`, where there is one, makes a bar for each.
        title: What the rows are.
    """
    frame = frame if "subset" in frame.columns else frame.assign(subset="")
    total = frame.groupby(["subset", "row"], as_index=False)["logit"].sum()
    frame = pd.concat([frame, total.assign(component="total", layer=-1)])
    figure = go.Figure()
    counts = []
    for subset, of_subset in frame.groupby("subset", sort=False):
        bars = [(_component(place), g["logit"].to_numpy()) for place, g in _components(of_subset)]
        counts.append(f"{len(bars[0][1])} rows" + (f" of {subset}" if subset else ""))
        means = [values.mean() for _, values in bars]
        half = [t_interval(v)[1] - v.mean() for _, v in bars]
        style = SUBSET_STYLES.get(str(subset))
        figure.add_bar(
            x=[name for name, _ in bars], y=means, name=str(subset) or None,
            showlegend=bool(subset), marker={"color": style.color if style else FAINT},
            error_y={"array": np.nan_to_num(half), "color": INK, "thickness": 1.4, "width": 4},
            hovertemplate="%{x}: %{y:+.3f} ± %{error_y.array:.3f}",
        )  # fmt: skip
    about = f"mean and 95% t interval over {', '.join(counts)}; rows are of one model"
    style_figure(figure, title=f"{title}<br><sup>{about}</sup>" if title else about, height=460)
    figure.update_xaxes(title="component that writes into the residual stream")
    figure.update_yaxes(title="contribution to the answer's logit (logits)", zeroline=True)
    figure.update_layout(barmode="group")
    return figure
