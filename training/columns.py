"""The columns that say which run and checkpoint a row of a table is of: the run columns.

Every table of a run folder has them in its rows; a summary over seeds has all but the seed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.config import RunConfig


@dataclass(frozen=True, kw_only=True)
class RunColumn:
    """A run column."""

    name: str
    of_run: "Callable[[RunConfig], object] | None" = None
    """The value of a run; None for what differs between the checkpoints of a run."""
    of_no_run: object = ""
    """What stands in the column of a table of one's own model."""


_COLUMNS = (
    RunColumn(name="recipe", of_run=lambda config: config.recipe),
    RunColumn(name="run_id", of_run=lambda config: config.run_id),
    RunColumn(name="model", of_run=lambda config: config.model.name),
    RunColumn(name="seed", of_no_run=0),
    RunColumn(name="word_order", of_run=lambda config: str(config.word_order or "")),
    RunColumn(name="stage", of_no_run=0),
    RunColumn(name="step", of_no_run=0),
)
RUN_COLUMNS = [column.name for column in _COLUMNS]
"""The run columns of a seed's rows, in the order of tables."""
WITHOUT_SEED = [name for name in RUN_COLUMNS if name != "seed"]
"""The run columns of a summary over seeds."""
CHECKPOINT = ["stage", "step"]
NO_RUN: dict[str, object] = {column.name: column.of_no_run for column in _COLUMNS}
"""What stands in the run columns of a table that is of no run."""


def run_columns(config: "RunConfig") -> dict[str, object]:
    """The run columns that all rows of a run share, with their values."""
    return {each.name: each.of_run(config) for each in _COLUMNS if each.of_run is not None}
