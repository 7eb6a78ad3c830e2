"""What effects of patching are measured in: shares, or the units of what is read."""

import pandas as pd

from data.pairs import PairKind
from interp.patching.pair_batches import PatchMetric


def metric_words(cells: pd.DataFrame) -> str:
    """The metric of rows that all have the same one, in words."""
    return PatchMetric(cells["metric"].iloc[0]).words


def is_of_tags(cells: pd.DataFrame) -> bool:
    """Whether effects are of tag pairs: in units of the metric, with a control of their own."""
    return set(cells["pair_kind"]) == {PairKind.TAG}


def unit_words(cells: pd.DataFrame) -> str:
    """The unit of effects: shares of the difference between two prompts, or the metric's own."""
    return PatchMetric(cells["metric"].iloc[0]).unit if is_of_tags(cells) else "share"
