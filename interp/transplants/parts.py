"""Which weights make up a part of a model, and what a model with another's part is.

    embeddings  unembedding (if not tied)  final_norm
    block.L     attention.L  mlp.L  head.L.H     and of all layers: blocks  attention  mlps
    norms       of every block, and the final one
    alias_rows  rows of the token embeddings, those of the aliases that Stage 2 defines
    all  none   and unions, written `embeddings+mlps`

`embeddings`, `unembedding`, `blocks` and `final_norm` make up `all`. Tied embeddings are one
matrix, so that `embeddings` is the unembedding, too. A head is its rows of query, key and value
and its columns of the output projection, without the output's bias, which belongs to no head.
Where heads share keys and values (Llama's grouped queries), a head is its query and output only.
"""

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from types import MappingProxyType

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import PreTrainedModel

from data.errors import InputError

PartMask = Mapping[str, Bool[Tensor, "..."]]
"""By the name of each parameter that it owns something of: True where it does; broadcast."""
Weights = Mapping[str, Float[Tensor, "..."]]
"""Values of parameters by name."""

_IN_BLOCK = re.compile(r"\.(?:layers|h)\.(\d+)\.([a-z0-9_]+)\.")
_MODULES = {
    "attention": "attention",
    "attn": "attention",
    "self_attn": "attention",
    "mlp": "mlp",
    "input_layernorm": "norm",
    "post_attention_layernorm": "norm",
    "ln_1": "norm",
    "ln_2": "norm",
}
_OUTSIDE = {
    "embed_in": "embeddings",
    "embed_tokens": "embeddings",
    "wte": "embeddings",
    "wpe": "embeddings",
    "lm_head": "unembedding",
    "embed_out": "unembedding",
    "final_layer_norm": "final_norm",
    "ln_f": "final_norm",
    "norm": "final_norm",
}


def weights_of(model: PreTrainedModel) -> dict[str, Tensor]:
    """The model's own parameters, without a graph; tied ones once."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def parts_of(model: PreTrainedModel) -> dict[str, PartMask]:
    """Every part of a model by name, the large ones first.

    Raises:
        InputError: the model has a parameter of which it is not known where it belongs.
    """
    whole = torch.ones((), dtype=torch.bool)
    owners = {name: _owner(name) for name in weights_of(model)}
    layers = range(model.config.num_hidden_layers)

    def owned(is_in: Callable[[str, int], bool]) -> PartMask:
        return {name: whole for name, owner in owners.items() if is_in(*owner)}

    parts = {
        "none": {},
        "all": owned(lambda module, layer: True),
        "embeddings": owned(lambda module, layer: module == "embeddings"),
        "unembedding": owned(lambda module, layer: module == "unembedding"),
        "blocks": owned(lambda module, layer: layer >= 0),
        "attention": owned(lambda module, layer: module == "attention"),
        "mlps": owned(lambda module, layer: module == "mlp"),
        "norms": owned(lambda module, layer: module in ("norm", "final_norm")),
        "final_norm": owned(lambda module, layer: module == "final_norm"),
    }
    for i in layers:
        parts[f"block.{i}"] = owned(lambda module, layer, i=i: layer == i)
        parts[f"attention.{i}"] = owned(lambda m, layer, i=i: (m, layer) == ("attention", i))
        parts[f"mlp.{i}"] = owned(lambda m, layer, i=i: (m, layer) == ("mlp", i))
    for i in layers:
        for head in range(model.config.num_attention_heads):
            parts[f"head.{i}.{head}"] = _head(model, parts[f"attention.{i}"], head)
    return {name: part for name, part in parts.items() if part or name == "none"}


def alias_rows(model: PreTrainedModel, tokens: Iterable[int]) -> PartMask:
    """Rows of the token embeddings; where these are tied, of the unembedding, too."""
    embedding = model.get_input_embeddings().weight
    assert isinstance(embedding, Tensor)
    owned = torch.zeros(len(embedding), 1, dtype=torch.bool)
    owned[sorted(set(tokens))] = True
    (name,) = (name for name, each in model.named_parameters() if each is embedding)
    return {name: owned}


def choose_parts(
    model: PreTrainedModel,
    names: Sequence[str] | None = None,
    more: Mapping[str, PartMask] = MappingProxyType({}),
) -> dict[str, PartMask]:
    """The parts of these names, unions among them; all parts unless given.

    Args:
        model: Of which architecture.
        names: Parts, or unions of them.
        more: Parts that depend on the data, by name.

    Raises:
        InputError: the model has no such part.
    """
    parts = parts_of(model) | dict(more)
    if names is None:
        return parts
    for piece in "+".join(names).split("+"):
        if piece not in parts:
            heads, kinds = model.config.num_attention_heads, [p for p in parts if "." not in p]
            raise InputError(
                f"no part {piece!r} in a model of {model.config.num_hidden_layers} layers of "
                f"{heads} heads; choose {', '.join(kinds)}, block.L, attention.L, mlp.L or head.L.H"
            )
    return {name: reduce(union, map(parts.__getitem__, name.split("+"))) for name in names}


def union(part: PartMask, other: PartMask) -> PartMask:
    """The part that owns every weight which at least one of two parts owns."""
    nothing = torch.zeros((), dtype=torch.bool)
    names = dict.fromkeys([*part, *other])
    return {n: part.get(n, nothing) | other.get(n, nothing) for n in names}


def complement(model: PreTrainedModel, part: PartMask) -> PartMask:
    """The part that owns every weight of the model which a given part does not."""
    nothing = torch.zeros((), dtype=torch.bool)
    return {name: ~part.get(name, nothing) for name in weights_of(model)}


def check_same_shapes(recipient: PreTrainedModel, donor: PreTrainedModel) -> None:
    """Refuses a donor whose parameters are not the recipient's in name and shape.

    Raises:
        InputError: names or shapes differ.
    """
    there, here = weights_of(donor), weights_of(recipient)
    for name in here | there:
        shapes = [
            "absent" if name not in weights else str(list(weights[name].shape))
            for weights in (there, here)
        ]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"donor and recipient differ in shape: {name} is {shapes[0]} in the donor and "
                f"{shapes[1]} in the recipient; choose a donor of the recipient's recipe"
            )


def transplanted_weights(recipient: Weights, donor: Weights, part: PartMask) -> dict[str, Tensor]:
    """The parameters that a part touches: the donor's where the part owns them, bit for bit."""
    return {
        n: torch.where(mask.to(recipient[n].device), donor[n], recipient[n])
        for n, mask in part.items()
    }


