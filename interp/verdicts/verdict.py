"""A claim held against runs: what was found, and the word for it.

The word is found by the rule of `interp.verdicts.rule`; what is measured is the claim's own
quantity, a value for each Stage-1 seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from data.design import Margin
from interp.verdicts.claim import Claim, RecipeMargin
from interp.verdicts.null_twin import (
    RUN_MINUS_TWIN,
    SHUFFLED,
    beyond_twin,
    needs_twin,
)
from interp.verdicts.quantities import NotMeasured
from interp.verdicts.rule import Word, judge, word_of_parts
from training.config import RunConfig
from training.runs.run import Run
from training.statistics import Equivalence, Estimate, equivalence, estimate
from training.summary import is_stage1_learned

NOT_LEARNED = "Stage 1 not learned"
_DECIMALS = 12
"""Kept of a value: rounding errors of averages are no effect."""


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
    is_of_tag: bool = False
    """Whether it is about what a tag does."""
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


def verdicts_on(
    claims: Sequence[Claim], cells: dict[Any, Run], *, heading: str, label: str = ""
) -> list[Verdict]:
    """The verdict on a claim; on one that has parts, that on the whole before those on its parts.

    Args:
        claims: All parts of one claim, or a claim that has none.
        cells: One run, or those of a sweep by their setting.
        heading: What the parts say together.
        label: Which runs of a sweep; see `Verdict.runs`.
    """
    parts = [verdict for claim in claims if (verdict := _verdict(claim, cells, label)) is not None]
    if not parts:
        words = " or ".join(sorted({claim.only.words for claim in claims if claim.only}))
        return [not_measured(claims, f"only for {words}", heading=heading, label=label)]
    if not parts[0].is_part:
        return parts
    words = {part.word for part in parts}
    if words == {Word.NOT_MEASURED}:
        return [not_measured(claims, parts[0].reason, heading=heading, label=label)]
    whole = Verdict(
        id=claims[0].group,
        statement=heading,
        word=word_of_parts(words),
        paper="",
        reason=f"{sum(part.word is Word.HOLDS for part in parts)} of {len(parts)} parts hold",
        runs=label,
    )
    return [whole, *parts]


def not_measured(claims: Sequence[Claim], reason: str, *, heading: str, label: str = "") -> Verdict:
    """The verdict on a claim that nothing was measured of, in place of those on its parts.

    Args:
        claims: As for `verdicts_on`, like `heading` and `label`.
        reason: Why not.
        heading: What the parts say together.
        label: Which runs of a sweep.
    """
    if claims[0].id == claims[0].group:
        return _not_measured(claims[0], reason, label)
    return Verdict(
        id=claims[0].group,
        statement=heading,
        word=Word.NOT_MEASURED,
        paper="",
        reason=reason,
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


def _verdict(claim: Claim, cells: dict[Any, Run], label: str) -> Verdict | None:
    """The verdict on a claim or a part of one; None where it is not about such runs."""
    only = claim.only
    kept = {key: run for key, run in cells.items() if only is None or only.holds(run.config)}
    if not kept:
        return None
    if any(needs_twin(claim, run.config) for run in kept.values()):
        claim = replace(claim, statement=f"{claim.statement} ({RUN_MINUS_TWIN})")
    try:
        per_seed, used = values_by_seed(claim, kept)
    except NotMeasured as error:
        return _not_measured(claim, str(error), label)
    values = list(per_seed.values())
    margin = _margin(claim, used[0].config)
    if isinstance(margin, str):
        return _not_measured(claim, margin, label)
    word = judge(claim, values, margin=None if margin is None else margin.value)
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
        equivalence=None if margin is None else equivalence(values, margin=margin.value),
        margin_reason="" if margin is None else margin.reason,
        is_of_tag=claim.tag is not None,
        runs=label,
    )


def _margin(claim: Claim, config: RunConfig) -> Margin | str | None:
    """The margin of a claim in a run, or why none is known; None for a directional claim."""
    if not isinstance(claim.margin, RecipeMargin):
        return claim.margin
    margin = config.null_margin
    if margin is None:
        return f"no margin is known under loss policy {config.loss_policy}"
    return replace(margin, reason=f"{claim.margin.reason}, {margin.reason}")


def _not_measured(claim: Claim, reason: str, label: str) -> Verdict:
    return Verdict(
        id=claim.id,
        statement=claim.statement,
        word=Word.NOT_MEASURED,
        paper=claim.paper,
        reason=reason,
        is_of_tag=claim.tag is not None,
        runs=label,
    )
