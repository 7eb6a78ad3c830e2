"""Products in bfloat16 of float32 weights, by a copy of the weights that is kept.

A processor with bfloat16 instructions multiplies at two to six times float32's rate. PyTorch's
autocast uses them, but casts every weight anew in each forward pass. A `WorkingCopy` keeps the cast
weights and refreshes them once an update; losses and gradients are autocast's, bit for bit. In
float32 stay the masters, their gradients (also the sum over micro-batches), the optimizer's state,
the stream between the layers, norms, softmax and the loss, and what an embedding looks up: a
bfloat16 sum over the places of a frequent token would lose most of them.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

PRODUCTS = (functional.linear, torch.addmm)
"""What layers multiply their weights by (GPT-2's by `addmm`); autocast casts whatever is left."""
CPU_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16")
"""Bfloat16 products of x86 and (the last) ARM; without, one may take 500 times float32's time."""


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 products are no slower than float32's on a device."""
    if device.type != "cpu":
        return True
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in CPU_INSTRUCTIONS)


class WorkingCopy(TorchFunctionMode):
    """The weights that a model multiplies by, in bfloat16; the model itself keeps its float32.

    A weight gets its copy when it is first met in a product, so tied embeddings get one, and only
    for the product with the unembedding.
    """

    def __init__(self, *, is_kept: bool = True) -> None:
        """Starts without any copies.

        Args:
            is_kept: False for a model that is sharded: whole copies would undo the sharding, so
                autocast casts its weights.
        """
        super().__init__()
        self.is_kept = is_kept
        self.copies: dict[nn.Parameter, Tensor] = {}

    def refresh(self) -> None:
        """Takes up what the weights are now; needed whenever they have changed."""
        with torch.no_grad():
            for weight, copy in self.copies.items():
                copy.copy_(weight)

    @contextmanager
    def in_use(self, device: torch.device) -> Iterator[None]:
        """Lets forward passes inside compute in bfloat16; backward passes follow them outside.

        On a CPU attention is computed by its formula: for rows as short as ours the fused kernel's
        bfloat16 backward pass takes five times as long.
        """
        with ExitStack() as inside:
            inside.enter_context(torch.autocast(device.type, torch.bfloat16))
            if device.type == "cpu":
                inside.enter_context(sdpa_kernel(SDPBackend.MATH))
            if self.is_kept:
                inside.enter_context(self)
            yield

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Gives a product the copy of its weight."""
        if func in PRODUCTS:
            args = tuple(self._rounded(each) if _is_copied(each) else each for each in args)
        return func(*args, **(kwargs or {}))

    def _rounded(self, weight: nn.Parameter) -> Tensor:
        if weight not in self.copies:
            self.copies[weight] = weight.detach().bfloat16()
        return _Rounded.apply(weight, self.copies[weight])


def _is_copied(value: object) -> bool:
    """Whether it is a float32 weight matrix; autocast, too, leaves float64 as it is."""
    return isinstance(value, nn.Parameter) and value.ndim > 1 and value.dtype is torch.float32


class _Rounded(torch.autograd.Function):
    """From a weight to its copy; the gradient goes back to the weight in float32."""

    @staticmethod
    def forward(context: Any, weight: Tensor, copy: Tensor) -> Tensor:
        return copy.view_as(copy)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.float(), None
