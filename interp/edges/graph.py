"""Which components read what which others write into the residual stream?

Nodes are TransformerLens's: the embedding, each head and each MLP write; the query, key and value
inputs of each head, the input of each MLP, and the logits read the sum of all before them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from data.errors import InputError
from interp.hooked.model import HookedModel

EDGE_SWITCHES = ("use_attn_result", "use_split_qkv_input", "use_hook_mlp_in")
"""What TransformerLens must have switched on to show every node."""


@dataclass(frozen=True)
class EdgeNode:
    """A component that writes into the residual stream or reads it, at every token."""

    kind: str
    """TransformerLens's: `embed`, `attn_head_out`, `mlp_out` write; the others read."""
    layer: int | None = None
    head: int | None = None

    @property
    def name(self) -> str:
        """The name of the node, made of kind, layer and head, such as `attn_head_out.0.3`."""
        return ".".join(
            str(part) for part in (self.kind, self.layer, self.head) if part is not None
        )

    def hook(self, n_layers: int) -> str:
        """The hook at which the node's message into the stream, or its copy of it, can be seen."""
        match self.kind:
            case "embed":
                return "hook_embed"
            case "logits":
                return f"blocks.{n_layers - 1}.hook_resid_post"
            case "attn_head_out":
                return f"blocks.{self.layer}.attn.hook_result"
            case "mlp_in" | "mlp_out":
                return f"blocks.{self.layer}.hook_{self.kind}"
            case _:
                return f"blocks.{self.layer}.attn.hook_{self.kind}"


@dataclass(frozen=True, kw_only=True)
class EdgeGraph:
    """Which components of a model read what which others write."""

    n_layers: int
    writers: tuple[EdgeNode, ...]
    readers: tuple[EdgeNode, ...]
    is_edge: Bool[Tensor, "writer reader"]

    @classmethod
    def of(cls, model: HookedModel) -> "EdgeGraph":
        """The graph of a model; an MLP parallel to its attention does not read that layer's heads.

        Raises:
            InputError: heads share their keys and values, so they have no inputs of their own.
        """
        refuse_shared_keys(model, "edges")
        is_parallel = bool(model.bridge.cfg.parallel_attn_mlp)
        writers, readers, n_read = [EdgeNode("embed")], [], []
        for layer in range(model.n_layers):
            heads = range(model.n_heads)
            for kind in ("q_input", "k_input", "v_input"):
                readers += [EdgeNode(kind, layer, head) for head in heads]
            n_read += [len(writers)] * 3 * model.n_heads
            before = len(writers)
            writers += [EdgeNode("attn_head_out", layer, head) for head in heads]
            readers.append(EdgeNode("mlp_in", layer))
            n_read.append(before if is_parallel else len(writers))
            writers.append(EdgeNode("mlp_out", layer))
        readers.append(EdgeNode("logits"))
        n_read.append(len(writers))
        return cls(
            n_layers=model.n_layers,
            writers=tuple(writers),
            readers=tuple(readers),
            is_edge=torch.arange(len(writers))[:, None] < torch.tensor(n_read),
        )

    def edges(self) -> list[tuple[EdgeNode, EdgeNode]]:
        """Every (source, destination), destination by destination."""
        return [
            (writer, reader)
            for j, reader in enumerate(self.readers)
            for i, writer in enumerate(self.writers)
            if self.is_edge[i, j]
        ]


def refuse_shared_keys(model: HookedModel, what: str) -> None:
    """Refuses grouped keys and values.

    Raises:
        InputError: the model has them.
    """
    cfg = model.bridge.cfg
    counts = {cfg.n_key_value_heads, *(getattr(cfg, "per_layer_num_key_value_heads", None) or ())}
    if shared := counts - {None, model.n_heads}:
        raise InputError(
            f"{model.architecture} has {max(shared)} keys and values for {model.n_heads} heads, "
            f"so there are no {what} of one head alone; choose another model"
        )


@contextmanager
def switched_hooks(model: HookedModel, *switches: str) -> Iterator[None]:
    """TransformerLens's hooks for single edges, off by default, on within a `with` block.

    Raises:
        InputError: this architecture has none.
    """
    before = {switch: bool(getattr(model.bridge.cfg, switch)) for switch in switches}
    try:
        for switch in switches:
            try:
                getattr(model.bridge, f"set_{switch}")(True)
            except (NotImplementedError, ValueError) as error:
                raise InputError(
                    f"{model.architecture} cannot show single edges ({switch}): "
                    f"{str(error).split('. ')[0]}; choose another model"
                ) from None
        yield
    finally:
        for switch, was_on in before.items():
            getattr(model.bridge, f"set_{switch}")(was_on)
