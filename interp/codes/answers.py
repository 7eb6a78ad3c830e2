"""How questions are answered when each alias's vector is changed: many changes in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from data.tokens import TokenizedRow
from interp.codes.aliases import Alias
from interp.codes.places import CodePlace
from interp.hooked.model import HookedModel
from training.evaluate import AskedTexts, score_answers
from training.examples import make_examples
from training.metrics import ANSWER_LOG_PROB, EXACT_MATCH
from training.models.architectures import stop_tokens

ROWS_A_PASS = 2048
"""Questions that are run at once, counting each as often as it is changed."""
METRICS = (EXACT_MATCH, ANSWER_LOG_PROB)

Additions = Float[np.ndarray, "change alias width"]
Answers = Float[np.ndarray, "change alias metric"]


@dataclass(frozen=True, kw_only=True)
class AskedAliases:
    """The questions about some aliases, laid out once to be asked with many changes."""

    model: HookedModel
    place: CodePlace
    aliases: Sequence[Alias]

    @cached_property
    def rows(self) -> list[TokenizedRow]:
        """The questions, in the order of their aliases."""
        return [row for alias in self.aliases for row in alias.questions]

    @cached_property
    def owner(self) -> Int[Tensor, " row"]:
        """Which alias each question is about."""
        return torch.tensor([i for i, a in enumerate(self.aliases) for _ in a.questions])

    def with_added(
        self, additions: Additions, answers: Sequence[TokenizedRow] | None = None
    ) -> Answers:
        """Exact match and answer log-probability of each alias, by change.

        Exact match is as in a run's evaluation, but for further answers that count as right.

        Args:
            additions: What each change adds to each alias's vector.
            answers: The questions with other answers; with their own unless given.
        """
        return self.with_answers(additions, [self.rows if answers is None else answers])[0]

    @torch.no_grad()
    def with_answers(
        self, additions: Additions, answers: Sequence[Sequence[TokenizedRow]]
    ) -> list[Answers]:
        """As `with_added`, for several answers to the same questions, with few passes more."""
        asked = [AskedTexts.of(rows, make_examples, self.model.stop_token) for rows in answers]
        at_once = max(1, ROWS_A_PASS // len(self.rows))
        parts = [
            self._pass(torch.from_numpy(additions[start : start + at_once]), asked)
            for start in range(0, len(additions), at_once)
        ]
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    def _pass(
        self, additions: Float[Tensor, "change alias width"], asked: Sequence[AskedTexts]
    ) -> list[Answers]:
        logits: Tensor | None = None
        read: Tensor | None = None
        found = []
        for each in asked:
            # Of answers of one token the prompt is the same, and one pass tells of all.
            prompt = each.examples.tokens[:, : int(each.examples.lengths.max()) - 1]
            if logits is None or read is None or not torch.equal(prompt, read):
                logits, read = self._logits(additions, each), prompt
            found.append(self._scores(logits, each, len(additions)))
        return found

    def _logits(
        self, additions: Float[Tensor, "change alias width"], asked: AskedTexts
    ) -> Float[Tensor, "target d_vocab"]:
        """The logits that answers are predicted from, of every change."""
        examples = asked.repeated(len(additions)).examples
        tokens, targets = examples.tokens, examples.targets
        last, first = int(examples.lengths.max()) - 1, int(targets.any(0).nonzero()[0])
        places = torch.tensor([self.place.positions(row) for row in self.rows])
        columns = places.repeat(len(additions), 1)
        lines = torch.arange(len(tokens))[:, None]
        added = additions[:, self.owner].reshape(*columns.shape, -1)

        def add(activation: Tensor, hook: nn.Module) -> Tensor:
            edited = activation.clone()
            edited[lines, columns] += added.to(activation)
            return edited

        with self.model.hooks(fwd_hooks=[(self.place.hook, add)]):
            logits = self.model.logits(tokens[:, :last], logits_to_keep=last - first + 1)
        return logits[targets[:, first : last + 1].to(logits.device)]

    def _scores(self, logits: Tensor, asked: AskedTexts, n_changes: int) -> Answers:
        """Means over the questions of each alias."""
        plain: Any = self.model.bridge.original_model
        repeated = asked.repeated(n_changes)
        scores = score_answers(logits, repeated, stops=stop_tokens(plain), metrics=METRICS)
        by_question = scores.reshape(n_changes, len(self.rows), len(METRICS))
        sums = torch.zeros(n_changes, len(self.aliases), len(METRICS), dtype=by_question.dtype)
        sums.index_add_(1, self.owner, by_question)
        return (sums / torch.bincount(self.owner)[None, :, None]).numpy()


def unchanged(asked: AskedAliases) -> Float[np.ndarray, "alias metric"]:
    """How each alias is answered as it was trained."""
    width = asked.model.d_model * len(asked.place.positions(asked.rows[0]))
    return asked.with_added(np.zeros((1, len(asked.aliases), width)))[0]
