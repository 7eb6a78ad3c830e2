"""Tables of made-up numbers: a row for each combination of values."""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

RUN = dict(recipe="alias-toy", run_id="a", model="m", word_order="tae", stage=2, step=200)


def crossed(**columns: Sequence[Hashable]) -> pd.DataFrame:
    """A row for each combination of the values, with the columns of a run."""
    places = pd.MultiIndex.from_product([*columns.values()], names=list(columns))
    table = places.to_frame(index=False)
    return table.assign(**{name: value for name, value in RUN.items() if name not in columns})


def measured(table: pd.DataFrame, low: float = -1.0, high: float = 1.0, **names: float):
    """The table with a made-up value in each of the columns, times the number given."""
    rng = np.random.default_rng(0)
    drawn = {name: rng.uniform(low, high, len(table)) * times for name, times in names.items()}
    return table.assign(**drawn)
