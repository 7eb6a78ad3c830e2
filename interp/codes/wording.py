"""Codes in words: where each subset is written, what its amounts explain, the nulls beside it."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from data.design import Contrast
from interp.codes.edited import GAP, SHARE
from interp.codes.edits import ADD, EXCHANGE, PROJECT, SWAP, TAKE, TURN
from interp.codes.estimation import CODES, QUESTION, RELIABLE, UNRELIABLE
from interp.codes.places import WEIGHTS, WEIGHTS_ALL
from interp.codes.projection_wording import projection_sentences
from interp.codes.recital import OTHER_TAG, OWN_TAG
from interp.codes.shape import CEILING, COEFFICIENT, COSINE, FIT, LENGTH, code_words
from interp.codes.span_wording import span_sentences
from interp.codes.summary import LEAVES, SET
from interp.figures.grid_tables import ALPHA
from training.designs import design_of

PLACE = ["site", "layer", "role"]
Cell = Mapping[str, Any]
NULL_WORDS = {
    "null_other": "another entity's code",
    "null_permuted": "entities permuted",
    "null_random": "random vectors",
    "null_tag": "the other tag's code",
}
EDIT_WORDS = {
    "take": "taken out",
    "add": "added",
    "swap": "swapped",
    "lower": "lowered",
    "raise": "raised",
    "equal": "equal",
    "exchange": "exchanged",
    "set": "mean of the last four",
    "turn_in": "turned in",
    "turn_out": "turned out",
    "turn": "turned, both",
    "span": "directions exchanged",
    "beside": "all but them",
    "changed_span": "their changes",
    "project": "projected out",
    "project_embed": "of the embedding",
    "project_blocks": "of the blocks",
}
"""What figures and tables call an edit, in their order."""


def place_words(cells: pd.DataFrame) -> str:
    """Where codes were looked at.

    >>> place_words(pd.DataFrame({"site": ["resid_pre"], "layer": [1], "role": ["alias_last"]}))
    'resid_pre of layer 1 at alias_last'
    """
    first = cells.iloc[0]
    if first["site"] == "embed":
        return "the alias's rows of the embedding"
    if first["site"] == WEIGHTS:
        return f"what the changed weights of block {first['layer']} write at {first['role']}"
    if first["site"] == WEIGHTS_ALL:
        return f"all changed weights, codes of {first['role']}"
    return f"{first['site']} of layer {first['layer']} at {first['role']}"


def at_places(cells: pd.DataFrame, twin: pd.DataFrame | None = None) -> list[str]:
    """`found` at every place of a table, under the place's name where there are several."""
    groups = list(cells.groupby(PLACE, sort=False))
    sentences = []
    for _, here in groups:
        place = here[PLACE].iloc[0].tolist()
        theirs = None if twin is None else twin.loc[(twin[PLACE] == place).all(axis=1)]
        said = found(here, theirs)
        name = place_words(here)
        if len(groups) > 1:
            said[0] = f"{name[0].upper()}{name[1:]}: {said[0]}"
        sentences += said
    return sentences


def found(cells: pd.DataFrame, twin: pd.DataFrame | None = None) -> list[str]:
    """What was found at one place of one run, the answer first.

    Args:
        cells: Rows of a `codes_summary` of one run, checkpoint and place.
        twin: The same of its null twin, where that was looked at.
    """
    main, known = design_of(cells).main, _by_cell(cells)
    if cells["site"].iloc[0] == WEIGHTS_ALL:
        return projection_sentences(known, main)
    fit = known.get((RELIABLE, "", "", FIT))
    if fit is not None and fit["value"] <= 0:
        return [
            (
                "No codes can be told here: entities have one alias each, and of Stage 1's aliases "
                f"held out, those of entities' own names predict {fit['value']:+.0%} of the "
                "variance, where their mean predicts 0%. Nothing else at this place counts."
            )
        ]
    sentences = [*_share_sentences(known, main), *_beside_twin(known, twin, main)]
    sentences += [*_edit_sentences(known, main), *span_sentences(known, main)]
    sentences += _shape_sentences(known, main)
    if (RELIABLE, main.gap, PROJECT, GAP) in known:
        sentences += projection_sentences(known, main)
    return [*sentences, *_recital_sentences(known, main)]


