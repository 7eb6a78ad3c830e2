"""What predicts a definition's internalization, in sentences."""

from typing import Any

import pandas as pd

from interp.figures.words import gap_text
from interp.mediation.summary import (
    ALIGNMENT,
    BETWEEN,
    CARRIED,
    COEFFICIENT,
    CORRELATION,
    ENTITY,
    GAP,
    SLOPE,
    TAG,
)
from training.designs import design_of

ALPHA = 0.05
Cell = dict[str, Any]
NAMES = {
    ALIGNMENT: "its gradient's cosine with its own questions before Stage 2",
    COEFFICIENT: "its coefficient on its own entity's code",
}
"""What each predictor of a definition is."""


def mediation_found(cells: pd.DataFrame) -> list[str]:
    """What each predictor says of the definitions of a seed and tag, then what it would carry.

    Args:
        cells: Rows of a `mediation_summary` of one checkpoint.
    """
    known = {
        tuple(each[name] for name in ("predictor", "given", "within", "quantity")): each
        for each in cells.to_dict("records")
    }
    sentences = []
    for predictor, words in NAMES.items():
        main = known.get((predictor, "", TAG, CORRELATION))
        if main is None:
            continue
        sentences.append(_predicts(known, predictor, words, main))
        carried = _carried(known, predictor, design_of(cells).main.words)
        sentences += [carried] if carried else []
    if (COEFFICIENT, "", TAG, CORRELATION) not in known:
        sentences.append("No code coefficients are in the run's folder, so alignment stands alone.")
    return [*sentences, CAUTION]


CAUTION = (
    "One statistic a seed, t interval over seeds; the null shuffles within seed and tag. Seen in "
    "data that nobody changed, a slope is no proof of a cause."
)


def is_shown(cell: Cell) -> bool:
    """Whether a correlation is told from none by the shuffles and by its interval over seeds."""
    return cell["p_permuted"] <= ALPHA and (cell["ci_low"] > 0 or cell["ci_high"] < 0)


def _predicts(known: dict[tuple[str, ...], Cell], predictor: str, words: str, main: Cell) -> str:
    verb = "predicts" if is_shown(main) else "is not shown to predict"
    text = (
        f"Within a seed and tag, how well a definition is internalized is what {words} {verb}: "
        f"correlation {_number(main)} (shuffled {main['null']:+.3f}, p {main['p_permuted']:.2g}; "
        f"{int(main['n'])} definitions of {int(main['n_seeds'])} seeds)"
    )
    slope = known.get((predictor, "", TAG, SLOPE))
    text += f", {_number(slope)} nats for one standard deviation" if slope else ""
    others = [
        (f"given {NAMES[given].removeprefix('its ')}", (predictor, given, TAG, CORRELATION))
        for given in NAMES
    ]
    others.append(("among aliases of one entity", (predictor, "", ENTITY, CORRELATION)))
    for head, key in others:
        if key in known:
            cell = known[key]
            text += f"; {head} {_number(cell)} (p {cell['p_permuted']:.2g})"
    return f"{text}."


def _carried(known: dict[tuple[str, ...], Cell], predictor: str, words: str) -> str:
    cell, apart = known.get((predictor, "", TAG, CARRIED)), known.get((predictor, "", "", BETWEEN))
    gap = known.get(("", "", "", GAP))
    if cell is None or apart is None or gap is None:
        return ""
    return (
        f"It differs between the tags by {_number(apart)}; were its slope a cause, that would "
        f"carry {_number(cell)} nats of the gap {words} of {_number(gap)}."
    )


def _number(cell: Cell) -> str:
    is_known = cell["ci_low"] == cell["ci_low"]
    ends = {end: cell[end] if is_known else None for end in ("ci_low", "ci_high")}
    return gap_text({"mean": cell["value"], **ends} if not cell["null"] else
                    {"mean": cell["value"], **_moved(ends, cell["null"])})  # fmt: skip


def _moved(ends: dict[str, float | None], by: float) -> dict[str, float | None]:
    """The interval of a value, from that of its difference from its null."""
    return {name: None if end is None else end + by for name, end in ends.items()}
