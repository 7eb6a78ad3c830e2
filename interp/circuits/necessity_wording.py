"""Necessity in training in words: does the gap still form without a component?"""

from typing import Any

import pandas as pd

from interp.circuits.behaviours import BehaviourKind
from interp.circuits.disruption import GAP
from interp.circuits.necessity_plots import treated_words
from interp.circuits.treatments import ALL, FROZEN, UNTOUCHED
from interp.circuits.wording import p_words
from interp.figures.grid_tables import ALPHA
from interp.figures.words import gap_text
from interp.hooked.answers import ANSWER_METRICS
from training.designs import design_of
from training.metrics import EXACT_MATCH, find_metric

Cell = dict[str, Any]
MOST_SAID = 6
"""Changes of the gap that a sentence tells."""


def necessity_found(cells: pd.DataFrame) -> list[str]:
    """Whether any component is needed beyond others like it, then every change of the gap.

    Args:
        cells: Rows of a `necessity_summary` of one run.
    """
    gaps = cells.loc[cells["subset"] == GAP]
    sentences = [_verdict(gaps, design_of(cells).main.words), *_recited(cells)]
    for metric in ANSWER_METRICS:
        records = gaps.loc[gaps["metric"] == metric].to_dict("records")
        sentences += _changes(records, find_metric(metric).heading)
    return [*sentences, _check(cells), _RULES]


def _verdict(gaps: pd.DataFrame, words: str) -> str:
    """What is told apart from others of its layer and kind, if anything is."""
    tested = gaps.loc[gaps["p_corrected"].notna()]
    if tested.empty:
        return f"No component has others like it, so whether the gap {words} needs one is open."
    needed = tested.loc[tested["p_corrected"] <= ALPHA].to_dict("records")
    if needed:
        said = "; ".join(
            f"{treated_words(each['mode'], each['part'])} ({find_metric(each['metric']).heading}, "
            f"{p_words(each)})"
            for each in needed
        )
        return (
            f"More of the gap {words} is lost than with others of the same layer and kind kept "
            f"from learning: {said}."
        )
    least = tested["p_smallest"].min()
    n_seeds = int(tested["n_seeds"].max())
    return (
        f"Keeping a component from learning is not shown to cost more of the gap {words} than "
        f"keeping others of its layer and kind (the least possible p is {least:.2g} with {n_seeds} "
        f"seed{'s' * (n_seeds != 1)})."
    )


def _recited(cells: pd.DataFrame) -> list[str]:
    """Whether definitions are still recited where the gap is lost: without them it cannot form."""
    higher = design_of(cells).main.higher.name
    exact = cells.loc[cells["metric"] == EXACT_MATCH.name].set_index(["mode", "part", "subset"])
    tested = cells.loc[(cells["subset"] == GAP) & (cells["p_corrected"] <= ALPHA)]
    name, found = f"{BehaviourKind.RECITE} {higher}", []
    for mode, part in dict.fromkeys(zip(tested["mode"], tested["part"], strict=True)):
        if (mode, part, name) not in exact.index:
            continue
        cell = exact.loc[(mode, part, name)]
        found.append(
            f"With {treated_words(mode, part)}, definitions of {higher} are recited at "
            f"{cell['value']:.2f} instead of {cell['untouched']:.2f}; where they are not learned, "
            "nothing of them can be internalized."
        )
    return found


def _changes(records: list[Cell], heading: str) -> list[str]:
    """Every part's change of the gap, those with the largest loss first."""
    (whole,) = [each for each in records if each["mode"] == UNTOUCHED]
    stage1 = [each for each in records if (each["mode"], each["part"]) == (FROZEN, ALL)]
    others = [each for each in records if each is not whole and each not in stage1]
    others.sort(key=lambda each: each["difference"])
    head = f"Gap in {heading}: {whole['value']:+.3f} after Stage 2 as it was"
    head += "".join(f", {each['value']:+.3f} before it" for each in stage1)
    parts, few = [], others[MOST_SAID:]
    for each in others[:MOST_SAID]:
        known = {"mean": each["difference"]} | {
            f"ci_{end}": each[f"ci_{end}"] if pd.notna(each[f"ci_{end}"]) else None
            for end in ("low", "high")
        }
        beside = ""
        if each["n_tested"]:
            beside = f" (others {each['control']:+.3f}, {p_words(each)})"
        parts.append(f"{treated_words(each['mode'], each['part'])} {gap_text(known)}{beside}")
    if few:
        parts.append(
            f"{len(few)} more between {few[0]['difference']:+.3f} and {few[-1]['difference']:+.3f}"
        )
    return [f"{head}. Change, largest loss first: {'; '.join(parts)}."]


def _check(cells: pd.DataFrame) -> str:
    """Whether the untouched training is the run's own."""
    untouched = cells.loc[cells["mode"] == UNTOUCHED].iloc[0]
    if untouched["distance"] == 0:
        n_seeds = untouched["n_seeds"]
        return (
            f"Stage 2 trained again as it was equals the run's own bit for bit, in {n_seeds} of "
            f"{n_seeds} seeds."
        )
    return (
        "Stage 2 trained again as it was differs from the run's own in a weight by up to "
        f"{untouched['distance']:.2g}: another machine or other versions trained the run."
    )


_RULES = (
    "Frozen: weights stay as Stage 1 left them. Clamped: a head attends as Stage 1's model does. "
    "Leading: in each seed the head of the layer without which most of what the run's own Stage 2 "
    "says of the higher subset is lost. The MLP of a layer has no other like it, so no p. p is "
    "corrected over all that was tried, of a subset and metric."
)
