"""Does a model that is more aligned before Stage 2 internalize more in it?

Stage 2 is started from several checkpoints of Stage 1. At each branch point, where D5 and D6 are
still unseen, stands the alignment of own pairs, D5 minus D6; at the end of each branch the gap in
what was internalized. Within a seed the two are related by their rank correlation over branch
points; the seeds are the units of the test.

Both grow while Stage 1 goes on, as almost everything does, so that a correlation over branch points
says little by itself. `log_step` (how long Stage 1 went on) and the alignment of pairs with another
alias stand beside it as controls.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from interp.alignment.analysis import gradient_options, measure_alignment
from interp.alignment.pairs import Pairing, PairMode, make_alignment_pairs
from interp.alignment.summary import rank_correlation, sign_test_p, tag_gap
from interp.grids.grid import Measured
from interp.grids.seed_summary import summarize_over_seeds
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.transplants.analysis import check_is_view
from training.columns import RUN_COLUMNS
from training.designs import design_of
from training.metrics import HEADLINE_METRICS
from training.retraining import Retraining, gap_of
from training.runs.run import Run

PREDICTORS = ("cosine", "dot", "control_cosine", "log_step")
MIN_BRANCHES = 3
"""The fewest branches that have a rank correlation to speak of."""


@dataclass(frozen=True, kw_only=True)
class BranchAnalysis:
    """Stage 2 from checkpoints of Stage 1, for each seed; give the grid the end of Stage 1."""

    folder: Path
    """The folder of the run."""
    steps: tuple[int, ...] | None = None
    """The steps of Stage 1 to branch from; all that were saved unless given."""
    limit: int | None = None
    """Most definitions of each subset."""
    loss_policy: LossPolicy | None = None
    allow_materialise: bool = False

    @property
    def name(self) -> str:
        """Stem of the tables' names."""
        return "branches"

    @property
    def coordinates(self) -> Sequence[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return ["branch_step"]

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Alignment at every branch point of one seed, and the gap at the end of each branch.

        Raises:
            InputError: a step was not saved, or there are fewer than 3.
        """
        run = Run.load(self.folder)
        again = Retraining(run=run, seed=seed, device=model.device)
        check_is_view(model, again.model_at(1), rows)
        steps = run.steps(seed, 1) if self.steps is None else list(self.steps)
        if len(steps) < MIN_BRANCHES:
            raise InputError(f"{len(steps)} branches have no rank correlation; name 3 or more")
        table = pd.DataFrame([self._branch(again, rows, step) for step in steps])
        return Measured(table=table)

    def _branch(
        self, again: Retraining, rows: Sequence[TokenizedRow], step: int
    ) -> dict[str, int | float]:
        checkpoint = again.run.checkpoint(again.seed, 1, step)
        start = again.model_at(1, step)
        pairs = make_alignment_pairs(
            rows,
            PairMode.OWN,
            subsets=again.run.design.main.names,
            limit=self.limit,
            seed=again.seed,
        )
        options = replace(
            gradient_options(again.run, checkpoint, self.loss_policy),
            allow_materialise=self.allow_materialise,
        )
        aligned = measure_alignment(start, pairs, options=options)
        measured = again.measure(again.stage_two(start))
        main = again.run.design.main
        gaps = {
            f"{main.name}_{metric}": gap_of(measured, *main.names, metric)
            for metric in HEADLINE_METRICS
        }
        control = tag_gap(aligned, main, pairing=Pairing.SAME_TAG_OTHER_ENTITY)
        return {
            "branch_step": step,
            "log_step": float(np.log1p(step)),
            "cosine": tag_gap(aligned, main),
            "dot": tag_gap(aligned, main, "grad_dot"),
            "control_cosine": control,
        } | gaps

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """One row for each predictor and metric of the gap.

        Columns: run columns without the seed, `predictor, metric`, `correlation` (rank correlation
        within a seed, mean over seeds), `n_positive` (seeds in which it is above 0), `sign_p` (of a
        two-sided sign test), and those of `summarize_over_seeds`.
        """
        per_seed = branch_correlations(table)
        summary = summarize_over_seeds(
            per_seed, cell=["predictor", "metric"], means=["correlation"], tested="correlation"
        )
        signs = per_seed.groupby(["run_id", "stage", "step", "predictor", "metric"])["correlation"]
        counts = signs.agg(
            n_positive=lambda values: int((values > 0).sum()),
            sign_p=lambda values: sign_test_p(values.to_numpy(dtype=float)),
        )
        return summary.merge(counts.reset_index(), how="left", validate="one_to_one")


def branch_correlations(table: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation over branch points within each seed, 0 where either never changes.

    Columns: run columns, `predictor, metric, correlation, n` (branch points).
    """
    keys = RUN_COLUMNS
    records = []
    main = design_of(table).main
    for key, rows in table.groupby(keys, sort=True):
        assert isinstance(key, tuple)
        for predictor in PREDICTORS:
            for metric in HEADLINE_METRICS:
                gaps = rows[f"{main.name}_{metric}"]
                found = rank_correlation(pd.Series(rows[predictor]), pd.Series(gaps))
                records.append(
                    dict(zip(keys, key, strict=True))
                    | {"predictor": predictor, "metric": metric, "correlation": found}
                    | {"n": len(rows)}
                )
    return pd.DataFrame(records)
