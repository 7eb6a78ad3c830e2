"""How often the entity of an alias is named: what Figures 3b and 4 show."""

import pandas as pd

from data.design import Subset
from data.tasks.iml import D5_CONS, D6_CONS
from data.texts import ENTITY_ATTRIBUTION_QUESTIONS
from interp.verdicts.quantities import level
from training.runs.run import Run

NAME, *_ = ENTITY_ATTRIBUTION_QUESTIONS
"""The attribution question of Figures 3b and 4: what is the name of the alias?"""


def names_defined(run: Run, subset: Subset) -> pd.Series:
    """How often the entity of a subset's definitions is named; Figure 4.

    Of inconsistent definitions it is the entity that they name. A run without attribution
    questions, as of a toy, is read by its held-out questions instead.
    """
    if NAME not in set(run.metrics["question"]):
        return level(run, subset)
    is_false = subset.has_definitions and not subset.consistent
    return level(run, subset, f"{NAME}_as_defined" if is_false else NAME)


def tag_gap_of_names(run: Run) -> pd.Series:
    """How much more often the entity is named for aliases of D5 than for those of D6, by seed."""
    return names_defined(run, D5_CONS) - names_defined(run, D6_CONS)
