"""Which edges from one component to another carry the answer?

`attribute_edges` scores every edge of the residual stream's graph at once, to first order (see
`interp.edges.scores`). `edge_faithfulness` asks whether the best of them are enough: it cuts all
others and measures how much of the clean prompt's answer is left, against as many random edges.
Both read the logit difference at the prompt's end: the first token of the clean prompt's answer
against that of the corrupted prompt's answer.
"""

import random
from collections.abc import Sequence
from typing import Any, cast

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from data.errors import InputError
from data.pairs import PromptPair
from interp.edges.graph import EDGE_SWITCHES, EdgeGraph, EdgeNode, switched_hooks
from interp.edges.scores import PairTokens, edge_scores, pair_batches, refuse_no_difference
from interp.hooked.model import HookedModel

Edge = tuple[EdgeNode, EdgeNode, int | None]
"""Source, destination, and a position or None for all."""


def attribute_edges(
    model: HookedModel,
    pairs: Sequence[PromptPair],
    *,
    ig_steps: int = 1,
    by_position: bool = False,
    batch_size: int = 32,
) -> pd.DataFrame:
    """What each edge of the model adds to the logit difference, by gradients.

    Columns `source, destination, score, n`: names such as `attn_head_out.0.3` and `q_input.1.2`
    after TransformerLens's nodes, and logits per pair, summed over tokens. A positive score means
    that the clean message on this edge moves the corrupted run towards the clean answer.

    Args:
        model: Read only; nothing of it changes.
        pairs: Clean and corrupted prompts.
        ig_steps: 1 for EAP, more for EAP-IG; a pass forward and backward each.
        by_position: Keeps tokens apart, in a column `position` after `destination`; prompts must
            then all have one length.
        batch_size: Pairs a pass; memory grows with heads x tokens x width of each.

    Raises:
        InputError: the pairs do not fit, `ig_steps` is less than 1, or TransformerLens shows no
            edges of this architecture.
    """
    if ig_steps < 1:
        raise InputError(f"ig_steps is {ig_steps}; give at least 1")
    tokens = PairTokens.of(pairs)
    tokens.check(model)
    if by_position and len(lengths := set(tokens.ends.tolist())) > 1:
        raise InputError(
            f"by_position with prompts of {min(lengths) + 1} to {max(lengths) + 1} tokens; "
            "give prompts of one length"
        )
    graph = EdgeGraph.of(model)
    total: Tensor | float = 0.0
    try:
        with switched_hooks(model, *EDGE_SWITCHES):
            for batch in pair_batches(pairs, batch_size):
                scores = edge_scores(model, batch, graph, ig_steps=ig_steps)
                total = total + (scores if by_position else scores.sum(-1, keepdim=True))
    finally:
        model.logits(tokens.corrupted[:1])  # drops a graph that cannot be copied
    assert isinstance(total, Tensor)
    table = _score_table(graph, total.double() / len(pairs))
    return (table if by_position else table.drop(columns="position")).assign(n=len(pairs))


