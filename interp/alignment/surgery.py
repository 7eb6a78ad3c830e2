"""Does alignment cause what is internalized? Stage 1 with the definitions' gradient turned.

In each batch of Stage 1 the definitions' mean gradient loses `dose` times its projection on the
questions' (`training.gradient_surgery`): 1 takes their alignment out of every update, -1 doubles
it, 0 is the run itself. The control moves it by as much along a random direction orthogonal to the
questions' gradient. Stage 2 follows, as it is. Beside the gaps stands the alignment of D5 minus D6
before Stage 2: whether the surgery changed what it is meant to change.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy, Part
from interp.alignment.analysis import gradient_options, measure_alignment
from interp.alignment.pairs import PairMode, make_alignment_pairs
from interp.alignment.summary import tag_gap
from interp.grids.grid import Measured
from interp.grids.seed_summary import summarize_over_seeds
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.transplants.analysis import check_is_view
from training.columns import RUN_COLUMNS
from training.metrics import HEADLINE_METRICS
from training.retraining import Retraining, gap_of
from training.runs.run import Run

DOSES, CONTROL_DOSES = (-1.0, 0.0, 0.5, 1.0), (-1.0, 0.5, 1.0)
QUESTIONS, RANDOM = "questions", "random"
"""Directions along which the definitions' gradient is moved."""
UNTREATED, SLOPE = "dose 0", "slope"


@dataclass(frozen=True, kw_only=True)
class SurgeryAnalysis:
    """Both stages of each seed again, at every dose; give the grid the end of Stage 1."""

    folder: Path
    """The folder of the run."""
    doses: tuple[float, ...] = DOSES
    control_doses: tuple[float, ...] = CONTROL_DOSES
    """The doses along a random direction."""
    limit: int | None = None
    """Number of definitions of each subset whose alignment is measured."""
    loss_policy: LossPolicy | None = None
    allow_materialise: bool = False

    @property
    def name(self) -> str:
        """Stem of the tables' names."""
        return "surgery"

    @property
    def coordinates(self) -> Sequence[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return ["direction", "dose", "quantity"]

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Every dose and direction of one seed.

        Raises:
            InputError: dose 0, which all others are held against, is missing.
        """
        if 0 not in self.doses:
            raise InputError("the doses lack 0, which the others are held against; add it")
        again = Retraining(run=Run.load(self.folder), seed=seed, device=model.device)
        check_is_view(model, again.model_at(1), rows)
        cells = [(QUESTIONS, dose) for dose in self.doses]
        cells += [(RANDOM, dose) for dose in self.control_doses]
        records = []
        for direction, dose in cells:
            treated = again.stage_one(dose=dose, along_random=direction == RANDOM)
            measured = self._measure_one(again, treated, rows)
            records += [
                {"direction": direction, "dose": dose, "quantity": name, "value": value}
                for name, value in measured.items()
            ]
        return Measured(table=pd.DataFrame(records))

    def _measure_one(
        self, again: Retraining, treated: PreTrainedModel, rows: Sequence[TokenizedRow]
    ) -> dict[str, float]:
        """Gaps at the end of both stages, and the alignment between them."""
        pairs = make_alignment_pairs(
            rows,
            PairMode.OWN,
            subsets=again.run.design.main.names,
            limit=self.limit,
            seed=again.seed,
        )
        checkpoint = again.run.checkpoint(again.seed, 1)
        options = replace(
            gradient_options(again.run, checkpoint, self.loss_policy),
            allow_materialise=self.allow_materialise,
        )
        aligned = measure_alignment(treated, pairs, options=options)
        design = again.run.design
        ends = {Part.X1: treated, Part.X2: again.stage_two(treated)}
        gaps = {
            "alignment": tag_gap(aligned, design.main),
            "alignment_dot": tag_gap(aligned, design.main, "grad_dot"),
        }
        for part, trained in ends.items():
            contrast, measured = design.compared(part), again.measure(trained)
            for metric in HEADLINE_METRICS:
                gaps[f"{contrast.name}_{metric}"] = gap_of(measured, *contrast.names, metric)
        return gaps

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """One row for each direction, dose, quantity and what it is held against.

        Columns: run columns without the seed, `direction, dose, quantity, against`, the means over
        seeds `value` and `null`, and those of `summarize_over_seeds` for value minus null.
        `against` is `dose 0`; `random`, the control of the same dose; or `slope`, where value is
        the slope over doses along the questions (dose is NaN) and null that of the control.
        """
        return summarize_over_seeds(
            dose_contrasts(table),
            cell=["direction", "dose", "quantity", "against"],
            means=["value", "null"],
            tested="difference",
        )


def dose_contrasts(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each seed and cell of the summary."""
    records = []
    keys = [*RUN_COLUMNS, "quantity"]
    for key, rows in table.groupby(keys, sort=True):
        assert isinstance(key, tuple)
        shared = dict(zip(keys, key, strict=True))
        cells = zip(rows["direction"], rows["dose"], strict=True)
        values = dict(zip(cells, rows["value"].tolist(), strict=True))
        untreated = values[QUESTIONS, 0.0]
        for (direction, dose), value in values.items():
            records.append(shared | _cell(direction, dose, UNTREATED, value, untreated))
            if direction == QUESTIONS and (RANDOM, dose) in values:
                null = values[RANDOM, dose]
                records.append(shared | _cell(direction, dose, RANDOM, value, null))
        if len(values) > 1:
            real, control = (_slope(values, direction) for direction in (QUESTIONS, RANDOM))
            records.append(shared | _cell(QUESTIONS, np.nan, SLOPE, real, control))
    return pd.DataFrame(records)


def _slope(values: dict[tuple[str, float], float], direction: str) -> float:
    """Change for each unit of dose, by least squares; dose 0 belongs to either direction."""
    known = {dose: value for (name, dose), value in values.items() if name == direction}
    known |= {0.0: values[QUESTIONS, 0.0]}
    if len(known) < 2:
        return 0.0
    return float(np.polyfit(list(known), list(known.values()), 1)[0])


def _cell(
    direction: str, dose: float, against: str, value: float, null: float
) -> dict[str, str | float]:
    return {
        "direction": direction,
        "dose": dose,
        "against": against,
        "value": value,
        "null": null,
        "difference": value - null,
    }
