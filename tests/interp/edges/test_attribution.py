import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from transformers import GPTNeoXForCausalLM, PreTrainedModel

from data.errors import InputError
from data.pairs import PairKind, PromptPair
from data.rows import prompt_row
from data.tokens import tokenize_rows, word_tokenizer
from interp.edges.attribution import attribute_edges, edge_faithfulness
from interp.edges.direct_paths import patch_direct_paths
from interp.hooked.model import HookedModel

HAVE_EDGES = ["neox", "neox-sequential", "gpt2"]
WORDS = [f"w{i}" for i in range(37)]
StateOf = Callable[[HookedModel], tuple[object, ...]]
Builder = Callable[[str], PreTrainedModel]


def pair_of(clean: str, corrupted: str) -> PromptPair:
    """Two texts, each ending with its answer."""
    rows = [prompt_row(text, text, text.split()[-1]) for text in (clean, corrupted)]
    both = tokenize_rows(rows, word_tokenizer(WORDS))
    return PromptPair(
        kind=PairKind.ALIAS,
        subset=rows[0].subset.name,
        clean=both[0],
        corrupted=both[1],
        corrupted_is_answerable=True,
    )


PAIRS = [
    pair_of("w1 w2 w3 w10", "w4 w2 w3 w11"),
    pair_of("w5 w6 w7 w12", "w5 w8 w7 w13"),
    pair_of("w9 w2 w14", "w3 w2 w15"),
]
"""Of two lengths, each with answers of its own."""


def prompts(pair: PromptPair) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
    """Clean and corrupted tokens, and the logit difference of one row of logits."""
    rows = (pair.clean, pair.corrupted)
    clean, corrupted = (torch.tensor([row.input_ids[:-1]]) for row in rows)
    right, wrong = (row.input_ids[-1] for row in rows)
    return clean, corrupted, lambda logits: logits[0, -1, right] - logits[0, -1, wrong]


@pytest.fixture(scope="module", params=HAVE_EDGES)
def edge_model(request: pytest.FixtureRequest, random_model: Builder) -> HookedModel:
    """A tiny model in float64 of each architecture that has edges; never changed."""
    return HookedModel.from_hf(random_model(request.param).double())


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


def slow_path_effect(model: HookedModel, pairs: list[PromptPair], path: Sequence) -> float:
    """The effect of one path, by computing the destination's query, key or value by hand."""
    source_layer, source_head, layer, head, component = path
    z, resid = f"blocks.{source_layer}.attn.hook_z", f"blocks.{layer}.hook_resid_pre"
    attention = model.bridge.blocks[layer].attn
    weight = getattr(attention, f"W_{component.upper()}")[head]
    bias = getattr(attention, f"b_{component.upper()}")
    totals = np.zeros(3)
    for pair in pairs:
        clean, corrupted, metric = prompts(pair)
        clean_logits, clean_cache = model.run_with_cache(clean, [z], stop_at_layer=None)
        corrupted_logits, cache = model.run_with_cache(corrupted, [z, resid], stop_at_layer=None)
        change = (clean_cache[z] - cache[z])[:, :, source_head]
        message = change @ model.bridge.blocks[source_layer].attn.W_O[source_head]
        normed = model.bridge.blocks[layer].ln1.original_component(cache[resid] + message)
        vector = normed @ weight + (0 if bias is None else bias.view(model.n_heads, -1)[head])

        def put(value: Tensor, hook: object, vector: Tensor = vector) -> Tensor:
            value = value.clone()
            value[:, :, head] = vector
            return value

        with torch.no_grad(), model.hooks([(f"blocks.{layer}.attn.hook_{component}", put)]):
            patched = metric(model(corrupted))
        assert clean_logits is not None
        assert corrupted_logits is not None
        totals += [metric(x).item() for x in (clean_logits, corrupted_logits)] + [patched.item()]
    return (totals[2] - totals[1]) / (totals[0] - totals[1])


