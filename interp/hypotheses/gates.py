"""What must be so before a hypothesis about a gap can be judged by a run at all."""

from collections.abc import Sequence
from dataclasses import dataclass

from data.design import Margin
from interp.hypotheses.row_measures import closed
from interp.verdicts.claim import Claim
from interp.verdicts.quantities import Measure, NotMeasured, gap
from interp.verdicts.rule import Word, judge
from training.runs.run import Run
from training.statistics import estimate

FEWEST_SEEDS = 6
"""The fewest whose sign flips can give a p below .05."""
FOUND = 0.5
"""Least share of the gap that a planted effect must give back for the edits to count as working."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A condition, and whether a run meets it."""

    name: str
    passed: bool | None
    """None where the run lacks what would tell."""
    found: str
    """What was found, or what the run needs, in a few words."""

    def to_json(self) -> dict[str, object]:
        """As a result's file has it."""
        return {"name": self.name, "passed": self.passed, "found": self.found}


def gates_of(run: Run) -> Sequence[Gate]:
    """All gates of a run, in order."""
    return (_seeds(run), _gap(run), _twin(run), _positive_control(run))


def _seeds(run: Run) -> Gate:
    n = len(run.seeds)
    name = f"at least {FEWEST_SEEDS} Stage-1 seeds"
    return Gate(name=name, passed=n >= FEWEST_SEEDS, found=f"{n} seeds")


def _gap(run: Run) -> Gate:
    """Whether there is a gap to explain, in exact match above what counts as none."""
    main = run.design.main
    name = f"a gap {main.words} in exact match"
    margin = run.config.null_margin
    least = 0.0 if margin is None else margin.value
    return _judged(name, run, gap(main.higher, main.lower), least=least)


def _twin(run: Run) -> Gate:
    """Whether there is none in the null twin, shown by equivalence."""
    name, twin, margin = "no gap in the null twin", run.finished_null, run.config.null_margin
    if twin is None:
        return Gate(name=name, passed=None, found="needs the null twin: iml run ... --with-null")
    if margin is None:
        return Gate(name=name, passed=None, found="needs a margin for this loss policy")
    main = run.design.main
    return _judged(name, twin, gap(main.higher, main.lower), margin=margin)


def _positive_control(run: Run) -> Gate:
    """Whether edits of aliases can do what they are to do: all that differs, exchanged, is enough.

    An alias of the lower subset is given the whole mean change of the higher one's aliases of its
    entity. If that does not bring the gap back, it lies where these edits do not reach.
    """
    name = "edits of aliases reach the gap (all of the change exchanged)"
    return _judged(name, run, closed("all"), least=FOUND)


def _judged(
    name: str, run: Run, measure: Measure, *, least: float = 0.0, margin: Margin | None = None
) -> Gate:
    """A gate that is met where a quantity is above a least value, or within a margin."""
    claim = Claim(
        id="gate", statement=name, measure=measure, paper="", threshold=least, margin=margin
    )
    try:
        values = measure(run).dropna()
    except NotMeasured as error:
        return Gate(name=name, passed=None, found=str(error))
    found = estimate({int(seed): float(value) for seed, value in values.to_dict().items()})
    wanted = f"within ±{margin.value:g}" if margin else f"above {least:g}"
    words = f"{found.mean:.3f} [{found.ci_low:.3f}, {found.ci_high:.3f}], to be {wanted}"
    word = judge(claim, list(found.per_seed.values()))
    if margin is not None and word is Word.UNDECIDED:
        return Gate(name=name, passed=None, found=f"needs more seeds: {words}")
    return Gate(name=name, passed=word is Word.HOLDS, found=words)
