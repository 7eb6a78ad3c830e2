from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor
from transformers import GPTNeoXForCausalLM, PreTrainedModel

from data.pairs import PromptPair
from interp.edges.attribution import attribute_edges, edge_faithfulness
from interp.hooked.model import HookedModel
from tests.interp.edges.edge_pairs import HAVE_EDGES, PAIRS, prompts

StateOf = Callable[[HookedModel], tuple[object, ...]]
Builder = Callable[[str], PreTrainedModel]


def node_name(node: object) -> str:
    kind, layer, head = (getattr(node, key) for key in ("kind", "layer", "head"))
    parts = [kind] if kind == "logits" else [kind, layer, head]
    return ".".join(str(part) for part in parts if part is not None)


def summed(keys: Iterable[tuple[object, ...]], scores: Iterable[float]) -> dict:
    """Scores by key, summed where a key occurs more than once."""
    total: dict[tuple[object, ...], float] = defaultdict(float)
    for key, score in zip(keys, scores, strict=True):
        total[key] += score
    return dict(total)


def scores_of(table: pd.DataFrame, *columns: str) -> dict:
    """Scores by the values of these columns."""
    return summed(zip(*(table[column] for column in columns), strict=True), table["score"])


def tl_scores(model: HookedModel, pairs: Sequence[PromptPair], *, by_position: bool) -> dict:
    """TransformerLens's own scores by source and destination, of each pair alone, then averaged."""
    from transformer_lens.tools.analysis.attribution_patching import (
        EdgeAttributionConfig,
        attribution_patch,
    )

    config = EdgeAttributionConfig(granularity="edge")
    keys, scores = [], []
    for pair in pairs:
        clean, corrupted, metric = prompts(pair)
        result = attribution_patch(model.bridge, clean, corrupted, metric, config)
        for (source, destination), score in result.edge_scores.items():
            place = (source.position,) if by_position else ()
            keys.append((node_name(source), node_name(destination), *place))
            scores.append(score / len(pairs))
    return summed(keys, scores)


def test_one_step_is_transformer_lens_edge_by_edge_and_token_by_token(
    edge_model: HookedModel,
) -> None:
    table = attribute_edges(edge_model, PAIRS[:2], by_position=True)
    ours = scores_of(table, "source", "destination", "position")
    theirs = tl_scores(edge_model, PAIRS[:2], by_position=True)
    assert len(ours) == len(table)
    assert max(theirs.values()) > 0.05
    assert ours == pytest.approx(theirs, rel=0, abs=1e-10)
    assert set(table["n"]) == {2}


def test_pairs_of_unequal_lengths_are_averaged_each_with_its_own_answers(
    edge_model: HookedModel,
) -> None:
    table = attribute_edges(edge_model, PAIRS)
    theirs = tl_scores(edge_model, PAIRS, by_position=False)
    assert scores_of(table, "source", "destination") == pytest.approx(theirs, rel=0, abs=1e-10)
    assert len(table) == len(theirs)


def test_in_single_precision_too_it_is_transformer_lens(neox: HookedModel) -> None:
    ours = scores_of(attribute_edges(neox, PAIRS), "source", "destination")
    theirs = tl_scores(neox, PAIRS, by_position=False)
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6)


def test_batches_do_not_matter(neox: HookedModel) -> None:
    together = attribute_edges(neox, PAIRS, ig_steps=3)
    apart = attribute_edges(neox, PAIRS, ig_steps=3, batch_size=1)
    pd.testing.assert_frame_equal(together, apart, rtol=0, atol=1e-6)


def test_what_a_component_sends_sums_to_its_own_attribution(edge_model: HookedModel) -> None:
    from transformer_lens.tools.analysis.attribution_patching import attribution_patch

    clean, corrupted, metric = prompts(PAIRS[0])
    nodes = attribution_patch(edge_model.bridge, clean, corrupted, metric).node_scores
    whole = summed(((node_name(node),) for node in nodes), nodes.values())
    sent = scores_of(attribute_edges(edge_model, PAIRS[:1]), "source")
    assert sent == pytest.approx(whole, rel=0, abs=1e-10)


