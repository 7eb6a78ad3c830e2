"""What twins with exchanged tags show, in sentences."""

from typing import Any

import pandas as pd

from interp.figures.words import gap_text
from interp.twins.summary import ESTIMATORS
from training.designs import design_of
from training.metrics import HEADLINE_METRICS, find_metric

Cell = dict[str, Any]


def twins_found(cells: pd.DataFrame) -> list[str]:
    """The paired gap for each stage of exchange and metric, and what pairing gains.

    Args:
        cells: Rows of a `twins_summary` of one checkpoint.
    """
    main, sentences = design_of(cells).main, []
    for stage in sorted(set(cells["exchanged_in"])):
        for metric in reversed(HEADLINE_METRICS):
            rows = cells.loc[(cells["exchanged_in"] == stage) & (cells["metric"] == metric)]
            known = {each["estimator"]: each for each in rows.to_dict("records")}
            heading = find_metric(metric).words
            gaps = ", ".join(f"{name} {_number(known[name])}" for name in ESTIMATORS)
            sentences.append(
                f"Tags exchanged in Stage {stage}: {main.label} ({heading}) {gaps} "
                f"({int(known['paired']['n_seeds'])} seeds, {int(known['paired']['n'])} aliases). "
                f"{_gain(known['paired'])}"
            )
    return [*sentences, RULE]


RULE = (
    "Variance ratio: seeds that two unpaired runs would need for the interval of one run paired "
    "with its twin, over those that pairing needs; trained as often either way."
)


def _gain(cell: Cell) -> str:
    within = f"within a seed it takes what aliases add down {cell['alias_ratio']:.2g} times"
    if cell["variance_ratio"] != cell["variance_ratio"]:
        return f"Too few seeds for a variance ratio; {within}."
    ratio = f"{cell['variance_ratio']:.2f} [{cell['ratio_low']:.2f}, {cell['ratio_high']:.2f}]"
    if cell["ratio_low"] > 1:
        word = "Pairing saves seeds"
    elif cell["ratio_high"] < 1:
        word = "Pairing wastes seeds: run and twin share what their seed makes of the gap"
    else:
        word = "Pairing is not shown to save seeds"
    together = f"run and twin correlate by {cell['correlation']:+.2f}"
    return f"{word}: variance ratio {ratio} ({together}); {within}."


def _number(cell: Cell) -> str:
    is_known = cell["ci_low"] == cell["ci_low"]
    ends = {end: cell[end] if is_known else None for end in ("ci_low", "ci_high")}
    return gap_text({"mean": cell["value"], **ends})
