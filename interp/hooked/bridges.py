"""TransformerLens's view of a plain model: how it is made, and what of it cannot be made.

`import transformer_lens` is slow and loud, so it happens here, late, and without its effects on
logging and warnings.
"""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn
from transformers import GPTNeoXForCausalLM, PreTrainedModel

from data.errors import InputError, reason_of
from interp.hooked.plain_models import preserved_random_state

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge


def build_bridge(prepared_model: PreTrainedModel) -> "TransformerBridge":
    """A bridge over a model, which is rebuilt in place; the global random state stays as it was.

    Raises:
        InputError: TransformerLens does not know the architecture, or knows another form of it.
    """
    logger = logging.getLogger("transformers")
    level = logger.level
    with warnings.catch_warnings():
        from transformer_lens.model_bridge.sources import build_bridge_from_module
    logger.setLevel(level)

    architecture = type(prepared_model).__name__
    with one_line_refusal(architecture), preserved_random_state(prepared_model.device):
        _add_attention_biases(prepared_model)
        bridge = build_bridge_from_module(
            prepared_model, architecture=architecture, hf_config=prepared_model.config
        )
    return bridge.eval()


def folded_copy(bridge: "TransformerBridge") -> "TransformerBridge":
    """A copy with folded layer norms and centred weights.

    Raises:
        InputError: TransformerLens cannot fold the norms of this architecture.
    """
    device = next(bridge.parameters()).device
    with one_line_refusal(type(bridge.original_model).__name__), preserved_random_state(device):
        folded = copy.deepcopy(bridge)
        folded.enable_compatibility_mode(disable_warnings=True)
    return folded


def count_hooks(bridge: "TransformerBridge") -> int:
    """Hooks that are on; on a few architectures some are TransformerLens's own."""
    points = bridge.hook_dict.values()
    return sum(len(point.fwd_hooks) + len(point.bwd_hooks) for point in points)


@contextmanager
def one_line_refusal(architecture: str) -> Iterator[None]:
    """Makes an InputError of what TransformerLens raises at an architecture it does not know."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # it raises all kinds: assertions, shapes, missing attributes
        raise InputError(
            f"TransformerLens cannot hook this {architecture} ({reason_of(error)}); give a model "
            "of an architecture that it knows, like GPT-NeoX, GPT-2 or Llama"
        ) from error


def _add_attention_biases(model: PreTrainedModel) -> None:
    """Gives a GPT-NeoX without attention biases zeros, which TransformerLens cannot do without."""
    if not isinstance(model, GPTNeoXForCausalLM):
        return
    layers: Any = model.gpt_neox.layers
    for layer in layers:
        for linear in (layer.attention.query_key_value, layer.attention.dense):
            if linear.bias is None:
                linear.bias = nn.Parameter(linear.weight.new_zeros(linear.out_features))
