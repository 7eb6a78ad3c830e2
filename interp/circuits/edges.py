"""Edges of the residual stream: what one component writes, as one other reads it.

    emb>a0.h1.q    the embedding, as the queries of head 1 of layer 0 read it
    a0.h2>m1       head 2 of layer 0, as the MLP of layer 1 reads it
    m1>logits      the MLP of layer 1, as the logits read it

A cut edge's message is replaced, at every token and in its reader's input alone, by what takes the
place of the writer's output when that is ablated (`interp.circuits.ablated`); every other reader
still gets the message. What is taken away is what the writer says in that pass, in which edges cut
before it may have changed it. `emb` is all that enters the first layer, positions included; the
bias of attention's output is of no head and stays.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from data.errors import InputError, unknown_name
from data.tokens import TokenizedRow
from interp.circuits.passes import AblatedParts, Held, RowBatch
from interp.edges.graph import EdgeGraph, EdgeNode
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.interventions.ablation import AblationKind
from interp.patching.unrolled import Trace, UnrolledModel

EDGES = " (edges)"
"""Behind the names of circuits of edges."""
LOGITS = -1
"""What stands for the layer of the logits."""
_NAME = re.compile(
    r"(?P<embed>emb|a(?P<layer>\d+)\.h(?P<head>\d+)|m(?P<mlp>\d+))>"
    r"(?P<logits>logits|a(?P<to>\d+)\.h(?P<to_head>\d+)\.(?P<input>[qkv])|m(?P<to_mlp>\d+))"
)
_KINDS = {"embed": "emb", "attn_head_out": "head", "mlp_out": "mlp", "mlp_in": "mlp"}


@dataclass(frozen=True)
class Edge:
    """What a component adds to the residual stream, as another reads it at every token."""

    writer: EdgeNode
    reader: EdgeNode

    @property
    def name(self) -> str:
        """Such as `a0.h1>a2.h3.q`, `emb>m1`, `m1>logits`."""
        return f"{_short(self.writer)}>{_short(self.reader)}"

    @property
    def layer(self) -> int:
        """The reader's, or `LOGITS`."""
        return LOGITS if self.reader.layer is None else self.reader.layer

    @property
    def stratum(self) -> tuple[int, str]:
        """The reader's layer and the kinds of both, such as `head>q`, `mlp>logits`."""
        reader = self.reader.kind.removesuffix("_input")
        return self.layer, f"{_KINDS[self.writer.kind]}>{_KINDS.get(reader, reader)}"

    @classmethod
    def parse(cls, name: str) -> "Edge":
        """The edge of this name.

        Raises:
            InputError: the text is no edge's name.
        """
        found = _NAME.fullmatch(name)
        if found is None:
            raise InputError(
                f"no edge {name!r}; write emb>a0.h1.q, a0.h1>a2.h3.k, a0.h2>m1 or m1>logits"
            )
        if found["mlp"] is not None:
            writer = EdgeNode("mlp_out", int(found["mlp"]))
        elif found["layer"] is not None:
            writer = EdgeNode("attn_head_out", int(found["layer"]), int(found["head"]))
        else:
            writer = EdgeNode("embed")
        if found["to_mlp"] is not None:
            reader = EdgeNode("mlp_in", int(found["to_mlp"]))
        elif found["to"] is not None:
            reader = EdgeNode(f"{found['input']}_input", int(found["to"]), int(found["to_head"]))
        else:
            reader = EdgeNode("logits")
        return cls(writer, reader)


def edges_of(model: HookedModel) -> list[Edge]:
    """Every edge of a model, reader by reader.

    Raises:
        InputError: heads share their keys and values.
    """
    return [Edge(writer, reader) for writer, reader in EdgeGraph.of(model).edges()]


def find_edges(names: Iterable[str], edges: Sequence[Edge]) -> list[Edge]:
    """The edges of these names, each once.

    Raises:
        InputError: a name is no edge's, or the model has no such edge.
    """
    found = []
    for name in dict.fromkeys(names):
        edge = Edge.parse(name)
        if edge not in edges:
            raise unknown_name("edge", name, [each.name for each in edges])
        found.append(edge)
    return found


