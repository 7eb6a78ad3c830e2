"""What figures of alignment draw: means over seeds, their intervals, or few seeds' own values."""

from collections.abc import Sequence

import pandas as pd

from data.errors import InputError
from interp.alignment.summary import ALL, ZERO, summarize_alignment, with_seeds
from interp.figures.grid_tables import summarized_with_rows
from interp.figures.seed_marks import FEWEST, seeds_words, shown_halves


def alignment_levels(
    summary: pd.DataFrame, rows: pd.DataFrame | None, measure: str, *, whole: bool = True
) -> pd.DataFrame:
    """Means held against zero, of one loss policy and mode of pairs (own, where there are both).

    Few seeds' own values are in the column `by_seed`; it is {} where an interval is shown instead,
    and where they are not known.

    Args:
        summary: Rows of an `alignment_summary` of one run, or a table of a model's own rows.
        rows: Rows of the `alignment` table that was summarized, if at hand.
        measure: Which measure.
        whole: Whether means are of the whole gradient, or of its parts.

    Raises:
        InputError: there are no means, or those of several runs or loss policies.
    """
    summary, rows = summarized_with_rows(summary, rows, summarize_alignment, pairs="own")
    is_whole = summary["component"] == ALL
    levels = summary.loc[(summary["measure"] == measure) & (is_whole if whole else ~is_whole)]
    levels = levels.loc[levels["against"] == ZERO]
    if levels.empty:
        raise InputError(f"the table has no {measure} of that kind; measure it first")
    if len(set(levels["loss_policy"])) > 1 or len(set(levels["run_id"])) > 1:
        raise InputError("the table has several loss policies or runs; choose the rows of one")
    modes = set(levels["pairs"])
    levels = levels.loc[levels["pairs"] == ("own" if "own" in modes else modes.pop())]
    is_few = levels["n_seeds"].between(2, FEWEST - 1).to_numpy()
    if rows is None or not is_few.any():
        return levels.assign(by_seed=[{}] * len(levels))
    found = with_seeds(levels, rows)
    shown = [each if few else {} for each, few in zip(found["by_seed"], is_few, strict=True)]
    return found.assign(by_seed=shown)


def levels_words(cells: pd.DataFrame) -> str:
    """What marks and bars of such levels stand for, and whose gradients they are of."""
    with_own = bool(cells["by_seed"].map(bool).any())
    words = seeds_words(int(cells["n_seeds"].to_numpy().max()), with_own=with_own)
    return f"{words}; loss policy {cells['loss_policy'].iloc[0]}"


def own_values(
    places: Sequence[float], cells: pd.DataFrame
) -> tuple[list[float], list[float], list[int]]:
    """Where each of few seeds' own values stands, how large it is, and whose it is."""
    found = [
        (place, value, seed)
        for place, by_seed in zip(places, cells["by_seed"], strict=True)
        for seed, value in by_seed.items()
    ]
    x, y, seeds = zip(*found, strict=True) if found else ((), (), ())
    return list(x), list(y), list(seeds)


def bars(cells: pd.DataFrame) -> dict[str, object]:
    """Intervals as a trace takes them."""
    half = shown_halves(cells["value"], cells["ci_high"], cells["n_seeds"])
    return {"array": half, "thickness": 1.4, "width": 3}
