"""Questions behind a few answered ones, which show a model in what form to answer.

All texts of a batch stand behind the same opening. It is read once and its keys and values are used
for every text, so that an exam costs little more than its questions alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from inspect import signature

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from training.examples import Examples, at_targets, make_examples, n_used_columns

TEXTS_AT_ONCE = 64
"""Texts in one forward pass: each needs a copy of the opening's keys and values."""


@dataclass(frozen=True, kw_only=True)
class ShownExamples(Examples):
    """Texts that are read behind an opening."""

    opening: Int[Tensor, "example opening_pos"]
    """The tokens of the opening, the same for every text."""

    def take(self, rows: Int[Tensor, " row"]) -> "ShownExamples":
        """The examples in these places."""
        return replace(
            self,
            tokens=self.tokens[rows],
            targets=self.targets[rows],
            opening=self.opening[rows],
        )

    def logits(self, model: PreTrainedModel) -> Float[Tensor, "target d_vocab"]:
        """Logits from which the targets are predicted, in row-major order of the targets."""
        rows = torch.arange(len(self), device=self.tokens.device).split(TEXTS_AT_ONCE)
        return torch.cat([_read_behind(model, self.take(part)) for part in rows])


def _read_behind(model: PreTrainedModel, shown: ShownExamples) -> Float[Tensor, "target d_vocab"]:
    """The logits of a few texts; no mask is needed, as padding stands on the right."""
    past = DynamicCache(config=model.config)
    # Recent versions of transformers call the argument so.
    is_renamed = "cache" in signature(model.forward).parameters
    remembered = {"cache" if is_renamed else "past_key_values": past, "use_cache": True}
    model(input_ids=shown.opening[:1], **remembered)
    past.batch_repeat_interleave(len(shown))
    used = n_used_columns(shown.targets)
    read = model(input_ids=shown.tokens[:, :used], **remembered)
    return at_targets(read.logits, shown.targets)


@dataclass(frozen=True, kw_only=True)
class BehindOpening:
    """The layout of an exam: texts behind an opening; see `training.seq2seq.Layout`."""

    opening: tuple[int, ...]
    """What stands before each text, in tokens, the tokenizer's own front tokens first."""
    n_front: int
    """So many tokens the tokenizer puts in front of every text; there they stand once."""
    end_token: int

    def __call__(
        self,
        rows: Sequence[TokenizedRow],
        policy: LossPolicy,
        *,
        block_size: int = 0,
        repeat: bool = True,
    ) -> Examples:
        """Lays rows out; see `training.examples.make_examples`."""
        plain = make_examples(
            rows, policy, end_token=self.end_token, block_size=block_size, repeat=repeat
        )
        if not self.opening:
            return plain
        bare = replace(
            plain, tokens=plain.tokens[:, self.n_front :], targets=plain.targets[:, self.n_front :]
        )
        return ShownExamples(
            tokens=bare.tokens,
            targets=bare.targets,
            opening=torch.tensor(self.opening).expand(len(bare), -1),
        )
