"""Patching in words: what carries the answer, whether two subsets differ, and how sure that is.

Sentences are about single tokens: `all` patches the whole prompt, and the stream before layer 0 is
the prompt's embedding, so that its effect is known beforehand.
"""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import pandas as pd

from interp.figures.grid_tables import ALPHA, is_one_model
from interp.figures.places import at_words, in_words, site_kind_words, site_words
from interp.figures.seed_marks import FEWEST
from interp.figures.words import gap_text
from interp.patching.contrasts import (
    have_common_seeds,
    patch_contrast,
    strongest_heads,
    tag_gaps,
)
from interp.patching.kept import is_counted
from interp.patching.pair_batches import EVERYWHERE, PatchMetric
from interp.patching.summary import attribution_correlation
from interp.patching.units import is_of_tags, metric_words
from training.designs import design_of
from training.statistics import t_interval

CAPTION_WIDTH = 132  # characters
MOST_NAMED = 2
"""So many cells are named in a sentence; more are counted."""
ENDS = {
    "denoise": ("denoising", "clean into corrupted", "the clean prompt's answer is back"),
    "noise": ("noising", "corrupted into clean", "the clean prompt's answer is lost"),
}
"""Of each direction its name, what is put where, and what an effect of 1 means."""


def asked_first(cells: pd.DataFrame, compared: Sequence[str]) -> list[str]:
    """The subsets of a `patching_summary`, those that are compared first."""
    order = dict.fromkeys((*compared, *design_of(cells).names))
    return [name for name in order if name in set(cells["subset"])]


def first_metric(cells: pd.DataFrame) -> PatchMetric:
    """Of the metrics of a table the one that sentences and figures are about."""
    return next(metric for metric in PatchMetric if metric in set(cells["metric"]))


def found(
    table: pd.DataFrame, summary: pd.DataFrame, subsets: Sequence[str], *, metric: str
) -> list[str]:
    """What carries the answer in each subset and direction, whether two differ, and the least p.

    Args:
        table: Rows of a `patching` table of one run, checkpoint and kind of pairs.
        summary: The same of its `patching_summary`.
        subsets: Whose answers; the first two are compared.
        metric: What is read.
    """
    table, summary = (each.loc[each["metric"] == metric] for each in (table, summary))
    sentences = _answers(table, summary, subsets)
    if "gap" in table and is_of_tags(table):
        sentences += [gap_sentence(table.loc[table["subset"] == name]) for name in subsets]
    return [*sentences, limit_sentence(summary)]


def details(table: pd.DataFrame, subsets: Sequence[str], *, metric: str) -> list[str]:
    """The strongest single heads, and how well attribution follows; arguments as of `found`."""
    table = table.loc[table["metric"] == metric]
    sentences = []
    for direction in (name for name in ENDS if name in set(table["direction"])):
        rows = table.loc[table["direction"] == direction]
        of_heads = (rows.loc[(rows["subset"] == name) & (rows["head"] >= 0)] for name in subsets)
        sentences += [head_sentence(each) for each in of_heads if not each.empty]
        sentences.append(attribution_sentence(rows, subsets))
    return sentences


def patch_sentences(
    table: pd.DataFrame, summary: pd.DataFrame, subsets: Sequence[str], *, metric: str
) -> list[str]:
    """What was `found`, then its `details`; arguments as there."""
    told = details(table, subsets, metric=metric)
    return [*found(table, summary, subsets, metric=metric), *told]


def _answers(table: pd.DataFrame, summary: pd.DataFrame, subsets: Sequence[str]) -> list[str]:
    """By direction what carries the answer of each subset, and how the first two differ."""
    is_paired = have_common_seeds(table, subsets)
    contrast = patch_contrast(table, *subsets[:2]) if is_paired else None
    sentences = []
    for direction in (name for name in ENDS if name in set(summary["direction"])):
        cells = summary.loc[summary["direction"] == direction]
        sentences += [carrying_sentence(cells.loc[cells["subset"] == name]) for name in subsets]
        if contrast is not None:
            differences = contrast.loc[contrast["direction"] == direction]
            sentences.append(
                patch_contrast_sentence(differences, f"{subsets[0]} minus {subsets[1]}")
            )
    return sentences


def carrying_sentence(cells: pd.DataFrame) -> str:
    """Which single tokens' activations do more than another pair's; without any, the nearest.

    Args:
        cells: Rows of a `patching_summary` of one checkpoint, subset, direction and metric.
    """
    told = _told(cells).sort_values("difference", ascending=False, kind="stable")
    records = told.to_dict("records")
    name, way, end = ENDS[cells["direction"].iloc[0]]
    end = f"in units of {metric_words(cells)}" if is_of_tags(cells) else f"1: {end}"
    words = (
        f"{cells['subset'].iloc[0]}, {name} ({way}; effect {end}; {_pairs(cells, short=True)}): "
    )
    if cells["effect"].isna().to_numpy().all():
        return f"{words}no seed keeps enough pairs."
    if not records:
        return f"{words}no single token of a whole site was patched."
    found = [cell for cell in records if is_above_control(cell)]
    named = "; ".join(map(_cell_words, found[:MOST_NAMED] or records[:1]))
    if not found:
        few = _too_few(cells)
        return f"{words}above the control in none of {len(records)} cells{few}. Nearest: {named}."
    more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f"{words}above the control in {len(found)} of {len(records)} cells: {named}{more}."


