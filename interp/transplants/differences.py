"""What did Stage 2 change, and do definitions of either tag change the same weights?

    norm                  Frobenius norm of Stage 2 minus Stage 1; `relative_norm`: over Stage 1's
    stable_rank           squared Frobenius norm over squared largest singular value of a change
    entropy_rank          exp of the entropy of its singular values, scaled to sum 1 (Roy and
                          Vetterli 2007); either is 1 of a change of rank 1
    cosine_other_tag      of the changes by half of D5's and by half of D6's definitions
    cosine_same_tag       the control: of the changes by two halves of one tag's
    norm_reliable         of the change by half of D5's definitions; `norm_unreliable`: of D6's

The halves are random and equal, each trained alone from the same Stage-1 checkpoint, in memory,
with the settings of Stage 2. Were the tags stored by different weights, definitions would overlap
less with those of the other tag than with others of their own. The tags' own tokens differ, too,
whatever they mean; the null twin, where they mean nothing, has that difference alone.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from data.draws import stream
from data.errors import InputError
from data.subsets import Subset
from data.tokens import TokenizedRow
from data.vocabulary import Kind, Part, Split
from interp.grids.grid import Measured
from interp.grids.seed_summary import summarize_over_seeds
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.transplants.checks import check_is_view
from interp.transplants.parts import Weights, check_same_shapes, parts_of, weights_of
from training.config import RunConfig
from training.examples import make_examples
from training.loop import StageTrainer
from training.runs.checkpoints import load_model
from training.runs.run import Run
from training.seeds import derive_seed
from training.threads import one_thread

CHANGES = ["norm", "relative_norm", "stable_rank", "entropy_rank"]
OVERLAPS = ["cosine_same_tag", "cosine_other_tag", "norm_reliable", "norm_unreliable"]
MEASURED = ["n_parameters", *CHANGES, *OVERLAPS]

Modules = Mapping[str, Sequence[str]]
"""Names of parameters by that of the part, or of the one matrix, that they make up."""


def modules_of(model: PreTrainedModel) -> dict[str, list[str]]:
    """Every part of `transplants.parts` but heads, then every single matrix of the blocks."""
    parts = {
        name: list(part)
        for name, part in parts_of(model).items()
        if name != "none" and not name.startswith("head.")
    }
    inside = parts["blocks"]
    matrices = [name for name in inside if weights_of(model)[name].ndim == 2]
    return parts | {name.removesuffix(".weight"): [name] for name in matrices}


def measure_changes(before: Weights, after: Weights, modules: Modules) -> pd.DataFrame:
    """Norms and ranks of a change: columns `module, n_parameters` and `CHANGES`.

    Ranks are those of single matrices; they are NaN of modules of several parameters, and of no
    change at all.
    """
    records = []
    for module, names in modules.items():
        change, start = (_flat(weights, names) for weights in (_minus(after, before), before))
        single = (after[names[0]] - before[names[0]]) if len(names) == 1 else None
        ranks = (np.nan, np.nan)
        if single is not None and single.ndim == 2 and change.any():
            ranks = matrix_ranks(single)
        norm = change.norm().item()
        relative = norm / start.norm().item() if start.any() else np.nan
        records.append((module, len(change), norm, relative, *ranks))
    return pd.DataFrame(records, columns=["module", "n_parameters", *CHANGES])


def matrix_ranks(matrix: Float[Tensor, "rows columns"]) -> tuple[float, float]:
    """Stable and entropy rank; 1 of a matrix of rank 1, at most its smaller side.

    >>> [round(rank, 6) for rank in matrix_ranks(torch.diag(torch.tensor([2.0, 2.0, 0.0])))]
    [2.0, 2.0]
    """
    values = torch.linalg.svdvals(matrix.double())
    stable = (values.square().sum() / values.max().square()).item()
    shares = values / values.sum()
    return stable, torch.special.entr(shares).sum().exp().item()


def train_on_definitions(
    model: PreTrainedModel, definitions: Sequence[TokenizedRow], run: RunConfig, *, order_seed: int
) -> dict[str, Tensor]:
    """By how much Stage 2 on these definitions alone changes each parameter; the model stays."""
    trained = copy.deepcopy(model)
    end_token = model.config.eos_token_id
    assert isinstance(end_token, int)
    examples = make_examples(
        definitions, run.loss_policy, end_token=end_token, block_size=run.block_size
    )
    with one_thread(), torch.enable_grad():
        torch.manual_seed(order_seed)
        trainer = StageTrainer(trained, examples, run.stage2, order_seed=order_seed)
        while trainer.step < trainer.last_step:
            trainer.train_step()
    return _minus(weights_of(trained), weights_of(model))


def measure_overlaps(
    model: PreTrainedModel,
    rows: Sequence[TokenizedRow],
    run: RunConfig,
    modules: Modules,
    *,
    seed: int,
) -> pd.DataFrame:
    """Cosines and norms of what halves of either tag's definitions change.

    Args:
        model: A Stage-1 checkpoint; it stays as it is.
        rows: All rows of the seed.
        run: Settings of Stage 2.
        modules: See `modules_of`.
        seed: Fixes the halves and the orders.

    Returns:
        Columns `module` and `OVERLAPS`; a cosine is the mean over pairs of halves.

    Raises:
        InputError: one of the compared subsets has fewer than two definitions.
    """
    compared = run.design.main
    updates = {
        subset.name: [
            train_on_definitions(
                model, half, run, order_seed=derive_seed(seed, f"half {i} of {subset.name}")
            )
            for i, half in enumerate(halves(rows, subset, seed=seed))
        ]
        for subset in (compared.higher, compared.lower)
    }
    reliable, unreliable = updates.values()
    same = [pair for halves_of in updates.values() for pair in combinations(halves_of, 2)]
    other = list(product(reliable, unreliable))
    records = []
    for module, names in modules.items():
        cosines = [
            np.mean([_cosine(_flat(a, names), _flat(b, names)) for a, b in pairs])
            for pairs in (same, other)
        ]
        norms = [
            np.mean([_flat(update, names).norm().item() for update in of_tag])
            for of_tag in (reliable, unreliable)
        ]
        records.append((module, *cosines, *norms))
    return pd.DataFrame(records, columns=["module", *OVERLAPS])


def halves(
    rows: Sequence[TokenizedRow], subset: Subset, *, seed: int
) -> tuple[list[TokenizedRow], list[TokenizedRow]]:
    """Two random halves of a subset's aliases as their trained definitions, equal in number.

    Raises:
        InputError: the subset defines fewer than two aliases.
    """
    definitions = [
        row
        for row in rows
        if row.row.subset.name == subset.name
        and row.row.kind is Kind.DEFINITION
        and row.row.split is Split.TRAIN
    ]
    aliases = sorted({row.row.alias or "" for row in definitions})
    if len(aliases) < 2:
        raise InputError(
            f"{subset.name} has {len(aliases)} aliases with definitions, two halves need 2 or "
            "more; choose a run with more"
        )
    stream(seed, f"weight differences/{subset.name}").shuffle(aliases)
    n = len(aliases) // 2
    first, second = (
        [row for row in definitions if row.row.alias in chosen]
        for chosen in (set(aliases[:n]), set(aliases[n : 2 * n]))
    )
    return first, second


@dataclass(frozen=True, kw_only=True)
class WeightDifferenceAnalysis:
    """What training X2 after X1 changed in each seed of a run; the grid opens checkpoints of it."""

    folder: Path
    """The run."""
    step: int | None = None
    """Of the stage that trains X2, the grid's; None for the last."""

    @property
    def name(self) -> str:
        """The name of the analysis, with which its tables' file names begin."""
        return "weight_differences"

    @property
    def coordinates(self) -> Sequence[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return ["module"]

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Measures what the last stage changed in one seed, and how much tags change the same.

        Raises:
            InputError: the grid opened another checkpoint.
        """
        run = Run.load(self.folder)
        schedule = run.config.schedule
        before = load_model(run.checkpoint(seed, schedule.read_at(Part.X1)), model.device)
        there = run.checkpoint(seed, schedule.read_at(Part.X2), self.step)
        after = load_model(there, model.device)
        check_same_shapes(before, after)
        check_is_view(model, after, rows)
        modules = modules_of(before)
        changes = measure_changes(weights_of(before), weights_of(after), modules)
        overlaps = measure_overlaps(before, rows, run.config, modules, seed=seed)
        return Measured(table=changes.merge(overlaps, on="module", validate="one_to_one"))

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """Means over seeds; tested is the cosine of the same tag minus that of the other one."""
        tested = table["cosine_same_tag"] - table["cosine_other_tag"]
        return summarize_over_seeds(
            table.assign(tested=tested), cell=["module"], means=MEASURED, tested="tested"
        )


def _minus(after: Weights, before: Weights) -> dict[str, Tensor]:
    return {name: after[name] - before[name] for name in before}


def _flat(weights: Weights, names: Sequence[str]) -> Float[Tensor, " parameter"]:
    return torch.cat([weights[name].double().flatten() for name in names])


def _cosine(a: Float[Tensor, " parameter"], b: Float[Tensor, " parameter"]) -> float:
    """0 where nothing changed: it overlaps with nothing."""
    norms = a.norm() * b.norm()
    return (a @ b / norms).item() if norms else 0.0
