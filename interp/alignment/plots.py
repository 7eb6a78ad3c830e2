"""Frame in, figure out: gradient alignment by pairing, along training, and by its parts.

Own pairs are filled, matched pairs hollow; colours are those of the definitions' subsets. Every
interval is a 95% t interval over Stage-1 seeds; of few seeds each one's own value is shown, if the
table's rows are given beside the summary.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.design import Design
from data.errors import InputError
from data.vocabulary import Role
from interp.alignment.levels import alignment_levels, bars, levels_words, own_values
from interp.alignment.pairs import Pairing
from interp.alignment.summary import is_token_part
from interp.alignment.wording import PAIRING_WORDS
from interp.figures.grid_tables import checkpoint_words
from interp.figures.palette import NULL_COLOR, subset_style, transparent
from interp.figures.places import module_words
from interp.figures.seed_marks import FEWEST, add_seeds, mean_hover, own_words
from interp.figures.theme import style_figure
from training.designs import design_of

MEASURE_WORDS = {
    "grad_cosine": "cosine of gradients",
    "grad_dot": "inner product of gradients",
    "grad_sqdist": "squared distance of gradients",
}
OWN_WORDS = {Pairing.OWN: "own pairs", Pairing.OTHER: "all other pairs"}
"""Of rows of one's own; see `interp.align`."""
SHIFT = 0.12
"""How far two subsets lie apart, as a share of the width of a pairing."""
APART = 0.2
"""How far two subsets lie apart in figures of modules, which are drawn closer together."""
CONTROL = Pairing.SAME_TAG_OTHER_ENTITY
"""The class of pairs that is drawn beside the own pairs along training."""
TOKENS = [str(role) for role in (Role.TAG, Role.ALIAS, Role.QUESTION, Role.ENTITY, Role.ANSWER)]


def plot_alignment(
    summary: pd.DataFrame, rows: pd.DataFrame | None = None, *, measure: str = "grad_cosine"
) -> go.Figure:
    """Own pairs and every class of matched pairs, for the definitions of either stage.

    Args:
        summary: Rows of an `alignment_summary` of one run and checkpoint, or what
            `measure_alignment` returns.
        rows: Rows of `alignment`, to show each seed's own value where seeds are few.
        measure: Which of the three measures.

    Raises:
        InputError: several checkpoints or loss policies, or no pair of subsets to compare.
    """
    levels = alignment_levels(summary, rows, measure)
    place = checkpoint_words(levels)
    design = design_of(levels)
    pairs = [contrast.names for contrast in design.leading] or [(s,) for s in design.names]
    shown = [pair for pair in pairs if set(pair) <= set(levels["subset"])]
    if not shown:
        listed = ", or ".join(" and ".join(pair) for pair in pairs) or "those of a run"
        raise InputError(f"the table compares no two subsets; measure {listed}")
    found = set(levels["pairing"])
    # Of no experiment's rows, all that are no pair are the control of those that are.
    told = [p for p in PAIRING_WORDS if p is not Pairing.OTHER] if design.contrasts else OWN_WORDS
    order = [p for p in told if p in found]
    titles = [" and ".join(pair) for pair in shown]
    figure = make_subplots(cols=len(shown), shared_yaxes=True, subplot_titles=titles)
    for col, pair in enumerate(shown, start=1):
        for subset, shift in zip(pair, (-SHIFT, SHIFT)[-len(pair) :], strict=True):
            cells = levels.loc[levels["subset"] == subset].set_index("pairing")
            _add_levels(figure, cells, subset, order, design, shift=shift, col=col)
    controls = "matched" if design.contrasts else "all other"
    about = f"{levels_words(levels)}; hollow: {controls} pairs"
    title = f"Alignment of gradients, {place}<br><sup>{about}</sup>"
    style_figure(figure, title=title, height=520)
    words = PAIRING_WORDS if design.contrasts else OWN_WORDS
    ticks = [
        words[pairing].replace(", ", ",<br>").replace(" and ", "<br>and ") for pairing in order
    ]
    figure.update_xaxes(tickvals=list(range(len(order))), ticktext=ticks, tickangle=0)
    figure.update_xaxes(range=[-0.6, len(order) - 0.4], tickfont={"size": 11})
    figure.update_yaxes(zeroline=True)
    figure.update_yaxes(title=MEASURE_WORDS[measure], col=1)
    figure.update_layout(legend={"y": -0.32}, margin={"t": 110})
    return figure


