"""Frame in, figure out: what lenses read by layer and along training, and who writes the logit.

Colours are those of the subsets. Filled markers and thick lines are the logit lens, open markers
and thin lines the tuned lens. Intervals are over Stage-1 seeds; those of attributions over rows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.design import Design
from data.errors import InputError
from data.rows import PROMPTS
from interp.figures.grid_tables import (
    checkpoint_words,
    ordered_axis,
    ordered_states,
    run_names,
    run_words,
    state_names,
    summarized,
    with_run_columns,
)
from interp.figures.palette import FAINT, INK, subset_style, transparent
from interp.figures.places import at_words, role_words, site_words
from interp.figures.room import PAGE, make_room, middle_column, name_ticks
from interp.figures.seed_marks import FEWEST, add_seeds, interval_hover, seeds_words
from interp.figures.theme import style_figure
from interp.hooked.addresses import SITE_HOOKS
from interp.lenses.analysis import summarize_lens
from training.designs import design_of
from training.statistics import t_interval

PANELS = {
    "answer": "answer",
    "other_answer": "another prompt's answer (control)",
    "entity": "entity",
    "other_entity": "other entity (control)",
}
ROW_HEIGHT, BARS_HEIGHT = 240, 300  # pixels
INSIDE = PAGE - 110
"""Pixels of the width that all panels have together."""
LENS_MARKS = {"logit": ("", 2.4), "tuned": ("-open", 1.1)}
"""Of each lens: the ending of its markers' name, and the width of its lines."""


def plot_lens(
    summary: pd.DataFrame, subsets: Sequence[str] | None = None, *, guess: float | None = None
) -> go.Figure:
    """Log-probabilities that the lenses read by layer: a row of panels for each role.

    Args:
        summary: Rows of a `lens_summary` of one run and checkpoint, or what `lens_checkpoint`
            returns; of rows of few seeds each one's own value is shown.
        subsets: Whose questions to compare, those that the table lacks left out; the two
            that the design compares, and its control, unless given.
        guess: What knowing the question alone gives, if known; see `guessing.question_only`.

    Raises:
        InputError: several checkpoints or runs, or none of the subsets.
    """
    own = None if "n_seeds" in summary.columns else with_run_columns(summary)
    summary = summarized(summary, summarize_lens)
    design = design_of(summary)
    subsets = _shown(summary, subsets, design)
    cells = _of_subsets(summary, subsets)
    place = checkpoint_words(cells)
    roles, states = list(dict.fromkeys(cells["role"])), ordered_states(cells)
    quantities = [name for name in PANELS if name in set(cells["quantity"])]
    figure = make_subplots(
        rows=len(roles), cols=len(quantities), shared_xaxes=True, shared_yaxes="all",  # pyright: ignore[reportArgumentType]
        column_titles=[PANELS[name] for name in quantities], horizontal_spacing=0.02,
        vertical_spacing=0.12 / len(roles),
    )  # fmt: skip
    for row, role in enumerate(roles, start=1):
        for col, quantity in enumerate(quantities, start=1):
            panel = cells.loc[(cells["role"] == role) & (cells["quantity"] == quantity)]
            panel = panel.assign(x=state_names(panel))
            _add_curves(figure, panel, subsets, design, order=states, row=row, col=col)
            if own is not None:
                chosen = (own["role"] == role) & (own["quantity"] == quantity)
                of_panel = own.loc[chosen]
                of_panel = of_panel.assign(x=state_names(of_panel))
                _add_own(figure, of_panel, subsets, design, row=row, col=col)
            if guess is not None and quantity == "answer":
                _add_guess(figure, guess, row=row, col=col)
        text = f"<b>{role_words(role)}</b><br>log-probability (nats)"
        figure.update_yaxes(title=text, row=row, col=1)
    title = f"What the lenses read: {place}"
    style_figure(figure, title=title, height=ROW_HEIGHT, about=_about(cells, guess))
    words = [state.removeprefix("stream ") for state in states]
    ticks = name_ticks(states, words, width=INSIDE / len(quantities))
    # Of matched axes that have a range plotly finds no range of the other axis.
    limits = {"range": [-0.5, len(states) - 0.5], "matches": None}
    figure.update_xaxes(**(ordered_axis(states) | ticks | limits))
    middle = middle_column(len(quantities))
    figure.update_xaxes(title="state of the residual stream", row=len(roles), col=middle)
    make_room(figure, inside=ROW_HEIGHT * len(roles))
    return figure


