"""Frame in, figure out: what gradient alignment predicts, and what comes of changing it.

One figure for each test of `iml align --test`. Controls are grey, or in a panel of their own.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.design import Design
from interp.alignment.pairs import Pairing
from interp.alignment.surgery import QUESTIONS, RANDOM
from interp.figures.grid_tables import titled
from interp.figures.palette import INK, NULL_COLOR, subset_style, transparent
from interp.figures.room import make_room
from interp.figures.seed_marks import add_seeds, mean_hover, seeds_words, shown_halves
from interp.figures.theme import style_figure
from training.designs import design_of
from training.metrics import HEADLINE_METRICS, find_metric
from training.statistics import t_interval

ROW_HEIGHT = 280  # pixels


def plot_branches(table: pd.DataFrame, *, metric: str = "answer_log_prob") -> go.Figure:
    """Alignment at each branch point against the branch's gap; a line for each seed.

    Args:
        table: Rows of a `branches` table of one run.
        metric: The metric of the gap.
    """
    main = design_of(table).main
    own_color = _own_color(table)
    panels = {
        "cosine": ("own pairs", own_color),
        "control_cosine": ("control: another alias and entity", NULL_COLOR),
    }
    titles = [words for words, _ in panels.values()]
    figure = make_subplots(
        cols=2, shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.04
    )
    for col, (column, (words, color)) in enumerate(panels.items(), start=1):
        for seed, rows in table.sort_values("branch_step").groupby("seed"):
            figure.add_scatter(
                x=rows[column], y=rows[f"{main.name}_{metric}"], text=rows["branch_step"],
                mode="lines+markers", line={"color": transparent(color, 0.45), "width": 1.2},
                marker={"color": color, "size": 7}, name=words, showlegend=False,
                hovertemplate=f"seed {seed}, step %{{text}}: %{{x:.3f}}, %{{y:.3f}}<extra></extra>",
                row=1, col=col,
            )  # fmt: skip
    n_seeds, n_steps = table["seed"].nunique(), table["branch_step"].nunique()
    about = f"a line for each of {n_seeds} seeds, a dot for each of {n_steps} branch points"
    title = titled("Stage 2 from checkpoints of Stage 1", table)
    style_figure(figure, title=title, height=ROW_HEIGHT, about=about)
    figure.update_xaxes(
        title=f"{main.words} in cosine at the branch point", zeroline=True, matches="x"
    )
    found = find_metric(metric)
    figure.update_yaxes(title=f"{main.name},<br>{found.words} ({found.unit})", col=1)
    make_room(figure, inside=ROW_HEIGHT)
    return figure


def plot_surgery(table: pd.DataFrame) -> go.Figure:
    """Dose and response: along the questions' gradient, and along a random direction in grey.

    Args:
        table: Rows of a `surgery` table of one run.
    """
    quantities = _quantities(design_of(table))
    shown = [name for name in quantities if name in set(table["quantity"])]
    titles = [quantities[name] for name in shown]
    figure = make_subplots(cols=len(shown), subplot_titles=titles, horizontal_spacing=0.09)
    for col, quantity in enumerate(shown, start=1):
        of_quantity = table.loc[table["quantity"] == quantity]
        untreated = of_quantity.loc[of_quantity["dose"] == 0].assign(direction=RANDOM)
        both = pd.concat([of_quantity, untreated])
        for direction, color, dash in ((RANDOM, NULL_COLOR, "dot"), (QUESTIONS, INK, "solid")):
            values = both.loc[both["direction"] == direction].groupby("dose")["value"]
            means = values.mean()
            rows = both.loc[both["direction"] == direction]
            own = (rows[name].tolist() for name in ("dose", "value", "seed"))
            add_seeds(figure, *own, color=color, col=col, group=direction)
            high = values.agg(lambda each: t_interval(each.to_numpy(dtype=float))[1])
            figure.add_scatter(
                x=means.index, y=means, name=f"along {_along(direction)}", legendgroup=direction,
                showlegend=col == 1, mode="lines+markers",
                error_y={"array": shown_halves(means, high, values.size()), "thickness": 1.4,
                         "width": 3},
                line={"color": color, "dash": dash}, marker={"size": 8},
                hovertemplate=mean_hover("dose %{x}: ", values.size()), row=1, col=col,
            )  # fmt: skip
    about = seeds_words(len(set(table["seed"])))
    doses = "dose −1 doubles the alignment of the batch's gradients, 1 removes it"
    title = titled("Stage 1 with the definitions' gradient turned", table)
    style_figure(figure, title=title, height=ROW_HEIGHT, about=f"{about}; {doses}")
    figure.update_xaxes(title="dose")
    figure.update_yaxes(zeroline=True)
    for col, quantity in enumerate(shown, start=1):
        figure.update_yaxes(title=_unit(quantity), col=col)
    make_room(figure, inside=ROW_HEIGHT)
    return figure


def plot_predictions(
    table: pd.DataFrame, *, by: str | None = None, unit: str = "nats"
) -> go.Figure:
    """Predicted against measured change, a dot for each pair; matched pairs in grey.

    Args:
        table: Rows of an `updates` or `left_out` table of one run.
        by: The column of which each value has a panel.
        unit: The unit of the change.
    """
    groups: Sequence[str | None] = [None] if by is None else sorted(set(table[by]))
    titles = [str(group) for group in groups] if by else None
    figure = make_subplots(cols=len(groups), shared_yaxes=True, subplot_titles=titles)
    for col, group in enumerate(groups, start=1):
        rows = table if group is None else table.loc[table[by] == group]
        is_own = rows["pairing"] == Pairing.OWN
        for chosen, name, color in (
            (~is_own, "matched pairs", NULL_COLOR),
            (is_own, "own pairs", _own_color(table)),
        ):
            figure.add_scatter(
                x=rows.loc[chosen, "predicted"], y=rows.loc[chosen, "measured"], mode="markers",
                name=name, legendgroup=name, showlegend=col == 1,
                text=rows.loc[chosen, "row_a"] + " → " + rows.loc[chosen, "row_b"],
                marker={"color": transparent(color, 0.5), "size": 7},
                hovertemplate="%{text}: predicted %{x:.4f}, measured %{y:.4f}<extra></extra>",
                row=1, col=col,
            )  # fmt: skip
        ends = np.array([rows["predicted"].min(), rows["predicted"].max()])
        figure.add_scatter(
            x=ends, y=ends, mode="lines", name="measured = predicted", legendgroup="line",
            showlegend=col == 1, line={"color": INK, "width": 1, "dash": "dash"},
            hoverinfo="skip", row=1, col=col,
        )  # fmt: skip
    n_seeds = len(set(table["seed"]))
    what = "one optimizer step" if by == "optimizer" else "leaving a definition out"
    title = titled(f"What gradients predict of {what}", table)
    about = f"a dot for each pair of {n_seeds} {'seed' if n_seeds == 1 else 'seeds'}; "
    about += "grey: matched pairs, the control"
    style_figure(figure, title=title, height=ROW_HEIGHT, about=about)
    figure.update_xaxes(title=f"predicted change ({unit})", zeroline=True)
    figure.update_yaxes(title=f"measured change ({unit})", col=1)
    make_room(figure, inside=ROW_HEIGHT)
    return figure


def _unit(quantity: str) -> str:
    """What the axis of a quantity of surgery is called."""
    metrics = [find_metric(name) for name in HEADLINE_METRICS if quantity.endswith(name)]
    return metrics[0].gap_label if metrics else "difference of cosines"


def _own_color(table: pd.DataFrame) -> str:
    """The colour of own pairs: that of the subset which the experiment expects to be ahead."""
    design = design_of(table)
    return subset_style(design.main.higher.name, design).color if design.contrasts else INK


def _quantities(design: Design) -> dict[str, str]:
    """What surgery may change, with the words above its panel."""
    gaps = [(design.main, metric) for metric in HEADLINE_METRICS]
    gaps += [(contrast, "exact_match") for contrast in design.leading[1:]]
    return {"alignment": f"{design.main.words} cosine before Stage 2"} | {
        f"{contrast.name}_{metric}": f"{contrast.name}, {find_metric(metric).heading}"
        for contrast, metric in gaps
    }


def _along(direction: str) -> str:
    return "the questions' gradient" if direction == QUESTIONS else "a random direction"
