"""Lenses in words: where the answer appears, for which subset, and what the controls say."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from interp.figures.grid_tables import ALPHA, ordered_states, state_names
from interp.figures.places import in_words
from interp.figures.words import gap_text
from interp.lenses.contrast import lens_contrast

PREDICTING = ("prompt_last", "question_last")
"""Roles that answers are predicted from: in a toy, a prompt ends with its question."""


def predicting_role(summary: pd.DataFrame) -> str:
    """The role of a `lens_summary` that sentences are about; the last one if none predicts."""
    roles = dict.fromkeys(summary["role"])
    return next((role for role in PREDICTING if role in roles), list(roles)[-1])


def found(
    lens: pd.DataFrame,
    summary: pd.DataFrame,
    *,
    compared: tuple[str, str],
    guess: float | None = None,
) -> list[str]:
    """See `lens_sentences`, where the answer is predicted; none unless both subsets were read."""
    if not set(compared) <= set(summary["subset"]):
        return []
    role = predicting_role(summary)
    return lens_sentences(lens, summary, compared=compared, role=role, guess=guess)


def lens_sentences(
    lens: pd.DataFrame,
    summary: pd.DataFrame,
    *,
    compared: tuple[str, str],
    role: str = "question_last",
    guess: float | None = None,
) -> list[str]:
    """Where the answer appears for two subsets, whether they differ there, and the entity.

    Args:
        lens: Rows of a `lens` table of one run and checkpoint.
        summary: The same of its `lens_summary`.
        compared: Two subsets.
        role: Where the lenses read.
        guess: What knowing the question alone gives, if known; see `guessing.question_only`.
    """
    sentences = []
    for subset in compared:
        of_subset = summary.loc[(summary["subset"] == subset) & (summary["role"] == role)]
        of_subset = of_subset.loc[of_subset["quantity"] == "answer"]
        sentences += [
            appearance_sentence(of_subset.loc[of_subset["lens"] == name], subset, guess)
            for name in dict.fromkeys(of_subset["lens"])
        ]
    at_role = lens.loc[(lens["role"] == role) & lens["subset"].isin(compared)]
    answers = lens_contrast(at_role.loc[at_role["quantity"] == "answer"], "subset", *compared)
    sentences.append(
        lens_contrast_sentence(answers, f"the answer, {compared[0]} minus {compared[1]}")
    )
    if "other_entity" in set(at_role["quantity"]):
        entities = lens_contrast(at_role, "quantity", "entity", "other_entity")
        sentences.append(lens_contrast_sentence(entities, "the entity minus another entity"))
    return sentences


def appearance_sentence(cells: pd.DataFrame, subset: str, guess: float | None) -> str:
    """The answer's log-probability at the first and last state, and where it is above guessing.

    Args:
        cells: Rows of a `lens_summary`: the answer, at one role, by one lens, of one subset.
        subset: Its name.
        guess: As for `lens_sentences`.
    """
    by_state = {
        state: cell
        for state, cell in zip(state_names(cells), cells.to_dict("records"), strict=True)
    }
    states = ordered_states(cells)
    first, last = (by_state[state] for state in (states[0], states[-1]))
    words = (
        f"{subset}, {first['lens']} lens: the answer's log-probability is {_nats(first)} "
        f"{in_words(states[0])} and {_nats(last)} {in_words(states[-1])}"
    )
    if guess is None:
        return f"{words}."
    above = [state for state in states if by_state[state]["ci_low"] > guess]
    if not above:
        return f"{words}; at no state is its interval above {guess:.2f}, the question alone."
    where = in_words(above[0])
    return f"{words}; its interval is first above {guess:.2f}, the question alone, {where}."


def lens_contrast_sentence(contrast: pd.DataFrame, what: str) -> str:
    """Which cells of a contrast survive correction; without any, the largest.

    Args:
        contrast: Of `lens_contrast`.
        what: What is subtracted from what.
    """
    cells = contrast.sort_values("mean", key=abs, ascending=False, kind="stable")
    cells = cells.to_dict("records")
    found = [cell for cell in cells if cell["p_corrected"] <= ALPHA]
    smallest = f"{cells[0]['n_seeds']} seeds can give no p below {cells[0]['p_smallest']:.2g}"
    verdict = f"differs from 0 in {len(found)} of {len(cells)} cells, most" if found else (
        f"differs from 0 in none of {len(cells)} cells; it is largest"
    )  # fmt: skip
    best = (found or cells)[0]
    subset = f", {best['subset']}" if "subset" in best else ""
    return (
        f"{what[0].upper()}{what[1:]}: {verdict} {in_words(best['state'])} "
        f"({best['lens']} lens{subset}), {gap_text(_estimate(best))} nats, "
        f"corrected p = {best['p_corrected']:.2g}; {smallest}."
    )


def _estimate(cell: Mapping[str, Any]) -> dict[str, Any]:
    """As `wording` takes estimates: None where one seed has no interval."""
    names = ("mean", "ci_low", "ci_high")
    return {name: None if pd.isna(cell[name]) else cell[name] for name in names}


def _nats(cell: Mapping[str, Any]) -> str:
    if pd.isna(cell["ci_low"]):
        return f"{cell['log_prob']:.2f}"
    return f"{cell['log_prob']:.2f} [{cell['ci_low']:.2f}, {cell['ci_high']:.2f}]"
