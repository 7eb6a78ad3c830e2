"""Which circuits carry a run's answers and recitations, how surely, and what is lost without them?

For each behaviour (`interp.circuits.behaviours`) units or edges are scored and a circuit is chosen
on half of the aliases; everything else is measured on the other half. The table has a row for each
measurement, in the columns `circuit ablation quantity unit subset`, then `value control null_low
null_high n_null p_value n`:

    by unit      score_exact, score_eap, score_eap_ig (nats of the said answer that are lost without
                 it: positive where it helps); inclusion (share of draws of aliases in which it is
                 chosen); member (1 or 0); minimality (of members; null: units outside)
    by circuit   size (0: none was found); faithfulness, completeness, independence; equivalence (to
                 the model) and necessity (of the model without it, to the model without anything):
                 differences as shares of the gap, with 90% intervals; accepted (1 if the gate does)
    by subset    transfer (share of what is said in another subset that the circuit alone recovers);
                 disruption
                 (nats of the right answer lost without it) and disruption_exact (exact matches);
                 specificity (of the circuit's own behaviour); restored and restored_exact: as
                 disruption, by Stage-1 weights put back in the circuit's heads and MLPs. Both are
                 there of every single unit and component, too, as the circuit `single unit`,
                 without a null

Circuits of edges have ` (edges)` behind their names, and so has `single unit`: they stand beside
those of units.

`subset` is a subset's name (its held-out questions), `recite` and its name, or `gap`. `control` is
the mean of the null, `null_low` and `null_high` its 5% and 95% quantiles; `p_value` is the rank's,
with the + 1. The null of disruption and specificity are matched circuits; that of faithfulness,
completeness and transfer are circuits of as many units of each layer and kind.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool
from torch import Tensor

from data.design import Contrast, Design
from data.tokens import TokenizedRow
from interp.circuits.ablated import Ablatable
from interp.circuits.asked import Asked
from interp.circuits.behaviours import Behaviour, behaviours_of, is_trained
from interp.circuits.bench import Bench, DividedRows, aliases_of
from interp.circuits.components import weights_behind
from interp.circuits.disruption import circuit_effects
from interp.circuits.edges import EDGES
from interp.circuits.evaluation import (
    Criterion,
    completeness,
    faithfulness,
    minimality,
)
from interp.circuits.gate import gate, refuse_no_circuit
from interp.circuits.matched import N_MATCHED, NEGLIGIBLE, matched_circuits
from interp.circuits.restored import (
    restored_records,
)
from interp.circuits.scores import ScoreMethod, unit_scores
from interp.circuits.selection import (
    RECOVERED,
    NoCircuitError,
    inclusion_frequencies,
    select_circuit,
)
from interp.circuits.summary import (
    COORDINATES,
    MEASURED,
    Record,
    plain,
    record,
    summarize_circuits,
)
from interp.circuits.units import members
from interp.grids.grid import Measured
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.interventions.ablation import AblationKind
from training.designs import design_of_rows

SINGLE_UNIT = "single unit"
"""In the column `circuit`: a unit by itself."""
OWN = " (own)"
"""Behind the name of a circuit that a person gave."""
N_ALONE, N_COMPLETE = 99, 19
"""Circuits that faithfulness and transfer are held against, and completeness, at most."""


@dataclass(frozen=True, kw_only=True)
class CircuitAnalysis:
    """How circuits are found and tested; see the module's docstring."""

    contrast: str = ""
    """The name of the compared contrast; the design's main one where it is left open."""
    ablations: tuple[AblationKind, ...] = (AblationKind.MEAN,)
    method: ScoreMethod = ScoreMethod.EXACT
    """The scores that circuits are chosen by; all three are in the table."""
    circuit: tuple[str, ...] = ()
    """Names of units that make up a person's own circuit, which is tested in place of a chosen."""
    edges: bool = False
    """Whether circuits are of edges (`interp.circuits.edges`) in place of units."""
    least: float = RECOVERED
    limit: int | None = 100
    """At most so many rows of each behaviour and half; None for all."""
    n_matched: int = N_MATCHED

    @property
    def name(self) -> str:
        """The name of the analysis, with which its tables' file names begin."""
        return "circuits"

    @property
    def coordinates(self) -> list[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return COORDINATES

    def of_design(self, design: Design) -> "CircuitAnalysis":
        """The analysis of what the design compares."""
        return self if self.contrast else replace(self, contrast=design.main.name)

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Finds and tests every circuit of the checkpoint; `sites` are not looked at.

        Raises:
            InputError: too few aliases, a unit that the model lacks, or an own circuit that is
                empty or the whole model.
        """
        design = design_of_rows(rows)
        divided = DividedRows.of(rows, design, self._compared(design), limit=self.limit, seed=seed)
        parts = []
        for kind in self.ablations:
            bench = Bench.of(model, divided, kind, edges=self.edges, seed=seed)
            bench.find(self.circuit)  # refuses names before any work
            table = pd.DataFrame(self._records(bench, rows))
            parts.append(table.assign(ablation=str(kind)))
        table = pd.concat(parts, ignore_index=True)
        # A unit may be in the circuit no more, so what is known of the circuit goes.
        gone = set(zip(table["circuit"], table["ablation"], strict=True))
        return Measured(
            table=table.reindex(columns=[*COORDINATES, *MEASURED]),
            withdrawn=tuple({"circuit": name, "ablation": kind} for name, kind in sorted(gone)),
        )

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """Over seeds; see `interp.circuits.summary`."""
        return summarize_circuits(table)

    def _compared(self, design: Design) -> Contrast:
        return design.contrast(self.contrast) if self.contrast else design.main

    def _records(self, bench: Bench, rows: Sequence[TokenizedRow]) -> Iterator[Record]:
        """Of every single unit, then circuit by circuit."""
        design = design_of_rows(rows)
        compared = self._compared(design)
        asked = Asked.of(
            bench, rows, [b for b in bench.rows.tested_on if is_trained(b, design, compared)]
        )
        suffix = EDGES if self.edges else ""
        for each in asked.single_units():
            yield {"circuit": SINGLE_UNIT + suffix, **each}
        for behaviour in behaviours_of(design, compared):
            if behaviour in bench.rows.tested_on:
                name = behaviour.name(design) + (OWN if self.circuit else "") + suffix
                for each in self._of_circuit(bench, asked, behaviour, compared):
                    yield {"circuit": name, **each}

    def _of_circuit(
        self, bench: Bench, asked: Asked, behaviour: Behaviour, compared: Contrast
    ) -> list[Record]:
        """Everything about the circuit of one behaviour."""
        own = behaviour.measured
        try:
            found, circuit = self._chosen(bench, behaviour)
            found += self._alone(bench, behaviour, circuit, asked.said[behaviour.kind])
        except NoCircuitError:  # as before training: there is none, and that is a finding
            return [plain("size", 0.0, asked.n_rows[own])]
        trained = [each for each in asked.trained if each != own]  # never what is tested
        costs = [asked.solo[each] for each in trained]
        matched = matched_circuits(
            circuit,
            bench.units,
            np.stack(costs, 1) if costs else np.zeros((len(circuit), 0)),
            n=self.n_matched,
            negligible=NEGLIGIBLE,
            seed=bench.seed,
        )
        circuits = torch.cat([circuit[None], matched.sets])
        effects = circuit_effects(asked.right, circuits, compared)
        found += effects.records(asked.n_rows)
        if trained:
            specific = effects.specificity(own, trained)
            found.append(record("specificity", specific, asked.n_rows[own], subset=own))
        if asked.restored is not None:
            components = next(iter(asked.restored.values())).units
            held = [unit for unit, is_in in zip(bench.units, circuit, strict=True) if is_in]
            behind = weights_behind(held, components)
            costs = [asked.solo_restored[each] for each in trained]
            found += restored_records(
                asked.restored, behind, costs, compared, n=self.n_matched, seed=bench.seed
            )
        return found

    def _alone(
        self,
        bench: Bench,
        behaviour: Behaviour,
        circuit: Bool[Tensor, " unit"],
        said: Mapping[str, Ablatable],
    ) -> list[Record]:
        """What a circuit is by itself: the criteria, the gate, and what it recovers elsewhere."""
        others = matched_circuits(
            circuit,
            bench.units,
            np.zeros((len(circuit), 0)),
            n=N_ALONE,
            by_role=False,
            seed=bench.seed,
        ).sets
        own, aliases = behaviour.measured, aliases_of(bench.rows.tested_on[behaviour])
        faithful = faithfulness(said[own], circuit, others)
        return [
            record("faithfulness", faithful, said[own].n_rows),
            *_criteria(bench, said[own], circuit, others, aliases),
            *_transfers(said, circuit, others, {own: faithful}),
        ]

    def _chosen(
        self, bench: Bench, behaviour: Behaviour
    ) -> tuple[list[Record], Bool[Tensor, " unit"]]:
        """The circuit, chosen or given, after the records of its units."""
        ablated = bench.chosen_on(behaviour)
        aliases = aliases_of(bench.rows.chosen_on[behaviour])
        scores = {method: unit_scores(ablated, method) for method in ScoreMethod}
        if self.circuit:
            circuit = members([bench.find(self.circuit)], bench.units)[0]
            refuse_no_circuit(circuit)
            inclusion = inclusion_frequencies(
                scores[self.method], aliases, int(circuit.sum()), seed=bench.seed
            )
        else:
            selected = select_circuit(
                ablated, scores[self.method], aliases, least=self.least, seed=bench.seed
            )
            circuit, inclusion = selected.circuit, selected.inclusion
        found = [plain("size", float(circuit.sum()), ablated.n_rows)]
        of_units = {f"score_{method}": each.mean(0).tolist() for method, each in scores.items()}
        of_units |= {"inclusion": inclusion.tolist(), "member": circuit.double().tolist()}
        for quantity, values in of_units.items():
            for unit, value in zip(bench.units, values, strict=True):
                found.append(plain(quantity, value, ablated.n_rows, unit=unit.name))
        return found, circuit


def _criteria(
    bench: Bench,
    ablated: Ablatable,
    circuit: Bool[Tensor, " unit"],
    matched: Bool[Tensor, "null unit"],
    aliases: list[Hashable],
) -> Iterator[Record]:
    """What a circuit is on held-out aliases, by the criteria and the gate."""
    n, seed = ablated.n_rows, bench.seed
    yield record("completeness", completeness(ablated, circuit, matched[:N_COMPLETE], seed=seed), n)
    tested = gate(ablated, circuit, aliases, seed=seed)
    yield record("independence", tested.independent, n)
    for quantity, each in (("equivalence", tested.faithful), ("necessity", tested.necessary)):
        yield plain(quantity, each.difference, n) | {
            "null_low": each.low,
            "null_high": each.high,
            "p_value": each.p_value,
        }
    yield plain("accepted", float(tested.is_accepted), n)
    minimal = minimality(ablated, circuit)
    names = [unit.name for unit, held in zip(bench.units, circuit, strict=True) if held]
    for unit, lost, p in zip(names, minimal.lost, minimal.p_values, strict=True):
        of_unit = Criterion(value=float(lost), null=minimal.null, p_value=float(p))
        yield record("minimality", of_unit, n, unit=unit)


def _transfers(
    said: Mapping[str, Ablatable],
    circuit: Bool[Tensor, " unit"],
    matched: Bool[Tensor, "null unit"],
    known: Mapping[str, Criterion],
) -> Iterator[Record]:
    """What a circuit alone recovers of each behaviour that there is anything to recover of."""
    for name, ablated in said.items():
        try:
            found = known.get(name) or faithfulness(ablated, circuit, matched)
        except NoCircuitError:  # nothing there depends on any unit
            continue
        yield record("transfer", found, ablated.n_rows, subset=name)
