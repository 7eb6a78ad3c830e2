"""Holds hypotheses against a run: gates first, then each prediction by rule, then the whole.

A whole is supported where all its core predictions are, refuted where any of them is, so that its
risk of a wrong `supported` is that of one prediction at most, and of a wrong `refuted` the sum over
its core predictions. What says that data and text fit together is said before (`interp.hypotheses.
freezing`): on a text that was changed nothing is supported and nothing refuted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data.errors import InputError, reading
from interp.hypotheses.freezing import Freeze, HypothesisText, freeze_of
from interp.hypotheses.gates import Gate, gates_of
from interp.hypotheses.hypothesis import Prediction
from interp.hypotheses.results import CheckedPrediction, Outcome, Result
from interp.hypotheses.row import Expected, Row
from interp.verdicts.quantities import NotMeasured
from interp.verdicts.rule import Word, judge
from training.runs.ledger import Ledger
from training.runs.run import Run
from training.statistics import sign_flip_p, t_interval

MOST_SEEDS = 1000
"""Beyond which more seeds are no advice: the mean lies on the margin."""
OUTCOMES = {
    Word.HOLDS: Outcome.SUPPORTED,
    Word.FAILS: Outcome.REFUTED,
    Word.UNDECIDED: Outcome.UNDECIDED,
}
_DECIMALS = 12
"""Kept of a value: rounding errors of averages are no effect."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was measured of a row in a run."""

    values: Mapping[int, float]
    control: float | None = None
    needs: str = ""
    """What the run lacks, where there are no values."""


def require_tags(run: Run) -> None:
    """Refuses a run that no hypothesis speaks of: all are about what a tag does.

    Raises:
        InputError: the run's design compares nothing, or its definitions carry no tags.
    """
    run.design.main  # noqa: B018  says so if the design compares nothing
    if all(subset.tag is None for subset in run.design.subsets):
        raise InputError(
            f"{run.folder} is of {run.design.name}, in which nothing carries a tag; hypotheses are "
            "about what a tag does: check them in a run of implicit meta-learning"
        )


def check(texts: Sequence[HypothesisText], run: Run, ledger: Ledger) -> list[Result]:
    """The verdicts on hypotheses, whose rows are each measured once.

    Args:
        texts: The hypotheses.
        run: Finished, with the tables that it is to have.
        ledger: What was frozen and read.

    Raises:
        InputError: a row of a person's own raises.
    """
    seen: dict[int, Seen] = {}
    gates = gates_of(run)
    results = []
    for text in texts:
        for prediction in text.hypothesis.predictions:
            if id(prediction.row) not in seen:
                seen[id(prediction.row)] = look(prediction.row, run, text.path)
        checked = [
            check_prediction(each, seen[id(each.row)], each.row.words(run.design.main))
            for each in text.hypothesis.predictions
        ]
        frozen = freeze_of(text, run, ledger)
        verdict, reasons = whole_verdict(frozen, gates, checked)
        results.append(
            Result(
                name=text.name,
                title=text.hypothesis.title,
                statement=text.hypothesis.statement,
                sha256=text.sha256,
                frozen=frozen.time,
                verdict=verdict,
                exploratory=bool(frozen.exploratory),
                reasons=reasons,
                known=frozen.exploratory,
                is_alone=all(each.verdict is Outcome.SUPPORTED for each in checked),
                run_id=run.config.run_id,
                seeds=run.seeds,
                gates=gates,
                predictions=checked,
            )
        )
    return results


def look(row: Row, run: Run, where: object) -> Seen:
    """Measures a row of a run, and its control.

    Args:
        row: Perhaps a person's own.
        run: Which is asked.
        where: The file of the hypothesis, for an error.

    Raises:
        InputError: the row raises something else than `NotMeasured`, or gives no such values.
    """
    fault = f"has a row {row.id!r} that raises"
    try:
        with reading(where, "mend the row", InputError, fault=fault):
            try:
                values = row.measure(run).dropna().astype(float).round(_DECIMALS)
            except NotMeasured as error:
                return Seen(values={}, needs=str(error))
            found = {int(seed): float(value) for seed, value in values.to_dict().items()}
            if not all(map(math.isfinite, found.values())):
                raise InputError(f"{where} has a row {row.id!r} with infinite values; mend the row")
    except FileNotFoundError:
        raise InputError(f"{where} {fault} FileNotFoundError; mend the row") from None
    if not found:
        return Seen(values={}, needs="no seed has it")
    return Seen(values=found, control=_control(row, run))


def _control(row: Row, run: Run) -> float | None:
    if row.control_measure is None:
        return None
    try:
        values: pd.Series = row.control_measure(run).dropna()
    except NotMeasured:
        return None
    return float(values.mean()) if len(values) else None


