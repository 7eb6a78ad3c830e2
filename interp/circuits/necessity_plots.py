"""Frame in, figure out: what Stage 2 comes to when a component cannot take part.

Colours are those of the subsets, the others that a component is held against are grey.
"""

import re

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.design import Design
from data.subsets import Mark
from interp.circuits.behaviours import BehaviourKind
from interp.circuits.disruption import GAP
from interp.circuits.necessity_summary import changes_of, summarize_necessity
from interp.circuits.treatments import ALL, LEADING, NONE, UNTOUCHED
from interp.figures.grid_tables import one_checkpoint, summarized, titled
from interp.figures.palette import FAINT, INK, NULL_COLOR, subset_style
from interp.figures.room import PAGE, make_room, name_ticks
from interp.figures.seed_marks import add_seeds, mean_hover, seeds_words, shown_halves
from interp.figures.theme import style_figure
from training.designs import design_of
from training.metrics import find_metric

SHIFT, ASIDE = 0.2, 0.13
"""How far the two subsets lie from the middle of a part, and controls from them, of its width."""
ROW_HEIGHT = 200  # pixels
RECITE = f"{BehaviourKind.RECITE} "
OTHERS = "the others of its layer and kind, mean"
_WORDS = {
    NONE: "nothing",
    ALL: "everything",
    "heads": "all heads",
    "mlps": "all MLPs",
    "emb": "alias rows",
    "emb.rest": "all other rows",
    "unemb": "unembedding",
}


def plot_necessity(
    summary: pd.DataFrame, rows: pd.DataFrame | None = None, *, metric: str = "exact_match"
) -> go.Figure:
    """Both compared subsets, asked and recited, and their gap, with each part kept from learning.

    Args:
        summary: Rows of a `necessity_summary` of one run.
        rows: Of `necessity`, to show each seed's own value where seeds are few.
        metric: `exact_match` or `answer_log_prob`.

    Raises:
        InputError: several checkpoints.
    """
    if "n_seeds" not in summary:
        rows = summary
    summary = summarized(summary, summarize_necessity)
    one_checkpoint(summary)
    cells = summary.loc[(summary["metric"] == metric) & (summary["mode"] != UNTOUCHED)]
    design, found = design_of(summary), find_metric(metric)
    parts = list(dict.fromkeys(zip(cells["mode"], cells["part"], strict=True)))
    panels = {
        name: (1, shift) for name, shift in zip(design.main.names, (-SHIFT, SHIFT), strict=True)
    }
    panels[GAP] = (2, 0.0)
    recited = {f"{RECITE}{name}": (3, shift) for name, (_, shift) in panels.items()}
    panels |= {name: place for name, place in recited.items() if name in set(cells["subset"])}
    n_rows = max(row for row, _ in panels.values())
    figure = make_subplots(rows=n_rows, shared_xaxes=True, vertical_spacing=0.06)
    figure.add_scatter(
        x=[None], y=[None], name="Stage 2 as it was", mode="lines",
        line={"color": FAINT, "dash": "dash", "width": 1.2},
    )  # fmt: skip
    changes = None if rows is None else changes_of(rows)
    for subset, (row, shift) in panels.items():
        style = _style(subset, design)
        of_subset = cells.loc[cells["subset"] == subset].set_index(["mode", "part"]).loc[parts]
        _add_cells(figure, of_subset.reset_index(), subset, style, shift=shift, row=row)
        if changes is not None:
            own = changes.loc[(changes["subset"] == subset) & (changes["metric"] == metric)]
            own = own.loc[[each in parts for each in zip(own["mode"], own["label"], strict=True)]]
            x = [parts.index(each) + shift for each in zip(own["mode"], own["label"], strict=True)]
            values = own["value"].tolist(), own["seed"].tolist()
            add_seeds(figure, x, *values, color=style.color, row=row)
    n_seeds = int(cells["n_seeds"].to_numpy().max())
    title = titled(f"Stage 2 without a component, {found.words}", cells)
    about = f"{seeds_words(n_seeds, with_own=rows is not None)}; grey: {OTHERS}"
    style_figure(figure, title=title, height=ROW_HEIGHT, about=about)
    figure.update_xaxes(
        **name_ticks(list(range(len(parts))), [treated_words(*each) for each in parts],
                     width=PAGE - 100),
        range=[-0.6, len(parts) - 0.4],
    )  # fmt: skip
    figure.update_xaxes(title="what is kept from learning", row=n_rows)
    unit = f"<br>({found.unit})"
    figure.update_yaxes(title=f"{found.heading.removesuffix(' (nats)')}{unit}", row=1)
    figure.update_yaxes(title=f"gap {design.main.words}{unit}", zeroline=True, row=2)
    if n_rows > 2:
        figure.update_yaxes(title=f"recited{unit}", row=3)
    make_room(figure, inside=n_rows * ROW_HEIGHT)
    return figure


