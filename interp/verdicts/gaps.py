"""The contrasts of a run, beyond its null twin, and shown to be none."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from interp.verdicts.null_twin import beyond_twin
from interp.verdicts.quantities import NotMeasured, gap
from training.metrics import HEADLINE_METRICS
from training.runs.run import Run
from training.statistics import Equivalence, Estimate, equivalence, estimate
from training.summary import (
    contrast_estimate,
    contrasts_of,
    is_stage1_learned,
)


def contrasts_in(run: Run) -> dict[str, dict[str, dict[str, Any]]]:
    """Every contrast that a run has, in the form of its `summary.json`, headlines first."""
    summary = run.summary
    return {
        contrast.name: summary[contrast.name]
        if contrast.is_headline
        else {
            metric: contrast_estimate(run.metrics, contrast, metric, run.config.schedule).to_json()
            for metric in HEADLINE_METRICS
        }
        for contrast in contrasts_of(run.metrics, run.design)
    }


def gaps_beyond_twin(run: Run) -> dict[str, dict[str, Estimate]]:
    """Every gap of a run minus that of its null twin, by metric; empty without a finished twin.

    What the two have no seed in common for, or what the twin lacks, is left out.
    """
    if run.finished_null is None:
        return {}
    found: dict[str, dict[str, Estimate]] = {}
    for contrast in contrasts_of(run.metrics, run.design):
        higher, lower, part = contrast.higher, contrast.lower, contrast.part
        found[contrast.name] = {}
        for metric in HEADLINE_METRICS:
            try:
                values = beyond_twin(gap(higher, lower, metric=metric, after=part))(run).dropna()
            except NotMeasured:
                continue
            if len(values):
                found[contrast.name][metric] = estimate(values.to_dict())
    return found


def no_gap_in(run: Run, gap: Mapping[str, Any]) -> Equivalence:
    """Whether a gap is shown to be none, which only a run that learned Stage 1 can show.

    Args:
        run: Whose margin counts; its design has a null twin.
        gap: As its `summary.json` has it, in exact match.
    """
    margin = run.config.null_margin
    assert margin is not None, "a design without a null twin says of no gap that it is none"
    null = equivalence(list(gap["per_seed"].values()), margin=margin.value)
    is_learned = is_stage1_learned(run.metrics, run.design, run.config.schedule)
    return replace(null, passed=null.passed and is_learned)


def has_learned_twin(run: Run) -> bool:
    """Whether a run's null twin learned Stage 1, without which it shows nothing."""
    twin = run.finished_null
    return twin is not None and is_stage1_learned(twin.metrics, twin.design, twin.config.schedule)