def gap_sentence(rows: pd.DataFrame) -> str:
    """Whether the other tag does anything at all, from a table's rows of one subset and metric."""
    by_seed = tag_gaps(rows).to_numpy()
    if not len(by_seed):
        return f"{rows['subset'].iloc[0]}: no seed keeps enough pairs."
    low, high = (None if pd.isna(end) else end for end in t_interval(by_seed))
    change = gap_text({"mean": by_seed.mean(), "ci_low": low, "ci_high": high})
    return (
        f"{rows['subset'].iloc[0]}: its own tag instead of the other changes "
        f"the {metric_words(rows)} by {change} (n = {len(by_seed)} seeds)."
    )


def patch_contrast_sentence(contrast: pd.DataFrame, what: str) -> str:
    """Whether the effects of two subsets differ anywhere; if not, where they do most.

    Args:
        contrast: Of `patch_contrast`, of one direction and metric.
        what: What is subtracted from what.
    """
    told = _told(contrast).sort_values("difference", key=abs, ascending=False, kind="stable")
    cells = told.to_dict("records")
    name = ENDS[contrast["direction"].iloc[0]][0]
    if not cells:
        return f"{what}, {name}: no single token of a whole site was patched in both."
    found = [cell for cell in cells if cell["p_corrected"] <= ALPHA]
    best = (found or cells)[0]
    verdict = f"differ in {len(found)} of {len(cells)} cells, most" if found else (
        f"are not shown to differ in any of {len(cells)} cells; they do most"
    )  # fmt: skip
    return (
        f"{what}, {name}: the effects {verdict} {in_words(_place(best))}, "
        f"{best['higher']:.2f} against {best['lower']:.2f}, {gap_text(_estimate(best))}, "
        f"{_p(best)} (n = {best['n_seeds']} seeds)."
    )


def head_sentence(heads: pd.DataFrame) -> str:
    """The strongest single head of each seed, at the layer and token where it is strongest.

    Args:
        heads: Rows of heads of a `patching` table, of one checkpoint, subset, direction and metric.
    """
    best = strongest_heads(heads)
    if best.empty:
        return "Single heads: no seed keeps enough pairs."
    site, layer, role = best[["site", "layer", "role"]].iloc[0]
    low, high = t_interval(best["effect"])
    control = best.loc[:, "control"].mean()
    kind = "" if site == "z" else f" ({site_kind_words(site)})"
    interval = "" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]"
    return (
        f"{best['subset'].iloc[0]}, {ENDS[best['direction'].iloc[0]][0]} one head: the strongest "
        f"head of a seed is in layer {layer} {at_words(role)}{kind}, with an effect of "
        f"{best['effect'].mean():.2f}{interval} and a control of {_number(control)} (mean over "
        f"{len(best)} seed{'s' * (len(best) > 1)}; ranked by this effect itself, so too high)."
    )


def attribution_sentence(rows: pd.DataFrame, subsets: Sequence[str]) -> str:
    """How well the linear estimate follows the exact effect, over all cells of each seed.

    A correlation of 1 is also that of estimates half as large, so slope and error stand beside it.

    Args:
        rows: Rows of a `patching` table of one checkpoint, direction and metric.
        subsets: Whose.
    """
    found = attribution_correlation(rows.loc[is_counted(rows)])
    parts = [
        f"{subset} {correlation_words(found.loc[found['subset'] == subset])}" for subset in subsets
    ]
    name = ENDS[rows["direction"].iloc[0]][0]
    return f"Attribution patching, {name}, against the exact effect: {'; '.join(parts)}."


def correlation_words(correlations: pd.DataFrame) -> str:
    """`r = 0.990 (lowest of 8 seeds 0.980), slope 0.62, mean error 0.05`.

    Args:
        correlations: Of `attribution_correlation`, of one grid and all its seeds.
    """
    known = correlations.dropna(subset=["correlation"])
    if known.empty:
        return "r unknown"
    values = known["correlation"].to_numpy()
    lowest = f" (lowest of {len(values)} seeds {values.min():.3f})" if len(values) > 1 else ""
    slope, error = known["slope"].mean(), known["mean_error"].mean()
    return f"r = {values.mean():.3f}{lowest}, slope {slope:.2f}, mean error {error:.2f}"


def limit_sentence(summary: pd.DataFrame) -> str:
    """The least p that so many seeds can give, and what that means."""
    smallest = _smallest_p(summary)
    words = f"So many seeds can give no p below {smallest:.2g}"
    if smallest > ALPHA:
        return f"{words}: nothing, however strong, could be found."
    return (
        f"{words}; p is corrected over every cell of the table, heads and metrics included, and "
        "that of a difference between subsets over every cell of a whole site."
    )


