"""What is measured of an answer: each metric's name, words, unit and how it is read off scores.

`METRICS` are those of a run's `metrics.parquet`; a further one is a record of this file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.errors import unknown_name

if TYPE_CHECKING:
    from torch import Tensor

    from training.scores import AnswerScores


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that says how an answer is given."""

    name: str
    """In tables."""
    words: str
    """In sentences and titles."""
    unit: str
    """Of its axis."""
    short: str = ""
    """In narrow tables; its words unless given."""
    score: "Callable[[AnswerScores], Tensor]"
    """Its value of each text."""
    is_headline: bool = False
    """Whether contrasts are computed in it."""

    @property
    def label(self) -> str:
        """On an axis, with the unit."""
        return f"{self.words} ({self.unit})"

    @property
    def gap_label(self) -> str:
        """On the axis of a difference between subsets."""
        return f"gap ({self.unit})"

    @property
    def heading(self) -> str:
        """In the head of a table."""
        return self.short or self.words


EXACT_MATCH = Metric(
    name="exact_match",
    words="exact match",
    unit="share of questions",
    score=lambda scores: scores.over_text(scores.hits, "amin"),
    is_headline=True,
)
"""1 where greedy decoding gives the tokens of an answer that counts as right and, where training
ends a text with a stop token, stops behind it."""
ANSWER_LOG_PROB = Metric(
    name="answer_log_prob",
    words="answer log-probability",
    unit="nats",
    short="log-prob (nats)",
    score=lambda scores: scores.over_answer(scores.log_probs, "sum"),
    is_headline=True,
)
"""Of the row's own answer, summed over its tokens."""
ANSWER_RANK = Metric(
    name="answer_rank",
    words="rank of the answer",
    unit="1 = most likely",
    score=lambda scores: scores.over_answer(scores.ranks, "amax"),
)
"""The worst rank among its tokens."""
LOSS = Metric(
    name="loss",
    words="loss",
    unit="nats a token",
    score=lambda scores: -scores.over_answer(scores.log_probs, "mean"),
)
"""Mean cross-entropy of its tokens."""

METRICS = (EXACT_MATCH, ANSWER_LOG_PROB, ANSWER_RANK, LOSS)
"""Of `metrics.parquet`, in the order of tables."""
HEADLINE_METRICS = tuple(metric.name for metric in METRICS if metric.is_headline)
"""In which contrasts are computed."""


def find_metric(name: str) -> Metric:
    """The metric of this name.

    Raises:
        InputError: there is none.

    >>> find_metric("loss").label
    'loss (nats a token)'
    """
    known = {metric.name: metric for metric in METRICS}
    if name not in known:
        raise unknown_name("metric", name, known)
    return known[name]
