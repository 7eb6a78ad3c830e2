"""The gap between two tags, alias by alias: each seed beside its twin with exchanged tags.

A run compares aliases of one subset with aliases of another. In the twin (see
`training.exchanged_tags`) the same aliases, which stand for the same entities and meet the same
batches, have the other tag each. So every alias is asked with either tag, and

    run      the gap of the run itself
    twin     that of its twin: the subset that is the higher one in the run is the lower one
    paired   the mean over all aliases of reliable minus unreliable, which is the mean of the two

What an alias's or an entity's own ease adds to a gap has the other sign in the twin, and goes from
`paired`. What a Stage-1 model adds to every gap is in both, and stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from data.tokens import TokenizedRow
from data.vocabulary import Part, Stage
from interp.grids.grid import Measured
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.transplants.analysis import check_is_view
from interp.twins.summary import summarize_twins
from training.evaluate import EvaluationSet, answer_metrics
from training.exchanged_tags import ExchangedTwin
from training.metrics import HEADLINE_METRICS
from training.retraining import Retraining
from training.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class TwinAnalysis:
    """Trains each seed's twins and asks about every alias; give the grid the end of Stage 2."""

    folder: Path
    """The folder of the run."""
    exchanged_in: tuple[int, ...] = (1, 2)
    """The stages whose tags are exchanged, each in a twin of its own."""

    @property
    def name(self) -> str:
        """Stem of the tables' names."""
        return "twins"

    @property
    def coordinates(self) -> Sequence[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return ["exchanged_in", "metric"]

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """The gaps of one seed and its twins.

        Raises:
            InputError: the run's tags cannot be exchanged.
        """
        run = Run.load(self.folder)
        again = Retraining(run=run, seed=seed, device=model.device)
        twin = ExchangedTwin(again=again)
        compared = run.design.main.names
        asked = [row for row in rows if row.row.is_evaluated and row.row.subset.name in compared]
        evaluation = EvaluationSet.of(asked, stop_token=model.stop_token)
        own_model = again.model_at(int(run.config.schedule.read_at(Part.X2)))
        check_is_view(model, own_model, rows)
        own = _by_alias(answer_metrics(own_model, evaluation), evaluation)
        records = []
        for stage in self.exchanged_in:
            theirs = _by_alias(answer_metrics(twin.after(Stage(stage)), evaluation), evaluation)
            for metric in HEADLINE_METRICS:
                gaps = paired_gap(own[metric], theirs[metric], compared)
                records.append({"exchanged_in": stage, "metric": metric, **gaps})
        return Measured(table=pd.DataFrame(records))

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """See `interp.twins.summary`."""
        return summarize_twins(table)


def paired_gap(own: pd.Series, twin: pd.Series, compared: tuple[str, str]) -> dict[str, float]:
    """The gaps of a run, its twin and both together, and how far aliases alone let them vary.

    Args:
        own: A value of each alias in the run, by `subset, alias`.
        twin: The same aliases in the twin.
        compared: The subset that has the reliable tag in the run, and the other.

    Returns:
        `run, twin, paired`; `alias_variance`, that of the mean of run and twin if the aliases of
        the two were drawn apart; `alias_variance_paired`, that of `paired`; and `n` aliases.
    """
    sides = {name: (own.loc[name], twin.loc[name]) for name in compared}
    higher, lower = (sides[name] for name in compared)
    gains = [higher[0] - higher[1], lower[1] - lower[0]]  # reliable minus unreliable
    unpaired = sum(_of_mean(each) for side in sides.values() for each in side) / 4
    return {
        "run": float(higher[0].mean() - lower[0].mean()),
        "twin": float(lower[1].mean() - higher[1].mean()),
        "paired": float(np.mean([gain.mean() for gain in gains])),
        "alias_variance": unpaired,
        "alias_variance_paired": sum(map(_of_mean, gains)) / 4,
        "n": sum(map(len, gains)),
    }


def _of_mean(values: pd.Series) -> float:
    """The variance of a mean over aliases."""
    return float(np.var(values.to_numpy(dtype=float), ddof=1)) / len(values)


def _by_alias(answers: pd.DataFrame, evaluation: EvaluationSet) -> dict[str, pd.Series]:
    """The mean of each metric over the questions of each alias, by subset and alias."""
    keys = [[row.row.subset.name for row in evaluation.rows],
            [row.row.alias for row in evaluation.rows]]  # fmt: skip
    return {name: pd.Series(answers[name].groupby(keys).mean()) for name in HEADLINE_METRICS}
