"""Which part of a model holds what another checkpoint knows? Weights moved between checkpoints.

    sufficiency   the recipient with the part of the donor: does the part bring what it knows along?
    necessity     the recipient with everything of the donor but the part (`without_`), which is the
                  donor with the recipient's part put back: what is lost without it?

Asked are questions, and the definitions of D5 and D6, which are to be recited (`D5_CONS recited`).
Parts are those of `interp.transplants.parts`, and, where roles are given, activations at the grid's
sites. `none` is the recipient itself and `all` the donor. Beside either stands a control: the same
part changed at random by as much (`random_weights`), in the recipient and in the donor. The summary
has every subset and the gap `D5_CONS-D6_CONS`, paired within each seed.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Kind, Role, Split
from interp.grids.grid import Measured
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.answers import ANSWER_METRICS
from interp.hooked.model import HookedModel
from interp.transplants.activations import transplant_activations
from interp.transplants.checks import check_is_view, check_same_questions, check_same_tokens
from interp.transplants.parts import (
    Weights,
    alias_rows,
    check_same_shapes,
    choose_parts,
    complement,
    random_weights,
    transplanted_weights,
    weights_of,
    write_weights,
)
from interp.transplants.summary import COORDINATES, summarize_transplants
from training.designs import design_of_rows
from training.evaluate import EvaluationSet, answer_metrics
from training.runs.checkpoints import load_model
from training.runs.run import NULL_FOLDER, Run
from training.seeds import derive_seed

BASELINES = ("none", "all")
ALIAS_ROWS = "alias_rows"


def transplant_weights(
    recipient: PreTrainedModel,
    donor: PreTrainedModel,
    rows: Sequence[TokenizedRow],
    *,
    parts: Sequence[str] | None = None,
    seed: int,
    stop_token: int | None = None,
) -> pd.DataFrame:
    """What the recipient answers with each part of the donor; neither is changed.

    Args:
        recipient: Plain model.
        donor: Another of the same shapes.
        rows: Questions; see `asked_rows`.
        parts: Names or unions of names (`embeddings+mlps`); all unless given.
        seed: Fixes the controls.
        stop_token: See `training.evaluate.EvaluationSet.of`.

    Returns:
        Columns `part, subset`, then `exact_match, answer_log_prob` of the part alone, with the
        prefix `control_` of its control, `without_` of all but the part and `without_control_` of
        the control of that, and `n`; the parts `none` and `all` are always there.

    Raises:
        InputError: the shapes differ, or there is no such part.
    """
    check_same_shapes(recipient, donor)
    names = parts if parts is None else list(dict.fromkeys([*BASELINES, *parts]))
    evaluation = EvaluationSet.of(rows, stop_token=stop_token)
    own, theirs = weights_of(recipient), weights_of(donor)
    working = copy.deepcopy(recipient)
    known = {ALIAS_ROWS: alias_rows(recipient, compared_tokens(rows))}
    chosen = choose_parts(recipient, names, known)
    if names is None:
        chosen |= choose_parts(recipient, [f"{ALIAS_ROWS}+blocks"], known)
    tables = []
    for name, part in chosen.items():
        generator = torch.Generator().manual_seed(derive_seed(seed, f"transplant/{name}"))
        changed = random_weights(own, theirs, part, generator)
        models = {
            "": transplanted_weights(own, theirs, part),
            "control_": changed,
            "without_": transplanted_weights(own, theirs, complement(recipient, part)),
            "without_control_": theirs | random_weights(theirs, own, part, generator),
        }
        answers = {
            prefix: _answers_with(working, values, own, evaluation)
            for prefix, values in models.items()
        }
        tables.append(_by_subset(name, evaluation.rows, answers))
    return pd.concat(tables, ignore_index=True)


def compared_tokens(rows: Sequence[TokenizedRow]) -> set[int]:
    """Tokens of the aliases of the two subsets that the experiment compares, if there is one."""
    design = design_of_rows(rows)
    compared = design.main.names if design.contrasts else ()
    return {
        token
        for row in rows
        if row.row.subset.name in compared and Role.ALIAS in row.spans
        for token in row.input_ids[row.spans[Role.ALIAS][0] : row.spans[Role.ALIAS][1] + 1]
    }


def asked_rows(rows: Sequence[TokenizedRow]) -> list[TokenizedRow]:
    """Evaluated questions of what is compared and its controls, and the definitions to recite.

    Of implicit meta-learning: the questions of D1, D2, D5, D6 and QA7, the definitions of D5, D6.

    Raises:
        InputError: there are none of one of the two compared subsets.
    """
    design = design_of_rows(rows)
    compared = design.main.names
    asked = [row for row in rows if row.row.is_evaluated and row.row.subset.name in design.asked]
    if not set(compared) <= {row.row.subset.name for row in asked}:
        listed = " or ".join(compared)
        raise InputError(f"there are no questions of {listed}; choose a run that has them")
    recited = [row for row in rows if is_trained_definition(row)]
    return [*asked, *(row for row in recited if row.row.subset.name in compared)]


def is_trained_definition(row: TokenizedRow) -> bool:
    """Whether a row that is asked is to be recited: a definition that was trained."""
    return row.row.kind is Kind.DEFINITION and row.row.split is Split.TRAIN


@dataclass(frozen=True, kw_only=True)
class TransplantAnalysis:
    """Transplants between two checkpoints of each seed of a run, or of it and another run.

    The recipient is the checkpoint that the grid opens: give the grid `recipient_stage` and
    `recipient_step` as its stage and step.
    """

    folder: Path
    """The recipient's run."""
    recipient_stage: int
    donor_stage: int
    donor_folder: Path | None = None
    """The donor's run: the recipient's unless given; its null twin, say."""
    recipient_step: int | None = None
    """The step of the recipient's checkpoint; None for the stage's last."""
    donor_step: int | None = None
    parts: tuple[str, ...] | None = None
    """The parts of the weights; all unless given."""
    roles: tuple[TokenRole, ...] = ()
    """Tokens at which activations of the grid's sites are moved, too; of `z`, head by head."""

    @property
    def name(self) -> str:
        """The name of the analysis, with which its tables' file names begin."""
        return "transplants"

    @property
    def coordinates(self) -> Sequence[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return COORDINATES

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Moves every part of the donor into the recipient, for one seed.

        Raises:
            InputError: donor and recipient do not fit, or the grid opened another checkpoint.
        """
        run = Run.load(self.folder)
        donor_run = run if self.donor_folder is None else Run.load(self.donor_folder)
        here = run.checkpoint(seed, self.recipient_stage, self.recipient_step)
        there = donor_run.checkpoint(seed, self.donor_stage, self.donor_step)
        asked = asked_rows(rows)
        check_same_tokens(here, there)
        if donor_run is not run:
            check_same_questions(asked, asked_rows(donor_run.tokenized_rows(seed)))
        recipient, donor = (load_model(folder, model.device) for folder in (here, there))
        check_is_view(model, recipient, asked)
        table = transplant_weights(
            recipient,
            donor,
            asked,
            parts=self.parts,
            seed=seed,
            stop_token=model.stop_token,
        )
        if self.roles:
            questions = [row for row in asked if not is_trained_definition(row)]
            moved = transplant_activations(
                model,
                HookedModel.from_hf(donor),
                questions,
                sites=_by_head(model, sites),
                roles=self.roles,
                seed=seed,
            )
            tables = [
                _by_subset(name, questions, dict(zip(("", "control_"), answers, strict=True)))
                for name, answers in moved.items()
            ]
            table = pd.concat([table, *tables], ignore_index=True)
        where = {
            "from_stage": self.donor_stage,
            "from_step": int(there.name.removeprefix("step-")),
            "to_stage": self.recipient_stage,
            "donor": self.donor_name,
        }
        for place, (name, value) in enumerate(where.items(), start=1):
            table.insert(place, name, value)
        return Measured(table=table)

    @property
    def donor_name(self) -> str:
        """The donor's name in tables: `same`, `null` for the run's null twin, else its folder's."""
        if self.donor_folder is None or self.donor_folder.resolve() == self.folder.resolve():
            return "same"
        if self.donor_folder.resolve() == (self.folder / NULL_FOLDER).resolve():
            return "null"
        return self.donor_folder.resolve().name

    @property
    def further_settings(self) -> dict[str, object]:
        """See `interp.grids.settings`."""
        return {"donor": self.donor_name}

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """See `interp.transplants.summary`."""
        return summarize_transplants(table)


def _answers_with(
    working: PreTrainedModel, change: Weights, own: Weights, evaluation: EvaluationSet
) -> pd.DataFrame:
    """Answers of a model of one's own with a change, which is undone."""
    write_weights(working, change)
    answers = answer_metrics(working, evaluation)
    write_weights(working, {name: own[name] for name in change})
    return answers


def _by_subset(
    part: str, rows: Sequence[TokenizedRow], measured: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Means by subset, recited definitions by themselves; tables of answers by prefix."""
    parts = [table[list(ANSWER_METRICS)].add_prefix(prefix) for prefix, table in measured.items()]
    answers = pd.concat(parts, axis=1)
    answers["subset"] = [
        row.row.subset.name + " recited" * is_trained_definition(row) for row in rows
    ]
    measures = {name: (name, "mean") for name in answers.columns if name != "subset"}
    table = answers.groupby("subset").agg(**measures, n=("subset", "size")).reset_index()
    table.insert(0, "part", part)
    return table


def _by_head(model: HookedModel, sites: Sequence[Site]) -> list[Site]:
    """The sites, with one entry for each head in place of the outputs of all heads together."""
    return [
        each
        for site in sites
        for each in (
            [Site(site.name, site.layer, head) for head in range(model.n_heads)]
            if site.name == "z" and site.head is None
            else [site]
        )
    ]
