from collections.abc import Callable

import pandas as pd
import pytest
import torch

from data.errors import InputError
from data.pairs import PairKind, make_pairs
from data.tokens import TokenizedRow
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.patching.analysis import CELL, Direction, PatchAnalysis, patch_pairs
from interp.patching.pair_batches import PatchMetric

StateOf = Callable[[HookedModel], tuple[object, ...]]


@pytest.fixture(scope="module")
def rows(toy_rows: Callable[..., list[TokenizedRow]]) -> list[TokenizedRow]:
    return toy_rows()


@pytest.fixture(scope="module")
def toy_model(rows: list[TokenizedRow]) -> HookedModel:
    """A random model that knows the toy's words."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        vocab_size=1 + max(max(row.input_ids) for row in rows),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
    )
    model = GPTNeoXForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator)
    return HookedModel.from_hf(model)


def test_a_checkpoint_is_measured_for_each_kind_and_subset(
    toy_model: HookedModel, rows: list[TokenizedRow], state_of: StateOf
):
    analysis = PatchAnalysis(
        subsets=("D5_CONS", "D6_CONS"),
        kinds=(PairKind.ALIAS, PairKind.QUESTION),
        roles=("alias_last",),
        heads=(1,),
        directions=(Direction.DENOISE,),
        metrics=(PatchMetric.LOGIT_DIFF,),
        limit=4,
        confidence=0.0,
    )
    before = state_of(toy_model)
    table = analysis.measure(toy_model, rows, [Site("z", 0), Site("mlp_out", 1)], seed=3).table
    assert state_of(toy_model) == before

    assert list(table.columns) == [*CELL, "effect", "attribution", "control", "gap", "n", "dropped"]
    assert analysis.coordinates == CELL
    places = [("z", 0, 1), ("mlp_out", 1, -1)]
    assert table[["pair_kind", "subset", "site", "layer", "head"]].to_numpy().tolist() == [
        [kind, subset, *place]
        for kind in ("alias", "question")
        for subset in ("D5_CONS", "D6_CONS")
        for place in places
    ]
    assert set(table["n"]) == {4}
    assert set(table["dropped"]) == {0.0}
    pairs = make_pairs(rows, PairKind.QUESTION, subset="D6_CONS", limit=4, seed=3)
    alone = patch_pairs(
        toy_model,
        pairs,
        sites=[Site("z", 0, 1), Site("mlp_out", 1)],
        roles=["alias_last"],
        directions=[Direction.DENOISE],
    )
    assert table["effect"].tolist()[-2:] == alone["effect"].tolist()


def test_only_pairs_that_are_answered_are_patched_and_the_others_counted(
    toy_model: HookedModel, rows: list[TokenizedRow]
):
    pairs = make_pairs(rows, PairKind.ALIAS, subset="D5_CONS", limit=10, seed=0)
    weakest = []
    for pair in pairs:
        both = []
        for side in (pair.clean, pair.corrupted):
            (place,) = side.answer_positions
            logits = toy_model.logits(torch.tensor([side.input_ids[:place]]))[0, -1]
            both.append(logits.softmax(-1)[side.input_ids[place]].item())
        weakest.append(min(both))
    least = sorted(weakest)[4] * 0.999
    kept = [pair for pair, p in zip(pairs, weakest, strict=True) if p >= least]
    assert 1 < len(kept) < len(pairs)
    analysis = PatchAnalysis(subsets=("D5_CONS",), limit=10, confidence=least)

    table = analysis.measure(toy_model, rows, [Site("mlp_out", 0)], seed=0).table

    assert set(table["n"]) == {len(kept)}
    assert set(table["dropped"]) == {1 - len(kept) / len(pairs)}
    alone = patch_pairs(toy_model, kept, sites=[Site("mlp_out", 0)], metrics=analysis.metrics)
    pd.testing.assert_frame_equal(table.drop(columns="dropped"), alone)


def test_a_model_that_answers_nothing_is_named_with_its_seed(
    toy_model: HookedModel, rows: list[TokenizedRow], state_of: StateOf
):
    before = state_of(toy_model)
    analysis = PatchAnalysis(subsets=("D5_CONS",), confidence=0.99)
    with pytest.raises(InputError, match=r"seed 7: the model answers none of .* of D5_CONS"):
        analysis.measure(toy_model, rows, [Site("mlp_out", 0)], seed=7)

    assert state_of(toy_model) == before
