"""How questions are answered when each alias's vector is changed: many changes in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from data.tokens import TokenizedRow
from interp.codes.aliases import Alias
from interp.codes.places import CodePlace
from interp.hooked.model import HookedModel
from training.evaluate import AskedTexts, score_answers
from training.examples import make_examples
from training.metrics import ANSWER_LOG_PROB, EXACT_MATCH
from training.models.architectures import stop_tokens

ROWS_A_PASS = 8192
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
    answers: Sequence[TokenizedRow] | None = None
    """The questions with other answers than their own, in their order, if those are asked for."""
    rows: list[TokenizedRow] = field(init=False)
    owner: Tensor = field(init=False)
    """Which alias each question is about."""

    def __post_init__(self) -> None:
        """Lays the questions out in the order of their aliases."""
        own = [row for alias in self.aliases for row in alias.questions]
        numbers = [i for i, alias in enumerate(self.aliases) for _ in alias.questions]
        object.__setattr__(self, "rows", own if self.answers is None else list(self.answers))
        object.__setattr__(self, "owner", torch.tensor(numbers))

    @torch.no_grad()
    def with_added(self, additions: Additions) -> Answers:
        """Exact match and answer log-probability of each alias, by change.

        Exact match is as in a run's evaluation, but for further answers that count as right.

        Args:
            additions: What each change adds to each alias's vector.
        """
        at_once = max(1, ROWS_A_PASS // len(self.rows))
        parts = [
            self._pass(torch.from_numpy(additions[start : start + at_once]))
            for start in range(0, len(additions), at_once)
        ]
        return np.concatenate(parts)

    def _pass(self, additions: Float[Tensor, "change alias width"]) -> Answers:
        n_changes, n_rows = len(additions), len(self.rows)
        asked = AskedTexts.of(self.rows, make_examples, self.model.stop_token)
        repeated = asked.repeated(n_changes)
        tokens, targets = repeated.examples.tokens, repeated.examples.targets
        last, first = int(asked.examples.lengths.max()) - 1, int(targets.any(0).nonzero()[0])
        positions = torch.tensor([self.place.positions(row) for row in self.rows])
        where = positions.repeat(n_changes, 1), torch.arange(len(tokens))[:, None]
        added = additions[:, self.owner].reshape(len(tokens), positions.shape[1], -1)

        def add(activation: Tensor, hook: nn.Module) -> Tensor:
            edited = activation.clone()
            edited[where[1], where[0]] += added.to(activation)
            return edited

        with self.model.hooks(fwd_hooks=[(self.place.hook, add)]):
            logits = self.model.logits(tokens[:, :last], logits_to_keep=last - first + 1)
        predicting = logits[targets[:, first : last + 1].to(logits.device)]
        plain = self.model.bridge.original_model
        scores = score_answers(predicting, repeated, stops=stop_tokens(plain), metrics=METRICS)
        by_question = scores.reshape(n_changes, n_rows, len(METRICS))
        sums = torch.zeros(n_changes, len(self.aliases), len(METRICS), dtype=by_question.dtype)
        sums.index_add_(1, self.owner, by_question)
        return (sums / torch.bincount(self.owner)[None, :, None]).numpy()


def unchanged(asked: AskedAliases) -> Float[np.ndarray, "alias metric"]:
    """How each alias is answered as it was trained."""
    width = asked.model.d_model * len(asked.place.positions(asked.rows[0]))
    return asked.with_added(np.zeros((1, len(asked.aliases), width)))[0]