def check_prediction(prediction: Prediction, seen: Seen, statement: str) -> CheckedPrediction:
    """The verdict on one prediction, with what would decide it if it is undecided.

    Args:
        prediction: What is expected of a row.
        seen: What was measured of the row.
        statement: The row's, with the names of the run's subsets.
    """
    row, expected = prediction.row, prediction.expected
    about = {
        "row": row.id,
        "statement": statement,
        "quantity": row.unit,
        "expected": str(expected),
        "is_core": prediction.is_core,
        "because": prediction.because,
        "threshold": row.margin.value,
        "control": seen.control,
        "control_words": row.control,
    }
    if not seen.values:
        return CheckedPrediction(verdict=Outcome.UNDECIDED, needs=seen.needs, **about)
    values = np.array(list(seen.values.values()))
    outcome = OUTCOMES[judge(row.claim(expected), values)]
    is_none = expected is Expected.NONE
    low, high = t_interval(values, confidence=0.90 if is_none else 0.95)
    return CheckedPrediction(
        verdict=outcome,
        needs=needed(values, expected, row.margin.value) if outcome is Outcome.UNDECIDED else "",
        estimate=float(values.mean()),
        ci_low=None if math.isnan(low) else low,
        ci_high=None if math.isnan(high) else high,
        p_value=p_of(values, expected, row.margin.value),
        n_seeds=len(values),
        per_seed={str(seed): value for seed, value in seen.values.items()},
        **about,
    )


def p_of(values: np.ndarray, expected: Expected, margin: float) -> float:
    """Of sign flips against the expectation's threshold, or, of no effect, against both margins."""
    if expected is Expected.NONE:
        ends = (margin - values, values + margin)
        return max(sign_flip_p(each, two_sided=False) for each in ends)
    return sign_flip_p(values - margin if expected is Expected.MORE else -values - margin)


def needed(values: np.ndarray, expected: Expected, margin: float) -> str:
    """How many seeds would decide, if mean and spread stayed as they are.

    >>> needed(np.array([0.2, 0.4, 0.3, 0.5]), Expected.MORE, 0.25)
    'needs about 9 seeds'
    """
    n = seeds_needed(values, expected, margin)
    return "lies on the margin" if n is None else f"needs about {n} seeds"


def seeds_needed(values: np.ndarray, expected: Expected, margin: float) -> int | None:
    """The number of seeds that `needed` tells of; None beyond `MOST_SEEDS`."""
    from scipy.special import stdtrit

    mean, spread = float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else math.nan
    if math.isnan(spread):
        return 2
    is_none = expected is Expected.NONE
    end = -margin if expected is Expected.LESS else margin
    distance = abs(abs(mean) - margin) if is_none else abs(mean - end)
    quantile = 0.95 if is_none and abs(mean) < margin else 0.975
    for n in range(max(2, len(values)), MOST_SEEDS + 1):
        if stdtrit(n - 1, quantile) * spread / math.sqrt(n) < distance:
            return n
    return None


def whole_verdict(
    frozen: Freeze, gates: Sequence[Gate], predictions: Sequence[CheckedPrediction]
) -> tuple[Outcome, list[str]]:
    """The verdict on a hypothesis, and why it is that one."""
    if frozen.deviation:
        return Outcome.DEVIATED, [frozen.deviation]
    if failed := [gate for gate in gates if gate.passed is False]:
        return Outcome.INADMISSIBLE, [f"{gate.name}: {gate.found}" for gate in failed]
    core = [each for each in predictions if each.is_core]
    by_outcome = {
        outcome: [each for each in core if each.verdict is outcome] for outcome in Outcome
    }
    if unknown := [gate for gate in gates if gate.passed is None]:
        return Outcome.UNDECIDED, [f"{gate.name}: {gate.found}" for gate in unknown]
    if refuted := by_outcome[Outcome.REFUTED]:
        return Outcome.REFUTED, [f"{each.row}: {_found(each)}" for each in refuted]
    if undecided := by_outcome[Outcome.UNDECIDED]:
        return Outcome.UNDECIDED, [f"{each.row}: {each.needs}" for each in undecided]
    others = [each for each in predictions if each.verdict is Outcome.REFUTED]
    return Outcome.SUPPORTED, [f"not alone: {each.row} {_found(each)}" for each in others]


def _found(each: CheckedPrediction) -> str:
    """What was found in place of what was expected."""
    wanted = {"more": "above", "less": "below -", "none": "within ±"}[each.expected]
    space = " " if each.expected == "more" else ""
    return f"{each.estimate:.3f}, expected {wanted}{space}{each.threshold:g}"
