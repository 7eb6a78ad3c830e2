"""What turned updates come to over seeds: beside the untreated run, and beside their controls.

One number for each seed: the value of a training minus that of the `untreated` one, or the change
that a treatment makes minus the one that its control makes. Intervals are t intervals over seeds, p
values are by sign flips, corrected over all cells of a table.
"""

import pandas as pd

from interp.grids.seed_summary import summarize_over_seeds
from training.columns import RUN_COLUMNS

CELL = ["treatment", "dose", "control_kind", "subset", "metric", "after", "against"]
AGAINST_UNTREATED = "untreated"


def summarize_turns(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell and what it is held against.

    Columns: run columns without the seed, `treatment, dose, control_kind, subset, metric, after,
    against`, the means over seeds `value`, `null` and `distance`, and those of
    `summarize_over_seeds` for value minus null. `against` is `untreated`, or the kind of a control
    of the treatment; of the untreated training itself it is empty, and null 0.
    """
    return summarize_over_seeds(
        turn_contrasts(table), cell=CELL, means=["value", "null", "distance"], tested="difference"
    )


def turn_contrasts(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each seed and cell of the summary; the untreated training is held against 0."""
    is_untreated = table["dose"] == 0
    alone = table.loc[is_untreated].assign(against="", null=0.0)
    beside = table.loc[~is_untreated].assign(
        against=AGAINST_UNTREATED, null=table.loc[~is_untreated, "untreated"]
    )
    key = [*RUN_COLUMNS, "treatment", "dose", "subset", "metric", "after"]
    is_control = beside["control_kind"] != ""
    controls = beside.loc[is_control, [*key, "control_kind", "value"]]
    controls = controls.rename(columns={"control_kind": "against", "value": "null"})
    real = beside.loc[~is_control].drop(columns=["against", "null"])
    paired = real.merge(controls, on=key)
    both = pd.concat([alone, beside, paired], ignore_index=True)
    return both.assign(difference=both["value"] - both["null"])
