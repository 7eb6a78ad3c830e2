"""What the circuit tab measures: what each unit or edge does, and what is lost without any of them.

Everything is measured live, on one checkpoint: scores and frequencies on the half of the aliases
that circuits are chosen on, losses on the other half (see `interp.circuits.bench`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool
from torch import Tensor

from data.design import Contrast, Design
from data.errors import InputError
from data.tokens import TokenizedRow
from interp.circuits.ablated import Ablatable
from interp.circuits.behaviours import Behaviour, BehaviourKind, behaviours_of
from interp.circuits.bench import Bench, DividedRows, aliases_of
from interp.circuits.edges import Edge
from interp.circuits.matched import matched_circuits
from interp.circuits.scores import ScoreMethod, unit_scores
from interp.circuits.selection import NoCircuitError, select_circuit
from interp.circuits.summary import Record, plain
from interp.circuits.units import Part, Unit, members, token_roles
from interp.edges.graph import EdgeGraph, EdgeNode
from interp.explorer.view import View
from interp.hooked.activations import pad_tokens
from interp.hooked.model import HookedModel
from interp.hooked.unembedding import LogitReader
from interp.interventions.ablation import AblationKind

LIMIT = 100
"""Rows of each behaviour and half: enough to see, few enough to wait for."""
N_NULL = 20
"""Random choices that what was chosen is held against at once."""
MOST_EDGES = 2_000
"""Each is ablated alone before the first picture, which of more takes no longer seconds."""
N_WRITTEN = 6
METRICS = ("exact_match", "answer_log_prob")


@dataclass(kw_only=True)
class CircuitBench:
    """One checkpoint, ready to lose any of its units, or of its edges."""

    bench: Bench
    design: Design
    compared: Contrast
    _watched: dict[str, Ablatable] = field(default_factory=dict)
    _parts: dict[Behaviour, pd.DataFrame] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: HookedModel,
        rows: DividedRows,
        design: Design,
        compared: Contrast,
        kind: AblationKind,
        *,
        edges: bool = False,
        seed: int,
    ) -> "CircuitBench":
        """A bench on which outputs, or what single readers get of them, are ablated in one way.

        Raises:
            InputError: edges are asked for, and the model's cannot be had; see `check_edges`.
        """
        if edges:
            check_edges(model)
        bench = Bench.of(model, rows, kind, edges=edges, seed=seed)
        return cls(bench=bench, design=design, compared=compared)

    @property
    def units(self) -> Sequence[Part]:
        """Those that can be taken away: units, or edges."""
        return self.bench.units

    @property
    def behaviours(self) -> dict[str, Behaviour]:
        """What circuits are looked for, by name; the answers of the higher subset first."""
        there = [
            b for b in behaviours_of(self.design, self.compared) if b in self.bench.rows.chosen_on
        ]
        there.sort(
            key=lambda b: (b.kind is BehaviourKind.RECITE, b.subset != self.compared.higher.name)
        )
        return {each.name(self.design): each for each in there}

    def parts(self, behaviour: Behaviour) -> pd.DataFrame:
        """Scores, inclusion and membership of every unit, as rows of a `circuits` table."""
        if behaviour not in self._parts:
            self._parts[behaviour] = pd.DataFrame(self._records(behaviour))
        return self._parts[behaviour]

    def _records(self, behaviour: Behaviour) -> list[Record]:
        ablated = self.bench.chosen_on(behaviour)
        scores = {method: unit_scores(ablated, method) for method in ScoreMethod}
        n = len(self.units)
        values = {f"score_{method}": each.mean(0).tolist() for method, each in scores.items()}
        try:
            aliases = aliases_of(self.bench.rows.chosen_on[behaviour])
            chosen = select_circuit(
                ablated, scores[ScoreMethod.EXACT], aliases, seed=self.bench.seed
            )
            values["inclusion"] = chosen.inclusion.tolist()
            values["member"] = chosen.circuit.double().tolist()
        except NoCircuitError:  # nothing is carried by few units, so none is chosen
            values["inclusion"] = [0.0] * n
        name, kind = behaviour.name(self.design), str(self.bench.kind)
        return [
            {"circuit": name, "ablation": kind,
             **plain(quantity, value, ablated.n_rows, unit=unit.name)}
            for quantity, each in values.items()
            for unit, value in zip(self.units, each, strict=True)
        ]  # fmt: skip

    def losses(self, chosen: Collection[Part]) -> pd.DataFrame:
        """What the watched subsets answer before and without units, and without random others.

        Columns `subset metric before after null_low null_high n_null n`. The null is of at most
        `N_NULL` random choices of as many heads and MLPs of the same layers (or edges, of the same
        layers of readers and the same kinds of both ends), sharing at most half; its ends are the
        least and the most that one of them leaves.
        """
        circuit = members([chosen], self.units)[0]
        nulls = self._random(circuit)
        sets = torch.cat([torch.zeros_like(circuit)[None], circuit[None], nulls])
        rows = []
        for subset, ablated in self._watched_rows().items():
            said = ablated.answers(sets).mean(1).numpy()
            for i, metric in enumerate(METRICS):
                null = said[2:, i]
                rows.append({
                    "subset": subset, "metric": metric, "before": said[0, i], "after": said[1, i],
                    "null_low": null.min(initial=np.inf) if len(null) else np.nan,
                    "null_high": null.max(initial=-np.inf) if len(null) else np.nan,
                    "n_null": len(null), "n": ablated.n_rows,
                })  # fmt: skip
        return pd.DataFrame(rows)

    def _watched_rows(self) -> Mapping[str, Ablatable]:
        """The right answers of what is compared and, to see what else goes, of what was trained."""
        if not self._watched:
            asked = [b for b in self.behaviours.values() if b.kind is BehaviourKind.ANSWER]
            order = [*self.compared.names]
            asked.sort(key=lambda b: order.index(b.subset) if b.subset in order else len(order))
            self._watched = {each.subset: self.bench.right(each) for each in asked}
        return self._watched

    def _random(self, circuit: Bool[Tensor, " unit"]) -> Bool[Tensor, "null unit"]:
        """Other choices of as many units of each layer and kind; none where none are like it."""
        if not 0 < int(circuit.sum()) < len(circuit):
            return torch.zeros(0, len(circuit), dtype=torch.bool)
        none = np.zeros((len(circuit), 0))
        return matched_circuits(
            circuit, self.units, none, n=N_NULL, by_role=False, seed=self.bench.seed
        ).sets

    def written(self, view: View, part: Part) -> pd.DataFrame | None:
        """What a unit, or an edge's writer, adds to the logits at a place of the prompt on view.

        That of a unit is its token's; that of an edge the one from which the answer is predicted.

        Columns `token here elsewhere`: the tokens whose centred logit it raises most and the
        answer's, and the mean of the same over prompts laid out alike. None where the prompt has
        no such token.

        Raises:
            InputError: the model's logits are no sum of what its parts write.
        """
        place = place_of(view.question, part)
        if place is None:
            return None
        rows = view.rows.laid_out_alike(view.question) or [view.question]
        here = self._written([view.question], part, place)[0]
        elsewhere = self._written(rows, part, place).mean(0)
        most = here.topk(min(N_WRITTEN, len(here))).indices.tolist()
        kept = sorted({*most, view.answer}, key=lambda token: -float(here[token]))
        return pd.DataFrame(
            {
                "token": view.rows.tokens(kept),
                "here": here[kept].tolist(),
                "elsewhere": elsewhere[kept].tolist(),
                "is_answer": [token == view.answer for token in kept],
            }
        )

    @torch.no_grad()
    def _written(self, rows: Sequence[TokenizedRow], part: Part, place: int) -> Tensor:
        unrolled, reader = self.bench.unrolled, LogitReader.of(self.bench.unrolled.model.unembed)
        end = max(row.answer_positions[0] for row in rows)
        trace = unrolled.trace(pad_tokens([row.input_ids[:end] for row in rows]))
        writer = part.writer if isinstance(part, Edge) else part
        assert isinstance(writer, Unit | EdgeNode)
        if writer.layer is None:  # the embedding
            added = trace["resid_pre"][0][:, place]
        elif writer.head is None:
            added = trace["mlp_out"][writer.layer][:, place]
        else:
            z = trace["z"][writer.layer][:, place, writer.head]
            added = z @ unrolled.W_O[writer.layer][writer.head]
        last = trace["resid_post"][-1][:, place].double().cpu()
        norm = reader.norm
        logits = (norm.centred(added.double().cpu()) * norm.gain) @ reader.W_U * reader.scale
        return (logits - logits.mean(1, keepdim=True)) / norm.divisor(last)[:, None]


def place_of(row: TokenizedRow, part: Part) -> int | None:
    """The last token of a unit's role before the answer, if there is one; of an edge the last."""
    roles = token_roles(row)[: row.answer_positions[0]]
    if not isinstance(part, Unit):
        return len(roles) - 1
    return max((place for place, each in enumerate(roles) if each == part.role), default=None)


def check_edges(model: HookedModel) -> None:
    """Refuses models whose edges cannot be ablated one by one while one waits.

    Raises:
        InputError: heads share their keys and values, or there are too many edges.
    """
    n = int(EdgeGraph.of(model).is_edge.sum())
    if n > MOST_EDGES:
        raise InputError(
            f"{model.architecture} has {n:,} edges here, more than the {MOST_EDGES:,} that can be "
            "looked at one by one while you wait; choose heads and MLPs"
        )


def head_in(part: Part) -> tuple[int, int] | None:
    """Layer and number of a unit's head; of an edge that of its reader, else its writer."""
    ends = (part.reader, part.writer) if isinstance(part, Edge) else (part,)
    for end in ends:
        assert isinstance(end, Unit | EdgeNode)
        if end.layer is not None and end.head is not None:
            return end.layer, end.head
    return None
