"""Probes in words: captions and sentences that follow from their tables."""

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import pandas as pd

from data.design import ProbeTarget
from data.errors import InputError
from interp.figures.grid_tables import ALPHA, one_checkpoint
from interp.figures.places import at_words, in_words, site_words
from interp.figures.seed_marks import FEWEST
from interp.probes.kinds import find_kind
from interp.probes.summary import DESIGN
from interp.probes.targets import PLANTED, PLANTED_ACCURACY, targets_of
from training.designs import design_of

CAPTION_WIDTH = 128  # characters
MOST_NAMED = 3
"""So many cells are named in a sentence; more are counted."""


OUTDATED = (
    "These probes were made with folds in which an entity of a tested alias could occur in "
    "training as a false name; repeat iml probe."
)


def is_outdated(summary: pd.DataFrame) -> bool:
    """Whether a table was made before aliases of entities in two folds were left out."""
    return not set(DESIGN) <= set(summary.columns)


def refuse_outdated(summary: pd.DataFrame) -> None:
    """Refuses a summary whose probes were divided into folds by older rules.

    Raises:
        InputError: the summary was made by older rules.
    """
    if is_outdated(summary):
        raise InputError(f"a table of probes is outdated. {OUTDATED}")


def probe_caption(summary: pd.DataFrame, *, about_means: str = "") -> list[str]:
    """What a reader must know to read a figure of probes, in lines.

    Args:
        summary: Rows of a `probes_summary` of one checkpoint and kind of probe.
        about_means: What else is to be said of the means.
    """
    is_planted = summary["target"] == PLANTED.name
    cells = summary.loc[~is_planted]
    chances = {f"{chance:.2g}" for chance in cells["chance"]}
    is_shown = int(cells["n_seeds"].min()) >= FEWEST
    intervals = "; the first column's 95% t intervals on hover" if is_shown else ""
    means = (
        f"Means over {_seeds(cells)}{about_means}{intervals}. Chance is "
        f"{' or '.join(sorted(chances))}. Seen aliases: folds split by question, so that a probe "
        "can tell aliases apart; then random labels are read above chance too."
    )
    marks = (
        "▲ read better, ▼ worse than with permuted labels: p ≤ .05, corrected over the whole grid. "
        f"So many seeds can give no p below {_smallest_p(cells):.2g}. {detectable_words(cells)}"
    )
    texts = [means, marks, design_words(cells)]
    if PLANTED.name in set(summary["target"]):
        texts.append(planted_words(summary.loc[is_planted]))
    return [line for text in texts for line in wrap(text, CAPTION_WIDTH)]


def own_caption(cells: pd.DataFrame) -> list[str]:
    """What a reader must know of probes of labels of one's own, in lines; see `interp.probe`."""
    text = (
        f"One model. Chance is {cells['chance'].iloc[0]:.2g}. ▲ read better, ▼ worse than with "
        f"permuted labels: p ≤ .05 of permutations, corrected for {len(cells)} cells. "
    )
    return wrap(text + design_words(cells).replace(" aliases in ", " rows in "), CAPTION_WIDTH)


def detectable_words(cells: pd.DataFrame) -> str:
    """What the design could have found."""
    known = cells["min_detectable"].dropna().to_numpy()
    if not len(known):
        if _smallest_p(cells) > ALPHA:
            return "With so few seeds nothing, however strong, could be found."
        return "What Bayes accuracy could have been found is not known for these cells."
    low, high = known.min(), known.max()
    values = f"{low:.2f}" if high - low < 0.005 else f"{low:.2f} to {high:.2f}"
    return (
        f"A Bayes accuracy of {values} along a typical direction would have been found nine times "
        "in ten."
    )


def design_words(cells: pd.DataFrame) -> str:
    """How many aliases were read, and how; one part for each design among the cells."""
    designs = cells.drop_duplicates([*DESIGN, "target"]).groupby(DESIGN, sort=False)
    parts = []
    for _, cells_of_design in designs:
        first = cells_of_design.iloc[0]
        n_train, n_test, n_folds, n_divisions, n_read = (first[name] for name in DESIGN)
        targets = cells_of_design["target"]
        times = f"{n_divisions} divisions into " if n_divisions > 1 else ""
        parts.append(
            f"{', '.join(dict.fromkeys(targets))}: {n_read} aliases in {times}{n_folds} folds, of "
            f"which {n_train} train and {n_test} test at a time"
        )
    return f"{'; '.join(parts)}."


def twin_words(cell: Mapping[str, Any]) -> str:
    """What of a tag's reading is about the tag, and not about truth that goes along with it."""
    if pd.isna(cell["twin_accuracy"]):
        return "The null twin was not measured, so what is read may be truth and not the tag."
    difference = f"{cell['minus_twin']:+.2f}"
    if not pd.isna(cell["minus_twin_low"]):
        difference += f" [{cell['minus_twin_low']:+.2f}, {cell['minus_twin_high']:+.2f}]"
    return (
        f"The null twin, whose tags say nothing, reads the same labels at "
        f"{cell['twin_accuracy']:.2f}: run minus null twin {difference} "
        f"(corrected p = {cell['p_twin_corrected']:.2g})."
    )


