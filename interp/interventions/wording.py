"""Ablations and erasures in words: what do the answers need, and do they need the tag?"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from data.design import Design
from interp.figures.grid_tables import ALPHA
from interp.figures.places import address_words, in_words
from interp.interventions.ablation_analysis import KNOCK_OUT, QUESTION
from interp.interventions.erasure_analysis import ALL, PROBE_ACCURACY
from interp.interventions.plots import component_names, target_words
from training.designs import design_of

MOST_NAMED = 4
"""So many places are named in a sentence; more are counted."""


def asked_first(design: Design, compared: Sequence[str], there: set[str]) -> tuple[str, ...]:
    """Whose answers are told: the compared subsets and the last one asked, else all there are."""
    wanted = dict.fromkeys((*compared, design.asked[-1]))
    return tuple(name for name in wanted if name in there) or tuple(sorted(there))


def ablation_found(cells: pd.DataFrame, subsets: Sequence[str]) -> list[str]:
    """Of each subset what its answers need most, and how much of it is beyond the controls.

    Args:
        cells: Rows of an `ablation_summary` of one run and checkpoint.
        subsets: Whose answers; see `asked_first`.
    """
    told = [largest_effects(cells, subset) for subset in subsets]
    sentences = [_needed_words(effects) for effects in told if len(effects)]
    smallest = cells["p_smallest"].dropna().to_numpy().max(initial=0.0)
    few = ": nothing, however strong, could be found" if smallest > ALPHA else ""
    n_seeds = int(cells["n_seeds"].to_numpy().max())
    rules = (
        "The control of a route hides as many other tokens, that of a head or an MLP is 0. p is "
        f"corrected over all {len(cells):,} cells of the table; {n_seeds} "
        f"seed{'s' * (n_seeds != 1)} can give none below {smallest:.2g}{few}."
    )
    return [*sentences, rules]


def largest_effects(cells: pd.DataFrame, subset: str) -> pd.DataFrame:
    """What changes the log-probability of a subset's answers, the largest change first."""
    chosen = (cells["subset"] == subset) & (cells["metric"] == "answer_log_prob")
    of_subset = cells.loc[chosen & (cells["kind"] == QUESTION)]
    return of_subset.sort_values("difference", key=abs, ascending=False, kind="stable")


def intervention_words(cell: dict[str, Any]) -> str:
    """What was done: a head, an MLP or a route, and how it was taken away."""
    kind = cell["intervention"]
    done = "knock-out" if kind == KNOCK_OUT else f"{kind} ablation"
    return f"{done} of {component_names(pd.DataFrame([cell]))[0]}"


def _needed_words(effects: pd.DataFrame) -> str:
    cells = effects.to_dict("records")
    found = [cell for cell in cells if cell["p_corrected"] <= ALPHA]
    best = (found or cells)[0]
    verdict = f"none of {len(cells)} interventions differs from its control; most changes"
    if found:
        verdict = f"beyond the control in {len(found)} of {len(cells)} interventions, most"
    after = best["baseline"] + best["effect"]
    return (
        f"{best['subset']}: {verdict} {intervention_words(best)}, with which the answer's "
        f"log-probability is {after:.2f} instead of {best['baseline']:.2f} nats, "
        f"{best['effect']:+.2f}, control {best['control']:+.2f}, difference {interval_text(best)} "
        f"({tested_words(best)})."
    )


def erasure_found(cells: pd.DataFrame) -> list[str]:
    """A sentence for each target that was erased.

    Args:
        cells: Rows of an `erasure_summary` of one run and checkpoint.
    """
    return [erasure_sentence(cells, target) for target in dict.fromkeys(cells["target"])]


def erasure_sentence(cells: pd.DataFrame, target: str) -> str:
    """What erasing a target everywhere does to its probes and to D5 minus D6.

    Args:
        cells: Rows of an `erasure_summary` of one checkpoint.
        target: What was erased.
    """
    main = design_of(cells).main
    everywhere = cells.loc[(cells["target"] == target) & (cells["site"] == ALL)]
    read = everywhere.loc[everywhere["metric"] == PROBE_ACCURACY]
    gaps = everywhere.loc[
        (everywhere["subset"] == main.gap) & (everywhere["metric"] == "answer_log_prob")
    ].to_dict("records")
    if read.empty:
        return f"Target {target_words(target)}: not erased everywhere."
    words = f"Target {target_words(target)}, erased at all sites and roles: {_probed_words(read)}"
    if not gaps:
        return f"{words}."
    gap, (higher, lower) = gaps[0], main.short_names
    return (
        f"{words}. The log-probability gap of {higher} over {lower} is {gap['after']:.2f} "
        f"instead of {gap['before']:.2f} nats (random erasures {gap['control']:.2f}; difference "
        f"from them {interval_text(gap)}, {tested_words(gap)})."
    )


def _probed_words(read: pd.DataFrame) -> str:
    """What probes fitted anew read at each place that was erased, before and after.

    Means over seeds; labels that mean nothing say what so few entities give by chance. Of many
    places those are named where the label was read best.
    """
    parts = []
    best = read.sort_values("before", ascending=False, kind="stable")
    named = read if len(read) <= MOST_NAMED else best.head(MOST_NAMED)
    for cell in named.to_dict("records"):
        place = f"{in_words(address_words(cell['read_at']))} " if cell.get("read_at") else ""
        permuted = cell.get("permuted_before", float("nan"))
        before, after = (
            f"{cell[name]:.2f}"
            + ("" if pd.isna(permuted) else f" (labels permuted {cell[f'permuted_{name}']:.2f})")
            for name in ("before", "after")
        )
        parts.append(f"{place}{after} instead of {before}, random erasures {cell['control']:.2f}")
    more = f" (the best of {len(read)} places)" if len(read) > len(named) else ""
    return f"probes fitted anew read {'; '.join(parts)}{more}"


def interval_text(cell: dict[str, Any]) -> str:
    """The difference with its interval, which one seed does not have."""
    if cell["n_seeds"] < 2:
        return f"{cell['difference']:+.2f}"
    return f"{cell['difference']:+.2f} [{cell['ci_low']:+.2f}, {cell['ci_high']:+.2f}]"


def tested_words(cell: dict[str, Any]) -> str:
    """The corrected p value, and the least that so many seeds can give."""
    n_seeds = cell["n_seeds"]
    return (
        f"corrected p {cell['p_corrected']:.3g}, {n_seeds} seed{'s' * (n_seeds != 1)}, "
        f"least possible p {cell['p_smallest']:.2g}"
    )
