"""The report's section about patching, where the run folder has its tables."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import last_checkpoints, one_checkpoint, table_of
from interp.figures.markup import Html, table_html
from interp.figures.settings_note import settings_words
from interp.patching.kept import is_counted, kept_pairs
from interp.patching.pair_batches import EVERYWHERE
from interp.patching.plots import plot_attribution_patching, plot_patched_heads, plot_patching
from interp.patching.wording import ENDS, asked_first, first_metric, patch_sentences
from training.runs.run import Run

"""The first of these that a table has is shown."""
NOTES = (
    "A pair is two prompts that differ in one thing, each with its own answer. Denoising asks what "
    "suffices to bring the clean answer back, noising what it needs. The effect is a share of the "
    "metric between the two prompts, of means over pairs, and not clipped. The control puts in "
    "another pair's activation, of the same question where there is one, whose answer is neither of"
    " the two: about one half of a logit difference goes with any that takes the right answer away "
    "and brings a third. Of tag pairs it is a definition of another alias with the prompt's own "
    "tag, held against the same with the other tag. Seeds that keep fewer than 10 pairs are shown "
    "in the table of pairs only. Heads of different seeds cannot be matched and are ranked within "
    "each seed. Attribution is the linear estimate from one gradient, (donor − base) · gradient; a "
    "slope below 1 says that it is too small, which no correlation sees."
)


def patching_section(run: Run) -> Html | None:
    """What carries the answer at the last checkpoint of each stage that was patched."""
    summary, table = table_of(run, "patching_summary"), table_of(run, "patching")
    if summary is None or table is None:
        return None
    parts, settings = [], settings_words(summary)
    for at_checkpoint in reversed(last_checkpoints(summary)):
        stage, step = one_checkpoint(at_checkpoint)
        rows = table.loc[(table["stage"] == stage) & (table["step"] == step)]
        for kind in sorted(set(at_checkpoint["pair_kind"])):
            part = _kind_part(
                rows.loc[rows["pair_kind"] == kind],
                at_checkpoint.loc[at_checkpoint["pair_kind"] == kind],
                compared=run.compared_at(stage).names,
                name=f"patching-{stage}-{kind.replace('_', '-')}",
            )
            heading = f"Stage {stage}, step {step}: {kind} pairs"
            parts.append(replace(part, heading=heading, settings=settings))
    return section_html("Patching", parts, notes=NOTES)


def _kind_part(
    rows: pd.DataFrame, cells: pd.DataFrame, *, compared: tuple[str, str], name: str
) -> Part:
    """Sentences and figures of one checkpoint and kind of pairs, `compared` subsets first."""
    subsets, metric = asked_first(cells, compared), first_metric(cells)
    directions = [
        each for each in ENDS if each in set(cells.loc[cells["metric"] == metric, "direction"])
    ]
    sentences = patch_sentences(rows, cells, subsets, metric=metric)
    figures = {}
    if ((cells["head"] < 0) & cells["effect"].notna()).to_numpy().any():
        for direction in directions:
            grid = plot_patching(cells, rows, direction=direction, metric=metric)
            figures[f"{name}-{direction}"] = grid
    first = {"direction": directions[0], "metric": metric}
    is_first = (rows["direction"] == directions[0]) & (rows["metric"] == metric)
    there = rows.loc[is_first & is_counted(rows) & rows["effect"].notna()]
    if ((there["head"] >= 0) & (there["role"] != EVERYWHERE)).to_numpy().any():
        figures[f"{name}-heads"] = plot_patched_heads(rows, **first)
    if len(there):
        figures[f"{name}-attribution"] = plot_attribution_patching(rows, **first)
    return Part(sentences=sentences, figures=figures, tables=[_pairs_table(rows, subsets)])


def _pairs_table(rows: pd.DataFrame, subsets: Sequence[str]) -> Html:
    """How many pairs of prompts every seed's figures rest on."""
    kept = kept_pairs(rows)
    seeds = sorted(set(kept["seed"]))
    body = []
    for subset in subsets:
        of_subset = kept.loc[kept["subset"] == subset].sort_values("seed")
        told = [_kept_words(seed) for seed in of_subset.to_dict("records")]
        body.append([subset, *told, f"{of_subset['dropped'].mean():.0%}"])
    head = ["subset", *(f"seed {seed}" for seed in seeds), "dropped, mean"]
    return table_html(head, body, name="Pairs kept of those made")


def _kept_words(kept: dict[Hashable, Any]) -> str:
    """How many pairs of a subset one seed keeps, and whether that leaves the seed out."""
    left_out = "" if kept["is_counted"] else ", left out"
    return f"{kept['kept']} of {kept['made']}{left_out}"
