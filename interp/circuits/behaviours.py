"""What circuits are looked for: the answering of questions, and the reciting of definitions.

A question's circuit carries what the model *says* about an alias, right or wrong: the answers that
it gives are taken for the targets. So a subset that is answered wrongly has a circuit, too, and one
can ask whether right and wrong answers are read off by the same units. Where a circuit's loss is
measured (disruption), the targets are the right answers.

A unit is ablated by values of other aliases *in the same question*. What is then lost is what the
unit says about the alias; which answers a question admits at all is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import torch

from data.design import Contrast, Design
from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Kind, Split
from interp.hooked.activations import pad_tokens
from interp.hooked.model import HookedModel
from training.seeds import derive_seed

LEAST_ALIASES = 5
"""In each half: fewer than 120 permutations of the held-out ones can say nothing at .05."""


class BehaviourKind(StrEnum):
    """What is done with an alias."""

    ANSWER = "answer"
    RECITE = "recite"


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """The answering of the questions, or the reciting of the definitions, of a subset."""

    kind: BehaviourKind
    subset: str

    def name(self, design: Design) -> str:
        """Such as `answer D5`; with the whole name of the subset where the short one is not its."""
        short = self.subset.partition("_")[0]
        is_alone = sum(each.partition("_")[0] == short for each in design.names) == 1
        return f"{self.kind} {short if is_alone else self.subset}"

    @property
    def measured(self) -> str:
        """The behaviour in the column `subset`: the subset's name, or `recite` and its name."""
        return self.subset if self.kind is BehaviourKind.ANSWER else f"{self.kind} {self.subset}"

    def rows(self, rows: Sequence[TokenizedRow]) -> list[TokenizedRow]:
        """Its rows among a run's: evaluated questions about aliases, or trained definitions."""
        of_subset = [
            row for row in rows if row.row.subset.name == self.subset and row.row.alias is not None
        ]
        if self.kind is BehaviourKind.ANSWER:
            return [row for row in of_subset if row.row.is_evaluated]
        return [
            row
            for row in of_subset
            if row.row.kind is Kind.DEFINITION and row.row.split is Split.TRAIN
        ]


def behaviours_of(design: Design, compared: Contrast) -> tuple[Behaviour, ...]:
    """Those that have circuits: of the compared subsets, and the answers trained in the first part.

    Args:
        design: The experiment.
        compared: What it compares at the stage that is looked at.
    """
    first = min(design.leading, key=lambda contrast: contrast.part).higher
    answered = dict.fromkeys((first.name, *compared.names))
    recited = [each.name for each in (compared.higher, compared.lower) if each.has_definitions]
    return (
        *(Behaviour(kind=BehaviourKind.ANSWER, subset=name) for name in answered),
        *(Behaviour(kind=BehaviourKind.RECITE, subset=name) for name in recited),
    )


def measured_behaviours(design: Design, rows: Sequence[TokenizedRow]) -> tuple[Behaviour, ...]:
    """Every behaviour that has rows: what a disruption is measured in."""
    every = [Behaviour(kind=kind, subset=name) for kind in BehaviourKind for name in design.names]
    return tuple(each for each in every if each.rows(rows))


def is_trained(behaviour: Behaviour, design: Design, compared: Contrast) -> bool:
    """Whether circuits may be matched on it: trained in an earlier part, and not what is compared.

    Those are held-out questions of subsets whose other questions are trained, and definitions that
    are recited.
    """
    subset = design.subset(behaviour.subset)
    if subset.name in compared.names or subset.part >= compared.part:
        return False
    return subset.has_questions or behaviour.kind is BehaviourKind.RECITE


def halves(
    rows: Sequence[TokenizedRow], *, limit: int | None, seed: int
) -> tuple[list[TokenizedRow], list[TokenizedRow]]:
    """Rows to choose a circuit on, and rows of other aliases to test it on.

    Args:
        rows: Of one behaviour.
        limit: At most so many rows of each half, alias by alias; None for all.
        seed: Which alias goes where.

    Raises:
        InputError: there are too few aliases.
    """
    aliases = list(dict.fromkeys(str(row.row.alias) for row in rows))
    if len(aliases) < 2 * LEAST_ALIASES:
        subset = rows[0].row.subset.name if rows else "the subset"
        raise InputError(
            f"{subset} has {len(aliases)} aliases, too few to choose a circuit on half of them and "
            f"test it on the other half; at least {2 * LEAST_ALIASES} are needed"
        )
    rng = np.random.default_rng(derive_seed(seed, "halves of aliases"))
    place = {aliases[i]: place for place, i in enumerate(rng.permutation(len(aliases)))}
    ordered = sorted(rows, key=lambda row: place[str(row.row.alias)])
    chosen = [r for r in ordered if place[str(r.row.alias)] < len(aliases) // 2]
    tested = [r for r in ordered if place[str(r.row.alias)] >= len(aliases) // 2]
    return thinned(chosen, limit), thinned(tested, limit)


def thinned(rows: Sequence[TokenizedRow], limit: int | None) -> list[TokenizedRow]:
    """At most so many rows, of as many aliases and as evenly over the questions as can be."""
    if limit is None or len(rows) <= limit:
        return list(rows)
    of_alias: dict[str, list[TokenizedRow]] = {}
    for row in rows:
        of_alias.setdefault(str(row.row.alias), []).append(row)
    turns = [
        (turn, number, each[(number + turn) % len(each)])  # another question first of each alias
        for number, each in enumerate(of_alias.values())
        for turn in range(len(each))
    ]
    kept = sorted(turns, key=lambda turn: turn[:2])[:limit]
    return [row for _, _, row in sorted(kept, key=lambda turn: turn[1::-1])]


@torch.no_grad()
def said_rows(model: HookedModel, rows: Sequence[TokenizedRow]) -> list[TokenizedRow]:
    """The rows with what the model says, by greedy decoding, in the place of their answers.

    As many tokens as the answer has are decoded; none of them has other answers.
    """
    said = [list(row.input_ids) for row in rows]
    for number in range(max((len(row.answer_positions) for row in rows), default=0)):
        asked = [i for i, row in enumerate(rows) if number < len(row.answer_positions)]
        for batch in torch.tensor(asked).split(256):
            places = batch.tolist()
            ends = [rows[i].answer_positions[number] for i in places]
            tokens = pad_tokens([tuple(said[i][:end]) for i, end in zip(places, ends, strict=True)])
            logits = model.logits(tokens)[range(len(ends)), [end - 1 for end in ends]]
            for i, end, token in zip(places, ends, logits.argmax(-1).tolist(), strict=True):
                said[i][end] = token
    return [
        replace(row, input_ids=tuple(ids), others=()) for row, ids in zip(rows, said, strict=True)
    ]
