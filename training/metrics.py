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
    """What tables call it."""
    words: str
    """What sentences and titles call it."""
    unit: str
    """The unit on its axis."""
    short: str = ""
    """What narrow tables call it; its words unless given."""
    score: "Callable[[AnswerScores], Tensor]"
    """How the value of each text is read off its scores."""
    is_headline: bool = False
    """Whether contrasts are computed in this metric."""

    @property
    def label(self) -> str:
        """What an axis calls it, with the unit."""
        return f"{self.words} ({self.unit})"

    @property
    def gap_label(self) -> str:
        """What the axis of a difference between subsets calls it."""
        return f"gap ({self.unit})"

    @property
    def heading(self) -> str:
        """What the head of a table calls it."""
        return self.short or self.words


EXACT_MATCH = Metric(
    name="exact_match",
    words="exact match",
    unit="share of questions",
    score=lambda scores: scores.over_text(scores.hits, "amin"),
    is_headline=True,
)
"""Exact match: 1 where greedy decoding gives the tokens of an answer that counts as right and,
where training ends a text with a stop token, stops behind it."""
ANSWER_LOG_PROB = Metric(
    name="answer_log_prob",
    words="answer log-probability",
    unit="nats",
    short="log-prob (nats)",
    score=lambda scores: scores.over_answer(scores.log_probs, "sum"),
    is_headline=True,
)
"""The log-probability of the row's own answer, summed over its tokens."""
ANSWER_RANK = Metric(
    name="answer_rank",
    words="rank of the answer",
    unit="1 = most likely",
    score=lambda scores: scores.over_answer(scores.ranks, "amax"),
)
"""The worst rank among the tokens of the answer."""
LOSS = Metric(
    name="loss",
    words="loss",
    unit="nats a token",
    score=lambda scores: -scores.over_answer(scores.log_probs, "mean"),
)
"""The mean cross-entropy of the answer's tokens."""

METRICS = (EXACT_MATCH, ANSWER_LOG_PROB, ANSWER_RANK, LOSS)
"""The metrics of `metrics.parquet`, in the order of tables."""
HEADLINE_METRICS = tuple(metric.name for metric in METRICS if metric.is_headline)
"""Names of the metrics in which contrasts are computed."""


def find_metric(name: str) -> Metric:
    """The metric of this name.

    Raises:
        InputError: there is no metric of this name.

    >>> find_metric("loss").label
    'loss (nats a token)'
    """
    known = {metric.name: metric for metric in METRICS}
    if name not in known:
        raise unknown_name("metric", name, known)
    return known[name]
