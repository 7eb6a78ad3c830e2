"""Edges of the residual stream: what one component writes, as one other reads it.

A cut edge's message is replaced, in its reader's input alone, by what takes the place of the
writer's output (see `interp.circuits.ablated`); every other reader still gets it. Each head reads
the stream three times, for queries, keys and values. `emb` is all that enters the first layer,
positions included; attention's output bias is of no head and stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from data.tokens import TokenizedRow
from interp.circuits.ablated import AblatedParts, RowBatch
from interp.edges.graph import EdgeGraph, EdgeNode
from interp.hooked.model import HookedModel
from interp.interventions.ablation import AblationKind
from interp.patching.unrolled import UnrolledModel


@dataclass(frozen=True)
class Edge:
    """What `writer` adds to the stream, as `reader` sees it at every token."""

    writer: EdgeNode
    reader: EdgeNode

    @property
    def name(self) -> str:
        """Such as `a0.h1>a2.h3.q`, `emb>m1`, `m1>logits`."""
        return f"{_short(self.writer)}>{_short(self.reader)}"

    @property
    def stratum(self) -> tuple[int, str]:
        """The reader's layer (-1 of the logits), and the kinds of writer and reader."""
        layer = -1 if self.reader.layer is None else self.reader.layer
        return layer, f"{self.writer.kind}>{self.reader.kind}"


def edges_of(model: HookedModel) -> list[Edge]:
    """Every edge of a model, reader by reader.

    Raises:
        InputError: heads share their keys and values.
    """
    return [Edge(writer, reader) for writer, reader in EdgeGraph.of(model).edges()]


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
        seed: int = 0,
    ) -> None:
        """As `AblatedParts`, of edges.

        Raises:
            InputError: heads share their keys and values, or a row has a token that no reference
                row has the like of.
        """
        graph = EdgeGraph.of(unrolled.model)
        writers = {node: i for i, node in enumerate(graph.writers)}
        readers = {node: i for i, node in enumerate(graph.readers)}
        self._shape = (len(readers), len(writers))
        self._places = torch.tensor([(readers[e.reader], writers[e.writer]) for e in units]).T
        layers = [unrolled.n_layers if e.reader.layer is None else e.reader.layer for e in units]
        self._layers = torch.tensor(layers)
        super().__init__(unrolled, rows, units, kind, reference=reference, seed=seed)

    def _held(self, shares: Float[Tensor, "set unit"]) -> list[Float[Tensor, "set ..."]]:
        """One table `[set, reader, writer]`."""
        at = (torch.arange(len(shares))[:, None], *self._places)
        return [shares.new_zeros(len(shares), *self._shape).index_put(at, shares)]

    def _firsts(self, sets: Bool[Tensor, "set unit"]) -> Int[Tensor, " set"]:
        return torch.where(sets, self._layers, self.unrolled.n_layers).amin(1)

    def _numbers(self) -> dict[str, int]:
        return {}

    def _logits(
        self,
        batch: RowBatch,
        held: Sequence[Float[Tensor, "set #row ..."]],
        *,
        first: int,
        start: int,
    ) -> Float[Tensor, "set predicting d_vocab"]:
        """See `AblatedParts`; edges are cut at every token, so `start` tells nothing."""
        unrolled, base = self.unrolled, batch.base
        n_sets, n_rows, heads = len(held[0]), len(batch.roles), unrolled.model.n_heads
        cut = held[0].expand(-1, n_rows, -1, -1).flatten(0, 1).to(base["resid_pre"][0])

        def of_sets(activation: Tensor) -> Tensor:
            return activation.repeat(n_sets, *[1] * (activation.ndim - 1))

        x = of_sets(base["resid_pre"][first])
        # What each writer said beyond what takes its place.
        said = [(base["resid_pre"][0] - batch.embed)[:, :, None]]
        for layer in range(first):
            said.append(self._by_head(base["z"][layer] - batch.z[layer], layer))
            said.append((base["mlp_out"][layer] - batch.mlp[layer])[:, :, None])
        beyond = of_sets(torch.cat(said, 2))
        per_layer = 3 * heads + 1
        for layer in range(first, unrolled.n_layers):
            table = cut[:, layer * per_layer : (layer + 1) * per_layer]
            z = unrolled.heads_apart(_read(x, beyond, table[:, :-1]), layer)
            from_heads = self._by_head(z - of_sets(batch.z[layer]), layer)
            attn_out = unrolled.write(z, layer)
            before_mlp, seen = x, beyond
            beyond = torch.cat([beyond, from_heads], 2)
            if not unrolled.is_parallel:
                before_mlp, seen = x + attn_out, beyond
            mlp_out = unrolled.mlp(_read(before_mlp, seen, table[:, -1:])[:, :, 0], layer)
            x = x + attn_out + mlp_out
            beyond = torch.cat([beyond, (mlp_out - of_sets(batch.mlp[layer]))[:, :, None]], 2)
        last = slice(-batch.kept, None)
        x = _read(x[:, last], beyond[:, last], cut[:, -1:])[:, :, 0]
        return unrolled.logits(x.unflatten(0, (n_sets, n_rows))[:, *batch.predicting])

    def _by_head(
        self, z: Float[Tensor, "row pos head d_head"], layer: int
    ) -> Float[Tensor, "row pos head d_model"]:
        return torch.einsum("bphk,hkd->bphd", z, self.unrolled.W_O[layer])


def _read(
    x: Float[Tensor, "row pos d_model"],
    beyond: Float[Tensor, "row pos writer d_model"],
    cut: Float[Tensor, "row reader all_writers"],
) -> Float[Tensor, "row pos reader d_model"]:
    """What each reader sees of a stream, of which its cut edges are other than the others'."""
    cut = cut[..., : beyond.shape[2]]
    return x[:, :, None] - torch.einsum("brw,bpwd->bprd", cut, beyond)


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