@pytest.mark.parametrize(
    ("name", "components"),
    [*((name, ["q", "k", "v"]) for name in HAVE_EDGES), ("llama", ["q"])],
)
def test_a_direct_path_is_the_destination_computed_by_hand(
    name: str, components: list, random_model: Builder
) -> None:
    model = HookedModel.from_hf(random_model(name).double())
    table = patch_direct_paths(model, PAIRS, components=components, batch_size=2)
    assert len(table) == 4 * 4 * len(components)
    assert set(table["n"]) == {3}
    for *path, effect, _n in table.sample(6, random_state=0).to_numpy().tolist():
        with torch.no_grad():
            expected = slow_path_effect(model, PAIRS, path)
        assert effect == pytest.approx(expected, abs=1e-5), path
    assert max(map(abs, table["effect"])) > 1e-3


def test_only_the_head_that_writes_has_paths_with_an_effect(random_model: Builder) -> None:
    model = random_model("neox")
    assert isinstance(model, GPTNeoXForCausalLM)
    with torch.no_grad():
        keep = torch.zeros(16)
        keep[8:12] = 1
        layers: Any = model.gpt_neox.layers
        layers[0].attention.dense.weight.mul_(keep)
    table = patch_direct_paths(HookedModel.from_hf(model), PAIRS)
    effects = [table["effect"][table["source_head"] == head].tolist() for head in range(4)]
    largest = [max(map(abs, each)) for each in effects]
    assert max(largest[:2] + largest[3:]) < 1e-5
    assert largest[2] > 1e-3


def test_chosen_sources_alone_are_patched(neox: HookedModel) -> None:
    whole = patch_direct_paths(neox, PAIRS, components=["v"])
    some = patch_direct_paths(neox, PAIRS, components=["v"], sources=[(0, 3), (0, 1)])
    assert some["source_head"].tolist() == [3] * 4 + [1] * 4
    columns = list(some.columns.drop(["effect", "n"]))
    joined = some.merge(whole, on=columns)
    assert len(joined) == 8
    np.testing.assert_array_equal(joined["effect_x"], joined["effect_y"])


CALLS: dict[str, Callable[[HookedModel], object]] = {
    "edges": lambda model: attribute_edges(model, PAIRS, ig_steps=2),
    "faithfulness": lambda model: edge_faithfulness(
        model, PAIRS, attribute_edges(model, PAIRS), n_edges=9, n_random=1
    ),
    "paths": lambda model: patch_direct_paths(model, PAIRS, components=["q"]),
}


def switches_of(model: HookedModel) -> list[bool]:
    names = ("use_attn_result", "use_split_qkv_input", "use_hook_mlp_in", "use_attn_in")
    configs = [model.bridge.cfg, *(block.attn.config for block in model.bridge.blocks)]
    return [bool(getattr(config, name, False)) for config in configs for name in names] + [
        bool(getattr(block, "_use_hook_mlp_in", False)) for block in model.bridge.blocks
    ]


@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_left_behind(name: str, any_model: HookedModel, state_of: StateOf) -> None:
    before = state_of(any_model)
    tokens = torch.tensor([[3, 4, 5]])
    logits = any_model.logits(tokens)
    try:
        CALLS[name](any_model)
    except InputError:
        assert any_model.architecture in ("GPTNeoForCausalLM", "LlamaForCausalLM")
    assert state_of(any_model) == before
    assert not any(switches_of(any_model))
    assert torch.equal(any_model.logits(tokens), logits)
    copy.deepcopy(any_model.bridge)


class Stop(Exception):
    pass


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("passes", [1, 3, 5])
def test_nothing_is_left_behind_by_a_call_that_raises(
    name: str, error: type[BaseException], passes: int, neox: HookedModel, state_of: StateOf
) -> None:
    before = state_of(neox)
    seen = []

    def fail(value: Tensor, hook: object) -> None:
        seen.append(value)
        if len(seen) == passes:
            raise error

    with pytest.raises(error), neox.hooks([("ln_final.hook_normalized", fail)]):
        CALLS[name](neox)
    assert len(seen) >= passes
    assert state_of(neox) == before
    assert not any(switches_of(neox))
    copy.deepcopy(neox.bridge)


