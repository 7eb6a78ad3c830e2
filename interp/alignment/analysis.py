"""Do the gradients of a definition and of its questions point the same way?

The paper's first hypothesis (section 5.1): Stage 1 leads where the gradients of reliable
definitions align with those of their questions. Here inner product, cosine and squared distance of
every pair are exact over all parameters (`interp.gradients.gram`), and beside each own pair stand
partners that differ in one thing (`interp.alignment.pairs`).

    grad_dot      <g_a, g_b>: how much a small step of gradient descent on one lowers the other
    grad_cosine   the same for gradients of length 1; 1 same direction, 0 nothing in common
    grad_sqdist   |g_a - g_b|^2

The D5 and D6 definitions are new at the end of Stage 1, so that D5 minus D6 there is what the tag
alone does. A cosine says nothing of how long a step is, nor of a step that an optimizer rescales:
see `interp.alignment.updates` and, for what Stage 2 really does, `interp.alignment.left_out`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from data.design import Design
from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy, Role
from interp.alignment.pairs import AlignmentPair, PairMode, make_alignment_pairs
from interp.alignment.summary import ALL, summarize_alignment
from interp.gradients.gram import (
    GradientGram,
    GradientOptions,
    Granularity,
    gradient_gram,
    gradient_pairs,
    token_gram,
)
from interp.grids.grid import Measured
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.transplants.analysis import check_is_view
from training.runs.checkpoints import load_model, load_tokenizer
from training.runs.run import Run

COORDINATES = ["row_a", "row_b", "pairs", "pairing", "component", "loss_policy", "measure"]


class Components(StrEnum):
    """Into which parts inner products are split, beside the whole."""

    NONE = "none"
    MODULE = "module"
    """Every module that has parameters."""
    TOKENS = "tokens"
    """Parts by token of the definition x token of the question (`interp.gradients.tokens`)."""


@dataclass(frozen=True, kw_only=True)
class AlignmentAnalysis:
    """Gradient alignment at a checkpoint of each seed of a run.

    The checkpoint must be the one that the grid opens: give both the same stage and step.
    """

    folder: Path
    """The folder of the run."""
    stage: int = 1
    step: int | None = None
    """The step of the checkpoint; None for the stage's last."""
    subsets: tuple[str, ...] = ()
    """The subsets of the definitions; those of the compared ones that have any unless given."""
    pairs: PairMode = PairMode.OWN
    loss_policy: LossPolicy | None = None
    """The loss policy of the gradients; None for the run's own."""
    limit: int | None = None
    """Most definitions of each subset."""
    components: Components = Components.NONE
    allow_materialise: bool = False
    """Whether to form gradients that the closed forms do not cover; see `GradientOptions`."""

    @property
    def name(self) -> str:
        """Stem of the tables' names."""
        return "alignment"

    @property
    def coordinates(self) -> Sequence[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return COORDINATES

    def of_design(self, design: Design) -> "AlignmentAnalysis":
        """The analysis for what a design compares; see `interp.grids.grid.OfDesign`."""
        sides = [side for each in design.leading for side in (each.higher, each.lower)]
        names = [side.name for side in sides if side.has_definitions]
        return self if self.subsets else replace(self, subsets=tuple(names))

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Every pair of one seed; the gradients are those of the plain model of the checkpoint.

        Raises:
            InputError: there is no such pair, or a gradient is not finite.
        """
        run = Run.load(self.folder)
        folder = run.checkpoint(seed, self.stage, self.step)
        plain = load_model(folder, model.device)
        check_is_view(model, plain, rows)
        pairs = make_alignment_pairs(
            rows,
            self.pairs,
            subsets=self.of_design(run.design).subsets,
            limit=self.limit,
            seed=seed,
        )
        options = replace(
            gradient_options(run, folder, self.loss_policy),
            allow_materialise=self.allow_materialise,
        )
        table = measure_alignment(plain, pairs, options=options, components=self.components)
        table.insert(2, "pairs", str(self.pairs))
        return Measured(table=table)

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table over seeds; see `interp.alignment.summary`."""
        return summarize_alignment(table)


def gradient_options(
    run: Run, checkpoint: Path, policy: LossPolicy | None = None
) -> GradientOptions:
    """Options for gradients of the losses that the run trains on, unless given another policy."""
    end_token = load_tokenizer(checkpoint).eos_token_id
    assert isinstance(end_token, int)
    return GradientOptions(
        policy=policy or run.config.loss_policy,
        end_token=end_token,
        block_size=run.config.block_size,
    )


def measure_alignment(
    model: PreTrainedModel,
    pairs: Sequence[AlignmentPair],
    *,
    options: GradientOptions,
    components: Components = Components.NONE,
) -> pd.DataFrame:
    """The paper's three measures of each pair, and its parts.

    Args:
        model: A plain Hugging Face model; left as it was.
        pairs: See `make_alignment_pairs`.
        options: See `GradientOptions`; the granularity follows from `components`.
        components: Parts beside the component `all`. They have no `grad_sqdist`; their `grad_dot`
            and `grad_cosine` (the part's inner product over the norms of the whole gradients) sum
            to those of the whole.

    Returns:
        Columns `row_a, row_b, alias, subset, pairing, component, loss_policy, measure, value`;
        alias and subset are the definition's. A cosine with a gradient of zero is 0.

    Raises:
        InputError: as `interp.gradients.gram.gradient_pairs`.
    """
    definitions, questions, places = index_pairs(pairs)
    by_module = components is Components.MODULE
    options = replace(options, granularity=Granularity.MODULE if by_module else Granularity.WHOLE)
    if len(pairs) == len(definitions) * len(questions):
        whole = gradient_gram(model, definitions, questions, options=options)
        at = (places[:, 0], places[:, 1])
        dot, cosine, sqdist = (values[at] for values in (whole.dot, _cosine(whole), whole.sqdist))
        parts = {name: values[at] for name, values in whole.parts.items()}
    else:
        whole = gradient_pairs(
            model, definitions, questions, pairs=places, options=options, statistics=False
        )
        dot, cosine, sqdist, parts = whole.dot, _cosine(whole), whole.sqdist, dict(whole.parts)
    of_all = {"grad_dot": dot, "grad_cosine": cosine, "grad_sqdist": sqdist}
    tables = [_long(pairs, ALL, name, values) for name, values in of_all.items()]
    if components is Components.TOKENS:
        maps = token_gram(model, definitions, questions, pairs=places, options=options)[ALL]
        parts = _by_role(maps, pairs)
    if components is not Components.NONE:
        norms = whole.norms_a[places[:, 0]] * whole.norms_b[places[:, 1]]
        for name, values in parts.items():
            tables.append(_long(pairs, name, "grad_dot", values))
            tables.append(_long(pairs, name, "grad_cosine", _ratio(values, norms)))
    table = pd.concat(tables, ignore_index=True)
    table.insert(6, "loss_policy", str(options.policy))
    return table


def index_pairs(
    pairs: Sequence[AlignmentPair],
) -> tuple[list[TokenizedRow], list[TokenizedRow], Tensor]:
    """Definitions and questions, each once, and of every pair its place in both.

    Raises:
        InputError: there are no pairs.
    """
    if not pairs:
        raise InputError("there are no pairs to measure; choose other subsets")
    sides = [
        {each.row.row_id: each for each in (getattr(pair, side) for pair in pairs)}
        for side in ("definition", "question")
    ]
    places = [{name: i for i, name in enumerate(side)} for side in sides]
    indices = [
        (places[0][p.definition.row.row_id], places[1][p.question.row.row_id]) for p in pairs
    ]
    definitions, questions = (list(side.values()) for side in sides)
    return definitions, questions, torch.tensor(indices)


def position_roles(tokenized: TokenizedRow, n_positions: int) -> list[str]:
    """What each position means: a role, `word` where there is none, `end` behind the text."""
    names = ["word"] * len(tokenized.input_ids)
    for role in sorted(tokenized.spans, key=lambda role: role is not Role.ANSWER):
        first, last = tokenized.spans[role]
        names[first : last + 1] = [str(role)] * (last + 1 - first)
    return [*names, *["end"] * n_positions][:n_positions]


def _cosine(gram: GradientGram) -> Float[Tensor, "*pairs"]:
    """Cosines, 0 where a gradient is zero: a step on it changes nothing."""
    return gram.cosine.nan_to_num(nan=0.0)


def _ratio(values: Float[Tensor, " pair"], norms: Float[Tensor, " pair"]) -> Float[Tensor, " pair"]:
    return torch.where(norms > 0, values / norms, 0.0)


def _by_role(
    maps: Float[Tensor, "pair pos_a pos_b"], pairs: Sequence[AlignmentPair]
) -> dict[str, Float[Tensor, " pair"]]:
    """Sums over positions by role: in `alias x question` the definition's alias comes first."""
    parts: dict[str, Tensor] = {}
    for i, pair in enumerate(pairs):
        left = np.array(position_roles(pair.definition, maps.shape[1]))
        right = np.array(position_roles(pair.question, maps.shape[2]))
        for a in set(left.tolist()):
            for b in set(right.tolist()):
                chosen = maps[i][torch.tensor(left == a)][:, torch.tensor(right == b)]
                part = parts.setdefault(f"{a} x {b}", torch.zeros(len(pairs)).double())
                part[i] = chosen.sum()
    return {name: values for name, values in parts.items() if bool(values.any())}


def _long(
    pairs: Sequence[AlignmentPair], component: str, measure: str, values: Float[Tensor, " pair"]
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row_a": [pair.definition.row.row_id for pair in pairs],
            "row_b": [pair.question.row.row_id for pair in pairs],
            "alias": [pair.definition.row.alias for pair in pairs],
            "subset": [pair.definition.row.subset.name for pair in pairs],
            "pairing": [str(pair.pairing) for pair in pairs],
            "component": component,
            "measure": measure,
            "value": values.double().cpu().numpy(),
        }
    )