def _by_cell(cells: pd.DataFrame) -> dict[tuple[str, str, str, str], Cell]:
    keys = ["code", "subset", "edit", "quantity"]
    return {tuple(cell[name] for name in keys): cell for cell in cells.to_dict("records")}  # pyright: ignore[reportReturnType]


def _share_sentences(known: Mapping[tuple, Cell], main: Contrast) -> list[str]:
    """How much of the gap the amounts of the reliable tag's code explain."""
    gap, share = known["", main.gap, "", GAP], known.get((RELIABLE, main.gap, SET, SHARE))
    if share is None:
        return [
            (
                f"There is no gap {main.words} to explain: it is {_interval(gap, 2)} nats "
                f"(n = {gap['n_seeds']} seeds)."
            )
        ]
    exchanged = known[RELIABLE, main.gap, EXCHANGE, GAP]
    sure = gap["value_low"] > 0
    counts = (
        "The share counts: after the edit neither subset lies at floor or ceiling, and the nulls "
        "leave the gap."
        if share["counts"] and sure
        else f"The share does not count: {_why_not(share, sure)}."
    )
    return [
        (
            f"The gap {main.words} is {_interval(gap, 2)} nats. With the amounts of the own "
            "entity's code set (lowered, raised, equal, exchanged; everything else of an alias's "
            f"change kept), {share['value']:.0%} {_percents(share)} of it is explained; with the "
            f"same amounts of other vectors {_nulls(share)} (corrected p = "
            f"{share['p_corrected']:.2g}; the least possible is {share['p_smallest']:.2g} with "
            f"{share['n_seeds']} seeds)."
        ),
        f"{counts} Exchanged, the gap is {_interval(exchanged, 2)} nats.",
    ]


def _why_not(share: Cell, sure: bool) -> str:
    if not sure:
        return "the interval of the gap includes none"
    taken = [words for name, words in NULL_WORDS.items() if share[name] > LEAVES]
    if taken:
        return f"put in its place, {' and '.join(taken)} would take the gap away as well"
    return "after the edit a subset lies at floor or ceiling"


def _beside_twin(
    known: Mapping[tuple, Cell], twin: pd.DataFrame | None, main: Contrast
) -> list[str]:
    """What of it the null twin shows as well, where tags tell nothing."""
    if (RELIABLE, main.gap, SET, SHARE) not in known:
        return []  # where nothing is explained there is nothing to hold against the twin
    if twin is None or twin.empty:
        return ["The null twin was not looked at, so nothing here is known to be about the tag."]
    theirs = _by_cell(twin)
    gap = theirs["", main.gap, "", GAP]
    ours, other = (
        each[RELIABLE, code_words(UNRELIABLE), "", COSINE]["value"] for each in (known, theirs)
    )
    lower = main.lower.name
    mine, its = (each[RELIABLE, lower, "", COSINE]["value"] for each in (known, theirs))
    return [
        (
            f"In the null twin the gap is {_interval(gap, 2)} nats. The two tags' codes have a "
            f"cosine of {ours:+.2f} here and of {other:+.2f} there; {main.short_names[1]}'s change "
            f"and the reliable tag's code one of {mine:+.2f} here and of {its:+.2f} there."
        )
    ]


