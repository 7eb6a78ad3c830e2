"""Does implicit meta-learning still form when a component cannot take part? Stage 2 trained again.

    untouched   Stage 2 as it was: equals the run's own bit for bit (`distance` is 0)
    frozen      the weights of a component stay as Stage 1 left them
    clamped     a head attends as Stage 1's model does on the same text, in training and when asked;
                its values and its output still learn

Tried are the alias rows of the embeddings, all other rows, every MLP, the *leading* head of each
layer (`a1.leading`: of each seed the one without which the run's own Stage 2 loses most of what it
says of the higher compared subset), and all heads, all MLPs, all blocks together; `all` frozen is
Stage 1. Or components of one's own choice. Each is held against others of its layer and kind, all
of them where they are few, and alias rows against as many rows of other tokens: any of them might
have done as well. Where there is no other, as of the one MLP of a layer, there is no p.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from data.tokens import TokenizedRow
from interp.circuits.ablated import AblatedRows
from interp.circuits.behaviours import (
    Behaviour,
    BehaviourKind,
    measured_behaviours,
    said_rows,
    thinned,
)
from interp.circuits.components import n_weights
from interp.circuits.necessity_summary import COORDINATES, summarize_necessity
from interp.circuits.treatments import UNTOUCHED, treatments
from interp.circuits.units import units_of
from interp.grids.grid import Measured
from interp.hooked.addresses import Site
from interp.hooked.answers import ANSWER_METRICS
from interp.hooked.model import HookedModel
from interp.interventions.ablation import AblationKind
from interp.patching.unrolled import UnrolledModel
from interp.transplants.checks import check_is_view
from training.clamped_patterns import clamped_patterns
from training.evaluate import EvaluationSet, answer_metrics
from training.retraining import Retraining
from training.runs.run import Run

N_OTHERS = 7
"""Most others that a component is held against: each is a training of Stage 2."""
N_ROWS = 100
"""Most rows by which the leading heads are found."""
MEASURED = [
    *("kind", "n_weights", "ablated", "distance"),
    *ANSWER_METRICS,
    *(f"untouched_{name}" for name in ANSWER_METRICS),
    "n",
]


@dataclass(frozen=True, kw_only=True)
class NecessityAnalysis:
    """Stage 2 of each seed again, for every component; give the grid the end of Stage 2."""

    folder: Path
    """The folder of the run."""
    components: tuple[str, ...] = ()
    """Of one's own choice, `a1.h3` or `a0.h1+m1`; those of the module's docstring if none."""
    n_others: int = N_OTHERS

    @property
    def name(self) -> str:
        """The name of the analysis, with which its tables' file names begin."""
        return "necessity"

    @property
    def coordinates(self) -> Sequence[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return COORDINATES

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Every training of one seed.

        Columns: `mode, part, label, kind` (see `Treatment`), `subset` (as in the table of
        circuits), `n_weights` (frozen), `ablated` (of a head, nats lost without it; see
        `head_scores`), `distance` (largest difference of a weight from the run's own Stage 2), the
        answers' `exact_match, answer_log_prob`, those of the untouched training with the prefix
        `untouched_`, and `n`.

        Raises:
            InputError: the model lacks a component, or is of another checkpoint than the run's.
        """
        again = Retraining(run=Run.load(self.folder), seed=seed, device=model.device)
        start, own = again.before_stage_two(), again.model_at(2)
        check_is_view(model, own, rows)
        behaviours = measured_behaviours(again.run.design, rows)
        ablated = head_scores(model, rows, again.run.design.main.higher.name)
        tables, untouched = [], pd.DataFrame()
        for treatment in treatments(
            start, rows, ablated, names=self.components, n_others=self.n_others, seed=seed
        ):
            trained = again.stage_two(start, frozen=treatment.frozen, clamped=treatment.clamped)
            with clamped_patterns(trained, start, treatment.clamped):
                answers = _answers(trained, behaviours, rows, model.stop_token)
            untouched = answers if treatment.mode == UNTOUCHED else untouched
            whole = answers.join(untouched[list(ANSWER_METRICS)].add_prefix("untouched_")).assign(
                mode=treatment.mode,
                part=treatment.part,
                label=treatment.label,
                kind=treatment.kind,
                n_weights=n_weights(start, treatment.frozen),
                ablated=ablated.get(treatment.part, np.nan),
                distance=_distance(trained, own),
            )
            tables.append(whole[[*COORDINATES, *MEASURED]])
        return Measured(table=pd.concat(tables, ignore_index=True))

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """Over seeds; see `interp.circuits.necessity_summary`."""
        return summarize_necessity(table)


def head_scores(model: HookedModel, rows: Sequence[TokenizedRow], subset: str) -> dict[str, float]:
    """Nats that what the model says of a subset loses without each head, by the head's name.

    The head is ablated at all tokens, by its means over other aliases in the same question.

    Raises:
        InputError: the subset has no questions, or too few aliases.
    """
    asked = thinned(Behaviour(kind=BehaviourKind.ANSWER, subset=subset).rows(rows), N_ROWS)
    unrolled, units = UnrolledModel(model), units_of(model, asked)
    said = said_rows(model, asked)
    ablated = AblatedRows(
        unrolled, said, units, AblationKind.MEAN, reference=asked, by_question=True
    )
    of_units = [unit.name.partition("@")[0] for unit in units]
    heads = [f"a{layer}.h{n}" for layer in range(model.n_layers) for n in range(model.n_heads)]
    sets = torch.tensor([[False] * len(units), *([of == h for of in of_units] for h in heads)])
    nats = ablated.answers(sets)[..., 1].mean(1)
    return dict(zip(heads, (nats[0] - nats[1:]).tolist(), strict=True))


def _answers(
    model: PreTrainedModel,
    behaviours: Sequence[Behaviour],
    rows: Sequence[TokenizedRow],
    stop_token: int | None,
) -> pd.DataFrame:
    """Columns `subset`, those of `ANSWER_METRICS` and `n`: the means of every behaviour."""
    asked = {each.measured: each.rows(rows) for each in behaviours}
    tables = []
    for name, of_behaviour in asked.items():
        evaluation = EvaluationSet.of(of_behaviour, stop_token=stop_token)
        means = answer_metrics(model, evaluation)[list(ANSWER_METRICS)].mean().to_dict()
        tables.append({"subset": name, **means, "n": len(of_behaviour)})
    return pd.DataFrame(tables)


def _distance(model: PreTrainedModel, other: PreTrainedModel) -> float:
    """The largest difference of a weight; 0 of models that are equal bit for bit."""
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    with torch.no_grad():
        return max(float((a - b).abs().max()) for a, b in pairs)
