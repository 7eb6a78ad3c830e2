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
import math
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
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
from interp.hypotheses.row import Expected, Row
from interp.planted.kinds import KINDS
from interp.planted.processes import planted_run
from interp.planted.truth import SHARES
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
            {"what": GATE, "name": gate.name, "passed": gate.passed} for gate in gates_of(run)
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
            Gate(name=name, passed=PASSED.get(str(passed)), found="")
            for name, passed in cells.loc[cells["what"] == GATE, ["name", "passed"]].to_numpy()
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
TOO_FEW = "too few"
NEAR = 0.15
"""How near to the truth a share is to be."""


def storage_shares(scored: pd.DataFrame, kind: str) -> pd.Series:
    """The share of storage in what storage and strength give back of the gap, of each draw.

    Of the two alone, since an entity's share in the constant (an eighth, of 8 entities) is in
    neither.
    """
    rows = scored.loc[(scored["kind"] == kind) & (scored["what"] == ROW)]
    means = rows.set_index(["name", "draw"])[SEEDS].mean(axis=1)
    stored, learned = means[STORED], means[LEARNED]
    return stored / (stored + learned)


def page(scored: pd.DataFrame) -> str:
    """The page: how many verdicts are right, the share of a mixture, and how far margins lie."""
    calibrated = scored["draw"].isin(CALIBRATED_ON)
    lines = [INTRODUCTION.format(seeds=N_SEEDS)]
    for title, part in (
        ("On draws that no margin was chosen on", scored.loc[~calibrated]),
        ("On draws that margins were chosen on", scored.loc[calibrated]),
    ):
        lines += [f"## {title}", ""]
        lines += _part(part) if len(part) else ["None has been made yet.", ""]
    lines += ["## How far values lie from margins", "", MARGINS, *_margins(scored)]
    return "\n".join(lines) + "\n"


def _part(scored: pd.DataFrame) -> list[str]:
    """One set of draws: verdicts by kind and hypothesis, those that are not right, the shares."""
    judged = verdicts(scored)
    found = {(each.kind, each.hypothesis): each for each in rates(judged)}
    kinds = [kind for kind in KINDS if kind in set(judged["kind"])]
    lines = [f"| kind | {' | '.join(CAUSES)} |", "|---|" + "---|" * len(CAUSES)]
    lines += [
        f"| {kind} | {' | '.join(_cell(found[kind, name]) for name in CAUSES)} |" for kind in kinds
    ]
    lines += ["", *(_shares(scored, kind) for kind in SHARES if kind in kinds), ""]
    missed = judged.loc[judged["verdict"] != judged["wanted"]]
    lines += [
        f"- {each.kind}, draw {each.draw}: {each.hypothesis} is {each.verdict} "
        f"({'; '.join(each.reasons)})"
        for each in missed.itertuples()
    ]
    return [*lines, ""] if len(missed) else lines


def _cell(rate: Rate) -> str:
    text = f"{rate.right} of {rate.n}"
    text += f", {rate.wrong} wrong" if rate.wrong else ""
    text += "" if rate.is_enough else f" ({TOO_FEW})"
    is_true = wanted(rate.kind, rate.hypothesis) is Outcome.SUPPORTED
    return f"**{text}**" if is_true else text


def _shares(scored: pd.DataFrame, kind: str) -> str:
    found = storage_shares(scored, kind)
    near = int(((found - SHARES[kind]).abs() <= NEAR).sum())
    return (
        f"Of what rows `{STORED}` and `{LEARNED}` give back in `{kind}`, {found.mean():.2f} is "
        f"storage ({found.min():.2f} to {found.max():.2f}; true: {SHARES[kind]:.2f}), within "
        f"{NEAR} in {near} of {len(found)} draws."
    )


def _margins(scored: pd.DataFrame) -> list[str]:
    """By row: its margin, and the values where hypotheses that are true expect none, and more."""
    lines = ["| row | margin | where none is expected | where more is |", "|---|---|---|---|"]
    rows = scored.loc[scored["what"] == ROW]
    means = rows.assign(value=rows[SEEDS].mean(axis=1))
    for row in asked_of().values():
        cells = []
        for expected in (Expected.NONE, Expected.MORE):
            kinds = [kind for kind in KINDS if expected in _expected_of(kind, row.id)]
            found = means.loc[(means["name"] == row.id) & means["kind"].isin(kinds), "value"]
            cells.append(f"{found.min():.2f} to {found.max():.2f}" if len(found) else "")
        if any(cells):
            lines.append(f"| {row.id} | {row.margin.value:g} | {cells[0]} | {cells[1]} |")
    return lines


def _expected_of(kind: str, row: str) -> set[Expected]:
    """What core predictions of a kind's true hypotheses expect of a row."""
    return {
        each.expected
        for text in texts()
        for each in text.hypothesis.predictions
        if each.is_core and each.row.id == row and CAUSES[text.name] in KINDS[kind].hypotheses
    }


INTRODUCTION = """# Verdict rates

How often [verdicts on hypotheses](how-to/test-a-hypothesis.md) are right on [models in which the
truth is known](planted.md). Each draw is a run of {seeds} seeds, the fewest that the gates let
pass, with its null twin. A verdict is right if a true hypothesis (**bold**) is supported, a false
one refuted, and all are inadmissible where there is no gap; it is wrong if it is the opposite, or
any where there is no gap. The rest is undecided. Asked for are 18 right of 20 and at most one wrong
for each kind and hypothesis. `gradient_alignment` is left out: gradients of planted models need not
point where the rule goes.

This page is made by `benchmarks/verdict_rates.py` of `benchmarks/results/verdict-rates.csv`, in
which the values of all rows stand; `python -m benchmarks.verdict_rates --first 20 --draws 20` adds
the draws that are missing.
"""
MARGINS = """Means over the seeds of a draw, least and largest, in the kinds whose true hypotheses
have a core prediction of the row.
"""


def main() -> int:
    """Adds the draws that are missing, and writes the page."""
    parser = argparse.ArgumentParser(description="Scores verdicts on planted runs.")
    parser.add_argument("--draws", type=int, default=20, metavar="N", help="of each kind")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first of them")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="draws at once")
    parser.add_argument("--page", action="store_true", help="only the page")
    asked = parser.parse_args()
    known = pd.read_csv(CSV) if CSV.exists() else pd.DataFrame(columns=COLUMNS)
    if not asked.page:
        draws = range(asked.first, asked.first + asked.draws)
        missing = list(missing_draws(known, asked.kinds, draws))
        with ProcessPoolExecutor(asked.workers, get_context("spawn")) as pool:
            waited_for = {pool.submit(score_draw, *each): each for each in missing}
            for done in as_completed(waited_for):
                known = pd.concat([known, done.result()]).sort_values(KEYS[:2], kind="stable")
                known.to_csv(CSV, index=False)
                PAGE.write_text(page(known))
                print("scored: {} {}".format(*waited_for[done]), file=sys.stderr)
    PAGE.write_text(page(known))
    return 0


if __name__ == "__main__":
    sys.exit(main())
