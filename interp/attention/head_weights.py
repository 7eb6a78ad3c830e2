"""What each head of a layer writes, and how it reads, as plain weights in float64.

That the weights do what the model does is checked: heads that together do not write what attention
adds to the residual stream, or queries, keys and values that are no product of weights with the
normed stream, belong to an architecture with more between the two, which is refused by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from data.errors import InputError
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.hooked.unembedding import NormParts

PATTERN_HOOK = "blocks.{layer}.attn.hook_pattern"
CHECKED_TOKENS = 8
"""Prompt length at which reading weights are held against the model's own projections."""


@dataclass(frozen=True, kw_only=True)
class HeadWeights:
    """How the heads of one layer write into the residual stream."""

    model: HookedModel
    layer: int
    W_O: Float[Tensor, "head d_head d_model"]
    """The heads' output matrices, without what the final norm takes away."""
    constant: Float[Tensor, "head d_head"]
    """What each head's values hold whatever it reads."""
    beside: Float[Tensor, " d_model"]
    """What attention writes beside that: the constant values, and its own bias."""
    norm: NormParts
    """The model's final norm."""

    @classmethod
    def of(cls, model: HookedModel, layer: int, norm: NormParts) -> "HeadWeights":
        """The weights of a layer's heads, seen through `norm`, the final norm of the model."""
        block = _normed_block(model, layer)
        W_O, W_V = _double(block.attn.W_O), _double(block.attn.W_V)
        bias = NormParts.of(block.ln1.original_component, model.d_model).bias
        constant = torch.einsum("d,hde->he", bias, W_V) + _double(block.attn.b_V)
        constant = constant.repeat_interleave(len(W_O) // len(constant), 0)
        # What Granite multiplies a block's writing by. Whatever else there is shows in `check`.
        factor = float(getattr(model.config, "residual_multiplier", None) or 1)
        beside = (torch.einsum("he,hed->d", constant, W_O) + _double(block.attn.b_O)) * factor
        return cls(
            model=model,
            layer=layer,
            W_O=norm.centred(W_O * factor),
            constant=constant,
            beside=norm.centred(beside),
            norm=norm,
        )

    def weighted_values(
        self, cache: Mapping[str, Tensor], ends: Tensor
    ) -> Float[Tensor, "row pos head d_head"]:
        """Pattern times value of each token, at the prompts' last tokens, without the constant."""
        pattern = cache[PATTERN_HOOK.format(layer=self.layer)].double()
        v = cache[Site("v", self.layer).hook].double()
        at_end = pattern[torch.arange(len(ends)), :, ends].transpose(1, 2)
        v = v.repeat_interleave(at_end.shape[-1] // v.shape[2], dim=2)  # grouped-query attention
        return at_end[..., None] * (v - self.constant)

    def check(
        self,
        weighted: Float[Tensor, "row pos head d_head"],
        written: Float[Tensor, "row d_model"],
        resid: Float[Tensor, "row d_model"],
    ) -> None:
        """Refuses heads that together do not write what attention does.

        Args:
            weighted: See `weighted_values`.
            written: What attention adds at the same places.
            resid: The stream there, whose rounding that has.

        Raises:
            InputError: the heads do not sum to what attention writes.
        """
        summed = torch.einsum("bphe,hed->bd", weighted, self.W_O) + self.beside
        written = self.norm.centred(written)
        off = (summed - written).abs().max().item()
        largest = max(written.abs().max().item(), resid.abs().max().item())
        if not off <= 64 * torch.finfo(self.model.W_U.dtype).eps * largest:
            raise InputError(
                f"what the heads of layer {self.layer} write does not add up to what attention of "
                f"{self.model.architecture} adds to the stream (off by {off:.2g}); patch heads "
                "instead"
            )


def reading_weights(model: HookedModel) -> dict[str, Float[Tensor, "layer head d_model d_head"]]:
    """How queries, keys and values are read from the stream, the gain of the norm before included.

    Keys and values that several heads share are repeated for each.

    Raises:
        InputError: they are read in another way.
    """
    tokens = (torch.arange(CHECKED_TOKENS)[None] * 7919) % model.d_vocab
    found: dict[str, list[Tensor]] = {"q": [], "k": [], "v": []}
    for layer in range(model.n_layers):
        block = _normed_block(model, layer)
        norm = NormParts.of(block.ln1.original_component, model.d_model)
        hooks = [Site(name, layer).hook for name in found]
        resid_hook = Site("resid_pre", layer).hook
        _, cache = model.run_with_cache(
            tokens[:, : model.n_ctx], [*hooks, resid_hook], stop_at_layer="auto", device="cpu"
        )
        normed = norm.norm(cache[resid_hook].double())
        for name, hook in zip(found, hooks, strict=True):
            weight = _double(getattr(block.attn, f"W_{name.upper()}"))
            bias = _double(getattr(block.attn, f"b_{name.upper()}"))
            projected = torch.einsum("bpd,hde->bphe", normed, weight) + bias
            own = cache[hook].double()
            off = (projected - own).abs().max().item()
            if not off <= 256 * torch.finfo(model.W_U.dtype).eps * own.abs().max().item():
                raise InputError(
                    f"{name} of {model.architecture} is no product of weights with the normed "
                    f"stream (off by {off:.2g}), so that weights alone give no composition"
                )
            weight = norm.centred((norm.gain[:, None] * weight).transpose(1, 2)).transpose(1, 2)
            found[name].append(weight.repeat_interleave(model.n_heads // len(weight), 0))
    return {name: torch.stack(weights) for name, weights in found.items()}


def _normed_block(model: HookedModel, layer: int) -> Any:
    """A block that reads the stream through a norm, as all do but those that norm what they write.

    Raises:
        InputError: the block has no such norm.
    """
    block = model.bridge.blocks[layer]
    if not hasattr(block, "ln1"):
        raise InputError(
            f"attention of {model.architecture} reads the stream without a norm before it, which "
            "is not known here; patch heads instead"
        )
    return block


def _double(weight: Tensor | None) -> Tensor:
    return torch.zeros(()).double() if weight is None else weight.detach().cpu().double()
