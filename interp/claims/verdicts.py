"""Whether a claim holds, by rule.

    directional   holds where the 95% t interval over Stage-1 seeds lies wholly on its side,
                  fails where wholly on the other, else undecided
    no effect     holds where the 90% interval lies inside ±margin (5% risk of a wrong yes),
                  fails where the 95% interval lies wholly outside, else undecided;
                  needs Stage 1 to be learned (`training.summary.stage1_learned`): a model that
                  learned nothing shows no effect of anything
    of a tag      rests on what is not there where tags mean nothing (`TagEvidence`); of a null
                  twin it is not measured

Fewer than 2 seeds decide nothing. A claim of several parts holds if all hold and fails if any
fails, so that its risk of a wrong `holds` is that of one part at most, and its risk of a wrong
`fails` the sum over its parts. Verdicts are not corrected for the number of claims: of 20 claims
about nothing, one is decided.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike

from interp.claims.across import comparable
from interp.claims.all_claims import CLAIMS, HEADINGS
from interp.claims.claim import Claim, Side
from interp.claims.null_twin import (
    RUN_MINUS_TWIN,
    SHUFFLED,
    beyond_twin,
    needs_twin,
)
from interp.claims.per_seed import NotMeasured
from training.recipes import find_recipe
from training.runs.run import Run
from training.statistics import Equivalence, Estimate, equivalence, estimate, t_interval
from training.summary import is_stage1_learned

NOT_LEARNED = "Stage 1 not learned"
_DECIMALS = 12
"""Kept of a value: rounding errors of averages are no effect."""


class Word(StrEnum):
    """What is said of a claim."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A claim, or a part of one, beside what was found."""

    id: str
    statement: str
    word: Word
    paper: str
    """What the paper found; empty for a claim that is summed up from its parts."""
    reason: str = ""
    """Why a claim is not measured or cannot hold, or what its parts say."""
    estimate: Estimate | None = None
    threshold: float = 0.0
    """What a directional claim's estimate is held against."""
    equivalence: Equivalence | None = None
    """Of a claim of no effect: its margin and 90% interval."""
    margin_reason: str = ""
    runs: str = ""
    """Which runs of a sweep, where it holds several that differ in more than one thing."""

    @property
    def is_part(self) -> bool:
        """Whether it is about a part of a claim."""
        return "." in self.id

    def to_json(self) -> dict[str, Any]:
        """As `iml summary --json` prints it: None for what there is not; intervals at 95%."""
        found = self.estimate.to_json() if self.estimate else {}
        null = self.equivalence.to_json() if self.equivalence else {}
        return {
            "id": self.id,
            "statement": self.statement,
            "verdict": str(self.word),
            "reason": self.reason,
            "estimate": found.get("mean"),
            "ci_low": found.get("ci_low"),
            "ci_high": found.get("ci_high"),
            "n_seeds": found.get("n_seeds", 0),
            "per_seed": found.get("per_seed", {}),
            "paper": self.paper,
            "threshold": None if self.equivalence else self.threshold,
            "margin": null.get("margin"),
            "margin_reason": self.margin_reason,
            "ci90_low": null.get("ci_low"),
            "ci90_high": null.get("ci_high"),
            "runs": self.runs,
        }


def claims_of_run(run: Run) -> list[Verdict]:
    """The verdict on each claim that the run's recipe bears on, parts after their claim."""
    verdicts = []
    for name in find_recipe(run.config.recipe).claims:
        claims = claims_of_group(name)
        if claims[0].across is not None:
            setting = claims[0].across.setting.name
            reason = f"compares runs of one {setting} with another: see a sweep"
            verdicts.append(_not_measured(name, claims, reason))
        else:
            verdicts += _of_group(name, claims, {"": run})
    return verdicts


def claims_of_sweep(runs: Sequence[Run], ids: Iterable[str]) -> list[Verdict]:
    """The verdict on each claim about what changes from run to run; others are left out.

    Args:
        runs: The cells of a sweep, all finished. Runs that differ in more than a claim's setting,
            such as in the objective, are judged apart and told apart by `Verdict.runs`.
        ids: Of the claims.
    """
    verdicts = []
    for name in ids:
        claims = claims_of_group(name)
        across = claims[0].across
        if across is None:
            continue
        groups = comparable(runs, across.setting)
        if not groups:
            reason = f"the runs have no {across.setting.name}"
            verdicts.append(_not_measured(name, claims, reason))
        for label, cells in groups.items():
            verdicts += _of_group(name, claims, cells, label)
    return verdicts


def claims_of_group(name: str) -> tuple[Claim, ...]:
    """A claim's parts, or the claim itself if it has none.

    Raises:
        KeyError: there is no such claim.
    """
    claims = tuple(claim for claim in CLAIMS if claim.group == name)
    if not claims:
        raise KeyError(f"there is no claim {name!r}; see interp.claims.all_claims")
    return claims


