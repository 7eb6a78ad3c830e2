"""A run's gaps beside its headlines: of a new tag, beyond the null twin, and shown to be none."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from interp.verdicts.null_twin import beyond_twin
from interp.verdicts.quantities import NotMeasured, gap
from training.runs.run import Run
from training.statistics import Equivalence, Estimate, equivalence, estimate
from training.summary import (
    ALL_GAPS,
    HEADLINE_METRICS,
    headline,
    headlines_of,
    is_stage1_learned,
    new_tag_gaps_of,
)


def new_tag_gaps(run: Run) -> dict[str, dict[str, dict[str, Any]]]:
    """The `NEW_TAG_GAPS` that a run has, in the form of its `summary.json`."""
    return {
        name: {
            metric: headline(run.metrics, name, metric, run.config.schedule).to_json()
            for metric in HEADLINE_METRICS
        }
        for name in new_tag_gaps_of(run.metrics)
    }


def gaps_beyond_twin(run: Run) -> dict[str, dict[str, Estimate]]:
    """Every gap of a run minus that of its null twin, by metric; empty without a finished twin.

    What the two have no seed in common for, or what the twin lacks, is left out.
    """
    if run.finished_null is None:
        return {}
    found: dict[str, dict[str, Estimate]] = {}
    for name in (*headlines_of(run.metrics), *new_tag_gaps_of(run.metrics)):
        higher, lower, part = ALL_GAPS[name]
        found[name] = {}
        for metric in HEADLINE_METRICS:
            try:
                values = beyond_twin(gap(higher, lower, metric=metric, after=part))(run).dropna()
            except NotMeasured:
                continue
            if len(values):
                found[name][metric] = estimate(values.to_dict())
    return found


def no_gap_in(run: Run, gap: Mapping[str, Any]) -> Equivalence:
    """Whether a gap is shown to be none, which only a run that learned Stage 1 can show.

    Args:
        run: Whose margin counts.
        gap: As its `summary.json` has it, in exact match.
    """
    null = equivalence(list(gap["per_seed"].values()), margin=run.config.null_margin)
    is_learned = is_stage1_learned(run.metrics, run.config.schedule)
    return replace(null, passed=null.passed and is_learned)


def has_learned_twin(run: Run) -> bool:
    """Whether a run's null twin learned Stage 1, without which it shows nothing."""
    twin = run.finished_null
    return twin is not None and is_stage1_learned(twin.metrics, twin.config.schedule)
