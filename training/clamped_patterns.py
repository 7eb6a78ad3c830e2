"""Heads that attend as another model's do on the same text, in training and when asked.

Before each pass of a model the other one, a copy of it from before a stage say, reads the same
tokens. Where a head is clamped, what it gathers is made of the model's own values and the other's
attention pattern; its own queries and keys do nothing then. All else is as it was, bit for bit.
"""

import copy
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from data.errors import InputError

_IN_ATTENTION = re.compile(r"\.(?:layers|h)\.(\d+)\.(?:attention|attn|self_attn)\.(?:\w+\.)?(\w+)$")
_VALUES, _OUTPUTS = (
    ("query_key_value", "c_attn", "v_proj"),
    ("dense", "c_proj", "out_proj", "o_proj"),
)


@contextmanager
def clamped_patterns(
    model: PreTrainedModel, other: PreTrainedModel, heads: Sequence[tuple[int, int]]
) -> Iterator[None]:
    """Gives heads of a model another's attention patterns, as long as one is inside.

    Args:
        model: Whose passes are changed.
        other: Another of the same architecture; copied as it is now, and not changed.
        heads: Layer and number of each head that is clamped; without any, nothing is done.

    Raises:
        InputError: the model's attention is not of a kind that is known here.
    """
    if not heads:
        yield
        return
    reference = copy.deepcopy(other).eval().requires_grad_(False)
    reference.set_attn_implementation("eager")  # the only one that tells its patterns
    patterns: list[Float[Tensor, "batch head query key"]] = []

    def read(_module: nn.Module, arguments: tuple, named: dict[str, Any]) -> None:
        with torch.no_grad():
            patterns[:] = reference(*arguments, **named, output_attentions=True).attentions

    with ExitStack() as hooks:
        handle = model.register_forward_pre_hook(read, with_kwargs=True)
        hooks.callback(handle.remove)
        for layer in sorted({layer for layer, _ in heads}):
            clamp = _Clamp(model, layer, [h for at, h in heads if at == layer], patterns)
            hooks.callback(clamp.remove)
        yield


class _Clamp:
    """The hooks of one layer: what its values are, and what its heads gather of them."""

    def __init__(
        self,
        model: PreTrainedModel,
        layer: int,
        heads: Sequence[int],
        patterns: Sequence[Float[Tensor, "batch head query key"]],
    ) -> None:
        self.layer, self.heads, self.patterns = layer, list(heads), patterns
        self.n_heads = int(model.config.num_attention_heads)
        self.values = torch.empty(0)
        value, output = (_projection(model, layer, names) for names in (_VALUES, _OUTPUTS))
        self._is_by_head = value[0] == "query_key_value"
        self._is_fused = value[0] == "c_attn"
        self._handles = [
            value[1].register_forward_hook(self._keep_values),
            output[1].register_forward_pre_hook(self._replace),
        ]

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _keep_values(self, _module: nn.Module, _arguments: object, projected: Tensor) -> None:
        """The values as `[batch, key, head, d_head]`, of the layouts of each architecture."""
        if self._is_by_head:  # query, key and value of a head side by side
            projected = projected.unflatten(-1, (self.n_heads, 3, -1))[..., 2, :].flatten(-2)
        elif self._is_fused:  # all queries, all keys, all values
            projected = projected.chunk(3, -1)[2]
        self.values = projected

    def _replace(self, _module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        gathered = arguments[0].unflatten(-1, (self.n_heads, -1)).clone()
        values = self.values.unflatten(-1, (-1, gathered.shape[-1]))
        shared = [head * values.shape[2] // self.n_heads for head in self.heads]
        pattern = self.patterns[self.layer][:, self.heads].to(values.dtype)
        gathered[:, :, self.heads] = torch.einsum(
            "bhqk,bkhd->bqhd", pattern, values[:, :, shared]
        ).to(gathered.dtype)
        return (gathered.flatten(-2), *arguments[1:])


def _projection(model: PreTrainedModel, layer: int, names: Sequence[str]) -> tuple[str, nn.Module]:
    """The name and module of one of a layer's projections."""
    for path, module in model.named_modules():
        found = _IN_ATTENTION.search(path)
        if found and int(found[1]) == layer and found[2] in names:
            return found[2], module
    raise InputError(
        f"the attention of {type(model).__name__} has no {' or '.join(names)}, so its patterns "
        "cannot be clamped; use GPT-NeoX, GPT-2, GPT-Neo or Llama"
    )