def plot_lens_steps(
    lens: pd.DataFrame,
    subsets: Sequence[str] | None = None,
    *,
    role: str = "question_last",
    quantity: str = "answer",
    guess: float | None = None,
) -> go.Figure:
    """A lens along training: a panel for each state, checkpoints from left to right.

    Args:
        lens: Rows of a `lens` table of one run and stage, of one seed or more at several steps.
        subsets: Whose questions to compare.
        role: Where it is read.
        quantity: What is read.
        guess: As for `plot_lens`.

    Raises:
        InputError: several runs or stages, or nothing of that role and quantity.
    """
    lens = with_run_columns(lens)
    design = design_of(lens)
    subsets = _shown(lens, subsets, design)
    read = lens.loc[(lens["role"] == role) & (lens["quantity"] == quantity)]
    if len(set(read["stage"])) != 1:
        raise InputError(f"rows of one stage with {quantity} at {role} are needed; choose others")
    read = _of_subsets(read, subsets)
    cells = _over_seeds(read)
    states, steps = ordered_states(cells), [str(step) for step in sorted(set(cells["step"]))]
    figure = make_subplots(
        cols=len(states), shared_yaxes=True, column_titles=states,
        horizontal_spacing=0.02,
    )  # fmt: skip
    for col, state in enumerate(states, start=1):
        panel = cells.loc[[name == state for name in state_names(cells)]]
        panel = panel.assign(x=panel["step"].astype(str))
        _add_curves(figure, panel, subsets, design, order=steps, row=1, col=col)
        of_panel = read.loc[[name == state for name in state_names(read)]]
        of_panel = of_panel.assign(x=of_panel["step"].astype(str))
        _add_own(figure, of_panel, subsets, design, row=1, col=col)
        if guess is not None:
            _add_guess(figure, guess, row=1, col=col)
    stage = int(read["stage"].iloc[0])
    whose = ", ".join(filter(None, [run_words(read), f"Stage {stage}"]))
    title = (
        f"What the lenses read of the {PANELS[quantity]} {at_words(role)} along training: {whose}"
    )
    style_figure(figure, title=title, height=ROW_HEIGHT, about=_about(cells, guess))
    figure.update_xaxes(
        **(ordered_axis(steps) | name_ticks(steps, steps, width=INSIDE / len(states))),
        range=[-0.5, len(steps) - 0.5],
    )
    figure.update_xaxes(title="training step (not to scale)", col=middle_column(len(states)))
    figure.update_yaxes(title="log-probability (nats)", col=1)
    make_room(figure, inside=ROW_HEIGHT)
    return figure