def part_words(part: str) -> str:
    """What a component, or a set of them, is called.

    >>> [part_words(part) for part in ("emb", "a1.leading", "a0.h3+m1", "heads")]
    ['alias rows', 'leading head of layer 1', 'head 3 of layer 0 and MLP of layer 1', 'all heads']
    """
    if "+" in part:
        return " and ".join(map(part_words, part.split("+")))
    if found := re.fullmatch(rf"a(\d+)\.{LEADING}", part):
        return f"leading head of layer {found[1]}"
    if found := re.fullmatch(r"a(\d+)\.h(\d+)", part):
        return f"head {found[2]} of layer {found[1]}"
    if found := re.fullmatch(r"m(\d+)", part):
        return f"MLP of layer {found[1]}"
    return _WORDS.get(part, part)


def treated_words(mode: str, part: str) -> str:
    """What was done with what.

    >>> treated_words("frozen", "m1"), treated_words("clamped", "a1.leading")
    ('MLP of layer 1 frozen', 'leading head of layer 1 clamped')
    """
    return f"{part_words(part)} {mode}"


def _add_cells(
    figure: go.Figure, cells: pd.DataFrame, subset: str, style: Mark, *, shift: float, row: int
) -> None:
    """Means with the intervals of their change, the others' in grey, and the untouched level."""
    words = [treated_words(*each) for each in zip(cells["mode"], cells["part"], strict=True)]
    half = shown_halves(cells["difference"], cells["ci_high"], cells["n_seeds"])
    series = {
        f"{subset}, {OTHERS}": (
            cells["untouched"] + cells["control"], np.zeros(len(cells)),
            {"color": NULL_COLOR, "symbol": f"{style.symbol}-open", "size": 8}, ASIDE,
        ),
        subset: (
            cells["value"], half, {"color": style.color, "symbol": style.symbol, "size": 8}, 0.0
        ),
    }  # fmt: skip
    for name, (values, halves, marker, aside) in series.items():
        known = values.notna().to_numpy()
        x = np.arange(len(cells)) + shift + aside
        counts = cells.loc[known, "n_seeds"] if name == subset else [1] * int(known.sum())
        figure.add_scatter(
            x=x[known], y=values[known], mode="markers", name=name, marker=marker,
            text=[each for each, is_known in zip(words, known, strict=True) if is_known],
            error_y={"array": halves[known], "thickness": 1.4, "width": 3},
            hovertemplate=mean_hover("%{text}: ", counts), showlegend=name == subset and row < 3,
            row=row, col=1,
        )  # fmt: skip
    figure.add_scatter(
        x=[-0.6, len(cells) - 0.4], y=[cells["untouched"].iloc[0]] * 2, mode="lines",
        line={"color": style.color, "dash": "dash", "width": 1.2}, showlegend=False,
        name=f"{subset}, Stage 2 as it was", hovertemplate="%{y:.3f}", row=row, col=1,
    )  # fmt: skip


def _style(subset: str, design: Design) -> Mark:
    return (
        Mark(color=INK, symbol="diamond")
        if subset == GAP
        else (subset_style(subset.removeprefix(RECITE), design))
    )
