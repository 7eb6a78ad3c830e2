"""Which entity does an alias stand for, and which does its definition name?"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from data.tokens import TokenizedRow
from data.vocabulary import Kind, Role
from interp.probes.divisions import LabelledAliases


def labelled_aliases(
    asked: Sequence[TokenizedRow],
    labels: Int[np.ndarray, " alias"],
    rows: Sequence[TokenizedRow],
    strata: Sequence[str] | None = None,
) -> LabelledAliases:
    """What divisions of aliases into folds depend on.

    Args:
        asked: One question about each alias.
        labels: Of each alias.
        rows: All rows of the seed, definitions among them.
        strata: Of each alias, see `LabelledAliases`; one stratum unless given.
    """
    names = named_entities(rows)
    aliases = [str(row.row.alias) for row in asked]
    entities = [row.row.entity for row in asked]
    own = [a if e is None else e for a, e in zip(aliases, entities, strict=True)]
    named = [names.get(a) or each for a, each in zip(aliases, own, strict=True)]
    return LabelledAliases(
        labels=labels,
        own=numbered(own, [*own, *named]),
        named=numbered(named, [*own, *named]),
        strata=numbered(strata or [""] * len(asked)),
        kinds=numbered([row.row.subset.name for row in asked]),
    )


def named_entities(rows: Sequence[TokenizedRow]) -> dict[str, str]:
    """By alias the entity that its definition names, in a row of its own or in the prompt."""
    names: dict[str, str] = {}
    for row in rows:
        own, alias = row.row, row.row.alias
        if alias is None or own.entity is None:
            continue
        if own.kind is Kind.DEFINITION:
            names[alias] = own.entity
        elif Role.ENTITY in own.rendered.spans:
            start, end = own.rendered.spans[Role.ENTITY]
            names.setdefault(alias, own.rendered.text[start:end])
    return names


def numbered(names: Sequence[str], known: Sequence[str] = ()) -> Int[np.ndarray, " name"]:
    """A number for each name, the same for the same name.

    >>> numbered(["b", "a", "b"])
    array([1, 0, 1])
    """
    number = {name: i for i, name in enumerate(sorted({*names, *known}))}
    return np.array([number[name] for name in names])
