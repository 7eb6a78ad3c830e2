"""Analyses by which the tables of a grid can be told beforehand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.grids.grid import Measured
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from training.columns import RUN_COLUMNS
from training.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class Weighing:
    """An analysis so plain that its tables can be told beforehand: the width of the stream."""

    factor: float = 1.0
    fails_at_seed: int | None = None
    withdraws_at_seed: int | None = None
    """There it measures the first site only, and withdraws the last."""
    meanwhile: Callable[[], object] | None = None
    """What happens while it measures."""

    name = "weighing"
    coordinates = ("site", "layer")

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        if self.meanwhile is not None:
            self.meanwhile()
        if seed == self.fails_at_seed:
            raise InputError("this seed cannot be weighed; take another")
        table = pd.DataFrame(
            [
                {"site": s.name, "layer": s.layer, "weight": model.d_model * self.factor + seed}
                for s in sites
            ]
        )
        vectors = {f"{s.name}.{s.layer}": np.full(2, self.factor) for s in sites}
        if seed == self.withdraws_at_seed:
            gone = {"site": sites[-1].name, "layer": sites[-1].layer}
            return Measured(table=table.iloc[:1], withdrawn=(gone,))
        return Measured(table=table, vectors=vectors)

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        run = [name for name in RUN_COLUMNS if name != "seed"]
        return table.groupby([*run, "site", "layer"]).agg(weight=("weight", "mean")).reset_index()


@dataclass(frozen=True, kw_only=True)
class Named(Weighing):
    """The same under another name."""

    name: str = "other"


def read(run: Run, name: str) -> pd.DataFrame:
    return pd.read_parquet(run.folder / f"{name}.parquet")
