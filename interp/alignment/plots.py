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
from interp.figures.grid_tables import checkpoint_words, ordered_axis, titled
from interp.figures.heat_maps import CELL_HEIGHT, NUMBER_SIZE, differences, number_texts
from interp.figures.heat_maps import INSIDE as CELLS_INSIDE
from interp.figures.palette import NULL_COLOR, subset_style, transparent
from interp.figures.places import module_words
from interp.figures.room import PAGE, make_room, name_ticks
from interp.figures.seed_marks import FEWEST, add_seeds, mean_hover, own_words
from interp.figures.theme import style_figure
from training.designs import design_of

ROW_HEIGHT, MODULE_HEIGHT = 280, 26  # pixels
INSIDE = PAGE - 100
"""Pixels of the width that panels side by side have together."""
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
    figure = make_subplots(
        cols=len(shown), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.03
    )
    for col, pair in enumerate(shown, start=1):
        for subset, shift in zip(pair, (-SHIFT, SHIFT)[-len(pair) :], strict=True):
            cells = levels.loc[levels["subset"] == subset].set_index("pairing")
            _add_levels(figure, cells, subset, order, design, shift=shift, col=col)
    controls = "matched pairs, the control" if design.contrasts else "all other pairs"
    about = f"{levels_words(levels)}; hollow: {controls}"
    style_figure(figure, title=f"Alignment of gradients: {place}", height=ROW_HEIGHT, about=about)
    words = PAIRING_WORDS if design.contrasts else OWN_WORDS
    ticks = name_ticks(
        list(range(len(order))),
        [words[pairing] for pairing in order],
        width=0.96 * INSIDE / len(shown),
    )
    figure.update_xaxes(**ticks, range=[-0.6, len(order) - 0.4])
    figure.update_xaxes(title="which questions a definition's gradient is held against")
    figure.update_yaxes(zeroline=True)
    figure.update_yaxes(title=MEASURE_WORDS[measure], col=1)
    make_room(figure, inside=ROW_HEIGHT)
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
        told = _apart([np.log1p(step) for step in steps], 0.05 * len(stages))
        figure.update_xaxes(
            tickvals=[np.log1p(steps[i]) for i in told], ticktext=[str(steps[i]) for i in told],
            title="training step (log scale)", col=col,
        )  # fmt: skip
    about = f"{levels_words(levels)}; hollow, dotted: matched pairs, the control"
    title = titled("Alignment of gradients along training", levels)
    style_figure(figure, title=title, height=ROW_HEIGHT, about=about)
    figure.update_yaxes(zeroline=True)
    figure.update_yaxes(title=MEASURE_WORDS[measure], col=1)
    make_room(figure, inside=ROW_HEIGHT)
    return figure


def _apart(places: Sequence[float], share: float) -> list[int]:
    """Which of ascending places are named: the last, and before it those that are far enough."""
    kept: list[int] = []
    for i in reversed(range(len(places))):
        if not kept or places[kept[-1]] - places[i] >= share * (places[-1] - places[0]):
            kept.append(i)
    return kept[::-1]


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
    scale = differences(float(np.abs(cells["value"].to_numpy(dtype=float)).max()))
    figure = make_subplots(
        cols=len(subsets), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.03
    )
    for col, subset in enumerate(subsets, start=1):
        of_subset = cells.loc[cells["subset"] == subset].set_index("component")
        values, own = of_subset["value"], of_subset["by_seed"].map(partial(own_words, decimals=4))
        parts = [[f"{a} x {b}" for b in asked] for a in defining]
        z = [[values.get(part, 0.0) for part in line] for line in parts]
        figure.add_heatmap(
            z=z, x=asked, y=defining, text=[number_texts(line, scale) for line in z],
            customdata=[[own.get(part, "") for part in line] for line in parts],
            coloraxis="coloraxis", texttemplate="%{text}", textfont={"size": NUMBER_SIZE},
            hovertemplate="definition's %{y}, question's %{x}: %{z:.4f}%{customdata}"
            f"<extra>{titles[col - 1]}</extra>",
            xgap=2, ygap=2, row=1, col=col,
        )  # fmt: skip
    n_seeds, is_own = int(cells["n_seeds"].max()), cells["by_seed"].map(bool).any()
    about = f"parts sum to the cosine of own pairs; mean over {n_seeds} seeds"
    about += ", each seed's on hover" if is_own else ""
    about += f"; loss policy {cells['loss_policy'].iloc[0]}"
    style_figure(figure, title=f"Alignment by token: {place}", height=CELL_HEIGHT, about=about)
    figure.update_xaxes(title="question's token", showgrid=False)
    figure.update_xaxes(
        **(ordered_axis(asked) | name_ticks(asked, asked, width=CELLS_INSIDE / len(subsets)))
    )
    figure.update_yaxes(**ordered_axis(defining), showgrid=False, autorange="reversed")
    figure.update_yaxes(title="definition's token", col=1)
    inside = 2 * CELL_HEIGHT * len(defining)
    figure.update_layout(coloraxis=scale.axis("part of<br>the cosine", inside=inside))
    make_room(figure, inside=inside)
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
    for subset, shift in zip(compared, (-APART, APART), strict=True):
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
    style_figure(figure, title=f"Alignment by module: {place}", height=ROW_HEIGHT, about=about)
    figure.update_yaxes(tickvals=list(range(len(modules))), ticktext=words, autorange="reversed")
    figure.update_yaxes(title="module")
    figure.update_xaxes(title="part of the cosine of own pairs", zeroline=True, showgrid=True)
    make_room(figure, inside=40 + MODULE_HEIGHT * len(modules))
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
