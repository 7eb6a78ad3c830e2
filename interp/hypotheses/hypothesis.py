"""What a hypothesis is: a plain statement, and what it expects of rows of the matrix."""

from collections.abc import Sequence
from dataclasses import dataclass

from data.errors import InputError
from interp.hypotheses.row import Expected, Row


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a hypothesis expects of one row, and why."""

    row: Row
    expected: Expected
    because: str
    """Why it must be so if the hypothesis is true, as a sentence without its full stop."""
    is_core: bool = True
    """Whether the hypothesis is refuted if it fails. Others say what would be so if nothing else
    were at work, too: a model in which two hypotheses are half true fails them."""


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """A statement about why the gap is there, with predictions."""

    title: str
    """What headings call it, in a few words."""
    statement: str
    """The hypothesis, a sentence with its full stop."""
    predictions: Sequence[Prediction]

    def __post_init__(self) -> None:
        """Refuses a hypothesis that nothing could refute, and rows named twice."""
        ids = [each.row.id for each in self.predictions]
        if not any(each.is_core for each in self.predictions):
            raise InputError(f"hypothesis {self.title!r} has no core prediction; add one")
        if len(set(ids)) < len(ids):
            raise InputError(f"hypothesis {self.title!r} has a row twice; expect one thing of it")

    def expects(self, row: str) -> Expected | None:
        """What it expects of a row; None where it says nothing."""
        found = {each.row.id: each.expected for each in self.predictions}
        return found.get(row)


def opposed(first: Hypothesis, second: Hypothesis) -> list[str]:
    """The rows of which two hypotheses expect different things, at most one of which can hold."""
    return [
        each.row.id
        for each in first.predictions
        if second.expects(each.row.id) not in (None, each.expected)
    ]


def core(row: Row, expected: Expected, because: str) -> Prediction:
    """A prediction without which the hypothesis falls."""
    return Prediction(row=row, expected=expected, because=because)


def alone(row: Row, expected: Expected, because: str) -> Prediction:
    """A prediction that holds where nothing but the hypothesis is at work."""
    return Prediction(row=row, expected=expected, because=because, is_core=False)
