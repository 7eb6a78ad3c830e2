"""In words: what is left of the gap with a code projected out of the weights' change."""

from collections.abc import Mapping
from typing import Any

from data.design import Contrast
from interp.codes.edited import GAP, SHARE
from interp.codes.edits import PROJECT, PROJECT_BLOCKS, PROJECT_EMBED
from interp.codes.estimation import RELIABLE

GROUPS = {PROJECT_EMBED: "of the embedding", PROJECT_BLOCKS: "of all blocks"}
"""Whose change a code is projected out of, where not all of what is looked at is meant."""
NULLS = {
    "null_random": "random directions",
    "null_permuted": "entities permuted",
    "null_tag": "the other tag's",
}


def projection_sentences(
    known: Mapping[tuple[str, str, str, str], Mapping[str, Any]], main: Contrast
) -> list[str]:
    """What each projection of the reliable tag's code leaves, beside as large ones of others.

    Args:
        known: Cells of one place by code, subset, edit and quantity.
        main: The contrast that has the gap.
    """
    said = []
    for edit in (PROJECT_EMBED, PROJECT_BLOCKS, PROJECT):
        gap = known.get((RELIABLE, main.gap, edit, GAP))
        if gap is None:
            continue
        trained = known["", main.gap, "", GAP]["value"]
        nulls = ", ".join(f"{gap[name]:+.2f} ({words})" for name, words in NULLS.items())
        whose = f" {GROUPS[edit]}" if edit in GROUPS else ""
        said.append(
            f"With the directions of the reliable tag's code projected out of the weights' "
            f"change{whose}, the gap {main.words} goes from {trained:+.2f} to {gap['value']:+.2f} "
            f"nats; with as many directions and as much of the change, to {nulls}."
            + _share_words(known.get((RELIABLE, main.gap, edit, SHARE)))
        )
    return said


def _share_words(share: Mapping[str, Any] | None) -> str:
    if share is None or share["value_low"] != share["value_low"]:
        return ""
    counts = "it counts" if share["counts"] else "it does not count"
    return (
        f" Explained: {share['value']:.0%} [{share['value_low']:.0%}, {share['value_high']:.0%}] "
        f"({counts}; shares of {share['detectable']:.0%} could have been told from none)."
    )
