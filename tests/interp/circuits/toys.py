"""Rows of a small toy for models of random weights, which say too little to have circuits."""

from collections.abc import Sequence
from dataclasses import replace

from data.tokens import TokenizedRow

VOCABULARY = 40  # of the tests' random models


def folded(rows: Sequence[TokenizedRow]) -> list[TokenizedRow]:
    """The rows with token ids that the tests' random models have."""
    return [replace(row, input_ids=tuple(i % VOCABULARY for i in row.input_ids)) for row in rows]
