"""Runs under several conditions: is the gap of each what the first one's code says it must be?

The first run gives a line: nats of the gap for one unit by which its two subsets differ in the
amount of the code that questions read. Of every other run (another alpha, world, word order) its
own amounts then predict the gap, with nothing fitted to it. Beside that stand what its alignment
would predict in the same way, and the first run's gap itself. Intervals are of a bootstrap over the
seeds of both runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.hypotheses.held_out import AMOUNT, more
from interp.hypotheses.row_measures import alignment_gap, nats_gap
from interp.verdicts.quantities import Measure, NotMeasured
from training.runs.run import Run

PREDICTORS: dict[str, Measure] = {"code": more(AMOUNT), "alignment": alignment_gap}
"""What the line of the first run is drawn through, by name."""
N_BOOTSTRAP = 2000
LEAST = 1e-9
"""A predictor that differs less between the subsets gives no line."""


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """A gap in nats that was predicted for a run, by one predictor."""

    predictor: str
    value: float = float("nan")
    ci_low: float = float("nan")
    ci_high: float = float("nan")
    off_low: float = float("nan")
    """Of predicted minus seen gap."""
    off_high: float = float("nan")
    needs: str = ""
    """What one of the two runs lacks, where nothing is predicted."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A run beside the first one, with its gap and what was predicted of it."""

    name: str
    gap: float = float("nan")
    n_seeds: int = 0
    predicted: Sequence[Predicted] = ()
    needs: str = ""
    """What one of the two runs lacks, where it has no gap to predict."""


def conditions_of(runs: Sequence[Run]) -> list[Condition]:
    """Every run but the first, with what the first one's lines predict of its gap."""
    first, *others = runs
    return [_condition(first, run) for run in others]


def _condition(first: Run, run: Run) -> Condition:
    name = differing(first, run)
    try:
        base, gaps = nats_gap(first), nats_gap(run)
    except NotMeasured as error:
        return Condition(name=name, needs=str(error))
    by_line = [_by_line(first, run, predictor) for predictor in PREDICTORS]
    same = _same_gap(base, gaps)
    return Condition(
        name=name, gap=float(gaps.mean()), n_seeds=len(gaps), predicted=[*by_line, same]
    )


def differing(first: Run, other: Run) -> str:
    """The parameters in which a run differs from another, as `--set` takes them.

    Two runs with the same parameters are called by the seeds of the second.
    """
    theirs = first.config.parameters
    changed = {
        name: value for name, value in other.config.parameters.items() if theirs.get(name) != value
    }
    if other.config.recipe != first.config.recipe:
        return other.config.recipe
    if not changed:
        return f"seeds {other.seeds[0]} to {other.seeds[-1]}"
    return ", ".join(f"{name}={value}" for name, value in changed.items())


def _by_line(first: Run, run: Run, predictor: str) -> Predicted:
    """What the first run's line predicts, by the seeds that have both gap and predictor."""
    try:
        base, own = (
            pd.concat([nats_gap(each), PREDICTORS[predictor](each)], axis=1).dropna().to_numpy()
            for each in (first, run)
        )
    except NotMeasured as error:
        return Predicted(predictor=predictor, needs=str(error))
    if not len(base) or not len(own) or abs(base[:, 1].mean()) < LEAST:
        return Predicted(predictor=predictor, needs="needs seeds that have both")
    return _summarized(predictor, base, own)


def _same_gap(base: pd.Series, gaps: pd.Series) -> Predicted:
    """The prediction that nothing changes."""
    both = [np.stack([each, np.ones(len(each))], axis=1) for each in (base, gaps)]
    return _summarized("what the first has", *both)


def _summarized(
    predictor: str, base: Float[np.ndarray, "seed two"], own: Float[np.ndarray, "other two"]
) -> Predicted:
    """The mean prediction with its interval, and that of predicted minus seen."""
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(each), size=(N_BOOTSTRAP, len(each))) for each in (base, own)]
    (gaps, amounts), (seen, has) = (
        each[at].mean(1).T for each, at in zip((base, own), drawn, strict=True)
    )
    values = gaps / amounts * has
    low, high = np.quantile(values, [0.025, 0.975])
    off_low, off_high = np.quantile(values - seen, [0.025, 0.975])
    line = base[:, 0].mean() / base[:, 1].mean()
    return Predicted(
        predictor=predictor,
        value=float(line * own[:, 1].mean()),
        ci_low=float(low),
        ci_high=float(high),
        off_low=float(off_low),
        off_high=float(off_high),
    )


def condition_lines(conditions: Sequence[Condition]) -> list[str]:
    """For people: each condition's gap, and below it what was predicted."""
    lines = []
    for each in conditions:
        seen = f"gap {each.gap:+.3f} nats, n {each.n_seeds}"
        lines.append(f"{each.name}: {f'undecided: {each.needs}' if each.needs else seen}")
        lines += [f"    {_line(one)}" for one in each.predicted]
    return lines


def _line(each: Predicted) -> str:
    if each.needs:
        return f"predicted by {each.predictor}: undecided: {each.needs}"
    holds = each.off_low <= 0 <= each.off_high
    return (
        f"predicted by {each.predictor}: {each.value:+.3f} [{each.ci_low:+.3f}, "
        f"{each.ci_high:+.3f}], off by [{each.off_low:+.3f}, {each.off_high:+.3f}]"
        f"{'' if holds else ', which is not 0'}"
    )
