"""Where the spread of a run's main gap comes from, and how many seeds would halve its interval.

Stage-1 and Stage-2 seeds are told apart by `metrics.parquet`; aliases too where `iml mediate` has
looked at all seeds of the run (see `interp.mediation.analysis`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from interp.figures.grid_tables import table_of
from training.metrics import HEADLINE_METRICS, find_metric
from training.runs.run import Run
from training.statistics import Estimate
from training.summary import contrast_estimate, contrasts_of, end_of_stage
from training.variance_parts import (
    PARTS,
    SeedsNeeded,
    VarianceParts,
    seeds_for,
    variance_parts,
)

FEWEST = 3
"""Stage-1 seeds below which nothing is said of their spread."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How the seeds of a run differ in its main gap, in one metric."""

    metric: str
    estimate: Estimate
    parts: VarianceParts
    needed: SeedsNeeded

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {"variance": self.parts.to_json(), "seeds_needed": self.needed.to_json()}


def spreads_of(run: Run, half_width: float | None = None) -> dict[str, Spread]:
    """The spread of a run's main gap by metric; empty of few seeds, or without the gap.

    Args:
        run: The run.
        half_width: What is wanted on either side of the mean, in nats; of exact match, and unless
            given, half of what there is.
    """
    main = run.design.main if run.design.contrasts else None
    if main is None or main not in contrasts_of(run.metrics, run.design):
        return {}
    found = {}
    for metric in HEADLINE_METRICS:
        gap = contrast_estimate(run.metrics, main, metric, run.config.schedule)
        if gap.n_seeds < FEWEST or gap.ci_low == gap.ci_high:
            continue
        wanted = half_width if metric == "answer_log_prob" else None
        needed = seeds_for(gap.per_seed, wanted or (gap.ci_high - gap.ci_low) / 4)
        parts = variance_parts(_values(run, metric), higher=main.higher.name, lower=main.lower.name)
        found[metric] = Spread(metric=metric, estimate=gap, parts=parts, needed=needed)
    return found


def spread_sentences(run: Run, spreads: Mapping[str, Spread]) -> list[str]:
    """What the spread over seeds is due to, and how many seeds are still needed, in nats.

    Args:
        run: Whose it is.
        spreads: See `spreads_of`.
    """
    spread = spreads.get("answer_log_prob")
    if spread is None:
        return []
    return [_parts_sentence(run, spread), _needed_sentence(spread)]


def _parts_sentence(run: Run, spread: Spread) -> str:
    main, metric = run.design.main, find_metric(spread.metric)
    shares = spread.parts.shares
    told = ", ".join(f"{PARTS[name]} {share:.0%}" for name, share in shares.items())
    text = f"Variance of one seed's {main.name} ({metric.words}): {told}"
    more = []
    if spread.parts.n_stage2 == 1:
        more.append("Stage-2 seeds are not told apart (--set seeds_stage2=2 trains two)")
    if not spread.parts.n_aliases:
        more.append("aliases are not told apart (iml mediate)")
    negative = [PARTS[name] for name, value in spread.parts.raw.items() if value < 0]
    if negative:
        more.append(f"below 0 and counted as 0: {', '.join(negative)}")
    return f"{text}{''.join(f'; {each}' for each in more)}."


def _needed_sentence(spread: Spread) -> str:
    needed, unit = spread.needed, find_metric(spread.metric).unit
    head = f"An interval of ±{needed.half_width:.2g} {unit} (now ±{needed.half_width_now:.2g})"
    if not needed.n_still:
        return f"{head} is what its {needed.n_seeds} seeds are expected to give."
    return (
        f"{head} takes about {needed.n_needed} Stage-1 seeds, {needed.n_still} more; at most "
        f"{needed.at_most}, since {needed.n_seeds} seeds tell their own spread only so well."
    )


def _values(run: Run, metric: str) -> pd.DataFrame:
    """The values of the two compared subsets, alias by alias where they are known."""
    main = run.design.main
    rows = end_of_stage(run.metrics, run.config.schedule.read_at(main.part))
    chosen = rows.loc[(rows["metric"] == metric) & rows["subset"].isin(main.names)]
    means = chosen[["seed", "stage2_seed", "subset", "value"]]
    aliases = table_of(run, "mediation")
    if aliases is None:
        return means
    known = aliases.rename(columns={metric: "value"})
    counts = pd.Series(known.groupby(["seed", "stage2_seed", "subset"])["value"].mean())
    own = pd.Series(means.set_index(["seed", "stage2_seed", "subset"])["value"])
    # A limit, or seeds that were left out, would make them parts of another gap.
    is_whole = len(counts) == len(own) and (counts.reindex(own.index) - own).abs().max() < 1e-4
    return known if is_whole else means
