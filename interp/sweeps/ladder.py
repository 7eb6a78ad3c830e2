"""What a ladder shows: of each rung whether it may be judged, its effects, and what its change did.

    inadmissible   fewer than `FOR_LADDER` of the held-out questions about what is defined and asked
                   about are answered right after the first part; nothing is said of its effects
    effect         the 95% t interval over seeds lies above 0; `reversed`: below 0
    none           the 90% interval lies inside the margin of the recipe's null twin
    undecided      none of these, or fewer than two seeds

A rung's change makes an effect `less` or `more`, or leaves it `unclear`, by the 95% interval of the
rung minus the one that it is compared with, seed by seed, where both may be judged.
"""

import math
from enum import StrEnum
from typing import Any

import pandas as pd

from data.design import Contrast, Design
from data.errors import InputError
from interp.sweeps.folders import FinishedSweep
from interp.sweeps.rungs import FOR_LADDER
from interp.verdicts.gaps import has_learned_twin, no_gap_in
from interp.verdicts.quantities import gap, level
from training.runs.run import Run
from training.statistics import Estimate, estimate


class Found(StrEnum):
    """The word for an effect of a rung."""

    EFFECT = "effect"
    REVERSED = "reversed"
    NONE = "none"
    UNDECIDED = "undecided"
    INADMISSIBLE = "inadmissible"


class Change(StrEnum):
    """The word for what a rung's change did to an effect."""

    LESS = "less"
    MORE = "more"
    UNCLEAR = "unclear"
    NOT_JUDGED = ""
    """There is nothing to compare with, or one of the two may not be judged."""


def ladder_contrasts(design: Design) -> tuple[Contrast, Contrast]:
    """The main contrast, and the one that shows that definitions are learned from at all.

    Raises:
        InputError: the design says of no subsets that they show what the first part taught.
    """
    learned = design.learned
    for contrast in design.contrasts if learned else ():
        if contrast.higher == learned.asked and not contrast.lower.has_definitions:
            return design.main, contrast
    raise InputError(f"{design.name} compares nothing defined with what is not; use another ladder")


def ladder_table(sweep: FinishedSweep) -> pd.DataFrame:
    """Each run of a ladder in its order, one row for each contrast of `ladder_contrasts`.

    Columns `rung after knob change run_id contrast level level_low level_high is_admissible found
    mean ci_low ci_high n_seeds per_seed twin twin_low twin_high twin_found effect_of_change
    difference difference_low difference_high`: `level` is what must reach `FOR_LADDER`, `twin` the
    null twin's contrast (NaN without a twin that learned Stage 1), `difference` the rung minus the
    one that it is compared with. Exact match throughout.
    """
    runs = {each["name"]: run for each, run in zip(sweep.rungs, sweep.runs, strict=True)}
    records = []
    for each in sweep.rungs:
        run = runs[each["name"]]
        reached = _reached(run)
        place = {"rung": each["name"], "run_id": run.config.run_id}
        place |= {name: each[name] for name in ("after", "knob", "change")}
        place |= {f"level{end}": value for end, value in _numbers(reached).items()}
        place["is_admissible"] = reached.mean >= FOR_LADDER
        below = runs.get(each["after"])
        for contrast in ladder_contrasts(run.design):
            records.append({**place, **_of_contrast(run, below, contrast)})
    return pd.DataFrame(records)


def _reached(run: Run) -> Estimate:
    learned = run.design.learned
    assert learned is not None, "`ladder_contrasts` refuses such designs"
    return estimate(level(run, learned.asked).to_dict())


def _of_contrast(run: Run, below: Run | None, contrast: Contrast) -> dict[str, Any]:
    """What one contrast of a run says."""
    own = estimate(_values(run, contrast).to_dict())
    found: dict[str, Any] = {"contrast": contrast.name, "found": _found(run, contrast, own)}
    found |= {"mean": own.mean, "ci_low": own.ci_low, "ci_high": own.ci_high}
    found |= {"n_seeds": own.n_seeds, "per_seed": own.per_seed}
    found |= _twin(run, contrast)
    change = Change.NOT_JUDGED
    difference = None
    if below is not None:
        paired = (_values(run, contrast) - _values(below, contrast)).dropna()
        difference = estimate(paired.to_dict()) if len(paired) else None
        if difference and min(_reached(run).mean, _reached(below).mean) >= FOR_LADDER:
            sides = {Change.MORE: difference.ci_low > 0, Change.LESS: difference.ci_high < 0}
            change = next((word for word, holds in sides.items() if holds), Change.UNCLEAR)
    found["effect_of_change"] = change
    return found | {f"difference{end}": value for end, value in _numbers(difference).items()}


def _found(run: Run, contrast: Contrast, own: Estimate) -> Found:
    """The word for a contrast of a run, by the rule above."""
    if _reached(run).mean < FOR_LADDER:
        return Found.INADMISSIBLE
    if own.ci_low > 0:
        return Found.EFFECT
    if own.ci_high < 0:
        return Found.REVERSED
    return Found.NONE if _is_none(run, contrast, own) else Found.UNDECIDED


def _is_none(run: Run, contrast: Contrast, own: Estimate) -> bool:
    """Whether a contrast is shown to be none; only the main one has a margin."""
    twin = run.design.null_twin
    has_margin = twin is not None and twin.contrast == contrast.name and run.config.null_margin
    return bool(has_margin) and no_gap_in(run, {"per_seed": own.per_seed}).passed


def _twin(run: Run, contrast: Contrast) -> dict[str, Any]:
    """The null twin's contrast, where there is a twin that learned Stage 1."""
    twin = run.finished_null
    if twin is None or not has_learned_twin(run):
        return {"twin": math.nan, "twin_low": math.nan, "twin_high": math.nan, "twin_found": ""}
    own = estimate(_values(twin, contrast).to_dict())
    numbers = {f"twin{end}": value for end, value in _numbers(own).items()}
    return {**numbers, "twin_found": _found(twin, contrast, own)}


def _values(run: Run, contrast: Contrast) -> pd.Series:
    """A contrast in exact match by seed."""
    return gap(contrast.higher, contrast.lower, after=contrast.part)(run)


def _numbers(found: Estimate | None) -> dict[str, float]:
    """Mean and 95% interval by the ends of their columns' names; NaN of nothing."""
    if found is None:
        return dict.fromkeys(("", "_low", "_high"), math.nan)
    return {"": found.mean, "_low": found.ci_low, "_high": found.ci_high}
