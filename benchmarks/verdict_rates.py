"""How often the verdicts on hypotheses are right where the truth is known.

    nice -n 5 .venv/bin/python -m benchmarks.verdict_rates --draws 20   # adds what is missing
    .venv/bin/python -m benchmarks.verdict_rates --page                 # the page alone

Planted runs (`docs/planted.md`) are held against the hypotheses about planted causes. Margins of
rows were chosen on draws 0 to 19; what counts are the verdicts on draws 20 to 39.

`results/verdict-rates.csv` has a line for each gate and row of a draw: whether the gate is passed,
and the row's value in every seed. Verdicts are given anew from these values, by the hypotheses and
margins that the workbench has now, so that a margin can be thought over without new runs.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd

from benchmarks.error_rates import missing_draws
from interp.grids.grid import Analysis, run_grid
from interp.grids.selection import GridSelection
from interp.hypotheses.change_analysis import ChangeAnalysis
from interp.hypotheses.checking import Seen, check_prediction, look, whole_verdict
from interp.hypotheses.freezing import Freeze, HypothesisText, find_text
from interp.hypotheses.gates import Gate, gates_of
from interp.hypotheses.results import Outcome
from interp.planted.kinds import KINDS
from interp.planted.processes import planted_run
from training.executors.executor import tell_nobody
from training.runs.ledger import VARIABLE

ROOT = Path(__file__).parents[1]
CSV = ROOT / "benchmarks/results/verdict-rates.csv"
PAGE = ROOT / "docs/verdict-rates.md"
N_SEEDS = 6
"""Of a run: the fewest that the gates let pass."""
CALIBRATED_ON = range(20)
"""Draws that margins were chosen on."""
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
COLUMNS = [*KEYS, "passed", *SEEDS]
GATE, ROW = "gate", "row"
STORAGE_SHARE = "direction"
"""The row that says which share of a gap is made by writing in another code."""
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
            run_grid(changes, selection, workers=1, progress=tell_nobody)
        records: list[dict[str, object]] = [
            {"what": GATE, "name": gate.name, "passed": gate.passed} for gate in gates_of(run)
        ]
        rows = {p.row.id: p.row for text in texts() for p in text.hypothesis.predictions}
        for row in rows.values():
            values = look(row, run, CSV).values
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


# ---- what is made of it --------------------------------------------------------------------------


def main() -> int:
    """Adds the draws that are missing, and writes the page."""
    parser = argparse.ArgumentParser(description="Scores verdicts on planted runs.")
    parser.add_argument("--draws", type=int, default=20, metavar="N", help="of each kind")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first of them")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="draws at once")
    parser.add_argument("--page", action="store_true", help="only the page")
    asked = parser.parse_args()
    known = read_scored() if CSV.exists() else pd.DataFrame(columns=COLUMNS)
    if not asked.page:
        draws = range(asked.first, asked.first + asked.draws)
        missing = list(missing_draws(known, asked.kinds, draws))
        with ProcessPoolExecutor(asked.workers, get_context("spawn")) as pool:
            waited_for = {pool.submit(score_draw, *each): each for each in missing}
            for done in as_completed(waited_for):
                known = pd.concat([known, done.result()]).sort_values(KEYS[:2], kind="stable")
                known.to_csv(CSV, index=False)
                print("scored: {} {}".format(*waited_for[done]), file=sys.stderr)
    return 0


def read_scored() -> pd.DataFrame:
    return pd.read_csv(CSV)


if __name__ == "__main__":
    sys.exit(main())
