"""Tokens of training rows laid out for a decoder, which of them are trained, and their loss."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from training.distributed import is_sharded
from training.models.contexts import forget_lengths, longest_alike


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Right-padded token ids, and which of them the loss predicts."""

    tokens: Int[Tensor, "example pos"]
    targets: Bool[Tensor, "example pos"]
    """Which tokens are predicted from those before them."""

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.tokens)

    @property
    def lengths(self) -> Int[Tensor, " example"]:
        """Tokens of each example up to its last target; 0 without one."""
        places = torch.arange(1, self.targets.shape[1] + 1, device=self.targets.device)
        return (self.targets * places).amax(1)

    def take(self, rows: Int[Tensor, " row"]) -> "Examples":
        """The examples in these places."""
        return replace(self, **{name: tensor[rows] for name, tensor in vars(self).items()})

    def to(self, device: torch.device) -> "Examples":
        """The same examples on a device."""
        return replace(self, **{name: tensor.to(device) for name, tensor in vars(self).items()})

    def logits(self, model: PreTrainedModel) -> Float[Tensor, "target d_vocab"]:
        """Logits from which the targets are predicted, in row-major order of the targets.

        They are those of each example alone, whatever examples it is batched with.
        """
        limit = longest_alike(model.config)
        if limit is None or not len(self):
            return target_logits(model, self.tokens, self.targets)
        if is_sharded(model):
            raise InputError(
                "a model whose rotary positions depend on the length of a prompt cannot be sharded;"
                " launch without FSDP"
            )
        used = (self.lengths - 1).clamp(min=limit)
        example_of_target = self.targets.nonzero()[:, 0]
        parts, places = [], []
        for n in used.unique():
            forget_lengths(model)
            chosen = used == n
            parts.append(target_logits(model, self.tokens[chosen], self.targets[chosen]))
            places.append(chosen[example_of_target].nonzero()[:, 0])
        return torch.cat(parts)[torch.cat(places).argsort()]


def make_examples(
    rows: Sequence[TokenizedRow],
    policy: LossPolicy,
    *,
    end_token: int = 0,
    block_size: int = 0,
    repeat: bool = True,
) -> Examples:
    """Lays rows out for training or evaluation under a loss policy.

    Args:
        rows: What to lay out.
        policy: Which tokens are targets.
        end_token: Ends a text and pads it, as in the paper's code, so that `all` can train on it;
            under `answer` it is only padding, which nothing reads.
        block_size: Length that `all` pads to; the other policies pad to the longest row.
        repeat: Whether rows count as often as they repeat in an epoch.

    Raises:
        InputError: under `all`, a row and its end token are longer than the block.
    """
    repeated = [row for row in rows for _ in range(row.row.repeats if repeat else 1)]
    longest = max(len(row.input_ids) for row in repeated) + policy.trains_stop
    if policy is LossPolicy.ALL:
        if longest > block_size:
            raise InputError(
                f"a row has {longest} tokens with its end token, block_size is {block_size}; "
                f"use block_size={longest} or more"
            )
        longest = block_size
    tokens = torch.full((len(repeated), longest), end_token)
    targets = torch.zeros(len(repeated), longest, dtype=torch.bool)
    for i, row in enumerate(repeated):
        n = len(row.input_ids)
        tokens[i, :n] = torch.tensor(row.input_ids)
        match policy:
            case LossPolicy.ANSWER:
                targets[i, list(row.answer_positions)] = True
            case LossPolicy.TEXT:
                targets[i, 1 : n + 1] = True
            case LossPolicy.ALL:
                targets[i, 1:] = True
    return Examples(tokens=tokens, targets=targets)


def target_logits(
    model: PreTrainedModel, tokens: Int[Tensor, "example pos"], targets: Bool[Tensor, "example pos"]
) -> Float[Tensor, "target d_vocab"]:
    """Logits from which the target tokens are predicted, in row-major order of the targets.

    They are what the model's own forward pass says, whatever its architecture does after the last
    block (Gemma caps logits, Granite and Cohere scale them). Of architectures whose base model is
    called by name, that is done at the wanted positions alone. Columns behind the last target are
    not run at all. No attention mask is needed: padding stands on the right, where causal attention
    never looks.
    """
    used = n_used_columns(targets)
    with _kept_at(targets, model) as is_kept:
        logits = model(input_ids=tokens[:, :used], use_cache=False, return_dict=True).logits
    return logits.squeeze(0) if is_kept() else at_targets(logits, targets)


@contextmanager
def _kept_at(
    targets: Bool[Tensor, "example pos"], model: PreTrainedModel
) -> Iterator[Callable[[], bool]]:
    """Lets the base model pass on only the positions from which the targets are predicted.

    Yields:
        Whether it has: some architectures step around their base model.
    """
    base, kept = model.base_model, []

    def keep(_module: nn.Module, _arguments: object, output: ModelOutput) -> None:
        kept.append(True)
        output["last_hidden_state"] = at_targets(output["last_hidden_state"], targets)[None]

    hooks = [] if base is model else [base.register_forward_hook(keep)]
    try:
        yield lambda: bool(kept)
    finally:
        for hook in hooks:
            hook.remove()


def n_used_columns(targets: Bool[Tensor, "example pos"]) -> int:
    """Columns that the last target is predicted from; 1 without any target."""
    columns = targets.any(0).nonzero()
    return int(columns.max()) if len(columns) else 1


def at_targets(
    values: Float[Tensor, "example used feature"], targets: Bool[Tensor, "example pos"]
) -> Float[Tensor, "target feature"]:
    """The values from which the targets are predicted, in row-major order of the targets."""
    where = targets[:, 1 : values.shape[1] + 1].flatten().nonzero().squeeze(1)
    return values.flatten(0, 1).index_select(0, where)


def batch_loss(model: PreTrainedModel, examples: Examples) -> Float[Tensor, ""]:
    """Mean cross-entropy over the target tokens of a batch, in nats a token; 0 without any.

    It is computed in the weights' own precision, whatever the logits were computed in.
    """
    logits = examples.logits(model).to(model.dtype)
    answers = examples.tokens[examples.targets]
    return functional.cross_entropy(logits, answers, reduction="sum") / max(len(answers), 1)
