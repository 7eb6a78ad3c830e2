"""An analysis that notes whenever it is about to measure a checkpoint."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from data.tokens import TokenizedRow
from interp.grids.grid import Measured
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.lenses.analysis import LensAnalysis

LOG = "LOG_OF_LENSES"
"""The environment variable that names the file."""


@dataclass(frozen=True, kw_only=True)
class LoggedLens(LensAnalysis):
    """The logit lens."""

    tuned: bool = False

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        with open(os.environ[LOG], "a") as file:
            file.write(f"{seed}\n")
        return super().measure(model, rows, sites, seed=seed)