def plot_alignment_steps(
    summary: pd.DataFrame, rows: pd.DataFrame | None = None, *, measure: str = "grad_cosine"
) -> go.Figure:
    """Own pairs along both stages; another alias in grey.

    Subsets that were measured at fewer checkpoints than others are left out.

    Args:
        summary: Rows of an `alignment_summary` of one run.
        rows: Rows of `alignment`, to show each seed's own value where seeds are few.
        measure: Which of the three measures.
    """
    levels = alignment_levels(summary, rows, measure)
    n_checkpoints = levels.groupby("subset")["step"].transform("size")
    levels = levels.loc[n_checkpoints == n_checkpoints.max()]
    stages, design = sorted(set(levels["stage"])), design_of(levels)
    titles = [f"Stage {stage}" for stage in stages]
    figure = make_subplots(
        cols=len(stages), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.03
    )
    for col, stage in enumerate(stages, start=1):
        of_stage = levels.loc[levels["stage"] == stage].sort_values("step")
        for subset in [name for name in design.names if name in set(of_stage["subset"])]:
            for pairing in (CONTROL, Pairing.OWN):
                is_chosen = (of_stage["subset"] == subset) & (of_stage["pairing"] == pairing)
                _add_line(figure, of_stage.loc[is_chosen], subset, pairing, design, col=col)
        steps = sorted(set(of_stage["step"]))
        figure.update_xaxes(
            tickvals=[np.log1p(step) for step in steps], ticktext=steps, title="step", col=col
        )
    about = f"{levels_words(levels)}; steps on a log scale"
    title = f"Alignment of gradients along training<br><sup>{about}</sup>"
    style_figure(figure, title=title, height=480)
    figure.update_yaxes(zeroline=True)
    figure.update_yaxes(title=MEASURE_WORDS[measure], col=1)
    figure.update_layout(legend={"y": -0.25}, margin={"t": 110})
    return figure


def plot_alignment_tokens(summary: pd.DataFrame, rows: pd.DataFrame | None = None) -> go.Figure:
    """Which token of the definition meets which token of the question: parts of the cosine.

    A position stands for what is computed there, from the tokens up to it.

    Args:
        summary: Rows of an `alignment_summary` of one run and checkpoint, with token components.
        rows: Rows of `alignment`, to show each seed's own value where seeds are few.

    Raises:
        InputError: there are no such components.
    """
    chosen = alignment_levels(summary, rows, "grad_cosine", whole=False)
    cells = chosen.loc[chosen["component"].map(is_token_part) & (chosen["pairing"] == "own")]
    main = design_of(chosen).main
    cells = cells.loc[cells["subset"].isin([*main.names, main.gap])]
    if cells.empty:
        listed = " and ".join(main.names)
        raise InputError(f"the table has no token components of {listed}; measure them")
    place = checkpoint_words(cells)
    subsets = [s for s in (*main.names, main.gap) if s in set(cells["subset"])]
    names = cells["component"].str.split(" x ", expand=True)
    defining, asked = (_ordered(names[side]) for side in (0, 1))
    titles = [subset.replace("-", " − ") for subset in subsets]
    figure = make_subplots(
        cols=len(subsets), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.03
    )
    for col, subset in enumerate(subsets, start=1):
        of_subset = cells.loc[cells["subset"] == subset].set_index("component")
        values, own = of_subset["value"], of_subset["by_seed"].map(partial(own_words, decimals=4))
        parts = [[f"{a} x {b}" for b in asked] for a in defining]
        figure.add_heatmap(
            z=[[values.get(part, 0.0) for part in line] for line in parts], x=asked, y=defining,
            customdata=[[own.get(part, "") for part in line] for line in parts],
            coloraxis="coloraxis", texttemplate="%{z:.3f}",
            hovertemplate="definition's %{y}, question's %{x}: %{z:.4f}%{customdata}"
            "<extra></extra>",
            row=1, col=col,
        )  # fmt: skip
    limit = float(np.abs(cells["value"].to_numpy(dtype=float)).max()) or 1.0
    n_seeds, is_own = int(cells["n_seeds"].max()), cells["by_seed"].map(bool).any()
    about = f"parts sum to the cosine of own pairs; mean over {n_seeds} seeds"
    about += ", each seed's on hover" if is_own else ""
    about += f"; loss policy {cells['loss_policy'].iloc[0]}"
    title = f"Alignment by token, {place}<br><sup>{about}</sup>"
    style_figure(figure, title=title, height=160 + 60 * len(defining))
    figure.update_xaxes(title="question's token", showgrid=False)
    figure.update_yaxes(showgrid=False, autorange="reversed")
    figure.update_yaxes(title="definition's token", col=1)
    figure.update_layout(
        coloraxis={
            "colorscale": "RdBu",
            "cmin": -limit,
            "cmax": limit,
            "colorbar": {"title": "part of<br>the cosine", "thickness": 14},
        },
        margin={"t": 110, "b": 80},
    )
    return figure


