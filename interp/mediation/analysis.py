"""Does a definition's own alignment, or its own code, predict how well it is internalized?

A gap between two tags, and a quantity that differs between them, may have nothing to do with each
other. So here the unit is one definition: of each of the two compared subsets every alias has a
row, with

    alignment        mean gradient cosine of the definition with its own questions before Stage 2
    coefficient      how far Stage 2's change of the alias's row lies in the code by which questions
                     read its own entity (`interp.codes`); NaN where a run has no codes to estimate
    answer_log_prob  of its questions at the end of Stage 2, one row for each Stage-2 seed

and the summary asks whether the one predicts the other among aliases of the same seed and tag (see
`interp.mediation.summary`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy, Part
from interp.alignment.analysis import gradient_options, measure_alignment
from interp.alignment.pairs import Pairing, PairMode, make_alignment_pairs
from interp.codes.analysis import alias_coefficients
from interp.codes.estimation import QUESTION
from interp.grids.grid import Measured
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.mediation.summary import ALIGNMENT, COEFFICIENT, summarize_mediation
from interp.transplants.analysis import check_is_view
from training.evaluate import EvaluationSet, answer_metrics
from training.metrics import HEADLINE_METRICS
from training.retraining import Retraining
from training.runs.checkpoints import load_model
from training.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class MediationAnalysis:
    """Every definition of the two compared subsets; give the grid Stage 1's end."""

    folder: Path
    """The folder of the run."""
    limit: int | None = None
    """Most definitions of each subset; all unless given."""
    loss_policy: LossPolicy | None = None
    """Of the gradients; the run's own unless given."""
    allow_materialise: bool = False

    @property
    def name(self) -> str:
        """Stem of the tables' names."""
        return "mediation"

    @property
    def coordinates(self) -> Sequence[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return ["stage2_seed", "subset", "alias"]

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """What every definition of one seed is like, and what came of it.

        Raises:
            InputError: a subset has no definitions with questions of their own.
        """
        run = Run.load(self.folder)
        check_is_view(model, load_model(run.checkpoint(seed, 1), model.device), rows)
        answers = alias_answers(run, rows, seed, stop_token=model.stop_token, device=model.device)
        alignment = self._alignment(run, rows, seed, device=model.device)
        # Of the definitions that a limit leaves out nothing is told.
        table = answers.merge(alignment, on=["subset", "alias"], how="inner")
        return Measured(table=with_coefficients(table, run, seed))

    def _alignment(
        self, run: Run, rows: Sequence[TokenizedRow], seed: int, *, device: object
    ) -> pd.DataFrame:
        """Each definition's mean cosine with its own questions, before Stage 2."""
        again = Retraining(run=run, seed=seed, device=device)  # pyright: ignore[reportArgumentType]
        pairs = make_alignment_pairs(
            rows, PairMode.OWN, subsets=run.design.main.names, limit=self.limit, seed=seed
        )
        options = gradient_options(run, run.checkpoint(seed, 1), self.loss_policy)
        table = measure_alignment(
            again.before_stage_two(),
            [pair for pair in pairs if pair.pairing is Pairing.OWN],
            options=options,
        )
        cosines = table.loc[table["measure"] == "grad_cosine"]
        by_alias = cosines.groupby(["subset", "alias"], sort=True)
        return by_alias.agg(**{ALIGNMENT: ("value", "mean")}).reset_index()

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """See `interp.mediation.summary`."""
        return summarize_mediation(table)


def alias_answers(
    run: Run,
    rows: Sequence[TokenizedRow],
    seed: int,
    *,
    stop_token: int | None = None,
    device: object = "cpu",
) -> pd.DataFrame:
    """How well each alias's questions are answered at the end of every Stage-2 training of a seed.

    Args:
        run: Whose checkpoints are asked.
        rows: The rows of the seed.
        seed: The Stage-1 seed.
        stop_token: See `training.evaluate.EvaluationSet.of`.
        device: Where the models are put.

    Returns:
        Columns `stage2_seed, subset, alias, entity`, the headline metrics, and `n` questions.
    """
    compared = run.design.main.names
    asked = [row for row in rows if row.row.is_evaluated and row.row.subset.name in compared]
    evaluation = EvaluationSet.of(asked, stop_token=stop_token)
    about = pd.DataFrame(
        [
            {
                "subset": row.row.subset.name,
                "alias": row.row.alias,
                # Where rows name no entity, each alias is one by itself.
                "entity": row.row.entity or row.row.alias,
            }
            for row in evaluation.rows
        ]
    )
    stage, tables = int(run.config.schedule.read_at(Part.X2)), []
    for stage2_seed in range(run.config.seeds_stage2):
        folder = run.checkpoint(seed, stage, stage2_seed=stage2_seed)
        model = load_model(folder, device)  # pyright: ignore[reportArgumentType]
        answers = answer_metrics(model, evaluation)[list(HEADLINE_METRICS)]
        by_alias = about.join(answers).groupby(["subset", "alias", "entity"], sort=True)
        measures = {name: (name, "mean") for name in HEADLINE_METRICS}
        table = by_alias.agg(**measures, n=("subset", "size")).reset_index()
        table.insert(0, "stage2_seed", stage2_seed)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def with_coefficients(table: pd.DataFrame, run: Run, seed: int) -> pd.DataFrame:
    """The table with each alias's code coefficient, NaN where the run has no codes to estimate.

    Args:
        table: Of a seed, with a column `alias`.
        run: Whose checkpoints are read.
        seed: Of the run.
    """
    try:
        codes = alias_coefficients(run, seed)
    except InputError:  # few aliases share an entity, or have several tokens
        return table.assign(**{COEFFICIENT: float("nan")})
    own = dict(zip(codes["alias"], codes[f"{COEFFICIENT}_{QUESTION}"], strict=True))
    return table.assign(**{COEFFICIENT: table["alias"].map(own)})
