"""How sure a mean over seeds is, as figures show it.

A 95% t interval of two or three seeds is wider than anything that was measured, and reaches beyond
what is possible. Figures of so few show each seed's own value instead, a heat map when the mouse is
over a cell; tables keep the interval.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from training.statistics import t_interval

FEWEST = 4
"""Seeds from which on a figure shows an interval."""


def seeds_words(n_seeds: int, *, with_own: bool = True) -> str:
    """What marks and bars of a figure stand for.

    Args:
        n_seeds: Number of seeds.
        with_own: Whether few seeds are shown one by one.

    >>> seeds_words(8), seeds_words(1)
    ('mean and 95% t interval, n = 8 seeds', '1 seed')
    >>> seeds_words(3)
    'mean and each of n = 3 seeds, too few for an interval'
    """
    if n_seeds >= FEWEST:
        return f"mean and 95% t interval, n = {n_seeds} seeds"
    if n_seeds == 1:
        return "1 seed"
    return f"mean {'and each ' if with_own else ''}of n = {n_seeds} seeds, too few for an interval"


def shown_halves(mean: ArrayLike, high: ArrayLike, n_seeds: ArrayLike) -> np.ndarray:
    """Half the width of each interval, 0 where the seeds are too few to show one."""
    halves = np.asarray(high, dtype=float) - np.asarray(mean, dtype=float)
    return np.nan_to_num(np.where(np.asarray(n_seeds) >= FEWEST, halves, 0.0))


def over_seeds(table: pd.DataFrame, by: Sequence[str], column: str) -> pd.DataFrame:
    """A column's mean, 95% t interval and number of seeds, for each cell in the table's order."""
    groups = table.groupby(list(by), sort=False)[column]
    intervals = groups.agg(lambda values: t_interval(values))
    return pd.DataFrame(
        {
            "mean": groups.mean(),
            "ci_low": [low for low, _ in intervals],
            "ci_high": [high for _, high in intervals],
            "n_seeds": groups.size(),
        }
    ).reset_index()


def mean_hover(
    words: str, n_seeds: Iterable[int], *, decimals: int = 3, axis: str = "y"
) -> list[str]:
    """What hovering over each mean says: words, the mean, and its interval where one is shown.

    Args:
        words: Before the number.
        n_seeds: Number of seeds of each mean.
        decimals: Decimals of the numbers.
        axis: Along which the means are.

    >>> mean_hover("D5: ", [3, 8])
    ['D5: %{y:.3f}', 'D5: %{y:.3f} ± %{error_y.array:.3f}']
    """
    mean, half = f"%{{{axis}:.{decimals}f}}", f"%{{error_{axis}.array:.{decimals}f}}"
    return [f"{words}{mean}" + (f" ± {half}" if n >= FEWEST else "") for n in n_seeds]


def interval_hover(words: str, n_seeds: Iterable[int]) -> list[str]:
    """What hovering over each mark says: words, and its interval where one is shown.

    Args:
        words: Before the interval, whose ends are the first two of the mark's `customdata`.
        n_seeds: Number of seeds of each mark.

    >>> interval_hover("%{y:.2f}", [3, 8])
    ['%{y:.2f}', '%{y:.2f} [%{customdata[0]:.3f}, %{customdata[1]:.3f}]']
    """
    ends = " [%{customdata[0]:.3f}, %{customdata[1]:.3f}]"
    return [words + (ends if n >= FEWEST else "") for n in n_seeds]


def difference_words(cell: Mapping[str, Any]) -> str:
    """A cell's difference for its hover, with its interval where one is shown.

    >>> difference_words({"difference": 0.5, "ci_low": 0.25, "ci_high": 0.75, "n_seeds": 8})
    '+0.500 [+0.250, +0.750]'
    """
    mean = f"{cell['difference']:+.3f}"
    if cell["n_seeds"] < FEWEST:
        return mean
    return f"{mean} [{cell['ci_low']:+.3f}, {cell['ci_high']:+.3f}]"


def fitting_range(
    figure: go.Figure, least: Sequence[float], *, row: int | None = None
) -> list[float]:
    """Limits of a y axis around all marks and intervals.

    Args:
        figure: A figure with subplots, whose traces are drawn.
        least: Values that must lie inside, too.
        row: Of whose panels; of all unless given.
    """
    ends = list(least)
    traces: list[Any] = list(figure.select_traces(row=row))
    for trace in traces:
        half = 0.0 if trace.error_y.array is None else trace.error_y.array
        values = np.asarray(trace.y, dtype=float)
        for edge in (values - half, values + half):
            ends += edge[np.isfinite(edge)].tolist()
    space = 0.08 * (max(ends) - min(ends)) or 0.5
    return [min(ends) - space, max(ends) + space]


def add_seeds(
    figure: go.Figure,
    x: Sequence[object],
    y: Sequence[float],
    seeds: Sequence[object],
    *,
    color: str,
    row: int = 1,
    col: int = 1,
    group: str | None = None,
    beside: str | None = None,
    upright: bool = False,
) -> None:
    """Each seed's own value as a small mark, if the seeds are few but more than one.

    Args:
        figure: A figure with subplots.
        x: Where each value stands.
        y: The values.
        seeds: The seed of each value.
        color: The colour of the marks.
        row: The row of the panel.
        col: The column of the panel.
        group: The entry of the legend that they follow.
        beside: The group in whose place they stand, if not in their own.
        upright: Whether `x` are the values and `y` where they stand.
    """
    if not 1 < len(set(seeds)) < FEWEST:
        return
    value, symbol = ("x", "line-ns-open") if upright else ("y", "line-ew-open")
    figure.add_scatter(
        x=list(x), y=list(y), mode="markers", text=[f"seed {seed}" for seed in seeds],
        marker={"color": color, "symbol": symbol, "size": 9, "opacity": 0.75},
        hovertemplate=f"%{{text}}: %{{{value}:.3f}}<extra></extra>",
        showlegend=False, legendgroup=group,
        offsetgroup=beside or group,
        row=row, col=col,
    )  # fmt: skip


def own_words(by_seed: Mapping[int, float], *, decimals: int = 3) -> str:
    """Each seed's own value in lines below another, for a hover; nothing of one seed or many.

    Args:
        by_seed: The values.
        decimals: Of the numbers.

    >>> own_words({1000: 0.61, 1001: 0.58}, decimals=2)
    '<br>seed 1000: 0.61<br>seed 1001: 0.58'
    >>> own_words({1000: 0.61}), own_words(dict.fromkeys(range(4), 0.5))
    ('', '')
    """
    if not 1 < len(by_seed) < FEWEST:
        return ""
    return "".join(f"<br>seed {seed}: {by_seed[seed]:.{decimals}f}" for seed in sorted(by_seed))


def with_own_words(
    cells: pd.DataFrame, rows: pd.DataFrame | None, columns: Sequence[str], *, keys: Sequence[str]
) -> pd.DataFrame:
    """Cells of a heat map with a column `own_` and the name for each of `columns`: see `own_words`.

    Args:
        cells: Means over seeds, a row a cell.
        rows: What they are means of, a row a seed and cell; without, there are no words.
        columns: Whose values.
        keys: Columns of both that tell the cells apart.
    """
    added = {}
    for column in columns:
        found: dict[object, dict[int, float]] = {}
        if rows is not None:
            known = rows.loc[rows[column].notna(), [*keys, "seed", column]]
            for *key, seed, value in known.itertuples(index=False, name=None):
                found.setdefault(tuple(key), {})[seed] = value
        places = cells[list(keys)].itertuples(index=False, name=None)
        added[f"own_{column}"] = [own_words(found.get(place, {})) for place in places]
    return cells.assign(**added)


def own_hover(cells: pd.DataFrame, column: str) -> tuple[str, list[str] | None]:
    """The end of a heat map's `hovertemplate`, and its `hovertext`, of `with_own_words`."""
    words = cells[f"own_{column}"].tolist()
    return ("%{hovertext}", words) if any(words) else ("", None)


def own_note(cells: pd.DataFrame) -> str:
    """What a caption says after its words on means, of `with_own_words`."""
    own = [name for name in cells.columns if name.startswith("own_")]
    return ", each seed's on hover" if any(any(cells[name]) for name in own) else ""