def slow_slope(
    model: HookedModel, pair: PromptPair, share: float, source: str, destination: str
) -> float:
    """Derivative of the logit difference along one edge, by central differences.

    Starts from embeddings that are `share` of the way to the clean ones.
    """
    clean, corrupted, metric = prompts(pair)
    kind, *place = source.split(".")
    layer, head = (*map(int, place), None, None)[:2]
    written = {
        "embed": "hook_embed",
        "attn_head_out": f"blocks.{layer}.attn.hook_result",
        "mlp_out": f"blocks.{layer}.hook_mlp_out",
    }[kind]
    seen: dict[str, list[Tensor]] = {"hook_embed": [], written: []}
    hooks = [(name, lambda t, hook, name=name: seen[name].append(t.clone())) for name in seen]
    with torch.no_grad(), model.bridge.hooks(fwd_hooks=hooks):
        model(clean)
        model(corrupted)
    message = seen[written][0] - seen[written][1]
    message = message if head is None else message[:, :, head]
    start = share * seen["hook_embed"][0] + (1 - share) * seen["hook_embed"][1]
    kind, *place = destination.split(".")
    layer, head = (*map(int, place), None, None)[:2]
    read = {"mlp_in": f"blocks.{layer}.hook_mlp_in", "logits": "blocks.1.hook_resid_post"}.get(
        kind, f"blocks.{layer}.attn.hook_{kind}"
    )

    def moved(step: float) -> float:
        def add(stream: Tensor, hook: object) -> Tensor:
            stream = stream.clone()
            stream[(slice(None), slice(None), *([] if head is None else [head]))] += step * message
            return stream

        edits = [("hook_embed", lambda t, hook: start), (read, add)]
        with torch.no_grad(), model.bridge.hooks(fwd_hooks=edits):
            return metric(model(corrupted)).item()

    return (moved(1e-4) - moved(-1e-4)) / 2e-4


@pytest.mark.parametrize("name", HAVE_EDGES)
def test_integrated_gradients_are_those_of_a_slow_loop(name: str, random_model: Builder) -> None:
    model = HookedModel.from_hf(random_model(name).double())
    table = attribute_edges(model, PAIRS[1:], ig_steps=3).sample(12, random_state=0)
    switches = ("use_attn_result", "use_split_qkv_input", "use_hook_mlp_in")
    for switch in switches:
        getattr(model.bridge, f"set_{switch}")(True)
    scores = scores_of(table, "source", "destination")
    for edge, score in scores.items():
        slopes = [
            slow_slope(model, pair, share, *edge)
            for pair in PAIRS[1:]
            for share in (0, 1 / 3, 2 / 3)
        ]
        assert score == pytest.approx(sum(slopes) / 6, abs=1e-6), edge
    assert max(map(abs, scores.values())) > 0.01


def logit_difference(model: HookedModel, pair: PromptPair, *, clean: bool) -> float:
    clean_tokens, corrupted_tokens, metric = prompts(pair)
    return metric(model.logits(clean_tokens if clean else corrupted_tokens)).item()


def test_integrated_over_the_embeddings_path_the_embedding_sends_the_whole_difference(
    edge_model: HookedModel,
) -> None:
    pair = PAIRS[1]
    swapped = PromptPair(
        kind=pair.kind,
        subset=pair.subset,
        clean=pair.corrupted,
        corrupted=pair.clean,
        corrupted_is_answerable=True,
    )
    gap = logit_difference(edge_model, pair, clean=True) - logit_difference(
        edge_model, pair, clean=False
    )

    def sent(ig_steps: int) -> float:
        # From either end: together the trapezoid rule, whose error is quartered by twice the steps.
        tables = [
            attribute_edges(edge_model, [each], ig_steps=ig_steps) for each in (pair, swapped)
        ]
        return sum(scores_of(table, "source")["embed",] for table in tables) / 2

    coarse, fine = sent(16), sent(32)
    assert abs(gap) > 0.1
    assert (coarse - gap) / (fine - gap) == pytest.approx(4, rel=0.05)
    assert (4 * fine - coarse) / 3 == pytest.approx(gap, abs=1e-5)
    assert sent(1) != pytest.approx(gap, abs=1e-2)


