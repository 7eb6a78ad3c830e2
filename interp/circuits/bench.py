"""The rows of a checkpoint, divided by alias, and ready to be answered without any set of units."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.design import Contrast, Design
from data.errors import InputError
from data.tokens import TokenizedRow
from interp.circuits.ablated import Ablatable, AblatedRows
from interp.circuits.behaviours import (
    Behaviour,
    behaviours_of,
    halves,
    measured_behaviours,
    said_rows,
)
from interp.circuits.components import components_of
from interp.circuits.edges import AblatedEdges, Edge, edges_of, find_edges
from interp.circuits.restored import RestoredRows, restored_behaviours
from interp.circuits.units import Part, Unit, find_units, units_of
from interp.hooked.model import HookedModel
from interp.interventions.ablation import AblationKind
from interp.patching.unrolled import UnrolledModel
from training.runs.checkpoints import load_model
from training.runs.info import RUN_FILE
from training.runs.publication import exists
from training.runs.run import Run


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
    """A model on which units, or edges, are ablated in one way."""

    unrolled: UnrolledModel
    rows: DividedRows
    nodes: Sequence[Unit]
    edges: Sequence[Edge]
    """In place of the nodes, if there are any."""
    kind: AblationKind
    seed: int

    @classmethod
    def of(
        cls,
        model: HookedModel,
        rows: DividedRows,
        kind: AblationKind,
        *,
        edges: bool = False,
        seed: int,
    ) -> "Bench":
        """A bench of all units that the rows have, or of all edges of the model.

        Raises:
            InputError: edges are asked for, and heads share their keys and values.
        """
        return cls(
            unrolled=UnrolledModel(model),
            rows=rows,
            nodes=[] if edges else units_of(model, rows.every_row),
            edges=edges_of(model) if edges else [],
            kind=kind,
            seed=seed,
        )

    @property
    def units(self) -> Sequence[Part]:
        """Those of which circuits are made: edges, if they were asked for."""
        return self.edges or self.nodes

    def find(self, names: Iterable[str]) -> Sequence[Part]:
        """The units, or edges, of these names, each once.

        Raises:
            InputError: a name is of none.
        """
        if self.edges:
            return find_edges(names, self.edges)
        return find_units(names, self.nodes, self.unrolled.model)

    def chosen_on(self, behaviour: Behaviour) -> Ablatable:
        """What the model says in the rows that circuits are chosen on."""
        return self._ablated(self._said(self.rows.chosen_on[behaviour]))

    def said(self, behaviour: Behaviour) -> Ablatable:
        """What it says in the held-out rows."""
        return self._ablated(self._said(self.rows.tested_on[behaviour]))

    def right(self, behaviour: Behaviour) -> Ablatable:
        """The right answers of the held-out rows."""
        return self._ablated(self.rows.tested_on[behaviour])

    def restored(self, every_row: Sequence[TokenizedRow]) -> dict[str, RestoredRows] | None:
        """The right answers with the weights of the stage before put back, by behaviour.

        None of a model that has no stage before it: that of no run, or of the first stage.

        Args:
            every_row: All rows of the seed, which tell the aliases of Stage 2.
        """
        model = self.unrolled.model
        earlier = _stage_before(model.folder)
        if earlier is None or model.folder is None:
            return None
        later = load_model(model.folder)
        return restored_behaviours(
            later,
            load_model(earlier),
            components_of(later, every_row),
            {each.measured: rows for each, rows in self.rows.tested_on.items()},
            stop_token=model.stop_token,
        )

    def _said(self, rows: Sequence[TokenizedRow]) -> list[TokenizedRow]:
        return said_rows(self.unrolled.model, rows)

    def _ablated(self, rows: Sequence[TokenizedRow]) -> Ablatable:
        how: Mapping[str, Any] = {
            "reference": self.rows.every_row,
            "by_question": True,
            "seed": self.seed,
        }
        if self.edges:
            return AblatedEdges(self.unrolled, rows, self.edges, self.kind, **how)
        return AblatedRows(self.unrolled, rows, self.nodes, self.kind, **how)


def _stage_before(checkpoint: Path | None) -> Path | None:
    """The last checkpoint of the stage before, of a checkpoint in a run's folder."""
    if checkpoint is None or not exists(checkpoint.parents[2] / RUN_FILE):
        return None
    run, seed, stage = (
        Run.load(checkpoint.parents[2]),
        *(int(each.name.partition("-")[2]) for each in (checkpoint.parents[1], checkpoint.parent)),
    )
    is_first = stage == min(map(int, run.config.schedule.stages))
    if is_first or not run.steps(seed, stage - 1):
        return None
    return run.checkpoint(seed=seed, stage=stage - 1)


def aliases_of(rows: Sequence[TokenizedRow]) -> list[Hashable]:
    """The alias of each row: what draws and permutations keep together."""
    return [row.row.alias for row in rows]
