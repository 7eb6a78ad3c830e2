"""A row of the matrix: one quantity that rival hypotheses expect different things of."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from data.design import Contrast, Margin
from interp.verdicts.claim import Claim, Side
from interp.verdicts.quantities import Measure
from training.runs.run import Run


class Expected(StrEnum):
    """What a hypothesis expects of a row: an effect, its reverse, or none, by the row's margin."""

    MORE = "more"
    """Above the margin."""
    NONE = "none"
    """Within the margin on either side of 0, shown by equivalence."""
    LESS = "less"
    """Below minus the margin."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A quantity of a run, with one value a Stage-1 seed, and how much of it counts."""

    id: str
    statement: str
    """What there is if the value is large, as a sentence without its full stop; `{higher}` and
    `{lower}` stand for the names of the subsets that a run compares."""
    unit: str
    margin: Margin
    """Up to what a value counts as none; chosen before the runs that it judges."""
    measure: Measure
    """From a run to a value for each seed; raises `NotMeasured` with what it needs."""
    tables: tuple[str, ...] = ()
    """The analyses whose tables it reads, if `iml hypothesis` can make them."""
    control: str = ""
    """What the quantity is where the effect is not, in a few words."""
    control_measure: Callable[[Run], pd.Series] | None = None
    """The control's values, shown beside those of the run; None where there are none."""

    def words(self, main: Contrast) -> str:
        """The statement with the names of what a design compares.

        >>> from training.designs import recipe_design
        >>> row = Row(id="a", statement="{lower} falls", unit="",
        ...           margin=Margin(value=1.0, reason=""), measure=lambda run: pd.Series())
        >>> row.words(recipe_design("alias-toy").main)
        'D6 falls'
        """
        higher, lower = main.short_names
        return self.statement.replace("{higher}", higher).replace("{lower}", lower)

    def claim(self, expected: Expected) -> Claim:
        """The expectation as a claim, which `interp.verdicts.rule` judges."""
        is_none = expected is Expected.NONE
        sign = -1 if expected is Expected.LESS else 1
        return Claim(
            id=self.id,
            statement=self.statement,
            measure=self.measure,
            paper="",
            side=Side.BELOW if expected is Expected.LESS else Side.ABOVE,
            threshold=0.0 if is_none else sign * self.margin.value,
            margin=self.margin if is_none else None,
        )
