"""What a model can read: how many tokens, which ones, and whether a prompt's length matters.

Rotary positions of the types `dynamic` and `longrope` turn every position of a prompt by angles
that depend on how long the longest prompt of its batch is, once that is beyond a limit; `dynamic`
even remembers the longest of earlier batches. What the model says of a prompt must not depend on
its neighbours, so such prompts are run with others of their own length only, and nothing is
remembered.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jaxtyping import Int
from torch import Tensor

from data.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len")


def context_length(config: "PreTrainedConfig") -> int | None:
    """Tokens that an architecture was made for; None where it sets no limit, as with ALiBi."""
    limit = _trained_length(config)
    factors = [each.get("factor") for each in _rotary(config) if _is_dynamic(each)]
    return limit if limit is None else int(limit * max(filter(None, factors), default=1))


def check_tokens(config: "PreTrainedConfig", tokens: Int[Tensor, "batch pos"]) -> None:
    """Refuses prompts that a model cannot read.

    Args:
        config: The model's architecture.
        tokens: Its prompts, padded; on the CPU if this is to be cheap.

    Raises:
        InputError: there is no token, one is not of the vocabulary, or there are too many of them.
    """
    name, limit = config.model_type, context_length(config)
    if tokens.numel() == 0:
        raise InputError("there is no token to read; give prompts of one token or more")
    if limit is not None and tokens.shape[1] > limit:
        raise InputError(
            f"a prompt has {tokens.shape[1]} tokens, this {name} model reads {limit}; give shorter "
            "prompts"
        )
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= config.vocab_size:
        raise InputError(
            f"token {low if low < 0 else high} is not in the vocabulary of this {name} model; its "
            f"tokens are 0 to {config.vocab_size - 1}"
        )


def longest_alike(config: "PreTrainedConfig") -> int | None:
    """Up to how many tokens prompts of any lengths may share a batch; None if always.

    Beyond it, rotary angles depend on the length of the longest.
    """
    trained = _trained_length(config)
    limits = [
        trained if _is_dynamic(each) else each.get("original_max_position_embeddings") or trained
        for each in _rotary(config)
        if _is_dynamic(each) or each.get("rope_type") == "longrope"
    ]
    return min(filter(None, limits), default=None)


def similar_lengths(
    config: "PreTrainedConfig", lengths: Sequence[int], batch_size: int
) -> Iterator[list[int]]:
    """Groups of prompts to run together, of similar length, so that there is little padding.

    Prompts whose length matters, see `longest_alike`, are alone.
    """
    limit = longest_alike(config) or max(lengths, default=0)
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    together = [i for i in order if lengths[i] <= limit]
    for start in range(0, len(together), batch_size):
        yield together[start : start + batch_size]
    yield from ([i] for i in order[len(together) :])


def check_lengths(config: "PreTrainedConfig", tokens: Int[Tensor, "batch pos"]) -> None:
    """Refuses prompts so long that what is computed of one depends on others, or on its end.

    Raises:
        InputError: a prompt is longer than `longest_alike` allows.
    """
    limit = longest_alike(config)
    if limit is not None and tokens.shape[1] > limit:
        raise InputError(
            f"beyond {limit} tokens, rotary positions of this {config.model_type} model depend on "
            f"the longest prompt of a batch; {tokens.shape[1]} tokens are too many here, use "
            "shorter prompts"
        )


def forget_lengths(model: "PreTrainedModel") -> None:
    """Sets `dynamic` rotary positions back to what they are in a model that has read nothing."""
    if longest_alike(model.config) is None:
        return
    for module in model.modules():
        state: Any = module
        names = [name for name, _ in module.named_buffers(recurse=False)]
        for name in names:
            original = getattr(state, name.replace("inv_freq", "original_inv_freq"), None)
            if name.endswith("inv_freq") and "original" not in name and original is not None:
                setattr(state, name, original.to(getattr(state, name).device).clone())
                remembered = name.replace("inv_freq", "max_seq_len_cached")
                if hasattr(state, remembered):
                    setattr(state, remembered, state.original_max_seq_len)


def _trained_length(config: "PreTrainedConfig") -> int | None:
    values = (getattr(config, name, None) for name in _CONTEXT_NAMES)
    return next((value for value in values if isinstance(value, int) and value > 0), None)


def _rotary(config: "PreTrainedConfig") -> list[dict[str, Any]]:
    """How positions are rotated, for each type of layer that does it differently."""
    parameters: Any = getattr(config, "rope_parameters", None) or {}
    by_layer_type = [each for each in parameters.values() if isinstance(each, dict)]
    return by_layer_type if "rope_type" not in parameters else [parameters]


def _is_dynamic(rotary: dict[str, Any]) -> bool:
    return "dynamic" in (rotary.get("rope_type") or "")
