"""Aliases of no entity, whose definitions state values themselves, as the source-statement toy's.

There what an alias is said to be is a table, a value for each question. Such a table takes the
place of an entity: of the values that its definitions state, of those that its trained questions
ask for, of all that is asked about it. Its own representation, which codes are to be linear in (see
`interp.codes.estimation`), is which value it has for which question: what is written of an alias is
then the sum of what is written of each of its values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from data.rows import Row

Table = Mapping[str, str]
"""Values by question."""


@dataclass
class Told:
    """What some rows say that aliases stand for: an entity, or a table of values."""

    entities: dict[str, str] = field(default_factory=dict)
    """By alias the entity that its first row names."""
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    """By alias the values that its rows state, where they name no entity."""

    def hear(self, row: Row) -> None:
        """Takes note of a row."""
        if row.alias is None:
            return
        if row.entity is not None:
            self.entities.setdefault(row.alias, row.entity)
        elif row.question is not None:
            table = self.tables.setdefault(row.alias, {})
            table.setdefault(row.question, row.rendered.answer)

    def of(self, alias: str) -> str | None:
        """The entity, or the name of the table, that an alias stands for; None if none was told."""
        table = self.tables.get(alias)
        return self.entities.get(alias, None if table is None else table_name(table))


def table_name(table: Table) -> str:
    """The name that a table has among entities.

    >>> table_name({"b": "2", "a": "1"})
    'a=1, b=2'
    """
    return ", ".join(f"{question}={table[question]}" for question in sorted(table))


def value_representations(
    tables: Mapping[str, Table], names: Sequence[str]
) -> Float[np.ndarray, "entity value"]:
    """Which values each table has: a column for each value of each question, centred.

    Of mean squared length one, as names' representations are. A question without a value in a table
    counts as none of its values.
    """
    columns = sorted({pair for name in names for pair in tables[name].items()})
    place = {pair: at for at, pair in enumerate(columns)}
    own = np.zeros((len(names), len(columns)))
    for at, name in enumerate(names):
        own[at, [place[pair] for pair in tables[name].items()]] = 1.0
    own -= own.mean(0)
    return own / np.sqrt((own**2).sum(1).mean())