def _edit_sentences(known: Mapping[tuple, Cell], main: Contrast) -> list[str]:
    """Necessity, sufficiency, whether answers follow, and the turn."""
    higher, lower = main.names
    short = dict(zip(main.names, main.short_names, strict=True))
    said = []
    for edit, subset, words in (
        (TAKE, higher, "taken out of"),
        (ADD, lower, "added to"),
    ):
        trained = known["", subset, "", "answer_log_prob"]
        edited = known[RELIABLE, subset, edit, "answer_log_prob"]
        said.append(
            f"With the own entity's code {words} {short[subset]}, its answers go from "
            f"{trained['value']:.2f} to {_interval(edited, 2)} nats; with as much of other vectors "
            f"to {edited['control']:.2f} ({_told(edited)})."
        )
    followed = known.get((RELIABLE, higher, SWAP, "other_match"))
    if followed is not None:
        said.append(
            f"With another entity's code in its place, {short[higher]} gets that entity's answers "
            f"in {followed['value']:.0%} of questions; with other vectors swapped in "
            f"{followed['control']:.0%} ({_told(followed)})."
        )
    turned = known.get((RELIABLE, main.gap, TURN, SHARE))
    if turned is not None:
        said.append(
            "Where a subset writes, apart from how much (each subset's writing in both tags' codes "
            f"given the other's composition), explains {turned['value']:.0%} {_percents(turned)} "
            f"of the gap; other vectors {turned['control']:.0%}."
        )
    return said


def _shape_sentences(known: Mapping[tuple, Cell], main: Contrast) -> list[str]:
    """Cosines, amounts and lengths of both subsets' changes."""
    said = []
    for subset, short in zip(main.names, main.short_names, strict=True):
        cosines = ", ".join(
            f"{known[code, subset, '', COSINE]['value']:+.2f} with {_code_of(code)} (noise allows "
            f"{known[code, subset, '', CEILING]['value']:.2f}; nulls "
            f"{known[code, subset, '', COSINE]['control']:+.2f})"
            for code in CODES
        )
        length = known["", subset, "", LENGTH]["value"]
        amount = known[RELIABLE, subset, "", COEFFICIENT]["value"]
        said.append(
            f"{short}'s mean change by entity has a cosine of {cosines}; its length is "
            f"{length:.3f}, its amount of the reliable tag's code {amount:+.3f}."
        )
    asked = known[RELIABLE, code_words(QUESTION), "", COSINE]["value"]
    said.append(f"The reliable tag's code and the questions' have a cosine of {asked:+.2f}.")
    return said


def _recital_sentences(known: Mapping[tuple, Cell], main: Contrast) -> list[str]:
    """How definitions are recited with either tag, without the code of either."""
    said = []
    for subset, short in zip(main.names, main.short_names, strict=True):
        for name, words in ((OWN_TAG, "their own tag"), (OTHER_TAG, "the other tag")):
            told = f"{subset} {name}"
            if ("", told, "", "answer_log_prob") not in known:
                continue
            trained = known["", told, "", "answer_log_prob"]["value"]
            taken = {c: known[c, told, TAKE, "answer_log_prob"] for c in (RELIABLE, UNRELIABLE)}
            without = ", ".join(
                f"{cell['value']:.2f} without {_code_of(code)} (nulls {cell['control']:.2f})"
                for code, cell in taken.items()
            )
            said.append(
                f"{short}'s definitions with {words}: recited at {trained:.2f} nats, {without}."
            )
    return said


def _code_of(code: str) -> str:
    return "the questions' code" if code == QUESTION else f"the {code} tag's code"


def _told(cell: Cell) -> str:
    told = "told apart" if cell["p_corrected"] <= ALPHA else "not told apart"
    return f"{told}, corrected p = {cell['p_corrected']:.2g}"


def _nulls(cell: Cell) -> str:
    return ", ".join(f"{cell[name]:.0%} ({words})" for name, words in NULL_WORDS.items())


def _percents(cell: Cell) -> str:
    if cell["value_low"] != cell["value_low"]:
        return "(one seed)"
    return f"[{cell['value_low']:.0%}, {cell['value_high']:.0%}]"


def _interval(cell: Cell, digits: int) -> str:
    if cell["value_low"] != cell["value_low"]:
        return f"{cell['value']:+.{digits}f}"
    ends = f"[{cell['value_low']:+.{digits}f}, {cell['value_high']:+.{digits}f}]"
    return f"{cell['value']:+.{digits}f} {ends}"
