"""Does gradient alignment predict what a definition does in training? Leave it out, and look.

Stage 2 is trained again without one definition, everything else the same: its rows keep their
places in the batches and give no gradient. What changes in the log-probability of a question's
answer is what the definition did. Predicted from the Gram at the start of Stage 2, as if every
epoch made one step of gradient descent there:

    predicted = -(epochs lr / batch size) <g_d, g_q>

The optimizer rescales gradients and they change on the way, so that the scale means little; the
correlation over pairs is the result. To tell own questions from others, or D5 from D6, is easy, so
own questions are predicted apart from those about other aliases, and `within_tag` takes the mean of
each of D5 and D6 out of both sides first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from interp.alignment.analysis import gradient_options, index_pairs
from interp.alignment.pairs import AlignmentPair, Pairing, PairMode, make_alignment_pairs
from interp.alignment.summary import correlation, rank_correlation
from interp.gradients.gram import gradient_pairs
from interp.grids.grid import Measured
from interp.grids.seed_summary import summarize_over_seeds
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.transplants.analysis import check_is_view
from training.columns import RUN_COLUMNS
from training.evaluate import EvaluationSet, answer_metrics
from training.retraining import Retraining
from training.runs.run import Run

WITHIN = "within_tag"
GROUPS = {
    "own": (Pairing.OWN,),
    WITHIN: (Pairing.OWN,),
    "matched": tuple(set(Pairing) - {Pairing.OWN}),
    "all": Pairing,
}
CENTRED = ["predicted", "grad_cosine", "measured"]


@dataclass(frozen=True, kw_only=True)
class LeftOutAnalysis:
    """Stage 2 of each seed without one definition after the other; give the grid Stage 1's end."""

    folder: Path
    """The folder of the run."""
    limit: int = 4
    """Number of definitions of each of D5 and D6 that are left out, one at a time."""
    loss_policy: LossPolicy | None = None
    allow_materialise: bool = False

    @property
    def name(self) -> str:
        """Stem of the tables' names."""
        return "left_out"

    @property
    def coordinates(self) -> Sequence[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return ["row_a", "row_b", "pairing"]

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Predicted and measured change of each pair of one seed.

        Each definition meets its own questions and one partner of every class for each of them.
        """
        again = Retraining(run=Run.load(self.folder), seed=seed, device=model.device)
        start = again.model_at(1)
        check_is_view(model, start, rows)
        pairs = make_alignment_pairs(
            rows, PairMode.OWN, subsets=again.run.design.main.names, limit=self.limit, seed=seed
        )
        table = self._predicted(again, start, pairs)
        asked = EvaluationSet.of(index_pairs(pairs)[1])
        whole = _log_probs(again.stage_two(start), asked)
        changes = {
            name: _log_probs(again.stage_two(start, without=[name]), asked) - whole
            for name in dict.fromkeys(table["row_a"])
        }
        table["measured"] = [
            changes[a][b] for a, b in zip(table["row_a"], table["row_b"], strict=True)
        ]
        return Measured(table=table)

    def _predicted(
        self, again: Retraining, start: PreTrainedModel, pairs: Sequence[AlignmentPair]
    ) -> pd.DataFrame:
        run, config = again.run, again.run.config.stage2
        checkpoint = run.checkpoint(again.seed, 1)
        options = replace(
            gradient_options(run, checkpoint, self.loss_policy),
            allow_materialise=self.allow_materialise,
        )
        definitions, questions, places = index_pairs(pairs)
        gram = gradient_pairs(
            start, definitions, questions, pairs=places, options=options, statistics=False
        )
        scale = config.epochs * config.learning_rate / config.batch_size
        return pd.DataFrame(
            {
                "row_a": [pair.definition.row.row_id for pair in pairs],
                "row_b": [pair.question.row.row_id for pair in pairs],
                "subset": [pair.definition.row.subset.name for pair in pairs],
                "pairing": [str(pair.pairing) for pair in pairs],
                "grad_cosine": gram.cosine.nan_to_num(nan=0.0).numpy(),
                "predicted": (-scale * gram.dot).numpy(),
            }
        )

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """One row for each group of pairs, predictor and kind of correlation.

        Columns: run columns without the seed, `pairing` (a key of `GROUPS`), `predictor`
        (`predicted`, or minus the cosine), `kind` (`pearson`, `rank`), `correlation` and `measured`
        (mean change of log-probability, in nats), and those of `summarize_over_seeds`.
        """
        return summarize_over_seeds(
            left_out_correlations(table),
            cell=["pairing", "predictor", "kind"],
            means=["correlation", "measured"],
            tested="correlation",
        )


def left_out_correlations(table: pd.DataFrame) -> pd.DataFrame:
    """Correlations of predicted with measured change in each seed; `n` counts pairs."""
    records = []
    for key, rows in table.groupby(RUN_COLUMNS, sort=True):
        assert isinstance(key, tuple)
        for group, members in GROUPS.items():
            chosen = rows.loc[rows["pairing"].isin([str(member) for member in members])]
            if group == WITHIN:
                means = chosen.groupby("subset")[CENTRED].transform("mean")
                chosen = chosen.assign(**{name: chosen[name] - means[name] for name in CENTRED})
            predictors = {"predicted": chosen["predicted"], "cosine": -chosen["grad_cosine"]}
            for predictor, values in predictors.items():
                for kind, correlate in (("pearson", correlation), ("rank", rank_correlation)):
                    records.append(
                        dict(zip(RUN_COLUMNS, key, strict=True))
                        | {"pairing": group, "predictor": predictor, "kind": kind}
                        | {"correlation": correlate(values, chosen["measured"])}
                        | {"measured": float(np.mean(chosen["measured"])), "n": len(chosen)}
                    )
    return pd.DataFrame(records)


def _log_probs(model: PreTrainedModel, asked: EvaluationSet) -> pd.Series:
    """The answer's log-probability by row id."""
    names = [each.row.row_id for each in asked.rows]
    return pd.Series(answer_metrics(model, asked)["answer_log_prob"].to_numpy(), index=names)
