"""Which design a table is of: that of its recipe, or whichever has its subsets."""

from collections.abc import Iterator, Sequence
from functools import cache

import pandas as pd

from data.design import Design
from data.subsets import Subset
from data.tokens import TokenizedRow
from data.vocabulary import Part
from training.columns import WITHOUT_SEED
from training.metrics import HEADLINE_METRICS
from training.recipes import RECIPES


@cache
def recipe_design(recipe: str) -> Design:
    """The design of a recipe, of its smallest runs: they can be made without any file.

    Margins may be others under other parameters; `Run.design` has a run's own.

    Args:
        recipe: The recipe's name; it must exist.
    """
    found = RECIPES[recipe]
    return found(**found.smoke).design


def known_designs() -> Iterator[Design]:
    """The designs of all recipes; some are there more than once."""
    return map(recipe_design, RECIPES)


def design_of_rows(rows: Sequence[TokenizedRow]) -> Design:
    """The design that has the subsets of a seed's rows; of prompts of one's own, one without any.

    Args:
        rows: At least one.
    """
    subsets = list(dict.fromkeys(row.row.subset for row in rows))
    for design in known_designs():
        if any(subset in design.subsets for subset in subsets):
            return design
    return _of_no_experiment(subsets)


def design_of(table: pd.DataFrame) -> Design:
    """What a table's subsets are, and which of them are compared.

    A table of one's own model or prompts says no recipe: then it is the first design of which it
    names a subset, a contrast or a target of probes, or one that compares nothing.

    Args:
        table: Of an analysis, with or without the run columns.
    """
    named = set(table["recipe"]) if "recipe" in table.columns else set()
    if known := sorted(named & set(RECIPES)):
        return recipe_design(known[0])
    columns = [name for name in ("subset", "target", "quantity") if name in table.columns]
    values = {str(value) for name in columns for value in table[name].unique()}
    # The stage that a row is of is not the target of probes of that name.
    values |= set(map(str, table.columns)) - {*WITHOUT_SEED}
    for design in known_designs():
        if _words_of(design) & values:
            return design
    subsets = list(dict.fromkeys(map(str, table["subset"]))) if "subset" in table.columns else []
    return _of_no_experiment([_unknown(name) for name in subsets or ["none"]])


def _of_no_experiment(subsets: Sequence[Subset]) -> Design:
    """A design that compares nothing, and says so where it is asked for what it compares."""
    return Design(name="", question="", parts={}, subsets=tuple(subsets), contrasts=())


def _unknown(name: str) -> Subset:
    return Subset(name=name, notation="", meaning="", part=Part.X1)


def _words_of(design: Design) -> set[str]:
    """What stands in tables of a design and of no other."""
    found = {*design.names, *(target.name for target in design.targets)}
    for contrast in design.contrasts:
        found |= {contrast.gap, *(f"{contrast.name}_{metric}" for metric in HEADLINE_METRICS)}
    return found