def plot_attribution(frame: pd.DataFrame, *, title: str = "") -> go.Figure:
    """What each component writes into the answer's centred logit: mean over rows, 95% t interval.

    The last bar is the sum of all. A centred logit is one above the mean logit of the vocabulary;
    where another token's was subtracted (`against`), it is the difference of the two. Open marks
    are the control, where the frame has one: the same for the answer to another prompt.

    Args:
        frame: Of `attribute_logits` or `interp.attribute`; a column `subset`, where there is one,
            makes a bar for each.
        title: What the rows are.
    """
    quantities = frame["quantity"] if "quantity" in frame.columns else ["centred logit"]
    quantity = " and ".join(dict.fromkeys(quantities))
    if "subset" not in frame.columns:
        frame = frame.assign(subset="")
    has_control = "control" in frame.columns
    measured = ["logit", *(["control"] if has_control else [])]
    of_row = frame.groupby(["subset", "row"], sort=False)[measured]
    sums = pd.DataFrame(of_row.sum(min_count=1)).reset_index()
    frame = pd.concat([frame, sums.assign(component="sum", layer=-1)])
    frame = frame.assign(name=_component_names(frame))
    names = list(dict.fromkeys(frame["name"]))
    controlled = set(frame.dropna(subset=measured)["subset"]) if has_control else set()
    figure, counts, design = go.Figure(), [], design_of(frame)
    for subset in dict.fromkeys(frame["subset"]):
        rows = frame.loc[frame["subset"] == subset]
        bars = rows.groupby("name", sort=False)["logit"]
        means, lows = bars.mean(), bars.agg(lambda values: t_interval(values)[0])
        of = "prompts" if subset == PROMPTS.name else f"{subset} rows".strip()
        counts.append(f"{rows['row'].nunique()} {of}")
        half = (means - lows).fillna(0)
        figure.add_bar(
            x=means.index,
            y=means.to_numpy(),
            name=str(subset),
            offsetgroup=str(subset),
            showlegend=bool(subset),
            marker={"color": _bar_color(str(subset), design)},
            error_y={"array": half, "color": INK, "thickness": 1.4, "width": 4},
            hovertemplate="%{x}: %{y:+.3f} ± %{error_y.array:.3f}",
        )
        if subset in controlled:
            _add_control(figure, rows, str(subset))
    about = f"mean and 95% t interval over {' and '.join(counts)} of one model"
    if has_control and not controlled:
        about += "; no control, as all have one answer"
    words = title or f"What each component writes into the answer's {quantity}"
    style_figure(figure, title=words, height=BARS_HEIGHT, about=about)
    figure.update_xaxes(
        title="component that writes into the residual stream",
        **(ordered_axis(names) | name_ticks(names, names, width=INSIDE)),
    )
    figure.update_yaxes(title=f"part of the answer's {quantity} (logits)", zeroline=True)
    figure.update_layout(barmode="group", scattermode="group")
    make_room(figure, inside=BARS_HEIGHT)
    return figure


def _add_control(figure: go.Figure, rows: pd.DataFrame, subset: str) -> None:
    """An open mark over each bar: what the component writes of the answer to another prompt."""
    means = pd.DataFrame(rows.groupby("name", sort=False)[["control"]].mean())
    figure.add_scatter(
        x=means.index, y=means["control"].to_numpy(), offsetgroup=subset, mode="markers",
        name=f"control: another prompt's answer, {subset}".removesuffix(", "),
        marker={"symbol": "diamond", "size": 10, "color": "white", "line": {"width": 2}},
        hovertemplate="%{x}, another prompt's answer: %{y:+.3f}<extra></extra>",
    )  # fmt: skip


def _component_names(frame: pd.DataFrame) -> list[str]:
    return [
        site_words(component, layer) if component in SITE_HOOKS else component
        for component, layer in zip(frame["component"], frame["layer"], strict=True)
    ]


def _bar_color(subset: str, design: Design) -> str:
    return subset_style(subset, design).color if subset else FAINT


def _shown(table: pd.DataFrame, subsets: Sequence[str] | None, design: Design) -> Sequence[str]:
    """The subsets to show: those asked for, else those compared, else all that the table has."""
    found = list(dict.fromkeys(table["subset"]))
    return subsets or [name for name in contrasted(design) if name in found] or found


def contrasted(design: Design) -> tuple[str, ...]:
    """The two subsets that an experiment is about, and as the control what was never defined."""
    if not design.contrasts:
        return ()
    baseline = design.main.baseline
    return (*design.main.names, *(() if baseline is None else (baseline.name,)))