def with_one_head(model: PreTrainedModel, layer: int, head: int) -> HookedModel:
    """A GPT-NeoX in which one head writes what it reads and nothing else writes."""
    assert isinstance(model, GPTNeoXForCausalLM)
    layers: Any = model.gpt_neox.layers
    with torch.no_grad():
        for i, block in enumerate(layers):
            block.mlp.dense_4h_to_h.weight.zero_()
            keep = torch.zeros(16)
            keep[head * 4 : head * 4 + 4] = i == layer
            block.attention.dense.weight.mul_(keep)
    return HookedModel.from_hf(model)


@pytest.mark.parametrize("ig_steps", [1, 4])
def test_only_the_one_head_that_writes_sends_anything(ig_steps: int, random_model: Builder) -> None:
    model = with_one_head(random_model("neox"), 0, 2)
    table = attribute_edges(model, PAIRS, ig_steps=ig_steps)
    sending = table[table["score"] != 0]
    assert set(sending["source"]) == {"embed", "attn_head_out.0.2"}
    # Later heads and MLPs read it, but write nothing: it reaches the logits on one edge.
    read = set(sending[sending["source"] == "attn_head_out.0.2"]["destination"])
    assert read == {"logits"}
    # No query: words differ before the prompt's end only, whose query alone moves the logits.
    assert set(sending["destination"]) == {"logits", "k_input.0.2", "v_input.0.2"}


def test_the_edges_of_the_one_head_recover_everything_and_random_ones_do_not(
    random_model: Builder,
) -> None:
    model = with_one_head(random_model("neox"), 0, 2)
    edges = attribute_edges(model, PAIRS)
    table = edge_faithfulness(model, PAIRS, edges, n_edges=5, n_random=4)
    attributed, *control = table["recovered"]
    assert attributed == pytest.approx(1, abs=1e-5)
    assert max(control) < 0.9
    assert table["selection"].tolist() == ["attributed"] + ["random"] * 4
    assert table["draw"].tolist() == [0, 0, 1, 2, 3]
    assert set(table["n_edges"]) == {5}
    assert set(table["total_edges"]) == {len(edges)}
    assert set(table["n"]) == {3}


def test_all_edges_recover_everything(edge_model: HookedModel) -> None:
    edges = attribute_edges(edge_model, PAIRS[:1])
    table = edge_faithfulness(edge_model, PAIRS, edges, n_edges=len(edges), n_random=0)
    assert table["recovered"].tolist() == [pytest.approx(1, abs=1e-9)]


def test_faithfulness_is_transformer_lens_weighted_by_the_difference(
    edge_model: HookedModel,
) -> None:
    from transformer_lens.tools.analysis.attribution_patching import (
        EdgeAttributionConfig,
        attribution_patch,
        faithfulness,
    )

    config = EdgeAttributionConfig(granularity="edge")
    clean, corrupted, metric = prompts(PAIRS[0])
    result = attribution_patch(edge_model.bridge, clean, corrupted, metric, config)
    kept = result.top_edges(40)
    edges = attribute_edges(edge_model, PAIRS[:1], by_position=True)
    results = []
    for pair in PAIRS[:2]:
        clean, corrupted, metric = prompts(pair)
        results.append(faithfulness(edge_model.bridge, clean, corrupted, metric, kept))
    gaps = [each.full_metric - each.corrupt_metric for each in results]
    expected = sum(each.recovered * gap for each, gap in zip(results, gaps, strict=True)) / sum(
        gaps
    )
    table = edge_faithfulness(edge_model, PAIRS[:2], edges, n_edges=40, n_random=0)
    assert table["recovered"].tolist() == [pytest.approx(expected, abs=1e-9)]
    assert abs(expected - 1) > 0.01


def test_the_same_seed_draws_the_same_random_edges(neox: HookedModel) -> None:
    edges = attribute_edges(neox, PAIRS[:1])
    first, again, other = (
        edge_faithfulness(neox, PAIRS[:1], edges, n_edges=60, n_random=2, seed=seed)
        for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(first, again)
    assert (first["recovered"] != other["recovered"]).tolist() == [False, True, True]