class AblatedEdges(AblatedParts[Edge]):
    """Rows of a model, to be answered without any set of edges as often as one likes."""

    def __init__(
        self,
        unrolled: UnrolledModel,
        rows: Sequence[TokenizedRow],
        units: Sequence[Edge],
        kind: AblationKind,
        *,
        reference: Sequence[TokenizedRow] = (),
        by_question: bool = False,
        seed: int = 0,
    ) -> None:
        """As `AblatedParts`, of edges.

        Raises:
            InputError: heads share their keys and values, or as `AblatedParts`.
        """
        graph = EdgeGraph.of(unrolled.model)
        writers = {node: i for i, node in enumerate(graph.writers)}
        readers = {node: i for i, node in enumerate(graph.readers)}
        self._shape = (len(readers), len(writers))
        self._places = torch.tensor([(readers[e.reader], writers[e.writer]) for e in units]).T
        super().__init__(
            unrolled, rows, units, kind, reference=reference, by_question=by_question, seed=seed
        )

    def _sites(self) -> list[Site]:
        layers = range(self.unrolled.n_layers)
        outputs = [Site(name, layer) for layer in layers for name in ("z", "mlp_out")]
        return [Site("resid_pre", 0), *outputs]

    def _numbers(self) -> dict[str, int]:
        return {}

    def _starts(self, roles: Int[Tensor, "row pos"], kept: int) -> Int[Tensor, " unit"]:
        return torch.zeros(len(self.units), dtype=torch.long)

    def _inert(
        self, base: Trace, others: dict[str, list[Tensor]], roles: Int[Tensor, "row pos"]
    ) -> Bool[Tensor, " unit"]:
        """None: what an edge says is taken as it is in a pass, whatever was cut before."""
        return torch.zeros(len(self.units), dtype=torch.bool)

    def _held(self, shares: Float[Tensor, "set unit"]) -> list[Float[Tensor, "set ..."]]:
        """One table `[set, reader, writer]`."""
        at = (torch.arange(len(shares))[:, None], *self._places)
        return [shares.new_zeros(len(shares), *self._shape).index_put(at, shares)]

    def _layer(self, unit: Edge) -> int:
        return self.unrolled.n_layers if unit.layer == LOGITS else unit.layer

    def _logits(
        self, batch: RowBatch, held: Held, *, first: int, start: int
    ) -> Float[Tensor, "set predicting d_vocab"]:
        unrolled, base = self.unrolled, batch.base
        n_sets, n_rows, heads = len(held[0]), len(batch.roles), unrolled.model.n_heads
        cut = held[0].expand(-1, n_rows, -1, -1).flatten(0, 1).to(base["resid_pre"][0])

        def of_sets(activation: Tensor) -> Tensor:
            return activation.repeat(n_sets, *[1] * (activation.ndim - 1))

        x, beyond = of_sets(base["resid_pre"][first]), of_sets(self._beyond(batch, first))
        for layer in range(first, unrolled.n_layers):
            # Of the last layer only what predicts an answer is read further on.
            last = slice(-batch.kept if layer == unrolled.n_layers - 1 else 0, None)
            table = cut[:, layer * (3 * heads + 1) : (layer + 1) * (3 * heads + 1)]
            of_q, of_kv, of_mlp = table.split([heads, 2 * heads, 1], 1)
            k, v = _read(x, beyond, of_kv).chunk(2, 2)
            x, before_heads = x[:, last], beyond[:, last]
            z = unrolled.heads_apart(_read(x, before_heads, of_q), k, v, layer)
            attn_out = unrolled.write(z, layer)
            from_heads = self._by_head(z - of_sets(batch.others["z"][layer][:, last]), layer)
            beyond = torch.cat([before_heads, from_heads], 2)
            if unrolled.is_parallel:
                read = _read(x, before_heads, of_mlp)
            else:
                read = _read(x + attn_out, beyond, of_mlp)
            mlp_out = unrolled.mlp(read[:, :, 0], layer)
            x = x + attn_out + mlp_out
            from_mlp = mlp_out - of_sets(batch.others["mlp_out"][layer][:, last])
            beyond = torch.cat([beyond, from_mlp[:, :, None]], 2)
        x = _read(x[:, -batch.kept :], beyond[:, -batch.kept :], cut[:, -1:])[:, :, 0]
        return unrolled.logits(x.unflatten(0, (n_sets, n_rows))[:, *batch.predicting])

    def _beyond(self, batch: RowBatch, layer: int) -> Float[Tensor, "row pos writer d_model"]:
        """What each writer below a layer says, without any cut, beyond what takes its place."""
        base, others = batch.base, batch.others
        said = [(base["resid_pre"][0] - others["resid_pre"][0])[:, :, None]]
        for below in range(layer):
            said.append(self._by_head(base["z"][below] - others["z"][below], below))
            said.append((base["mlp_out"][below] - others["mlp_out"][below])[:, :, None])
        return torch.cat(said, 2)

    def _by_head(
        self, z: Float[Tensor, "row pos head d_head"], layer: int
    ) -> Float[Tensor, "row pos head d_model"]:
        return torch.einsum("bphk,hkd->bphd", z, self.unrolled.W_O[layer])


def _read(
    x: Float[Tensor, "row pos d_model"],
    beyond: Float[Tensor, "row pos writer d_model"],
    cut: Float[Tensor, "row reader all_writers"],
) -> Float[Tensor, "row pos reader d_model"]:
    """What each reader sees of a stream from which its cut edges are taken away."""
    cut = cut[:, None, :, : beyond.shape[2]]
    return x[:, :, None] - cut @ beyond


def _short(node: EdgeNode) -> str:
    match node.kind:
        case "embed":
            return "emb"
        case "logits":
            return "logits"
        case "mlp_in" | "mlp_out":
            return f"m{node.layer}"
        case "attn_head_out":
            return f"a{node.layer}.h{node.head}"
        case _:
            return f"a{node.layer}.h{node.head}.{node.kind[0]}"