def patch_caption(
    cells: pd.DataFrame, subsets: Sequence[str], *, about_means: str = ""
) -> list[str]:
    """What a reader must know to read the grid, in lines.

    Args:
        cells: Rows of a `patching_summary` of one checkpoint, direction and metric.
        subsets: Whose panels are shown.
        about_means: What else is to be said of the means.
    """
    name, way, end = ENDS[cells["direction"].iloc[0]]
    counts = "; ".join(
        f"{subset}: {_pairs(cells.loc[cells['subset'] == subset])}" for subset in subsets
    )
    scale = f"in units of {metric_words(cells)}" if is_of_tags(cells) else f"1: {end}"
    control = (
        "another alias with the prompt's own tag, held against the same with the other tag"
        if is_of_tags(cells)
        else "another pair's activation, which knows nothing of this pair's answer"
    )
    intervals = ", intervals on hover" if int(cells["n_seeds"].to_numpy().max()) >= FEWEST else ""
    means = (
        f"{name.capitalize()} ({way}). 0: nothing changes, {scale}. Means over seeds"
        f"{about_means}{intervals}. Control: {control}."
    )
    marks = (
        "▲ above, ▼ below the control, p ≤ .05 after correction over the whole table (no p below "
        f"{_smallest_p(cells):.2g} is possible). All tokens: at once. The stream before layer "
        "0 is the embedding: what it does is known beforehand."
    )
    texts = [means, marks, f"{counts}."]
    return [line for text in texts for line in wrap(text, CAPTION_WIDTH)]


def is_above_control(cell: Mapping[str, Any]) -> bool:
    """Whether a cell does more than the control, and survives correction."""
    return bool(cell["p_corrected"] <= ALPHA and cell["difference"] > 0)


def _told(cells: pd.DataFrame) -> pd.DataFrame:
    """Whole sites at single tokens, without the embedding."""
    is_known = (cells["site"] == "resid_pre") & (cells["layer"] == 0)
    told = cells.loc[~is_known & (cells["role"] != EVERYWHERE)]
    return told.loc[told["head"] < 0] if "head" in told else told


def _cell_words(cell: Mapping[str, Any]) -> str:
    """Where a cell is, its effect beside its control, and their difference."""
    other_tag = cell.get("other_tag", float("nan"))
    beside = f"control {_number(cell['control'])}"
    if not pd.isna(other_tag):
        beside = f"another alias with the other tag {other_tag:.2f}, with its own {beside[8:]}"
    return (
        f"{_place(cell)} {cell['effect']:.2f}, {beside}, difference "
        f"{gap_text(_estimate(cell))}, {_p(cell)}"
    )


def _pairs(cells: pd.DataFrame, *, short: bool = False) -> str:
    """On how much the cells rest: seeds, pairs of prompts, and the share that was left out.

    Args:
        cells: Of one subset.
        short: Whether to tell seeds apart only where some are left out.
    """
    n_seeds, n_pairs = (int(cells[name].to_numpy().max()) for name in ("n_seeds", "n"))
    if is_one_model(cells):
        return f"{n_pairs} pair{'s' * (n_pairs != 1)} of one model"
    dropped = float(cells["dropped"].to_numpy().max())
    words = f"n = {n_seeds} seed{'s' * (n_seeds != 1)}, {n_pairs} pairs"
    if not pd.isna(dropped):
        words += f", {dropped:.0%} dropped as not answered with confidence"
    # Tables made before seeds were counted by their pairs do not have it.
    by_seed = str(cells["kept_by_seed"].iloc[0]) if "kept_by_seed" in cells else ""
    return f"{words}: {by_seed}" if by_seed and (not short or "left out" in by_seed) else words


def _smallest_p(cells: pd.DataFrame) -> float:
    return float(cells["p_smallest"].dropna().to_numpy().min(initial=1.0))


def _too_few(cells: pd.DataFrame) -> str:
    """Why nothing could be found, where the seeds are too few for any p to be small."""
    smallest = _smallest_p(cells)
    return f" (so few seeds give no p below {smallest:.2g})" if smallest > ALPHA else ""


def _place(cell: Mapping[str, Any]) -> str:
    return f"{site_words(cell['site'], cell['layer'])} {at_words(cell['role'])}"


def _p(cell: Mapping[str, Any]) -> str:
    return f"corrected p = {cell['p_corrected']:.2g}"


def _estimate(cell: Mapping[str, Any]) -> dict[str, Any]:
    """As `wording` takes estimates: None where one seed has no interval."""
    known = {name: None if pd.isna(cell[name]) else cell[name] for name in ("ci_low", "ci_high")}
    return {"mean": cell["difference"], **known}


def _number(value: float) -> str:
    return "unknown" if pd.isna(value) else f"{value:.2f}"
