"""What a model says at every token that it is asked for: what metrics are read off."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class AnswerScores:
    """What a model says at every target of a batch of texts, each of which ends with an answer."""

    hits: Bool[Tensor, " target"]
    """Whether greedy decoding says the target."""
    log_probs: Float[Tensor, " target"]
    """The log-probability of each target, in nats."""
    find_ranks: Callable[[], Int[Tensor, " target"]]
    """See `ranks`: a pass over the vocabulary that most do not need."""
    is_answer: Bool[Tensor, " target"]
    """Whether the target is a token of the answer, and no stop token."""
    texts: Int[Tensor, " target"]
    """The text of each target, by its number."""
    n_texts: int

    @property
    def ranks(self) -> Int[Tensor, " target"]:
        """The rank of each target; 1 is the most likely token."""
        return self.find_ranks()

    def over_text(self, values: Tensor, how: str) -> Float[Tensor, " text"]:
        """The values of each text together, by torch's `scatter_reduce`."""
        return self._reduced(values.double(), self.texts, how)

    def over_answer(self, values: Tensor, how: str) -> Float[Tensor, " text"]:
        """The values of each text's answer together, without stop tokens."""
        return self._reduced(values[self.is_answer].double(), self.texts[self.is_answer], how)

    def _reduced(self, values: Tensor, texts: Tensor, how: str) -> Float[Tensor, " text"]:
        zeros = torch.zeros(self.n_texts, dtype=values.dtype)
        return zeros.scatter_reduce(0, texts, values, how, include_self=False)