def random_weights(
    recipient: Weights, donor: Weights, part: PartMask, generator: torch.Generator
) -> dict[str, Tensor]:
    """The control: a random change of the part, of the same norm in each parameter.

    In every parameter, where the part owns it, the difference between donor and recipient is
    replaced by normal noise of the same Frobenius norm.
    """
    values = {}
    for name, mask in part.items():
        mask = mask.to(recipient[name].device)
        difference = torch.where(mask, donor[name] - recipient[name], 0.0)
        noise = torch.randn(difference.shape, generator=generator, dtype=difference.dtype)
        noise = torch.where(mask, noise.to(difference), 0.0)
        scale = difference.norm() / noise.norm().clamp(min=torch.finfo(noise.dtype).tiny)
        values[name] = recipient[name] + scale * noise
    return values


@torch.no_grad()
def with_weights(model: PreTrainedModel, values: Weights) -> PreTrainedModel:
    """A deep copy of a model in which these parameters have other values."""
    changed = copy.deepcopy(model)
    write_weights(changed, values)
    return changed


@torch.no_grad()
def write_weights(model: PreTrainedModel, values: Weights) -> None:
    """Gives parameters of a model of one's own other values, in place."""
    parameters = dict(model.named_parameters())
    for name, value in values.items():
        parameters[name].copy_(value)


def transplant(
    recipient: PreTrainedModel, donor: PreTrainedModel, part: PartMask
) -> PreTrainedModel:
    """A copy of the recipient with a part of the donor; neither is changed.

    Raises:
        InputError: the two differ in shape.
    """
    check_same_shapes(recipient, donor)
    values = transplanted_weights(weights_of(recipient), weights_of(donor), part)
    return with_weights(recipient, values)


def _owner(name: str) -> tuple[str, int]:
    """The module that a parameter is of, and its layer, -1 outside the blocks."""
    inside = _IN_BLOCK.search(name)
    module = inside.group(2) if inside else name.split(".")[-2] if "." in name else name
    known = _MODULES if inside else _OUTSIDE
    if module not in known:
        raise InputError(
            f"the parameter {name} belongs to no known part; transplants know GPT-NeoX, GPT-2, "
            "GPT-Neo and Llama"
        )
    return known[module], int(inside.group(1)) if inside else -1


def _head(model: PreTrainedModel, attention: PartMask, head: int) -> PartMask:
    """A head's share of the attention of its layer."""
    n_heads, weights = model.config.num_attention_heads, weights_of(model)
    owned = {name: _head_mask(name, weights[name], n_heads, head) for name in attention}
    keys = getattr(model.config, "num_key_value_heads", None) or n_heads
    shared = ("k_proj", "v_proj") if keys != n_heads else ()
    return {
        name: mask
        for name, mask in owned.items()
        if mask is not None and name.split(".")[-2] not in shared
    }


def _head_mask(
    name: str, weight: Float[Tensor, "..."], n_heads: int, head: int
) -> Bool[Tensor, "..."] | None:
    """Which entries of an attention parameter are a head's; None for the output's bias."""
    module, kind = name.split(".")[-2:]
    is_bias = kind == "bias"

    def along(axis: int, groups: int) -> Bool[Tensor, "..."]:
        """One head of `n_heads` in each of `groups` equal stretches of an axis."""
        heads = torch.arange(n_heads).repeat(groups) == head
        chosen = heads.repeat_interleave(weight.shape[axis] // (groups * n_heads))
        return chosen[:, None] if not is_bias and axis == 0 else chosen

    match module:
        case "query_key_value" | "q_proj" | "k_proj" | "v_proj":
            return along(0, 1)
        case "c_attn":  # of GPT-2, whose matrices are [in, out]: columns q, k, v
            return along(0 if is_bias else 1, 3)
        case "dense" | "out_proj" | "o_proj":
            return None if is_bias else along(1, 1)
        case "c_proj":
            return None if is_bias else along(0, 1)
        case _:
            raise InputError(f"the parameter {name} is in no known kind of attention")
