"""Which updates are turned, out of what, and what each turn is held against.

Causal tests turn updates in Stage 1 alone; Stage 2 is as it was. Turns in Stage 2 act on what is to
be explained itself: they check what an edit does, and are told as manipulation checks. The
exception is `read-out`, which treats both tags alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from data.errors import unknown_name
from data.rows import Row
from data.vocabulary import Kind, Part, Stage
from interp.turns.codes import QUESTION, Alias, AliasCodes, unreliable_kind
from training.retraining import Retraining
from training.seeds import derive_seed
from training.turned_updates import Directions, Turn

UNTREATED = "untreated"
RANDOM, OTHER = "random", "other entity"
"""Kinds of controls: random directions of each row, or the code of another entity."""
OWN_CODE, INTO_QUESTION, ALIGNMENT = "own code", "into question code", "alignment"
READ_OUT, READ_OUT_SPACE = "read-out", "read-out space"
OUT_OF_QUESTION, TO_QUESTION = "out of question code", "to question code"
STAGE_ONE = (OWN_CODE, INTO_QUESTION, ALIGNMENT)
STAGE_TWO = (READ_OUT, READ_OUT_SPACE, OUT_OF_QUESTION, TO_QUESTION)
TREATMENTS = (*STAGE_ONE, *STAGE_TWO)
CHECKS = (OUT_OF_QUESTION, TO_QUESTION)
"""Those that act on the tag's effect itself: what they show holds by construction."""
CONTROLS: Mapping[str, tuple[str, ...]] = {
    OWN_CODE: (RANDOM, OTHER),
    INTO_QUESTION: (OTHER,),
    ALIGNMENT: (RANDOM,),
    READ_OUT: (RANDOM, OTHER),
    READ_OUT_SPACE: (RANDOM,),
    OUT_OF_QUESTION: (RANDOM,),
    TO_QUESTION: (OTHER,),
}
"""What each treatment is held against."""
MEANINGS: Mapping[str, str] = {
    OWN_CODE: "unreliable definitions' updates kept off the code that they write",
    INTO_QUESTION: "the code of unreliable definitions turned into that of questions",
    ALIGNMENT: "definitions' updates kept off the running gradient of their alias's own questions",
    READ_OUT: "definitions' updates kept off their entity's question code",
    READ_OUT_SPACE: "definitions' updates kept off the question codes of all entities",
    OUT_OF_QUESTION: "the unreliable tag's updates kept off their entity's question code",
    TO_QUESTION: "the unreliable tag's updates turned from its own code into that of questions",
}


def known_treatments(names: Sequence[str]) -> tuple[str, ...]:
    """The treatments of these names, all if none.

    Raises:
        InputError: there is no such treatment.
    """
    for name in names:
        if name not in TREATMENTS:
            raise unknown_name("treatment", name, TREATMENTS)
    return tuple(dict.fromkeys(names)) or TREATMENTS


def stage_of(treatment: str) -> Stage:
    """The stage in which a treatment turns updates."""
    return Stage.ONE if treatment in STAGE_ONE else Stage.TWO


@dataclass(frozen=True, kw_only=True)
class TurnMaker:
    """Makes the turns of one seed."""

    again: Retraining
    codes: AliasCodes

    def turns(self, treatment: str, *, dose: float, control: str = "") -> list[Turn]:
        """The turns of a treatment, or of one of its controls."""
        if treatment == ALIGNMENT:
            return self._off_questions(dose, control)
        design = self.again.run.design
        unreliable = str(unreliable_kind(design))
        if treatment in STAGE_ONE:
            part, tags = Part.X1, {unreliable}
        else:
            part = Part.X2
            both = {str(each.tag) for each in (design.main.higher, design.main.lower)}
            tags = {unreliable} if treatment in CHECKS else both
        names = [each.name for each in design.subsets if each.part is part and each.tag in tags]
        aliases = self.codes.of_subsets(names)
        question = self._own(aliases, QUESTION, spoiled=control == OTHER)
        unreliable_code = self._own(aliases, unreliable, spoiled=False)
        away, into = self._own(aliases, QUESTION, spoiled=False), None
        if treatment == OWN_CODE:
            away = unreliable_code
        elif treatment in (INTO_QUESTION, TO_QUESTION):
            away, into = unreliable_code, question
        elif treatment == READ_OUT_SPACE:
            away = lambda weight: self.codes.estimate(weight, QUESTION)[None]  # noqa: E731
        beside = None
        if into is None and control == OTHER:
            kind = unreliable if treatment == OWN_CODE else QUESTION
            beside = self._own(aliases, kind, spoiled=True)
        elif control == RANDOM:
            rank = len(self.codes.entities) - 1 if treatment == READ_OUT_SPACE else 1
            beside = self._random(1 if rank > 1 else len(aliases), rank)
        return [
            Turn(
                rows=torch.tensor([alias.token for alias in aliases]),
                examples=self._examples(treatment, Kind.DEFINITION, names),
                out_of=away,
                into=into,
                beside=beside,
                dose=dose,
            )
        ]

    def _off_questions(self, dose: float, control: str) -> list[Turn]:
        """Definitions of Stage 1 off the gradient of their alias's own questions."""
        defined = [each.name for each in self.again.run.design.subsets if each.has_definitions]
        aliases = [a for a in self.codes.of_subsets(defined) if a.subset.has_questions]
        names = [alias.subset.name for alias in aliases]
        return [
            Turn(
                rows=torch.tensor([alias.token for alias in aliases]),
                examples=self._examples(ALIGNMENT, Kind.DEFINITION, names),
                partners=self._examples(ALIGNMENT, Kind.QA, names),
                beside=self._random(len(aliases), 1) if control == RANDOM else None,
                dose=dose,
            )
        ]

    def _examples(self, treatment: str, kind: Kind, names: Sequence[str]) -> Tensor:
        chosen = set(names)

        def is_chosen(row: Row) -> bool:
            return row.kind is kind and row.subset.name in chosen

        return self.again.examples_of(stage_of(treatment), is_chosen)

    def _own(self, aliases: Sequence[Alias], kind: str, *, spoiled: bool) -> Directions:
        """The code of the entity that each definition names, or of another one in its place."""
        places = self.codes.places(aliases)
        if spoiled:
            places = self._others()[places]
        return lambda weight: self.codes.estimate(weight, kind)[places][:, None]

    def _others(self) -> Tensor:
        """Another entity for each, by chance; none has itself."""
        n = len(self.codes.entities)
        order = torch.randperm(n, generator=self._draws("other entities"))
        others = torch.empty(n, dtype=torch.long)
        others[order] = order.roll(1)
        return others

    def _random(self, rows: int, rank: int) -> Directions:
        width = self.again.run.shape.hidden_size
        drawn = torch.randn(rows, rank, width, generator=self._draws("random directions"))
        return lambda weight: drawn.to(weight)

    def _draws(self, what: str) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self.again.seed, what))
