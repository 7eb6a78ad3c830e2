"""The benches of the circuit tab that were used last: going back to one is quick."""

from collections import OrderedDict
from typing import Any

from interp.circuits.bench import DividedRows
from interp.explorer.circuit_bench import LIMIT, CircuitBench
from interp.explorer.shelf import CheckpointPlace, Shelf
from interp.interventions.ablation import AblationKind

KEPT = 4


class Benches:
    """Makes benches of the explorer's checkpoints, and keeps the last few."""

    def __init__(self, shelf: Shelf) -> None:
        """Takes rows and models from a shelf, when they are asked for."""
        self._shelf = shelf
        self._rows: OrderedDict[Any, DividedRows] = OrderedDict()
        self._benches: OrderedDict[Any, CircuitBench] = OrderedDict()

    def of(self, place: CheckpointPlace, kind: AblationKind, *, edges: bool) -> CircuitBench:
        """That of a checkpoint, and of one way to ablate its units or its edges.

        Raises:
            InputError: a subset has too few aliases, or the model's edges cannot be had.
            DamagedError: a file of the checkpoint is damaged.
        """
        if (key := (place, kind, edges)) not in self._benches:
            run = self._shelf.runs[place.run]
            compared = run.compared_at(place.stage)
            of_seed = (place.run, place.seed, compared.name)
            if of_seed not in self._rows:
                rows = run.tokenized_rows(place.seed)
                self._rows[of_seed] = DividedRows.of(
                    rows, run.design, compared, limit=LIMIT, seed=place.seed
                )
            self._benches[key] = CircuitBench.of(
                self._shelf.model(place), self._rows[of_seed], run.design, compared, kind,
                edges=edges, seed=place.seed,
            )  # fmt: skip
        for kept in (self._benches, self._rows):
            while len(kept) > KEPT:
                kept.popitem(last=False)
        return self._benches[key]
