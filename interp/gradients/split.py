"""NamedFactors of a Gram matrix: layers, modules, attention heads.

An inner product over all parameters is a sum over any partition of them, so the parts sum to the
whole exactly. A head owns rows of W_Q, W_K and W_V with their biases, and columns of W_O; the bias
of W_O belongs to no head.
"""

import re
from collections.abc import Iterator

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedModel

from data.errors import InputError
from interp.gradients.captured_factors import FactorsByModule
from interp.gradients.factor_kinds import FormedFactors
from interp.gradients.factors import Factors, LinearFactors, single
from interp.gradients.options import Granularity

# Last two parts of a module's path -> which of a head's matrices it holds. Fused ones hold three:
# GPT-NeoX interleaves them by head, GPT-2 lays them side by side.
_READS = {
    "attention.query_key_value": "interleaved",
    "attn.c_attn": "side by side",
    "attention.q_proj": "W_Q",
    "attention.k_proj": "W_K",
    "attention.v_proj": "W_V",
    "self_attn.q_proj": "W_Q",
    "self_attn.k_proj": "W_K",
    "self_attn.v_proj": "W_V",
}
_WRITES = ("attention.dense", "attn.c_proj", "attention.out_proj", "self_attn.o_proj")


def split_factors(
    model: PreTrainedModel, factors: FactorsByModule, granularity: Granularity
) -> Iterator[tuple[str, Factors]]:
    """Factors with the name of the component that they count for; names may repeat.

    Raises:
        InputError: heads are asked for of an architecture whose layout is not known.
    """
    is_split = False
    for name, factor in factors.items():
        match granularity:
            case Granularity.WHOLE:
                yield "all", factor
            case Granularity.MODULE:
                yield name, factor
            case Granularity.LAYER:
                yield _block(name) or name, factor
            case Granularity.HEAD:
                parts = list(_heads(model, name, factor))
                is_split = is_split or len(parts) > 1
                yield from parts
    if granularity is Granularity.HEAD and not is_split:
        raise InputError(
            f"where {type(model).__name__} keeps its attention heads is not known; split by module"
        )


def _block(name: str) -> str | None:
    """`blocks.<layer>`, in TransformerLens's spelling, of a module inside a block."""
    found = re.search(r"\.(\d+)\.", name)
    return f"blocks.{found[1]}" if found else None


def _heads(model: PreTrainedModel, name: str, factor: Factors) -> Iterator[tuple[str, Factors]]:
    kind = ".".join(name.split(".")[-2:])
    if not isinstance(factor, LinearFactors) or not (kind in _READS or kind in _WRITES):
        yield name, factor
        return
    block, n_heads = _block(name), model.config.num_attention_heads
    if kind in _WRITES:
        for head, chosen in enumerate(_slices(factor.inputs.shape[2], n_heads)):
            yield f"{block}.head.{head}.W_O", factor.part(inputs=chosen)
        if factor.bias:
            shapes = {factor.bias: factor.gradients.shape[2:]}
            yield f"{name}.bias", FormedFactors(vectors=single(factor.gradients), shapes=shapes)
        return
    n_key_heads = getattr(model.config, "num_key_value_heads", None) or n_heads
    for matrix, head, chosen in _read_parts(_READS[kind], factor, n_heads, n_key_heads):
        shared = n_key_heads < n_heads and matrix != "W_Q"
        yield (
            f"{block}.{'kv_head' if shared else 'head'}.{head}.{matrix}",
            factor.part(outputs=chosen),
        )


def _read_parts(
    kind: str, factor: LinearFactors, n_heads: int, n_key_heads: int
) -> Iterator[tuple[str, int, Int[Tensor, " output"]]]:
    """Matrix, head and outputs of all that a module of queries, keys and values holds."""
    d_out = factor.gradients.shape[2]
    matrices = ("W_Q", "W_K", "W_V")
    match kind:
        case "interleaved":
            for i, chosen in enumerate(_slices(d_out, 3 * n_heads)):
                yield matrices[i % 3], i // 3, chosen
        case "side by side":
            for i, chosen in enumerate(_slices(d_out, 3 * n_heads)):
                yield matrices[i // n_heads], i % n_heads, chosen
        case _:
            n = n_heads if kind == "W_Q" else n_key_heads
            for head, chosen in enumerate(_slices(d_out, n)):
                yield kind, head, chosen


def _slices(width: int, n: int) -> tuple[Int[Tensor, " part"], ...]:
    return torch.arange(width).split(width // n)
