"""How often the verdicts on hypotheses are right where the truth is known.

    nice -n 5 .venv/bin/python -m benchmarks.verdict_rates --draws 20   # adds what is missing
    .venv/bin/python -m benchmarks.verdict_rates --page                 # the page alone

Planted runs (`docs/planted.md`) are held against the hypotheses about planted causes. Margins of
rows were chosen on draws 0 to 19; what counts are the verdicts on draws 20 to 39.

`results/verdict-rates.csv` has a line for each gate and row of a draw: whether the gate is passed,
and the row's value in every seed. Verdicts are given anew from these values, by the hypotheses and
margins that the workbench has now, so that a margin can be thought over without new runs.
"""

import sys
from pathlib import Path

import pandas as pd

from benchmarks.planted_draws import ScoredDraws
from benchmarks.planted_verdicts import (
    CAUSES,
    COLUMNS,
    KEYS,
    LEARNED,
    ROW,
    SEEDS,
    STORED,
    Rate,
    asked_of,
    rates,
    score_draw,
    storage_shares,
    texts,
    verdicts,
    wanted,
)
from interp.hypotheses.results import Outcome
from interp.hypotheses.row import Expected
from interp.planted.kinds import KINDS
from interp.planted.truth import SHARES

ROOT = Path(__file__).parents[1]
CSV = ROOT / "benchmarks/results/verdict-rates.csv"
PAGE = ROOT / "docs/verdict-rates.md"
CALIBRATED_ON = range(20)
"""Draws that margins were chosen on."""
TOO_FEW = "too few"
NEAR = 0.15
"""How near to the truth a share is to be."""


def page(scored: pd.DataFrame) -> str:
    """The page: how many verdicts are right, the share of a mixture, and how far margins lie."""
    calibrated = scored["draw"].isin(CALIBRATED_ON)
    lines = [INTRODUCTION]
    for title, part in (
        ("On draws that no margin was chosen on", scored.loc[~calibrated]),
        ("On draws that margins were chosen on", scored.loc[calibrated]),
    ):
        lines += [f"## {title}", ""]
        lines += [f"Runs of {_seeds(part)} seeds.", "", *_part(part)] if len(part) else [NONE, ""]
    lines += ["## How far values lie from margins", "", MARGINS, *_margins(scored)]
    return "\n".join(lines) + "\n"


def _seeds(scored: pd.DataFrame) -> str:
    """How many seeds the runs have: the fewest and the most."""
    numbers = scored.loc[scored["what"] == ROW, SEEDS].notna().sum(axis=1)
    return " to ".join(dict.fromkeys([str(numbers.min()), str(numbers.max())]))


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
    """By row: its margin, and what is seen where true hypotheses expect none, and an effect."""
    lines = ["| row | margin | where none is expected | where an effect is |", "|---|---|---|---|"]
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
    """What a kind's true hypotheses expect of a row."""
    true = [text for text in texts() if CAUSES[text.name] in KINDS[kind].hypotheses]
    return {
        each.expected
        for text in true
        for each in text.hypothesis.predictions
        if each.row.id == row and (each.is_core or len(true) == 1)
    }


INTRODUCTION = """# Verdict rates

How often [verdicts on hypotheses](how-to/test-a-hypothesis.md) are right on [models in which the
truth is known](planted.md). Each draw is a run with its null twin. A verdict is right if a true
hypothesis (**bold**) is supported, a false one refuted, and all are inadmissible where there is no
gap; it is wrong if it is the opposite, or says either where there is no gap. The rest is undecided.
Asked for are 18 right of 20 and at most one wrong for each kind and hypothesis. What comes short of
it is marked. `gradient_alignment` is left out: gradients of planted models need not point where the
rule goes.

This page is made by `benchmarks/verdict_rates.py` of `benchmarks/results/verdict-rates.csv`, which
holds the values of all rows; `python -m benchmarks.verdict_rates --first 20 --draws 20` adds the
draws that are missing.
"""
NONE = "None has been made yet."
MARGINS = """Means over the seeds of a draw, least and largest: in kinds of which a true hypothesis
expects none, and in kinds of which one expects an effect. A prediction that holds only if nothing
else is at work counts where one hypothesis alone is true.
"""


DRAWS = ScoredDraws(
    description="Scores verdicts on planted runs.",
    score=score_draw,
    csv=CSV,
    columns=COLUMNS,
    keys=KEYS[:2],
    page=page,
    place=PAGE,
    n_draws=20,
)

if __name__ == "__main__":
    sys.exit(DRAWS.main())
