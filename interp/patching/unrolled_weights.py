"""One layer's attention as plain weights, in one layout for every architecture."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from interp.hooked.model import HookedModel

FEW_SCORES = 32
"""Up to so many pairs of a query and a key, products written out take a fraction of the time of
attention that is made for long texts."""


@dataclass(frozen=True, kw_only=True)
class AttentionWeights:
    """What each head projects to, how it compares, and how far it sees."""

    W_QKV: Float[Tensor, "d_model heads_x_width"]
    b_QKV: Float[Tensor, " heads_x_width"]
    W_O: Float[Tensor, "head d_head d_model"]
    b_O: Float[Tensor, " d_model"]
    n_heads: int
    n_kv_heads: int
    scale: float
    window: int | None
    """So many keys, its own position the last of them, are all that a query sees."""

    def gather(
        self,
        queries: Float[Tensor, "batch query head d_head"],
        keys: Float[Tensor, "batch key kv_head d_head"],
        values: Float[Tensor, "batch key kv_head d_head"],
    ) -> Float[Tensor, "batch query head d_head"]:
        """What each head gathers for the last positions; queries and keys are rotated."""
        if self.n_kv_heads != self.n_heads:
            repeats = self.n_heads // self.n_kv_heads
            keys, values = (x.repeat_interleave(repeats, 2) for x in (keys, values))
        n_keys, n_queries, mask = keys.shape[1], queries.shape[1], None
        if n_queries > 1 or (self.window is not None and self.window < n_keys):
            mask = causal_mask(n_keys - n_queries, n_keys, self.window, queries.device)
        if n_queries * n_keys > FEW_SCORES:
            q, k, v = (x.transpose(1, 2) for x in (queries, keys, values))
            z = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=self.scale)
            return z.transpose(1, 2)
        scores = ((queries * self.scale)[:, :, None] * keys[:, None]).sum(-1)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, :, None], -torch.inf)
        return (scores.softmax(2)[..., None] * values[:, None]).sum(2)


def attention_weights(model: HookedModel, layer: int) -> AttentionWeights:
    """The weights of a layer's attention in one layout, as copies."""
    attn = model.bridge.blocks[layer].attn
    weights = [attn.W_Q.detach(), attn.W_K.detach(), attn.W_V.detach()]
    biases = [
        weight.new_zeros(weight.shape[0], weight.shape[2]) if bias is None else bias.detach()
        for weight, bias in zip(weights, (attn.b_Q, attn.b_K, attn.b_V), strict=True)
    ]
    W_O = attn.W_O.detach()
    config: Any = model.bridge.original_model.config
    scale = 1.0 if config.model_type == "gpt_neo" else model.d_head**-0.5
    return AttentionWeights(
        W_QKV=torch.cat([w.permute(1, 0, 2).flatten(1) for w in weights], 1),
        b_QKV=torch.cat([bias.flatten() for bias in biases]),
        W_O=W_O,
        b_O=W_O.new_zeros(W_O.shape[-1]) if attn.b_O is None else attn.b_O.detach(),
        n_heads=len(weights[0]),
        n_kv_heads=len(weights[1]),
        scale=scale,
        window=_window(config, layer),
    )


def _window(config: Any, layer: int) -> int | None:
    if config.model_type == "gpt_neo":
        return config.window_size if config.attention_layers[layer] == "local" else None
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and kinds[layer] != "sliding_attention":
        return None
    return getattr(config, "sliding_window", None)


def causal_mask(
    first: int, n_keys: int, window: int | None, device: torch.device
) -> Bool[Tensor, "query key"]:
    """Which keys each query from position `first` on may see."""
    queries = torch.arange(first, n_keys, device=device)[:, None]
    keys = torch.arange(n_keys, device=device)[None]
    mask = keys <= queries
    return mask if window is None else mask & (keys > queries - window)