def _of_subsets(table: pd.DataFrame, subsets: Sequence[str]) -> pd.DataFrame:
    cells = table.loc[table["subset"].isin(subsets)]
    if cells.empty:
        known = ", ".join(sorted(set(table["subset"]))) or "none"
        raise InputError(f"no rows of {', '.join(subsets)}; choose subsets among {known}")
    if len(run_names(cells)) > 1:
        raise InputError("the table holds several runs; choose the rows of one run_id")
    return cells


def _over_seeds(lens: pd.DataFrame) -> pd.DataFrame:
    """Mean and t interval of each subset, lens, state and step."""
    seeds = lens.groupby(["subset", "lens", "site", "layer", "step"])["log_prob"]
    return pd.DataFrame(
        {
            "log_prob": seeds.mean(),
            "ci_low": seeds.agg(lambda values: t_interval(values)[0]),
            "ci_high": seeds.agg(lambda values: t_interval(values)[1]),
            "n_seeds": seeds.size(),
        }
    ).reset_index()


def _add_curves(
    figure: go.Figure,
    panel: pd.DataFrame,
    subsets: Sequence[str],
    design: Design,
    *,
    order: list[str],
    row: int,
    col: int,
) -> None:
    """A curve with its band for each subset and lens, along the column `x` in the given order."""
    for lens, (ending, width) in LENS_MARKS.items():
        for subset in subsets:
            curve = panel.loc[(panel["subset"] == subset) & (panel["lens"] == lens)]
            if curve.empty:
                continue
            curve = curve.iloc[np.argsort([order.index(x) for x in curve["x"]])]
            style, name = subset_style(subset, design), f"{subset}, {lens} lens"
            low, high = curve["ci_low"].to_numpy(), curve["ci_high"].to_numpy()
            place: dict[str, Any] = {"legendgroup": name, "row": row, "col": col}
            if np.isfinite(low).all() and (curve["n_seeds"] >= FEWEST).all():
                figure.add_scatter(
                    x=[*curve["x"], *curve["x"].iloc[::-1]], y=np.concatenate([high, low[::-1]]),
                    fill="toself", fillcolor=transparent(style.color, 0.1), line={"width": 0},
                    mode="lines", hoverinfo="skip", showlegend=False, **place,
                )  # fmt: skip
            figure.add_scatter(
                x=curve["x"], y=curve["log_prob"], name=name, showlegend=row == col == 1,
                mode="lines+markers",
                line={"color": style.color, "dash": style.dash, "width": width},
                marker={"symbol": style.symbol + ending, "size": 9},
                customdata=curve[["ci_low", "ci_high"]].to_numpy(),
                hovertemplate=interval_hover("%{x}: %{y:.3f}", curve["n_seeds"]),
                **place,
            )  # fmt: skip


def _add_own(
    figure: go.Figure,
    rows: pd.DataFrame,
    subsets: Sequence[str],
    design: Design,
    *,
    row: int,
    col: int,
) -> None:
    """Adds a mark for each seed's own value, where seeds are few."""
    for lens in LENS_MARKS:
        for subset in subsets:
            part = rows.loc[(rows["subset"] == subset) & (rows["lens"] == lens)]
            values = (part[name].tolist() for name in ("x", "log_prob", "seed"))
            color, name = subset_style(subset, design).color, f"{subset}, {lens} lens"
            add_seeds(figure, *values, color=color, row=row, col=col, group=name)


def _add_guess(figure: go.Figure, guess: float, *, row: int, col: int) -> None:
    """Adds a line at the log-probability that knowing the question alone gives."""
    place: dict[str, Any] = {"row": row, "col": col}
    figure.add_hline(guess, line={"dash": "dot", "color": FAINT, "width": 1.4}, **place)


def _about(cells: pd.DataFrame, guess: float | None) -> str:
    """The line below the title that says what markers, bands and lines mean."""
    n_seeds = int(cells["n_seeds"].to_numpy().max())
    words = (
        f"{seeds_words(n_seeds)}; filled markers, thick lines: logit lens; open, thin: tuned lens"
    )
    return words if guess is None else f"{words}; dotted: the question alone ({guess:.2f})"