def planted_words(planted: pd.DataFrame) -> str:
    """The positive control: was the planted label found?

    Args:
        planted: Its rows of a `probes_summary`, one for each run.
    """
    cells = planted.to_dict("records")
    found = [is_found(cell) for cell in cells]
    low, *_, high = sorted([cell["accuracy"] for cell in cells] * 2)
    accuracy, verdict = f"{low:.2f} to {high:.2f}", f"found in {sum(found)} of {len(found)} runs"
    if len(cells) == 1:
        accuracy = accuracy_text(cells[0]) if cells[0]["n_seeds"] >= FEWEST else f"{low:.2f}"
        verdict = "found" if found[0] else "not found"
        verdict += f" (corrected p = {cells[0]['p_corrected']:.2g})"
    return (
        f"Positive control: a label planted with Bayes accuracy {PLANTED_ACCURACY:g} "
        f"{in_words(_place(cells[0]))} is read at {accuracy} and "
        f"{verdict}."
    )


def found(summary: pd.DataFrame) -> list[str]:
    """For each target whether it is readable and where, then the positive control and the least p.

    Args:
        summary: Rows of a `probes_summary` of one run and checkpoint.
    """
    planted = summary.loc[summary["target"] == PLANTED.name]
    planted = planted.loc[planted["probe"] == planted["probe"].min()]  # the logistic one, if there
    limit = (
        f"{_seeds(summary)} can give no p below {_smallest_p(summary):.2g}; p is corrected over "
        "every cell of the command."
    )
    answers = [_answer(target, cells) for target, cells in _by_target(summary)]
    return [*answers, *([planted_words(planted)] if len(planted) else []), limit]


def controls(summary: pd.DataFrame) -> list[str]:
    """For each target what a probe reads that has seen the aliases, and how many there were.

    Args:
        summary: Rows of a `probes_summary` of one run and checkpoint.
    """
    return [
        f"{target.name}, where it is read best: {_controls(cells)}"
        for target, cells in _by_target(summary)
    ]


def probe_sentences(summary: pd.DataFrame) -> list[str]:
    """For each target whether it is readable, where, and beside which controls.

    Args:
        summary: Rows of a `probes_summary` of one run and checkpoint.
    """
    return [
        f"{_answer(target, cells)} There {_controls(cells)}"
        for target, cells in _by_target(summary)
    ]


def _by_target(summary: pd.DataFrame) -> list[tuple[ProbeTarget, pd.DataFrame]]:
    """The cells of each target that is no control, in the order of figures."""
    one_checkpoint(summary)
    targets = [t for t in targets_of(design_of(summary)) if t.name in set(summary["target"])]
    return [(target, summary.loc[summary["target"] == target.name]) for target in targets]


def _ranked(summary: pd.DataFrame) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """A target's cells from the best, and those of them that are found."""
    cells: Any = summary.sort_values("accuracy", ascending=False, kind="stable").to_dict("records")
    return cells, [cell for cell in cells if is_found(cell)]


def _answer(target: ProbeTarget, summary: pd.DataFrame) -> str:
    cells, found = _ranked(summary)
    best = (found or cells)[0]
    head = f"{target.name} ({target.meaning}):"
    if found:
        named = "; ".join(map(reading_words, found[:MOST_NAMED]))
        more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        words = [f"{head} found in {len(found)} of {len(cells)} cells: {named}{more}."]
    else:
        words = [f"{head} nothing found in {len(cells)} cells."]
        words += [detectable_words(summary), f"The best, {reading_words(best)}."]
    words += [twin_words(best)] if target.is_of_tags else []
    return " ".join(words)


def _controls(summary: pd.DataFrame) -> str:
    """The control task, beside the real target under the same split, and the folds."""
    cells, found = _ranked(summary)
    cell = (found or cells)[0]
    return (
        f"a probe that has seen the aliases reads {cell['seen_accuracy']:.2f}, and random "
        f"labels {cell['control_accuracy']:.2f} (selectivity {cell['selectivity']:+.2f}). "
        f"{design_words(summary).capitalize()}"
    )


def reading_words(cell: Mapping[str, Any]) -> str:
    """Where a cell is, and its accuracy beside the null."""
    return (
        f"{_place(cell)} ({find_kind(cell['probe']).words}), reads "
        f"{accuracy_text(cell)} of unseen aliases, with permuted labels "
        f"{cell['null_accuracy']:.2f} (corrected p = {cell['p_corrected']:.2g})"
    )


def _place(cell: Mapping[str, Any]) -> str:
    return f"{site_words(cell['site'], cell['layer'])} {at_words(cell['role'])}"


def is_found(cell: Mapping[str, Any]) -> bool:
    """Whether a cell survives correction, and not by reading worse than chance."""
    return bool(cell["p_corrected"] <= ALPHA and cell["accuracy"] > cell["null_accuracy"])


def accuracy_text(cell: Mapping[str, Any]) -> str:
    """The accuracy of a cell with its interval, where there is one."""
    if pd.isna(cell["ci_low"]):
        return f"{cell['accuracy']:.2f}"
    return f"{cell['accuracy']:.2f} [{cell['ci_low']:.2f}, {cell['ci_high']:.2f}]"


def _seeds(cells: pd.DataFrame) -> str:
    numbers = sorted(set(cells["n_seeds"]))
    return f"n = {' or '.join(map(str, numbers))} Stage-1 seed{'s' * (numbers != [1])}"


def _smallest_p(cells: pd.DataFrame) -> float:
    return float(cells["p_smallest"].to_numpy().max())
