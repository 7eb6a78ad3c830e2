"""The rows of a checkpoint, divided by alias, and ready to be answered without any set of units."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from data.design import Contrast, Design
from data.errors import InputError
from data.tokens import TokenizedRow
from interp.circuits.ablated import Ablatable, AblatedRows
from interp.circuits.behaviours import (
    Behaviour,
    ByQuestion,
    behaviours_of,
    halves,
    measured_behaviours,
    said_rows,
)
from interp.circuits.units import Unit, units_of
from interp.hooked.model import HookedModel
from interp.interventions.ablation import AblationKind
from interp.patching.unrolled import UnrolledModel


@dataclass(frozen=True, kw_only=True)
class DividedRows:
    """The rows of every behaviour: half of the aliases to choose circuits on, half to test."""

    chosen_on: Mapping[Behaviour, list[TokenizedRow]]
    tested_on: Mapping[Behaviour, list[TokenizedRow]]

    @classmethod
    def of(
        cls,
        rows: Sequence[TokenizedRow],
        design: Design,
        compared: Contrast,
        *,
        limit: int | None,
        seed: int,
    ) -> "DividedRows":
        """Divides a run's rows; what no circuit is sought for is left out where it has too few.

        Args:
            rows: All rows of a seed.
            design: The experiment.
            compared: What it compares at the stage.
            limit: Rows of each behaviour and half; None for all.
            seed: Which alias goes where.

        Raises:
            InputError: a behaviour that has a circuit has too few aliases, or none has rows.
        """
        sought = behaviours_of(design, compared)
        divided = {}
        for behaviour in measured_behaviours(design, rows):
            try:
                divided[behaviour] = halves(behaviour.rows(rows), limit=limit, seed=seed)
            except InputError:
                if behaviour in sought:
                    raise
        if not any(behaviour in divided for behaviour in sought):
            names = " and ".join(compared.names)
            raise InputError(f"the run has no questions or definitions of {names}; choose another")
        return cls(
            chosen_on={each: pair[0] for each, pair in divided.items()},
            tested_on={each: pair[1] for each, pair in divided.items()},
        )

    @property
    def every_row(self) -> list[TokenizedRow]:
        """Those of all behaviours and both halves."""
        both = (*self.chosen_on.values(), *self.tested_on.values())
        return [row for rows in both for row in rows]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A model on which units are ablated in one way."""

    unrolled: UnrolledModel
    rows: DividedRows
    units: Sequence[Unit]
    kind: AblationKind
    seed: int

    @classmethod
    def of(cls, model: HookedModel, rows: DividedRows, kind: AblationKind, *, seed: int) -> "Bench":
        """A bench of all units that the rows have."""
        unrolled = UnrolledModel(model)
        units = units_of(model, rows.every_row)
        return cls(unrolled=unrolled, rows=rows, units=units, kind=kind, seed=seed)

    def chosen_on(self, behaviour: Behaviour) -> Ablatable:
        """What the model says in the rows that circuits are chosen on."""
        return self._ablated(self._said(self.rows.chosen_on[behaviour]))

    def said(self, behaviour: Behaviour) -> Ablatable:
        """What it says in the held-out rows."""
        return self._ablated(self._said(self.rows.tested_on[behaviour]))

    def right(self, behaviour: Behaviour) -> Ablatable:
        """The right answers of the held-out rows."""
        return self._ablated(self.rows.tested_on[behaviour])

    def _said(self, rows: Sequence[TokenizedRow]) -> list[TokenizedRow]:
        return said_rows(self.unrolled.model, rows)

    def _ablated(self, rows: Sequence[TokenizedRow]) -> Ablatable:
        def make(alike: list[TokenizedRow], reference: list[TokenizedRow]) -> Ablatable:
            return AblatedRows(
                self.unrolled, alike, self.units, self.kind, reference=reference, seed=self.seed
            )

        return ByQuestion(make, rows, self.rows.every_row)


def aliases_of(rows: Sequence[TokenizedRow]) -> list[Hashable]:
    """The alias of each row: what draws and permutations keep together."""
    return [row.row.alias for row in rows]
