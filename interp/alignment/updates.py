"""What does one optimizer step on a definition do to the loss of a question?

    predicted     -lr <g_d, g_q>: gradient descent, to first order, from the exact Gram
    first_order   <u, g_q> for the update u that the optimizer really makes
    measured      loss of the question after that step minus before

SGD makes the update that the gradient cosine speaks of. AdamW at the start of Stage 2, where its
state is new, moves every parameter by about the learning rate, whatever the size of its gradient,
and decays weights; Adafactor divides by means over rows and columns. So `update_cosine`, of -u with
g_q, is the alignment that their updates have. All in double precision: single updates are small.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel
from transformers.optimization import Adafactor

from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from interp.alignment.analysis import gradient_options, index_pairs
from interp.alignment.pairs import AlignmentPair, Pairing, PairMode, make_alignment_pairs
from interp.alignment.summary import correlation
from interp.gradients.gram import GradientOptions, gradient_pairs
from interp.grids.grid import Measured
from interp.grids.seed_summary import summarize_over_seeds
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.transplants.analysis import check_is_view
from training.columns import RUN_COLUMNS
from training.config import StageConfig
from training.designs import design_of
from training.examples import Examples, batch_loss, make_examples
from training.runs.checkpoints import load_model
from training.runs.run import Run

Parameters = list[torch.nn.Parameter]
OPTIMIZERS: dict[str, Callable[[Parameters, StageConfig], torch.optim.Optimizer]] = {
    "sgd": lambda parameters, config: torch.optim.SGD(parameters, lr=config.learning_rate),
    "adamw": lambda parameters, config: torch.optim.AdamW(
        parameters, lr=config.learning_rate, weight_decay=config.weight_decay
    ),
    # As Hugging Face's Trainer sets it up, which the paper's code uses.
    "adafactor": lambda parameters, config: Adafactor(
        parameters, lr=config.learning_rate, scale_parameter=False, relative_step=False
    ),
}
COORDINATES = ["optimizer", "row_a", "row_b", "pairing"]
QUANTITIES = ("measured", "grad_cosine", "update_cosine")
GROUPS = {"own": (Pairing.OWN,), "matched": tuple(set(Pairing) - {Pairing.OWN}), "all": Pairing}


@dataclass(frozen=True, kw_only=True)
class UpdateAnalysis:
    """One step on each of some definitions of D5 and D6, at a checkpoint of each seed."""

    folder: Path
    """The folder of the run."""
    stage: int = 1
    step: int | None = None
    """The step of the checkpoint; None for the stage's last."""
    limit: int = 8
    """Most definitions of each subset."""
    optimizers: tuple[str, ...] = tuple(OPTIMIZERS)
    loss_policy: LossPolicy | None = None
    """The loss policy of the gradients; None for the run's own."""
    allow_materialise: bool = False

    @property
    def name(self) -> str:
        """Stem of the tables' names."""
        return "updates"

    @property
    def coordinates(self) -> Sequence[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return COORDINATES

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Every definition, optimizer and question of one seed."""
        run = Run.load(self.folder)
        folder = run.checkpoint(seed, self.stage, self.step)
        plain = load_model(folder, model.device)
        check_is_view(model, plain, rows)
        pairs = make_alignment_pairs(
            rows, PairMode.OWN, subsets=run.design.main.names, limit=self.limit, seed=seed
        )
        options = replace(
            gradient_options(run, folder, self.loss_policy),
            allow_materialise=self.allow_materialise,
        )
        table = measure_updates(
            plain, pairs, options=options, config=run.config.stage2, optimizers=self.optimizers
        )
        return Measured(table=table)

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """One row for each optimizer, subset (or the gap of two), pairing and quantity.

        Columns: run columns without the seed, `optimizer, subset, pairing, quantity`, `value`, and
        those of `summarize_over_seeds`. Quantities are the means `measured`, `grad_cosine` and
        `update_cosine`, and, of the subset `all` and the pairings `own`, `matched` and `all`, the
        correlations of the measured change with `predicted` and `first_order` over pairs.
        """
        records = []
        for key, rows in table.groupby([*RUN_COLUMNS, "optimizer"], sort=True):
            assert isinstance(key, tuple)
            shared = dict(zip([*RUN_COLUMNS, "optimizer"], key, strict=True))
            records += [shared | record for record in [*_correlations(rows), *_levels(rows)]]
        return summarize_over_seeds(
            pd.DataFrame(records),
            cell=["optimizer", "subset", "pairing", "quantity"],
            means=["value"],
            tested="value",
        )


def measure_updates(
    model: PreTrainedModel,
    pairs: Sequence[AlignmentPair],
    *,
    options: GradientOptions,
    config: StageConfig,
    optimizers: Sequence[str] = tuple(OPTIMIZERS),
) -> pd.DataFrame:
    """One row for each optimizer and pair; see the module's docstring. The model is not changed.

    Returns:
        Columns `optimizer, row_a, row_b, subset, pairing, grad_cosine, update_cosine, predicted,
        first_order, measured`; losses in nats a target token.
    """
    before = copy.deepcopy(model).double().eval()
    definitions, questions, places = index_pairs(pairs)
    gram = gradient_pairs(
        before, definitions, questions, pairs=places, options=options, statistics=False
    )
    facts = pd.DataFrame(
        {
            "row_a": [pair.definition.row.row_id for pair in pairs],
            "row_b": [pair.question.row.row_id for pair in pairs],
            "subset": [pair.definition.row.subset.name for pair in pairs],
            "pairing": [str(pair.pairing) for pair in pairs],
            "grad_cosine": gram.cosine.nan_to_num(nan=0.0).numpy(),
            "predicted": (-config.learning_rate * gram.dot).numpy(),
        }
    )
    tables = []
    for definition in definitions:
        chosen = facts.loc[facts["row_a"] == definition.row.row_id]
        asked = [each for each in questions if each.row.row_id in set(chosen["row_b"])]
        found = pd.concat(
            [
                _one_step(before, definition, asked, options, config, name).assign(optimizer=name)
                for name in optimizers
            ]
        )
        tables.append(chosen.merge(found, on="row_b", validate="one_to_many"))
    return pd.concat(tables, ignore_index=True)


def _one_step(
    before: PreTrainedModel,
    definition: TokenizedRow,
    asked: Sequence[TokenizedRow],
    options: GradientOptions,
    config: StageConfig,
    name: str,
) -> pd.DataFrame:
    after = copy.deepcopy(before)
    parameters = [p for p in after.parameters() if p.requires_grad]
    optimizer = OPTIMIZERS[name](parameters, config)
    batch_loss(after, _examples(definition, options).to(after.device)).backward()
    optimizer.step()
    old = [p for p in before.parameters() if p.requires_grad]
    update = torch.cat(
        [(new - p).detach().flatten() for new, p in zip(parameters, old, strict=True)]
    )
    records = []
    for question in asked:
        example = _examples(question, options).to(before.device)
        loss = batch_loss(before, example)
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, old)])
        with torch.no_grad():
            change = batch_loss(after, example) - loss
        along = float(update @ gradient)
        lengths = float(update.norm() * gradient.norm())
        records.append(
            {
                "row_b": question.row.row_id,
                "update_cosine": -along / lengths if lengths else 0.0,
                "first_order": along,
                "measured": float(change),
            }
        )
    return pd.DataFrame(records)


def _examples(tokenized: TokenizedRow, options: GradientOptions) -> Examples:
    return make_examples(
        [tokenized],
        options.policy,
        end_token=options.end_token,
        block_size=options.block_size,
        repeat=False,
    )


def _correlations(rows: pd.DataFrame) -> Iterator[dict[str, object]]:
    for group, members in GROUPS.items():
        chosen = rows.loc[rows["pairing"].isin([str(member) for member in members])]
        for name in ("predicted", "first_order"):
            yield {
                "subset": "all",
                "pairing": group,
                "quantity": f"correlation_{name}",
                "value": correlation(chosen[name], chosen["measured"]),
                "n": len(chosen),
            }


def _levels(rows: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Means by subset and pairing, and D5 minus D6."""
    main = design_of(rows).main
    for pairing in sorted(set(rows["pairing"])):
        of_pairing = rows.loc[rows["pairing"] == pairing]
        sides = [of_pairing.loc[of_pairing["subset"] == subset] for subset in main.names]
        for quantity in QUANTITIES:
            means = [float(np.mean(side[quantity])) for side in sides if len(side)]
            counts = [len(side) for side in sides if len(side)]
            named = [side["subset"].iloc[0] for side in sides if len(side)]
            cells = list(zip(named, means, counts, strict=True))
            if len(cells) == 2:
                cells.append((main.gap, means[0] - means[1], sum(counts)))
            for subset, value, n in cells:
                shared = {"pairing": pairing, "quantity": quantity}
                yield shared | {"subset": subset, "value": value, "n": n}
