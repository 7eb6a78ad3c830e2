"""A world of symbols: entities with one random value for each attribute."""

import random
from dataclasses import dataclass
from itertools import count, islice, product

from data.errors import InputError

MOST_TOKENS = 16
"""Most tokens of a value: more say nothing that these do not."""


@dataclass(frozen=True, kw_only=True)
class SymbolicWorld:
    """Facts `entity -> attribute -> value`."""

    entities: tuple[str, ...]
    attributes: tuple[str, ...]
    values: dict[str, tuple[str, ...]]
    """Possible values by attribute; chance is one over their number."""
    facts: dict[str, dict[str, str]]


def attribute_values(
    n_attributes: int, n_values: int, n_tokens: int = 1
) -> dict[str, tuple[str, ...]]:
    """Names of attributes and of their possible values.

    Values of one token are words of their own. Longer ones are numbers that all attributes write
    with the same digits, as few as there can be, so that no single token names a value.

    >>> attribute_values(2, 2)["attr1"]
    ('attr1=0', 'attr1=1')
    >>> attribute_values(2, 3, n_tokens=2)["attr1"]
    ('digit0 digit0', 'digit0 digit1', 'digit1 digit0')

    Raises:
        InputError: there is nothing to hold out or to tell apart, or values have no token.
    """
    if n_attributes < 2 or n_values < 2:
        raise InputError(
            f"{n_attributes} attributes with {n_values} values leave nothing to hold out or to "
            "tell apart; use at least 2 of each"
        )
    if not 1 <= n_tokens <= MOST_TOKENS:
        raise InputError(f"answer_tokens is {n_tokens}; use 1 to {MOST_TOKENS}")
    names = [f"attr{a}" for a in range(n_attributes)]
    if n_tokens == 1:
        return {name: tuple(f"{name}={v}" for v in range(n_values)) for name in names}
    base = next(n for n in count(2) if n**n_tokens >= n_values)
    digits = [f"digit{d}" for d in range(base)]
    spelled = tuple(map(" ".join, islice(product(digits, repeat=n_tokens), n_values)))
    return dict.fromkeys(names, spelled)


def symbolic_world(
    *,
    n_entities: int,
    n_attributes: int,
    n_values: int,
    rng: random.Random,
    value_tokens: int = 1,
) -> SymbolicWorld:
    """Draws a world in which every value of an attribute is equally likely for each entity."""
    if n_entities < 2:
        raise InputError(f"{n_entities} entities allow no false definition; use 2 or more")
    values = attribute_values(n_attributes, n_values, value_tokens)
    entities = tuple(f"entity{e:02d}" for e in range(n_entities))
    facts = {
        entity: {attribute: rng.choice(options) for attribute, options in values.items()}
        for entity in entities
    }
    return SymbolicWorld(entities=entities, attributes=tuple(values), values=values, facts=facts)