def plot_alignment_modules(summary: pd.DataFrame, rows: pd.DataFrame | None = None) -> go.Figure:
    """What each module adds to the cosine of own pairs.

    Args:
        summary: Rows of an `alignment_summary` of one run and checkpoint, with module components.
        rows: Rows of `alignment`, to show each seed's own value where seeds are few.

    Raises:
        InputError: there are no such components.
    """
    chosen = alignment_levels(summary, rows, "grad_cosine", whole=False)
    cells = chosen.loc[~chosen["component"].map(is_token_part) & (chosen["pairing"] == "own")]
    design = design_of(chosen)
    compared = design.main.names
    cells = cells.loc[cells["subset"].isin(compared)]
    if cells.empty:
        listed = " and ".join(compared)
        raise InputError(f"the table has no module components of {listed}; measure them")
    place = checkpoint_words(cells)
    modules = list(dict.fromkeys(cells["component"]))
    words = [module_words(name) for name in modules]
    figure = make_subplots()
    for subset, shift in zip(compared, (APART, -APART), strict=True):
        of_subset = cells.loc[cells["subset"] == subset].set_index("component")
        style = subset_style(subset, design)
        places = [modules.index(name) + shift for name in of_subset.index]
        y, x, seeds = own_values(places, of_subset)
        add_seeds(figure, x, y, seeds, color=style.color, group=subset, upright=True)
        figure.add_scatter(
            x=of_subset["value"],
            y=places,
            error_x=bars(of_subset),
            mode="markers",
            name=subset,
            legendgroup=subset,
            text=[module_words(str(name)) for name in of_subset.index],
            marker={"color": style.color, "symbol": style.symbol, "size": 9},
            hovertemplate=mean_hover("%{text}: ", of_subset["n_seeds"], decimals=4, axis="x"),
        )
    about = f"parts sum to the cosine of own pairs; {levels_words(cells)}"
    title = f"Alignment by module, {place}<br><sup>{about}</sup>"
    style_figure(figure, title=title, height=170 + 26 * len(modules))
    figure.update_yaxes(tickvals=list(range(len(modules))), ticktext=words, autorange="reversed")
    figure.update_xaxes(title="part of the cosine", zeroline=True, showgrid=True)
    figure.update_layout(margin={"l": 260, "t": 90}, legend={"y": -60 / (26 * len(modules) + 40)})
    return figure


def _add_levels(
    figure: go.Figure,
    cells: pd.DataFrame,
    subset: str,
    order: Sequence[Pairing],
    design: Design,
    *,
    shift: float,
    col: int,
) -> None:
    style = subset_style(subset, design)
    known = [pairing for pairing in order if pairing in cells.index]
    ordered = cells.loc[[str(pairing) for pairing in known]]
    symbols = [style.symbol + ("" if p is Pairing.OWN else "-open") for p in known]
    places = [order.index(pairing) + shift for pairing in known]
    add_seeds(figure, *own_values(places, ordered), color=style.color, col=col, group=subset)
    figure.add_scatter(
        x=places,
        y=ordered["value"],
        error_y=bars(ordered),
        mode="markers",
        name=subset,
        legendgroup=subset,
        marker={"color": style.color, "symbol": symbols, "size": 10},
        hovertemplate=mean_hover("", ordered["n_seeds"]),
        row=1,
        col=col,
    )


def _add_line(
    figure: go.Figure,
    cells: pd.DataFrame,
    subset: str,
    pairing: Pairing,
    design: Design,
    *,
    col: int,
) -> None:
    style, is_own = subset_style(subset, design), pairing is Pairing.OWN
    color = style.color if is_own else NULL_COLOR
    name = subset if is_own else f"{subset}, {PAIRING_WORDS[pairing]}"
    x = np.log1p(cells["step"].to_numpy(dtype=float))
    low, high = (cells[end].fillna(cells["value"]) for end in ("ci_low", "ci_high"))
    if is_own and bool((cells["n_seeds"].to_numpy() >= FEWEST).all()):
        figure.add_scatter(
            x=[*x, *x[::-1]], y=[*high, *low[::-1]], fill="toself", mode="none",
            fillcolor=transparent(style.color, 0.15), hoverinfo="skip", showlegend=False,
            legendgroup=name, row=1, col=col,
        )  # fmt: skip
    if is_own:
        add_seeds(figure, *own_values(list(x), cells), color=color, col=col, group=name)
    figure.add_scatter(
        x=x, y=cells["value"], name=name, legendgroup=name, showlegend=col == 1,
        mode="lines+markers", line={"color": color, "dash": style.dash if is_own else "dot"},
        marker={"symbol": style.symbol if is_own else f"{style.symbol}-open", "size": 7},
        hovertemplate="%{y:.3f}", row=1, col=col,
    )  # fmt: skip


def _ordered(names: pd.Series) -> list[str]:
    """Roles as a reader meets them, whatever else comes last."""
    found = set(names)
    return [name for name in TOKENS if name in found] + sorted(found - set(TOKENS))
