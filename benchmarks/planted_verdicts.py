"""What is measured of a planted run for verdicts, the verdicts it gives, and which are right."""

import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd

from interp.grids.grid import Analysis, run_grid
from interp.grids.selection import GridSelection
from interp.hypotheses.change_analysis import ChangeAnalysis
from interp.hypotheses.checking import Seen, check_prediction, look, whole_verdict
from interp.hypotheses.freezing import Freeze, HypothesisText, find_text
from interp.hypotheses.gates import Gate, gates_of
from interp.hypotheses.results import Outcome
from interp.hypotheses.row import Row
from interp.planted.kinds import KINDS
from interp.planted.processes import planted_run
from training.executors.executor import tell_nobody
from training.runs.ledger import VARIABLE

N_SEEDS = 10
"""Of a run. The gates want 6. But the gap of a null twin has a standard deviation of .05 over seeds
(draws 0 to 19), so that among 6 it is shown to be within the margin of .08 in 9 draws of 10, among
8 in 98 of 100, among 10 in 995 of 1000; of 20 draws, 18 are to be right."""
CAUSES = {
    "computed_retrieval": "reading",
    "stored_apart": "storage",
    "strength": "strength",
    "constant_shift": "shift",
    "tag_semantics": "truth",
    "recency": "recency",
}
"""Hypotheses by name, and which of the planted causes each is about."""
KEYS = ["kind", "draw", "what", "name"]
SEEDS = [f"seed {i}" for i in range(N_SEEDS)]
COLUMNS = [*KEYS, "passed", "found", *SEEDS]
GATE, ROW = "gate", "row"
GATE_COLUMNS = ["name", "passed", "found"]
STORED, LEARNED = "direction", "length"
"""The rows that say how much of a gap is made by writing in another code, and by writing less."""
DECIMALS = 5


# ---- what is measured ----------------------------------------------------------------------------


def score_draw(kind: str, draw: int) -> pd.DataFrame:
    """The gates of a draw, and every row that its tables tell; the run itself is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        # Nobody looks at these seeds: the person's own ledger is not to hold them.
        with patch.dict(os.environ, {VARIABLE: str(path / "ledger.jsonl")}):
            run = planted_run(kind, draw, path / "run", n_seeds=N_SEEDS, progress=tell_nobody)
            stage = int(run.config.schedule.stages[-1])
            selection = GridSelection(runs=(run,), stage=stage, seeds=tuple(run.seeds))
            changes = WithoutTwin(ChangeAnalysis(folder=run.folder))
            run_grid(changes, selection, workers=1, progress=tell_nobody)  # pyright: ignore[reportArgumentType]
        records: list[dict[str, object]] = [
            {"what": GATE, **gate.to_json()} for gate in gates_of(run)
        ]
        for row in asked_of().values():
            values = look(row, run, row.id).values
            if values:
                seeds = {SEEDS[run.seeds.index(seed)]: value for seed, value in values.items()}
                records.append({"what": ROW, "name": row.id, **seeds})
    table = pd.DataFrame(records, columns=COLUMNS)
    return table.assign(kind=kind, draw=draw).round(dict.fromkeys(SEEDS, DECIMALS))


@dataclass(frozen=True)
class WithoutTwin:
    """An analysis that leaves the null twin out: its controls decide no verdict, and take time."""

    analysis: Analysis

    def __getattr__(self, name: str) -> Any:
        """What an `Analysis` has, of the whole one."""
        if name == "beside_twin":
            raise AttributeError(name)
        return getattr(self.analysis, name)


@cache
def texts() -> Sequence[HypothesisText]:
    """The hypotheses about planted causes."""
    return [find_text(name) for name in CAUSES]


def asked_of() -> Mapping[str, Row]:
    """The rows that these hypotheses expect something of, by id."""
    return {each.row.id: each.row for text in texts() for each in text.hypothesis.predictions}


# ---- what is made of it --------------------------------------------------------------------------


def verdicts(scored: pd.DataFrame) -> pd.DataFrame:
    """The verdict on each hypothesis by what was measured of each draw, and what it should be.

    Columns `kind draw hypothesis verdict wanted reasons`.
    """
    records = []
    for kind, draw in scored[KEYS[:2]].drop_duplicates().to_numpy():
        cells = scored.loc[(scored["kind"] == kind) & (scored["draw"] == draw)]
        gates = [
            Gate(name=name, passed=PASSED.get(str(passed)), found=str(found))
            for name, passed, found in cells.loc[cells["what"] == GATE, GATE_COLUMNS].to_numpy()
        ]
        rows = cells.loc[cells["what"] == ROW].set_index("name")[SEEDS]
        seen = {
            str(row): {i: float(value) for i, value in enumerate(values) if not math.isnan(value)}
            for row, values in zip(rows.index, rows.to_numpy(dtype=float), strict=True)
        }
        for text in texts():
            core = [each for each in text.hypothesis.predictions if each.is_core]
            checked = [
                check_prediction(each, Seen(values=seen.get(each.row.id, {})), "") for each in core
            ]
            verdict, reasons = whole_verdict(Freeze(time=None), gates, checked)
            records.append((kind, draw, text.name, verdict, wanted(kind, text.name), reasons))
    names = ["kind", "draw", "hypothesis", "verdict", "wanted", "reasons"]
    return pd.DataFrame(records, columns=names)


PASSED = {"True": True, "False": False}


def wanted(kind: str, hypothesis: str) -> Outcome:
    """The right verdict on a hypothesis in runs of a kind."""
    if not KINDS[kind].has_gap:
        return Outcome.INADMISSIBLE
    is_true = CAUSES[hypothesis] in KINDS[kind].hypotheses
    return Outcome.SUPPORTED if is_true else Outcome.REFUTED


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How many verdicts on a hypothesis are right, and how many wrong, in runs of a kind.

    What is neither is undecided, or inadmissible where there is something to judge.
    """

    kind: str
    hypothesis: str
    right: int
    wrong: int
    n: int

    @property
    def is_enough(self) -> bool:
        """Whether so many are right, and so few wrong, as is asked for."""
        return self.right >= LEAST_RIGHT * self.n and self.wrong <= MOST_WRONG * self.n


def rates(judged: pd.DataFrame) -> list[Rate]:
    """The rate of each kind and hypothesis among verdicts."""
    found = []
    for kind, name in judged[["kind", "hypothesis"]].drop_duplicates().to_numpy():
        cells = judged.loc[(judged["kind"] == kind) & (judged["hypothesis"] == name)]
        is_right = cells["verdict"] == cells["wanted"]
        is_decided = cells["verdict"].isin([Outcome.SUPPORTED, Outcome.REFUTED])
        found.append(
            Rate(
                kind=kind,
                hypothesis=name,
                right=int(is_right.sum()),
                wrong=int((is_decided & ~is_right).sum()),
                n=len(cells),
            )
        )
    return found


LEAST_RIGHT, MOST_WRONG = 18 / 20, 1 / 20


def storage_shares(scored: pd.DataFrame, kind: str) -> pd.Series:
    """The share of storage in what storage and strength give back of the gap, of each draw.

    Of the two alone, since an entity's share in the constant (an eighth, of 8 entities) is in
    neither.
    """
    rows = scored.loc[(scored["kind"] == kind) & (scored["what"] == ROW)]
    means = rows.set_index(["name", "draw"])[SEEDS].mean(axis=1)
    stored, learned = means[STORED], means[LEARNED]
    return stored / (stored + learned)