def judge(claim: Claim, values: ArrayLike, *, margin: float | None = None) -> Word:
    """What one value per Stage-1 seed says of a claim.

    Args:
        claim: Directional, or of no effect.
        values: One for each seed.
        margin: In place of the claim's own, where that is the recipe's.
    """
    low, high = t_interval(values)  # NaN of fewer than 2 seeds, which every comparison denies
    if claim.margin is not None:
        limit = claim.margin.value if margin is None else margin
        assert limit is not None
        if equivalence(values, margin=limit).passed:
            return Word.HOLDS
        return Word.FAILS if low > limit or high < -limit else Word.UNDECIDED
    sides = {Side.ABOVE: low > claim.threshold, Side.BELOW: high < claim.threshold}
    if sides.pop(claim.side):
        return Word.HOLDS
    return Word.FAILS if any(sides.values()) else Word.UNDECIDED


def _of_group(
    name: str, claims: Sequence[Claim], cells: dict[Any, Run], label: str = ""
) -> list[Verdict]:
    parts = [verdict for claim in claims if (verdict := _verdict(claim, cells, label)) is not None]
    if not parts:
        words = " or ".join(sorted({claim.only.words for claim in claims if claim.only}))
        return [_not_measured(name, claims, f"only for {words}", label)]
    if not parts[0].is_part:
        return parts
    words = {part.word for part in parts}
    if words == {Word.NOT_MEASURED}:
        return [_not_measured(name, claims, parts[0].reason, label)]
    whole = Verdict(
        id=name,
        statement=HEADINGS[name],
        word=_of_parts(words),
        paper="",
        reason=f"{sum(part.word is Word.HOLDS for part in parts)} of {len(parts)} parts hold",
        runs=label,
    )
    return [whole, *parts]


def _of_parts(words: set[Word]) -> Word:
    if Word.FAILS in words:
        return Word.FAILS
    return Word.HOLDS if words == {Word.HOLDS} else Word.UNDECIDED


def _verdict(claim: Claim, cells: dict[Any, Run], label: str) -> Verdict | None:
    """None where the claim is not about such runs."""
    only = claim.only
    kept = {key: run for key, run in cells.items() if only is None or only.holds(run.config)}
    if not kept:
        return None
    if any(needs_twin(claim, run.config) for run in kept.values()):
        claim = replace(claim, statement=f"{claim.statement} ({RUN_MINUS_TWIN})")
    try:
        per_seed, used = values_by_seed(claim, kept)
    except NotMeasured as error:
        return _not_measured(claim.id, [claim], str(error), label)
    values = list(per_seed.values())
    margin, margin_reason = None, ""
    if claim.margin is not None:
        margin, margin_reason = claim.margin.value, claim.margin.reason
    if claim.margin is not None and margin is None:
        found = used[0].config.null_margin
        assert found is not None, "claims are of designs with a null twin"
        margin, margin_reason = found.value, f"{margin_reason}, {found.reason}"
    word = judge(claim, values, margin=margin)
    is_void = (
        word is Word.HOLDS
        and claim.is_of_no_effect
        and not all(is_stage1_learned(run.metrics, run.design, run.config.schedule) for run in used)
    )
    return Verdict(
        id=claim.id,
        statement=claim.statement,
        word=Word.UNDECIDED if is_void else word,
        paper=claim.paper,
        reason=NOT_LEARNED if is_void else "",
        estimate=estimate(per_seed),
        threshold=claim.threshold,
        equivalence=None if margin is None else equivalence(values, margin=margin),
        margin_reason=margin_reason,
        runs=label,
    )


def values_by_seed(claim: Claim, cells: Mapping[Any, Run]) -> tuple[dict[int, float], list[Run]]:
    """What a claim is judged by, one value a seed, and the runs that it comes from.

    Args:
        claim: About one run, or about several.
        cells: One run, or those of a sweep by their setting.

    Raises:
        NotMeasured: a run, or the null twin of one, lacks what is asked for, or tags mean nothing.
    """
    used: list[Run] = []

    def measure(run: Run) -> pd.Series:
        used.append(run)
        if claim.tag is not None and run.config.is_null_twin:
            raise NotMeasured(SHUFFLED)
        of_claim = claim.measure
        return (beyond_twin(of_claim) if needs_twin(claim, run.config) else of_claim)(run)

    if claim.across is None:
        (run,) = cells.values()
        values = measure(run)
    else:
        values = claim.across.compare(measure, cells)
    values = values.dropna().round(_DECIMALS)
    if values.empty:
        raise NotMeasured("no seed has all that is compared")
    return {int(seed): float(value) for seed, value in values.to_dict().items()}, used


def _not_measured(name: str, claims: Sequence[Claim], reason: str, label: str = "") -> Verdict:
    is_whole = claims[0].id != name
    return Verdict(
        id=name,
        statement=HEADINGS[name] if is_whole else claims[0].statement,
        word=Word.NOT_MEASURED,
        paper="" if is_whole else claims[0].paper,
        reason=reason,
        runs=label,
    )
