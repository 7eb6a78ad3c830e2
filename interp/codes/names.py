"""An entity's own representation: its name's vector at the place where aliases have theirs.

The name stands in each question in the place of an alias, in the same few questions for every
entity, and the vectors are averaged, so that entities differ by their names alone.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from data.errors import InputError
from data.rows import Row
from data.statements import RenderedText
from data.tokens import TokenizedRow, tokenize_rows
from data.vocabulary import Family, Kind, Role
from interp.codes.aliases import CodedAliases
from interp.codes.places import CodePlace
from interp.hooked.model import HookedModel


def needs_own(aliases: CodedAliases) -> bool:
    """Whether some compared alias stands for an entity that no alias of the first part stands for.

    A regression on who the entity is has nothing to go by there.
    """
    known = {entity for alias in aliases.first for entity in (alias.defined, alias.asked)}
    return not {alias.entity for alias in aliases.compared} <= known


def own_representations(
    model: HookedModel, place: CodePlace, aliases: CodedAliases, rows: Sequence[TokenizedRow]
) -> Float[np.ndarray, "entity width"]:
    """The representations of all entities, in their order: centred, of mean squared length one.

    Raises:
        InputError: there is no tokenizer, or nothing can be asked about an entity by its name.
    """
    if model.tokenizer is None:
        raise InputError(
            "entities have one alias each, and without the model's tokenizer they cannot be asked "
            "about by name; use a run folder whose checkpoints have one"
        )
    asked = _distinct_questions(rows)
    if not asked:
        raise InputError("no question names an alias; codes cannot be told; choose another run")
    entities = aliases.entities
    named = [named_question(row, entity) for entity in entities for row in asked]
    tokenized = tokenize_rows(named, model.tokenizer)  # pyright: ignore[reportArgumentType]
    groups = [tokenized[i : i + len(asked)] for i in range(0, len(tokenized), len(asked))]
    like = aliases.compared[0]
    stand_ins = [
        replace(like, name=entity, entity=entity, questions=tuple(own), prompts=tuple(own))
        for entity, own in zip(entities, groups, strict=True)
    ]
    found = place.read(model, stand_ins)
    own = np.stack([found[entity] for entity in entities])
    own = own - own.mean(0)
    return own / np.sqrt((own**2).sum(1).mean())


def named_question(row: Row, name: str) -> Row:
    """A question with a name in the place of the alias, which keeps the alias's role."""
    start, end = row.rendered.spans[Role.ALIAS]
    shift = len(name) - (end - start)

    def moved(span: tuple[int, int]) -> tuple[int, int]:
        first, last = (place + shift if place >= end else place for place in span)
        return first, last

    text = row.rendered.text
    rendered = RenderedText(
        text=text[:start] + name + text[end:],
        answer_span=moved(row.rendered.answer_span),
        spans={role: moved(span) for role, span in row.rendered.spans.items()},
    )
    return replace(
        row, row_id=f"{row.row_id}/name={name}", rendered=rendered, other_answers=(), alias=name
    )


def _distinct_questions(rows: Sequence[TokenizedRow]) -> list[Row]:
    """One question about some alias of each kind of question."""
    found: dict[str | None, Row] = {}
    for each in rows:
        row = each.row
        if row.kind is Kind.QA and row.family is Family.ATTRIBUTE and Role.ALIAS in each.spans:
            found.setdefault(row.question, row)
    return list(found.values())
