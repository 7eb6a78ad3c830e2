"""In words: what of the gap lies in a code's directions, and the most that an exchange can do."""

from collections.abc import Mapping
from typing import Any

from data.design import Contrast
from interp.codes.edited import SHARE
from interp.codes.edits import BESIDE, CHANGED_SPAN, CHANGED_WHOLE, SPAN, WHOLE
from interp.codes.estimation import QUESTION
from interp.codes.spans import DIRECTIONS


def span_sentences(
    known: Mapping[tuple[str, str, str, str], Mapping[str, Any]], main: Contrast
) -> list[str]:
    """What exchanges of two aliases of one entity explain of the gap.

    Args:
        known: Cells of one place by code, subset, edit and quantity.
        main: The contrast that has the gap.
    """
    span = known.get((QUESTION, main.gap, SPAN, SHARE))
    if span is None:
        return []
    beside, changed = (known[QUESTION, main.gap, e, SHARE] for e in (BESIDE, CHANGED_SPAN))
    whole, all_changed = (known["", main.gap, e, SHARE] for e in (WHOLE, CHANGED_WHOLE))
    n = known[QUESTION, "", "", DIRECTIONS]["value"]
    return [
        (
            f"Aliases of one entity exchanged between {main.short_names[0]} and "
            f"{main.short_names[1]}: what lies in the {n:.1f} directions of the questions' code "
            f"explains {_share(span)} of the gap, all else {_share(beside)}; as many random "
            f"directions {span['null_random']:.0%}, those of the unreliable tag's code "
            f"{span['null_tag']:.0%}, those of entities dealt out anew "
            f"{span['null_permuted']:.0%}. Whole vectors exchanged explain {_share(whole)}."
        ),
        (
            f"Of what the stage *changed*, the same directions explain {_share(changed)}, and all "
            f"of it {_share(all_changed)}: no edit of changes can be expected to explain more, as "
            "a change fits the vector that it started from."
        ),
    ]


def _share(cell: Mapping[str, Any]) -> str:
    if cell["value_low"] != cell["value_low"]:
        return f"{cell['value']:.0%}"
    return f"{cell['value']:.0%} [{cell['value_low']:.0%}, {cell['value_high']:.0%}]"
