"""The matrix: predictions in rows, hypotheses in columns, what each expects, what was seen."""

from collections.abc import Sequence
from itertools import combinations

import pandas as pd

from interp.hypotheses.results import CheckedPrediction, Outcome, Result
from interp.hypotheses.rows import ROWS
from training.statistics import t_interval

WIDTH = 14
"""Characters of a column of the matrix in characters."""
FEWEST_OPPOSED = 2
"""Rows of which two hypotheses must expect different things to be told apart at all."""
COLUMNS = ("row", "statement", "hypothesis", "whole", "expected", "verdict", "is_core",
           "seen", "ci_low", "ci_high", "control", "control_words", "margin", "unit",
           "n_seeds")  # fmt: skip


def matrix_table(results: Sequence[Result]) -> pd.DataFrame:
    """A line for each row and hypothesis that expects something of it.

    `verdict` is of the prediction, `whole` of the hypothesis.
    `seen` is the mean over seeds in units of the row's margin, so that 1 is as much as counts;
    `ci_low` and `ci_high` are the same of its 95% t interval. Rows come in the order of `ROWS`,
    others behind them.
    """
    records = [
        {
            "row": each.row,
            "statement": each.statement,
            "hypothesis": result.title,
            "whole": str(result.verdict),
            "expected": each.expected,
            "verdict": str(each.verdict),
            "is_core": each.is_core,
            **{name: _scaled(each, value) for name, value in _seen(each).items()},
            "control_words": each.control_words,
            "margin": each.threshold,
            "unit": each.quantity,
            "n_seeds": each.n_seeds,
        }
        for result in results
        for each in result.predictions
    ]
    table = pd.DataFrame(records, columns=list(COLUMNS))
    known = [row.id for row in ROWS]
    order = {name: i for i, name in enumerate(dict.fromkeys([*known, *table["row"]]))}
    return table.sort_values("row", key=lambda names: names.map(order), kind="stable")


def _seen(each: CheckedPrediction) -> dict[str, float | None]:
    low, high = t_interval(list(each.per_seed.values()))  # of 95%, whatever is expected
    return {
        "seen": each.estimate,
        "ci_low": low,
        "ci_high": high,
        "control": each.control,
    }


def _scaled(each: CheckedPrediction, value: float | None) -> float:
    return float("nan") if value is None else value / each.threshold


def opposed_rows(first: Result, second: Result) -> list[str]:
    """The rows of which two hypotheses expect different things."""
    theirs = {each.row: each.expected for each in second.predictions}
    return [
        each.row
        for each in first.predictions
        if theirs.get(each.row, each.expected) != each.expected
    ]


def not_distinguished(results: Sequence[Result]) -> list[tuple[Result, Result, list[str]]]:
    """Pairs of hypotheses that a run cannot tell apart, with the rows that would and were decided.

    A pair is told apart by rows of which the two expect different things and that were decided for
    one of them at least: fewer than two say too little.
    """
    found = []
    for first, second in combinations(results, 2):
        verdicts = {
            each.row: each.verdict for result in (first, second) for each in result.predictions
        }
        decided = [
            row
            for row in opposed_rows(first, second)
            if verdicts[row] in (Outcome.SUPPORTED, Outcome.REFUTED)
        ]
        if len(decided) < FEWEST_OPPOSED:
            found.append((first, second, decided))
    return found


def matrix_text(results: Sequence[Result]) -> str:
    """The matrix in characters: what each hypothesis expects of each row, and what was seen.

    `+` above the margin, `0` within it, `-` below; `!` behind what was refuted, `?` behind what is
    undecided; in brackets what is expected only if nothing else is at work.
    """
    table = matrix_table(results)
    marks = {"more": "+", "none": "0", "less": "-"}
    behind = {str(Outcome.SUPPORTED): " ", str(Outcome.REFUTED): "!", str(Outcome.UNDECIDED): "?"}
    cells: dict[str, dict[str, str]] = {}
    seen: dict[str, str] = {}
    names = {result.title: result.name for result in results}
    by_row = {each.row: each for result in results for each in result.predictions}
    for cell in table.to_dict("records"):
        mark = marks[cell["expected"]] + behind[cell["verdict"]]
        shown = mark if cell["is_core"] else f"({mark.strip()})"
        cells.setdefault(cell["row"], {})[names[cell["hypothesis"]]] = shown
        each = by_row[cell["row"]]
        seen[cell["row"]] = "–" if each.estimate is None else f"{each.estimate:+.3f}"
    shown = pd.DataFrame.from_dict(cells, orient="index").reindex(list(cells)).fillna("")
    shown = shown.reindex(columns=[result.name for result in results])
    shown.columns = [name.replace("_", "\n") for name in shown.columns]
    width = max(map(len, cells))
    heads = [name.split("\n") for name in shown.columns]
    lines = []
    for level in range(max(map(len, heads))):
        parts = [head[level] if level < len(head) else "" for head in heads]
        lines.append(" " * (width + 2) + "".join(f"{part:<{WIDTH}}" for part in parts))
    lines[-1] = lines[-1] + "seen (margin)"
    for row, of_row in shown.iterrows():
        said = "".join(f"{cell:<{WIDTH}}" for cell in of_row)
        lines.append(f"{row:<{width + 2}}{said}{seen[str(row)]} ({by_row[str(row)].threshold:g})")
    verdicts = "".join(f"{result.verdict!s:<{WIDTH}}" for result in results)
    lines.append(f"{'verdict':<{width + 2}}{verdicts}")
    legend = "+ above the margin, 0 within it, - below; ! refuted, ? undecided; ( ) if alone"
    return "\n".join([line.rstrip() for line in lines] + [legend])
