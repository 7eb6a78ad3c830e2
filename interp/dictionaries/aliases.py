"""Who trains an autoencoder, on whom features are chosen, and on whom they are reported.

Aliases are dealt into three shares within each subset, so that what is reported is about aliases
that neither the autoencoder nor the choice of features has seen. Rows about no alias, which state
the world's own knowledge, only train.
"""

from collections.abc import Sequence
from enum import StrEnum

from data.draws import stream
from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Kind

FEWEST = 4
"""Aliases of a subset without which it has none in some share."""


class Share(StrEnum):
    """What an alias is for: half of them train, a quarter each chooses and reports."""

    TRAIN = "train"
    CHOICE = "choice"
    REPORT = "report"


def deal_aliases(rows: Sequence[TokenizedRow], seed: int) -> dict[str, Share]:
    """The share of each alias; a subset with fewer than `FEWEST` trains.

    Raises:
        InputError: no alias would be reported.
    """
    members: dict[str, set[str]] = {}
    for row in rows:
        if row.row.alias is not None:
            members.setdefault(row.row.subset.name, set()).add(row.row.alias)
    shares: dict[str, Share] = {}
    for subset, found in sorted(members.items()):
        order = sorted(found)
        stream(seed, f"dictionary/{subset}").shuffle(order)
        quarter = len(order) // FEWEST
        for place, alias in enumerate(order):
            later = Share.CHOICE if place < 2 * quarter else Share.TRAIN
            shares[alias] = Share.REPORT if place < quarter else later
    if Share.REPORT not in shares.values():
        raise InputError(
            f"no subset has {FEWEST} aliases, so that none would be left to report on; use a run "
            "with more aliases"
        )
    return shares


def training_rows(rows: Sequence[TokenizedRow], shares: dict[str, Share]) -> list[TokenizedRow]:
    """Everything that is said of aliases that train, and the world's own knowledge."""
    return [row for row in rows if row.row.alias is None or shares[row.row.alias] is Share.TRAIN]


def questions_about(
    rows: Sequence[TokenizedRow], shares: dict[str, Share], share: Share, *, trained: bool = False
) -> list[TokenizedRow]:
    """The evaluated questions about the aliases of a share; with `trained`, all questions."""
    return [
        row
        for row in rows
        if row.row.alias is not None
        and shares[row.row.alias] is share
        and (row.row.is_evaluated or (trained and row.row.kind is Kind.QA))
    ]
