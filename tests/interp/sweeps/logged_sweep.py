"""A small sweep whose analysis notes whenever it is about to measure a checkpoint."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.tokens import TokenizedRow
from interp.grids.grid import Measured
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.lenses.analysis import LensAnalysis
from interp.sweeps.plans import Sweep, SweepCell
from interp.sweeps.sweep import MEASURED

LOG = "LOG_OF_LENSES"
"""The environment variable that names the file."""


@dataclass(frozen=True, kw_only=True)
class LoggedLens(LensAnalysis):
    """The logit lens."""

    tuned: bool = False

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        if LOG in os.environ:
            with open(os.environ[LOG], "a") as file:
                file.write(f"{seed}\n")
        return super().measure(model, rows, sites, seed=seed)


SWEEP = Sweep(
    name="orders",
    question="Is what was finished kept?",
    figures=(),
    varies="word_order",
    cells=tuple(
        SweepCell(recipe="alias-toy", arguments={"word_order": order, "epochs_stage2": 1})
        for order in ("tae", "ate")
    ),
    analyses=lambda: (LoggedLens(),),
    stage=1,
)


def tables(folder: Path) -> dict[str, bytes]:
    """Every table and summary of a sweep's folder."""
    files = [*folder.rglob("*.parquet"), *folder.rglob("summary.json")]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if MEASURED not in p.parts}
