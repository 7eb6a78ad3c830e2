"""What a checkpoint is asked once, for the circuits of all of its behaviours."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from data.tokens import TokenizedRow
from interp.circuits.ablated import Ablatable
from interp.circuits.behaviours import Behaviour, BehaviourKind
from interp.circuits.bench import Bench
from interp.circuits.disruption import solo_effects
from interp.circuits.restored import RestoredRows, single_restored_records
from interp.circuits.summary import Record, plain
from interp.circuits.units import Part


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The held-out rows of a checkpoint, ready for whatever is done to the model."""

    right: Mapping[str, Ablatable]
    """The right answers, by behaviour."""
    said: Mapping[BehaviourKind, Mapping[str, Ablatable]]
    """What the model says, by kind and behaviour."""
    restored: Mapping[str, RestoredRows] | None
    """The right answers with weights put back; None where there is no stage before."""
    solo: Mapping[str, Float[np.ndarray, " unit"]]
    """What each unit, ablated alone, costs each behaviour, in nats."""
    solo_restored: Mapping[str, Float[np.ndarray, " component"]]
    """What each component, put back alone, costs each; nothing where none can be."""
    trained: Sequence[str]
    """The behaviours that circuits are matched on."""
    units: Sequence[Part]

    @classmethod
    def of(
        cls, bench: Bench, rows: Sequence[TokenizedRow], trained: Sequence[Behaviour]
    ) -> "Asked":
        """Asks everything once, each unit ablated alone."""
        right = {each.measured: bench.right(each) for each in bench.rows.tested_on}
        said: dict[BehaviourKind, dict[str, Ablatable]] = {kind: {} for kind in BehaviourKind}
        for each in bench.rows.tested_on:
            said[each.kind][each.measured] = bench.said(each)
        restored = bench.restored(rows)
        return cls(
            right=right,
            said=said,
            restored=restored,
            solo=solo_effects(right),
            solo_restored={} if restored is None else solo_effects(restored),
            trained=[each.measured for each in trained],
            units=bench.units,
        )

    @property
    def n_rows(self) -> dict[str, int]:
        """Of each behaviour."""
        return {name: each.n_rows for name, each in self.right.items()}

    def single_units(self) -> Iterator[Record]:
        """What each unit, ablated alone, and each component, put back alone, costs."""
        found = [
            plain("disruption", effect, self.n_rows[name], unit=unit.name, subset=name)
            for name, effects in self.solo.items()
            for unit, effect in zip(self.units, effects.tolist(), strict=True)
        ]
        if self.restored is not None:
            found += single_restored_records(self.restored, self.solo_restored)
        yield from found
