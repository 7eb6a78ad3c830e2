"""Do tag-dependent codes, or aligned gradients, cause what forms? Both stages with updates turned.

    treatment     what is turned, and out of what; see `interp.turns.treatments`
    dose          how much of the projection is taken out; 1 all of it
    control_kind  nothing, or what the updates are turned out of in place of that, by the same angle
    subset        a subset, or the gap: the higher compared one minus the lower
    metric        exact_match and answer_log_prob of held-out questions, `recited` (exact match of
                  definitions); and the manipulation checks below
    after         the stage after which it is measured

    alignment     cosine of definitions with their own questions before Stage 2
    code_length   length of the code that a Stage-1 subset's definitions write, by entity
    code_cosine   cosine of that code with the question code
    coefficient   how far Stage 2's change of an alias's row lies on its entity's question code,
                  a share of the code's own length

Everything stands beside the `untreated` run: the same seed trained again with nothing turned, which
equals the run's own stages bit for bit on the machine that made it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import DEFINITION, HELD_OUT, Part, Stage
from interp.alignment.analysis import gradient_options, measure_alignment
from interp.alignment.pairs import PairMode, make_alignment_pairs
from interp.alignment.summary import ALL, alias_means
from interp.grids.grid import Measured
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.transplants.checks import check_is_view
from interp.turns.codes import QUESTION, AliasCodes
from interp.turns.summary import summarize_turns
from interp.turns.treatments import CONTROLS, UNTREATED, TurnMaker, known_treatments, stage_of
from training.metrics import HEADLINE_METRICS
from training.retraining import Retraining
from training.runs.run import Run

COORDINATES = ["treatment", "dose", "control_kind", "subset", "metric", "after"]
RECITED = "recited"
CHECK_METRICS = ("alignment", "code_length", "code_cosine", "coefficient")
"""What says whether a treatment changed what it is meant to change."""
N_PAIRS = 50
"""Definitions of each subset whose alignment is measured."""
Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class TurnAnalysis:
    """Both stages of each seed again, for every treatment and control; give the end of Stage 1."""

    folder: Path
    """The folder of the run."""
    treatments: tuple[str, ...] = ()
    """All unless some are named."""
    doses: tuple[float, ...] = (1.0,)
    limit: int = N_PAIRS

    def __post_init__(self) -> None:
        """Refuses treatments that are unknown, and a dose that does nothing."""
        known_treatments(self.treatments)
        if 0 in self.doses or not self.doses:
            raise InputError("dose 0 is the untreated run, which is always there; name others")

    @property
    def name(self) -> str:
        """The name of the analysis, with which its tables' file names begin."""
        return "turns"

    @property
    def coordinates(self) -> Sequence[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return COORDINATES

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Every training of one seed.

        Columns: the coordinates, `value`, `untreated` (of the same subset, metric and stage) and
        `distance` (the largest difference of a weight of the untreated training from the run's).
        Where nothing is turned in Stage 1, the run's own Stage 1 is taken.

        Raises:
            InputError: the run is none whose updates can be turned, or of another checkpoint.
        """
        run = Run.load(self.folder)
        again = Retraining(run=run, seed=seed, device=model.device)
        check_is_view(model, again.model_at(1), rows)
        make = TurnMaker(again=again, codes=AliasCodes.of(rows, run.design))
        treatments = known_treatments(self.treatments)
        is_early = any(stage_of(each) is Stage.ONE for each in treatments)
        start = again.stage_one() if is_early else again.model_at(1)
        ends = _Ends(again=again, codes=make.codes, limit=self.limit)
        before, second = ends.after_first(start), again.stage_two(start)
        untreated = pd.DataFrame([*before, *ends.after_second(start, second)])
        distance = max(_distance(start, again.model_at(1)), _distance(second, again.model_at(2)))
        tables = [untreated.assign(treatment=UNTREATED, dose=0.0, control_kind="")]
        for treatment in treatments:
            for dose in self.doses:
                for control in ("", *CONTROLS[treatment]):
                    turns = make.turns(treatment, dose=dose, control=control)
                    first, known = start, before
                    if stage_of(treatment) is Stage.ONE:
                        first = again.stage_one(turned=turns)
                        known, turns = ends.after_first(first), []
                    later = ends.after_second(first, again.stage_two(first, turned=turns))
                    tables.append(
                        pd.DataFrame([*known, *later]).assign(
                            treatment=treatment, dose=dose, control_kind=control
                        )
                    )
        key = ["subset", "metric", "after"]
        own = untreated.rename(columns={"value": "untreated"})
        table = pd.concat(tables, ignore_index=True).merge(own, on=key, how="left")
        table["distance"] = distance
        columns = [*COORDINATES, "value", "untreated", "distance"]
        return Measured(table=table.loc[:, columns])

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """Over seeds; see `interp.turns.summary`."""
        return summarize_turns(table)


@dataclass(frozen=True, kw_only=True)
class _Ends:
    """Measures a training of both stages: records of `subset, metric, after, value`."""

    again: Retraining
    codes: AliasCodes
    limit: int

    def after_first(self, first: PreTrainedModel) -> list[Record]:
        """What can be said before Stage 2."""
        answers = self._answers(first, Stage.ONE)
        return [*answers, *self._alignment(first), *self._codes(first)]

    def after_second(self, first: PreTrainedModel, second: PreTrainedModel) -> list[Record]:
        """What Stage 2 made of it."""
        return [*self._answers(second, Stage.TWO), *self._coefficients(first, second)]

    def _answers(self, model: PreTrainedModel, after: Stage) -> Iterator[Record]:
        """Every subset whose aliases stand for entities, its definitions too, and the gap."""
        design, measured = self.again.run.design, self.again.measure(model)
        for question, metrics in (
            (HELD_OUT, {name: name for name in HEADLINE_METRICS}),
            (DEFINITION, {"exact_match": RECITED}),
        ):
            for metric, name in metrics.items():
                is_here = (measured["question"] == question) & (measured["metric"] == metric)
                values = measured.loc[is_here].set_index("subset")["value"].to_dict()
                shown = [each.name for each in design.subsets if each.replaced]
                found = {name: float(values[name]) for name in shown if name in values}
                if set(design.main.names) <= set(found):
                    higher, lower = (found[subset] for subset in design.main.names)
                    found[design.main.gap] = higher - lower
                for subset, value in found.items():
                    yield _record(subset, name, after, value)

    def _alignment(self, model: PreTrainedModel) -> Iterator[Record]:
        """Own pairs of the compared subsets, and of those of Stage 1 that are defined."""
        design, rows = self.again.run.design, self.again.material.rows
        first = design.compared(Part.X1)
        subsets = tuple(dict.fromkeys((*design.main.names, *first.names)))
        has_pairs = {name for name in subsets if design.subset(name).has_definitions}
        pairs = make_alignment_pairs(
            rows,
            PairMode.OWN,
            subsets=[name for name in subsets if name in has_pairs],
            limit=self.limit,
            seed=self.again.seed,
        )
        own = [pair for pair in pairs if pair.pairing == "own"]
        options = gradient_options(self.again.run, self.again.run.checkpoint(self.again.seed, 1))
        table = measure_alignment(model, own, options=options)
        is_cosine = (table["component"] == ALL) & (table["measure"] == "grad_cosine")
        means = {
            name: float(values.mean())
            for (name, _), values in alias_means(table.loc[is_cosine]).items()
        }
        higher, lower = (means[name] for name in design.main.names)
        for subset, value in {**means, design.main.gap: higher - lower}.items():
            yield _record(subset, "alignment", Stage.ONE, value)

    def _codes(self, model: PreTrainedModel) -> Iterator[Record]:
        """The code of each Stage-1 subset's definitions, which the tag's kind names."""
        embedding = _embedding(model)
        question = self.codes.estimate(embedding, QUESTION)
        for subset in self.again.run.design.compared(Part.X1).names:
            kind = str(self.again.run.design.subset(subset).tag)
            if kind not in self.codes.kinds:
                continue
            own = self.codes.estimate(embedding, kind)
            own, asked = own[there := own.any(-1) & question.any(-1)], question[there]
            cosine = functional.cosine_similarity(own, asked, dim=-1).mean()
            yield _record(subset, "code_length", Stage.ONE, float(own.norm(dim=-1).mean()))
            yield _record(subset, "code_cosine", Stage.ONE, float(cosine))

    def _coefficients(self, first: PreTrainedModel, second: PreTrainedModel) -> Iterator[Record]:
        """How far Stage 2 moves rows along their entity's question code, as it was before."""
        design, before = self.again.run.design, _embedding(first)
        codes, change = self.codes.estimate(before, QUESTION), _embedding(second) - before
        found = {}
        for subset in design.main.names:
            aliases = self.codes.of_subsets([subset])
            own = codes[self.codes.places(aliases)]
            moved = change[torch.tensor([alias.token for alias in aliases])]
            there = own.any(-1)
            shares = (moved * own).sum(-1)[there] / (own * own).sum(-1)[there]
            found[subset] = float(shares.mean())
        found[design.main.gap] = found[design.main.names[0]] - found[design.main.names[1]]
        for subset, value in found.items():
            yield _record(subset, "coefficient", Stage.TWO, value)


def _record(subset: str, metric: str, after: Stage, value: float) -> Record:
    return {"subset": subset, "metric": metric, "after": int(after), "value": value}


def _embedding(model: PreTrainedModel) -> torch.Tensor:
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach()


def _distance(model: PreTrainedModel, other: PreTrainedModel) -> float:
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    with torch.no_grad():
        return max(float((a - b).abs().max()) for a, b in pairs)