def edge_faithfulness(
    model: HookedModel,
    pairs: Sequence[PromptPair],
    edges: pd.DataFrame,
    *,
    n_edges: int,
    n_random: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """How much of the clean answer the strongest edges alone keep, and random ones as a control.

    All other edges carry the corrupted run's message, in TransformerLens's `faithfulness`.
    Columns `selection` (`attributed`, `random`), `draw, n_edges, total_edges, recovered, n`. Of
    `recovered`, 0 is the corrupted run's mean logit difference and 1 the clean run's.

    Args:
        model: Read only; nothing of it changes.
        pairs: Clean and corrupted prompts, best not those that the edges were scored on. One by
            one, with up to five passes each: tens of them, not thousands.
        edges: From `attribute_edges`, of this model.
        n_edges: How many to keep, those of largest absolute score.
        n_random: How many random sets of as many edges to draw, from all edges.
        seed: Of those draws.

    Raises:
        InputError: the pairs do not fit, there are fewer than `n_edges` edges, or the edges are
            of another model.
    """
    tokens = PairTokens.of(pairs)
    tokens.check(model)
    graph = EdgeGraph.of(model)
    if not 1 <= n_edges <= len(edges):
        raise InputError(f"n_edges is {n_edges} of {len(edges)} edges; choose 1 to {len(edges)}")
    last = max(edges["position"]) if "position" in edges else 0
    shortest = int(tokens.ends.min())
    if last > shortest:
        raise InputError(
            f"edges at position {last} and a prompt of {shortest + 1} tokens; give pairs as long "
            "as those of the edges"
        )
    chosen = _resolved(edges, graph)
    order = edges["score"].abs().to_numpy().argsort(kind="stable")[::-1]
    generator = random.Random(seed)
    selections = [("attributed", 0, [chosen[i] for i in order[:n_edges]])]
    selections += [("random", i, generator.sample(chosen, n_edges)) for i in range(n_random)]
    with switched_hooks(model, *EDGE_SWITCHES):
        recovered = [_recovered(model, pairs, kept) for _, _, kept in selections]
    return pd.DataFrame(
        {
            "selection": [selection for selection, _, _ in selections],
            "draw": [draw for _, draw, _ in selections],
            "n_edges": n_edges,
            "total_edges": len(edges),
            "recovered": recovered,
            "n": len(pairs),
        }
    )


def _score_table(graph: EdgeGraph, scores: Float[Tensor, "writer reader pos"]) -> pd.DataFrame:
    """A row for each edge and position, destination by destination."""
    indices = graph.is_edge.T.nonzero()
    table = pd.DataFrame(
        {
            "source": [graph.writers[i].name for _, i in indices.tolist()],
            "destination": [graph.readers[j].name for j, _ in indices.tolist()],
        }
    )
    by_position = scores[indices[:, 1], indices[:, 0]].T
    return pd.concat(
        [table.assign(position=i, score=column.numpy()) for i, column in enumerate(by_position)],
        ignore_index=True,
    )


def _resolved(edges: pd.DataFrame, graph: EdgeGraph) -> list[Edge]:
    """The edges of a table, with their position, or None for all."""
    nodes = {node.name: node for node in (*graph.writers, *graph.readers)}
    known = {(source.name, destination.name) for source, destination in graph.edges()}
    positions = edges["position"].tolist() if "position" in edges else [None] * len(edges)
    resolved = []
    for source, destination, position in zip(
        edges["source"], edges["destination"], positions, strict=True
    ):
        if (source, destination) not in known:
            raise InputError(
                f"no edge from {source} to {destination} in this model; give edges of its own"
            )
        resolved.append((nodes[source], nodes[destination], position))
    if len(set(resolved)) < len(resolved):
        raise InputError("an edge is listed twice; average tables over seeds or runs first")
    return resolved


def _recovered(model: HookedModel, pairs: Sequence[PromptPair], kept: Sequence[Edge]) -> float:
    """Share of the summed logit difference that stays with only these edges intact."""
    from transformer_lens.tools.analysis.attribution_patching import Node, faithfulness

    def at(node: EdgeNode, position: int) -> Node:
        layer = model.n_layers - 1 if node.kind == "logits" else node.layer
        return Node(cast(Any, node.kind), position, layer, node.head)

    gained = gap = 0.0
    for pair in pairs:
        tokens = PairTokens.of([pair])
        circuit = [
            (at(source, there), at(destination, there))
            for source, destination, position in kept
            for there in (range(tokens.clean.shape[1]) if position is None else [position])
        ]
        result = faithfulness(
            model.bridge,
            tokens.clean.to(model.device),
            tokens.corrupted.to(model.device),
            lambda logits, tokens=tokens: tokens.logit_differences(logits).sum(),
            circuit,
        )
        gap += result.full_metric - result.corrupt_metric
        gained += result.recovered * (result.full_metric - result.corrupt_metric)
    refuse_no_difference(gap)
    return gained / gap
