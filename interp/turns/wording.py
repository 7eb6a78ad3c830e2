"""Turned updates in words: was the treatment one, was the rest kept, and what became of the gap?"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from data.design import Design
from data.vocabulary import Part, Stage
from interp.figures.words import gap_text
from interp.turns.summary import AGAINST_UNTREATED
from interp.turns.treatments import (
    ALIGNMENT,
    CHECKS,
    INTO_QUESTION,
    MEANINGS,
    OWN_CODE,
    STAGE_ONE,
    TREATMENTS,
    UNTREATED,
)
from training.designs import design_of
from training.metrics import EXACT_MATCH, HEADLINE_METRICS, find_metric

KEPT = 0.05
"""Largest change of exact match on what Stage 1 trains with which a subset counts as kept."""
Cell = Mapping[str, Any]
_CHECKED: Mapping[str, tuple[str, str]] = {
    OWN_CODE: ("code_length", "length of the code that {lower} definitions write"),
    INTO_QUESTION: ("code_cosine", "cosine of {lower} definitions' code with the questions'"),
    ALIGNMENT: ("alignment", "difference {gap} in the cosine with own questions before Stage 2"),
}
"""What says whether a treatment was one; of the others, `coefficient`."""


def turns_found(cells: pd.DataFrame) -> list[str]:
    """What became of the gap under each treatment, those of Stage 1 first, and the rules.

    Args:
        cells: Rows of a `turns_summary` of one run.
    """
    design = design_of(cells)
    by_cell = _by_cell(cells)
    sentences = []
    for treatment in TREATMENTS:
        doses = sorted(set(cells.loc[cells["treatment"] == treatment, "dose"]), reverse=True)
        for dose in doses:
            sentences += _treatment(by_cell, design, treatment, dose)
    return [*sentences, _check(cells), _RULES]


def kept_words(cell: Cell) -> str:
    """Whether a subset that Stage 1 trains is answered as without the treatment.

    >>> kept_words({"difference": 0.01, "ci_low": -0.02, "ci_high": 0.04})
    'kept'
    >>> kept_words({"difference": -0.09, "ci_low": -0.11, "ci_high": -0.07})
    'not kept'
    >>> kept_words({"difference": -0.04, "ci_low": -0.07, "ci_high": -0.01})
    'open'
    """
    low, high = cell["ci_low"], cell["ci_high"]
    if low != low:  # one seed has no interval
        return "kept" if abs(cell["difference"]) <= KEPT else "not kept"
    if low >= -KEPT and high <= KEPT:
        return "kept"
    return "not kept" if high < -KEPT or low > KEPT else "open"


def trained_subsets(design: Design) -> list[str]:
    """What Stage 1 trains questions about, of aliases that stand for an entity."""
    return [
        each.name
        for each in design.subsets
        if each.part is Part.X1 and each.has_questions and each.replaced
    ]


def _treatment(
    by_cell: Mapping[tuple[Any, ...], Cell], design: Design, treatment: str, dose: float
) -> list[str]:
    """Gap, check of the manipulation, and what was kept."""
    sentences = []
    label = "Manipulation check" if treatment in CHECKS else "Treatment"
    stage = "1" if treatment in STAGE_ONE else "2"
    words = f"{label} '{treatment}' in Stage {stage} ({MEANINGS[treatment]}; dose {dose:g})"
    for metric in HEADLINE_METRICS:
        key = (treatment, dose, design.main.gap, metric, int(Stage.TWO))
        cell = by_cell.get((*key, AGAINST_UNTREATED))
        if cell is None:
            continue
        beside = [
            f"{_estimate(by_cell[each])} beyond '{each[-1]}' ({_p(by_cell[each])})"
            for each in by_cell
            if each[:-1] == key and each[-1] != AGAINST_UNTREATED
        ]
        sentences.append(
            f"{words}: gap {design.main.words} in {find_metric(metric).heading} "
            f"{cell['value']:+.3f} instead of {cell['null']:+.3f}, change {_estimate(cell)}"
            + "".join(f"; {each}" for each in beside)
            + "."
        )
        words = f"'{treatment}'"
    return [
        *sentences,
        *_checks(by_cell, design, treatment, dose),
        *_kept(by_cell, design, treatment, dose),
    ]


def _checks(
    by_cell: Mapping[tuple[Any, ...], Cell], design: Design, treatment: str, dose: float
) -> list[str]:
    """Whether the treatment changed what it is meant to change."""
    main = design.main
    unreliable = next(
        (n for n in design.compared(Part.X1).names if design.subset(n).tag == main.lower.tag), ""
    )
    metric, words = _CHECKED.get(
        treatment,
        ("coefficient", "difference {gap} in how far rows move along their question code"),
    )
    of_gap = metric in ("alignment", "coefficient")
    subset = main.gap if of_gap else unreliable
    after = int(Stage.TWO if metric == "coefficient" else Stage.ONE)
    cell = by_cell.get((treatment, dose, subset, metric, after, AGAINST_UNTREATED))
    if cell is None:
        return []
    what = words.format(gap=main.words, lower=unreliable.partition("_")[0])
    low, high = cell["ci_low"], cell["ci_high"]
    moved = "not shown to have moved"  # nor can one seed, which has no interval, show it
    if low > 0 or high < 0:
        moved = "moved"
    said = f"{cell['value']:+.3f} instead of {cell['null']:+.3f}, change {_estimate(cell)}"
    return [f"Its manipulation check, the {what}: {said}: {moved}."]


def _kept(
    by_cell: Mapping[tuple[Any, ...], Cell], design: Design, treatment: str, dose: float
) -> list[str]:
    """What Stage 1 trains, which a treatment of Stage 1 must leave as it is."""
    if treatment not in STAGE_ONE:
        return []
    found = []
    for subset in trained_subsets(design):
        key = (treatment, dose, subset, EXACT_MATCH.name, int(Stage.ONE), AGAINST_UNTREATED)
        if key in by_cell:
            found.append(f"{subset} {_estimate(by_cell[key])} ({kept_words(by_cell[key])})")
    return [f"Change after Stage 1 in what it trains, kept within {KEPT:g}: {'; '.join(found)}."]


def _by_cell(cells: pd.DataFrame) -> dict[tuple[Any, ...], Cell]:
    """Cells of treatments, not of their controls, by what they are of."""
    real = cells.loc[(cells["control_kind"] == "") & (cells["treatment"] != UNTREATED)]
    key = ["treatment", "dose", "subset", "metric", "after", "against"]
    names = real[key].itertuples(index=False, name=None)
    return dict(zip(names, real.to_dict("records"), strict=True))  # pyright: ignore[reportReturnType]


def _estimate(cell: Cell) -> str:
    ends = {end: cell[end] if cell[end] == cell[end] else None for end in ("ci_low", "ci_high")}
    return gap_text({"mean": cell["difference"], **ends})


def _p(cell: Cell) -> str:
    return (
        f"p = {cell['p_value']:.2g} by sign flips, least possible {cell['p_smallest']:.2g}, "
        f"n = {cell['n_seeds']} seeds"
    )


def _check(cells: pd.DataFrame) -> str:
    """Whether the untreated training is the run's own."""
    distance = float(cells["distance"].to_numpy().max())
    if distance == 0:
        return "Trained again with nothing turned, both stages equal the run's own bit for bit."
    return (
        f"Trained again with nothing turned, a weight differs from the run's own by up to "
        f"{distance:.2g}: another machine or other versions trained the run."
    )


_RULES = (
    "A control turns the same updates by the same angle, out of directions that are no code of the "
    "entity, or into another entity's. A turn in Stage 2 of one tag alone acts on the tag's effect "
    "itself: that the gap follows is no evidence of what made it."
)
