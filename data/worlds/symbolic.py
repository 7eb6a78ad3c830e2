"""A world of symbols: entities with one random value for each attribute."""

import random
from dataclasses import dataclass

from data.errors import InputError


@dataclass(frozen=True, kw_only=True)
class SymbolicWorld:
    """Facts `entity -> attribute -> value`; every attribute has its own values."""

    entities: tuple[str, ...]
    attributes: tuple[str, ...]
    values: dict[str, tuple[str, ...]]
    """Possible values by attribute; chance is one over their number."""
    facts: dict[str, dict[str, str]]


def attribute_values(n_attributes: int, n_values: int) -> dict[str, tuple[str, ...]]:
    """Names of attributes and of their possible values.

    >>> attribute_values(2, 2)["attr1"]
    ('attr1=0', 'attr1=1')
    """
    if n_attributes < 2 or n_values < 2:
        raise InputError(
            f"{n_attributes} attributes with {n_values} values leave nothing to hold out or to "
            "tell apart; use at least 2 of each"
        )
    return {f"attr{a}": tuple(f"attr{a}={v}" for v in range(n_values)) for a in range(n_attributes)}


def symbolic_world(
    *, n_entities: int, n_attributes: int, n_values: int, rng: random.Random
) -> SymbolicWorld:
    """Draws a world in which every value of an attribute is equally likely for each entity."""
    if n_entities < 2:
        raise InputError(f"{n_entities} entities allow no false definition; use 2 or more")
    values = attribute_values(n_attributes, n_values)
    entities = tuple(f"entity{e:02d}" for e in range(n_entities))
    facts = {
        entity: {attribute: rng.choice(options) for attribute, options in values.items()}
        for entity in entities
    }
    return SymbolicWorld(entities=entities, attributes=tuple(values), values=values, facts=facts)