def test_gradients_are_taken_where_the_caller_wants_none(neox: HookedModel) -> None:
    expected = attribute_edges(neox, PAIRS)
    with torch.no_grad():
        pd.testing.assert_frame_equal(attribute_edges(neox, PAIRS), expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [("llama", "2 keys and values for 4 heads"), ("gpt-neo", "cannot show single edges")],
)
def test_architectures_without_edges_are_refused_in_one_line(
    name: str, message: str, random_model: Builder
) -> None:
    model = HookedModel.from_hf(random_model(name))
    edges = pd.DataFrame({"source": ["embed"], "destination": ["logits"], "score": [1.0]})
    for call in (
        lambda: attribute_edges(model, PAIRS),
        lambda: edge_faithfulness(model, PAIRS, edges, n_edges=1),
        lambda: patch_direct_paths(model, PAIRS),
    ):
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_model_whose_writes_are_normed_before_they_are_added_is_refused() -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=4,
        max_position_embeddings=32,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = HookedModel.from_hf(Gemma2ForCausalLM(config).eval())
    with pytest.raises(InputError, match="does not sum to the residual stream"):
        attribute_edges(model, PAIRS)


UNEQUAL = [pair_of("w1 w2 w3 w10", "w4 w2 w11")]
ALIKE = [pair_of("w1 w2 w3 w10", "w4 w2 w3 w10")]
TWICE = [pair_of("w1 w2 w3 w10", "w1 w2 w3 w11")]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [([], "empty set"), (UNEQUAL, "unequal length"), (ALIKE, "same token"), (TWICE, "twice")],
)
def test_pairs_that_cannot_be_compared_are_refused(
    pairs: list[PromptPair], message: str, neox: HookedModel
) -> None:
    edges = pd.DataFrame({"source": ["embed"], "destination": ["logits"], "score": [1.0]})
    with pytest.raises(InputError, match=message):
        attribute_edges(neox, pairs)
    with pytest.raises(InputError, match=message):
        edge_faithfulness(neox, pairs, edges, n_edges=1)
    with pytest.raises(InputError, match=message):
        patch_direct_paths(neox, pairs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: attribute_edges(m, PAIRS, ig_steps=0), "ig_steps is 0"),
        (lambda m: attribute_edges(m, PAIRS, by_position=True), "prompts of 2 to 3 tokens"),
        (lambda m: patch_direct_paths(m, PAIRS, sources=[(1, 0)]), "layer from 0 to 0"),
        (lambda m: patch_direct_paths(m, PAIRS, sources=[(-1, 0)]), "head 0 of layer -1"),
        (lambda m: patch_direct_paths(m, PAIRS, sources=[(0, 4)]), "head from 0 to 3"),
        (lambda m: patch_direct_paths(m, PAIRS, sources=[]), "no source heads"),
        (lambda m: patch_direct_paths(m, PAIRS, components=[]), "choose q, k or v"),
    ],
)
def test_what_the_model_does_not_have_is_refused(
    call: Callable[[HookedModel], object], message: str, neox: HookedModel
) -> None:
    with pytest.raises(InputError, match=message):
        call(neox)


@pytest.mark.parametrize("n_edges", [0, 3])
def test_more_edges_than_there_are_are_refused(n_edges: int, neox: HookedModel) -> None:
    edges = pd.DataFrame(
        {"source": ["embed"] * 2, "destination": ["logits", "mlp_in.0"], "score": [1.0, 2.0]}
    )
    with pytest.raises(InputError, match=f"n_edges is {n_edges} of 2"):
        edge_faithfulness(neox, PAIRS, edges, n_edges=n_edges)


def test_edges_at_tokens_that_a_prompt_lacks_are_refused(neox: HookedModel) -> None:
    edges = attribute_edges(neox, PAIRS[:2], by_position=True)
    with pytest.raises(InputError, match="edges at position 2 and a prompt of 2 tokens"):
        edge_faithfulness(neox, PAIRS, edges, n_edges=1)


def test_edges_listed_twice_are_refused(neox: HookedModel) -> None:
    edges = attribute_edges(neox, PAIRS)
    with pytest.raises(InputError, match="listed twice"):
        edge_faithfulness(neox, PAIRS, pd.concat([edges, edges]), n_edges=1)


def test_edges_of_another_model_are_refused(neox: HookedModel) -> None:
    edges = pd.DataFrame({"source": ["mlp_out.7"], "destination": ["logits"], "score": [1.0]})
    with pytest.raises(InputError, match=r"no edge from mlp_out\.7 to logits"):
        edge_faithfulness(neox, PAIRS, edges, n_edges=1)
