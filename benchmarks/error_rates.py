"""What the project's tools find where it is, and what they claim where it is not.

    nice -n 5 .venv/bin/python -m benchmarks.error_rates --draws 4   # adds what is missing
    .venv/bin/python -m benchmarks.error_rates --page      # the page alone

Every tool is pointed at planted runs and at their null twins (`docs/planted.md`), in which the
truth is known. What counts as a claim is fixed in `tool_claims`. The claims of every draw stand in
`results/error-rates.csv`; the page `docs/error-rates.md` is made of that file alone.
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd
from scipy.stats import binomtest

from benchmarks.planted_draws import ScoredDraws
from benchmarks.tool_claims import CLAIMS, N_CIRCUIT_SEEDS, Case, Claim, summary
from interp.planted.kinds import KINDS
from interp.planted.processes import planted_run
from interp.planted.truth import read_planted

ROOT = Path(__file__).parents[1]
CSV = ROOT / "benchmarks/results/error-rates.csv"
PAGE = ROOT / "docs/error-rates.md"
N_SEEDS = 6
"""Of a run: the fewest with which sign flips over seeds give a p of .05 (2 / 2^6 = .031)."""
KEYS = ["kind", "draw", "twin"]


def score_draw(kind: str, draw: int) -> pd.DataFrame:
    """Every claim about a draw and its null twin; the run itself is thrown away."""
    records = []
    with tempfile.TemporaryDirectory() as folder:
        run = planted_run(kind, draw, Path(folder) / "run", n_seeds=N_SEEDS)
        truth = read_planted(run.folder)
        assert run.finished_null is not None
        for each in (run, run.finished_null):
            summary.cache_clear()
            case, keys = Case(each, truth), (kind, draw, each is not run)
            records += [
                {
                    **dict(zip(KEYS, keys, strict=True)),
                    "tool": claim.tool,
                    "says": claim.says,
                    "is_made": claim.is_made(case),
                }
                for claim in CLAIMS
            ]
    return pd.DataFrame(records)


def made_of(claim: Claim, scored: pd.DataFrame) -> pd.DataFrame:
    """The cases in which a claim could be made, and whether it is true of each."""
    rows = scored.loc[(scored["tool"] == claim.tool) & (scored["says"] == claim.says)]
    true = [
        claim.is_true(kind, is_twin=is_twin)
        for kind, is_twin in zip(rows["kind"], rows["twin"], strict=True)
    ]
    return rows.assign(is_true=true)


def rates(scored: pd.DataFrame) -> pd.DataFrame:
    """How often each claim is made where it is true, and where it is not, with Wilson intervals."""
    records = []
    for claim in CLAIMS:
        rows = made_of(claim, scored)
        for is_true, cases in rows.groupby("is_true"):
            n, made = len(cases), int(cases["is_made"].to_numpy().sum())
            interval = binomtest(made, n).proportion_ci(method="wilson")
            records.append(
                {
                    "tool": claim.tool,
                    "says": claim.says,
                    "is_true": bool(is_true),
                    "made": made,
                    "n": n,
                    "low": float(interval.low),
                    "high": float(interval.high),
                }
            )
    return pd.DataFrame(records)


def page(scored: pd.DataFrame) -> str:
    """The page: rates of all claims, then by kind."""
    found = rates(scored).set_index(["tool", "says", "is_true"])
    by_kind = scored.groupby("kind")["draw"].nunique()
    draws = " to ".join(dict.fromkeys([str(by_kind.min()), str(by_kind.max())]))
    lines = [
        INTRODUCTION.format(draws=draws, seeds=N_SEEDS, circuit_seeds=N_CIRCUIT_SEEDS),
    ]
    lines += ["| tool | it says | where it is true | where it is not |", "|---|---|---|---|"]
    for claim in CLAIMS:
        cells = []
        for is_true in (True, False):
            key = (claim.tool, claim.says, is_true)
            cells.append(_rate(found.loc[key]) if key in found.index else "")
        lines.append(f"| {claim.tool} | {claim.says} | {cells[0]} | {cells[1]} |")
    lines += ["", "## What counts", "", "| tool | it says | if |", "|---|---|---|"]
    lines += [f"| {claim.tool} | {claim.says} | {claim.counts} |" for claim in CLAIMS]
    lines += [
        "",
        "## By kind",
        "",
        "Claims made of runs / of their null twins; **bold** where true.",
        "",
    ]
    lines += _by_kind(scored)
    return "\n".join(lines) + "\n"


def _rate(cell: pd.Series) -> str:
    share, interval = cell["made"] / cell["n"], f"[{cell['low']:.2f}, {cell['high']:.2f}]"
    return f"{share:.2f} {interval}, {cell['made']:.0f} of {cell['n']:.0f}"


def _by_kind(scored: pd.DataFrame) -> list[str]:
    kinds = [kind for kind in KINDS if kind in set(scored["kind"])]
    lines = [f"| tool | it says | {' | '.join(kinds)} |", "|---|---|" + "---|" * len(kinds)]
    for claim in CLAIMS:
        rows = made_of(claim, scored)
        cells = []
        for kind in kinds:
            parts = []
            for is_twin in (False, True):
                of_kind = rows.loc[(rows["kind"] == kind) & (rows["twin"] == is_twin)]
                text = f"{int(of_kind['is_made'].sum())} of {len(of_kind)}"
                parts.append(f"**{text}**" if of_kind["is_true"].any() else text)
            cells.append(" / ".join(parts))
        lines.append(f"| {claim.tool} | {claim.says} | {' | '.join(cells)} |")
    return lines


INTRODUCTION = """# Error rates

What the project's tools find where it is, and what they claim where it is not, on [models in which
the truth is known](planted.md). Draws of each kind: {draws}, each a run of {seeds} seeds and its
null twin (circuits: {circuit_seeds} of the seeds). A claim is what a tool itself reports at .05,
corrected; no threshold was tuned. Shares of draws with 95% Wilson intervals, which are wide where
draws are few. This page is made by `benchmarks/error_rates.py` of
`benchmarks/results/error-rates.csv`; `python -m benchmarks.error_rates --draws N` adds the draws
that are missing.

A p says that there is an effect, not that it is large. Planted models have little noise, so
patching tells effects of a few millionths, in heads outside the circuit, from none. It asks only
about prompts that are answered with confidence; in these models few are, and a seed that has fewer
than 10 pairs is left out: six seeds less one can give no p of .05. Two things were set right after
first draws had been seen. Where the tag chooses a code, it cannot be read of unseen entities, which
is all that probes ask. And patching gets the number of pairs that is its default; it had fewer.
"""


DRAWS = ScoredDraws(
    description="Scores the tools on planted runs.",
    score=score_draw,
    csv=CSV,
    columns=KEYS,
    keys=KEYS,
    page=page,
    place=PAGE,
    n_draws=4,
)

if __name__ == "__main__":
    sys.exit(DRAWS.main())
