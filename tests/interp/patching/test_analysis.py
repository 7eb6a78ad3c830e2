import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from data.errors import InputError
from data.pairs import PromptPair
from interp.hooked.addresses import SITE_HOOKS, Site, TokenRole
from interp.hooked.model import HookedModel
from interp.patching.analysis import CELL, Direction, patch_pairs
from interp.patching.pair_batches import PatchMetric
from interp.patching.summary import attribution_correlation

StateOf = Callable[[HookedModel], tuple[object, ...]]
WordPair = Callable[..., PromptPair]
KEY = ["site", "layer", "head", "role", "direction", "metric"]


def effects(table: pd.DataFrame, column: str = "effect") -> dict[tuple[object, ...], float]:
    """Of tables of one direction and metric, by site, layer, head and role."""
    return {tuple(key): value for *key, value in table[[*KEY[:4], column]].to_numpy().tolist()}


# ---- the table -------------------------------------------------------------------------------


def test_one_row_is_one_cell(neox: HookedModel, word_pairs: list[PromptPair]):
    table = patch_pairs(neox, word_pairs, metrics=tuple(PatchMetric))

    assert list(table.columns) == [*CELL, "effect", "attribution", "control", "gap", "n"]
    # Of resid_pre, attn_out and mlp_out one cell, of z four, in 2 layers; both directions.
    roles = ["alias_first", "alias_last", "question_first", "question_last", "prompt_last", "all"]
    assert list(dict.fromkeys(table["role"])) == roles
    assert len(table) == 7 * 2 * len(roles) * 2 * 3
    assert not table[CELL].duplicated().any()
    assert set(table["head"]) == {-1, 0, 1, 2, 3}
    assert set(table.loc[table["head"] == -1, "site"]) == {"resid_pre", "attn_out", "mlp_out"}
    assert set(table["pair_kind"]) == {"alias"}
    assert set(table["subset"]) == {"D5_CONS"}
    assert set(table["n"]) == {8}
    assert np.isfinite(table[["effect", "attribution", "control"]]).all(axis=None)


def test_sites_heads_roles_directions_and_metrics_can_be_chosen(
    neox: HookedModel, word_pairs: list[PromptPair]
):
    table = patch_pairs(
        neox,
        word_pairs,
        sites=[Site("z", 1, 2), Site("mlp_out", 0)],
        roles=[TokenRole.ALIAS_LAST, "all"],
        directions=[Direction.NOISE],
        metrics=[PatchMetric.PROBABILITY],
    )

    assert table[KEY].to_numpy().tolist() == [
        ["z", 1, 2, "alias_last", "noise", "probability"],
        ["z", 1, 2, "all", "noise", "probability"],
        ["mlp_out", 0, -1, "alias_last", "noise", "probability"],
        ["mlp_out", 0, -1, "all", "noise", "probability"],
    ]


# ---- identities ------------------------------------------------------------------------------


def test_everything_patched_is_an_effect_of_one(
    any_model: HookedModel, word_pairs: list[PromptPair]
):
    last = any_model.n_layers - 1
    sites = [Site("resid_pre", 0), Site("resid_post", last)]

    table = patch_pairs(
        any_model, word_pairs, sites=sites, roles=["all"], metrics=tuple(PatchMetric)
    )

    assert len(table) == 2 * 2 * 3
    assert table["effect"].tolist() == pytest.approx([1.0] * 12, abs=1e-3)
    assert np.abs(table["control"].to_numpy() - 1).min() > 1e-3, (
        "another pair's donor is this pair's"
    )


def test_without_a_control_or_with_one_pair_its_column_is_empty(
    neox: HookedModel, word_pairs: list[PromptPair]
):
    sites = [Site("z", 0), Site("mlp_out", 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        without = patch_pairs(neox, word_pairs, sites=sites, control=False)
        alone = patch_pairs(neox, word_pairs[:1], sites=sites)
    full = patch_pairs(neox, word_pairs, sites=sites)

    assert np.isnan(without["control"].to_numpy()).all()
    assert np.isnan(alone["control"].to_numpy()).all()
    pd.testing.assert_frame_equal(without.drop(columns="control"), full.drop(columns="control"))


# ---- a linear model of two numbers -----------------------------------------------------------


@pytest.fixture(scope="module")
def linear() -> HookedModel:
    """Two layers, two heads, two numbers x and y at each of two positions; calculated by hand.

    w1 is (1, 0), w2 is (0, 1), w3 is (1, 1); the logit of w4 is x, that of w5 is y. Heads look at
    both positions evenly, and add what they gather: in layer 0 head 0 adds 2 x to x, head 1 adds
    4 y to x, in layer 1 head 0 takes x from y. A third number, large and constant, is all that the
    norms divide by; MLPs are 0.
    """
    large = 1e4
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=4,
        intermediate_size=4,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=16,
        tie_word_embeddings=False,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config).eval()
    for name, weight in model.named_parameters():
        weight.data.fill_(large / 2 if "norm" in name else 0.0)
    embedded, unembedded = model.model.embed_tokens.weight.data, model.lm_head.weight.data
    embedded[:, 2] = large
    embedded[[4, 5, 6], :2] = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    unembedded[[7, 8], [0, 1]] = 1.0
    layers: Any = model.model.layers
    for layer, head, source, target, factor in (
        (0, 0, 0, 0, 2.0),
        (0, 1, 1, 0, 4.0),
        (1, 0, 0, 1, -1.0),
    ):
        attention = layers[layer].self_attn
        attention.v_proj.weight.data[2 * head, source] = 1.0
        attention.o_proj.weight.data[target, 2 * head] = factor
    return HookedModel.from_hf(model)


LINEAR_EFFECTS = {
    # What reaches the answer by each way; clean scores 5 + 3 = 8, corrupted 6 + 4 = 10.
    ("resid_pre", 0, -1, "alias_last"): 1.0,
    ("resid_pre", 0, -1, "question_last"): 0.0,
    ("resid_pre", 1, -1, "alias_last"): 0.25,
    ("resid_pre", 1, -1, "question_last"): 0.75,
    ("attn_out", 0, -1, "alias_last"): 0.5,
    ("attn_out", 0, -1, "question_last"): 0.75,
    ("attn_out", 1, -1, "alias_last"): 0.0,
    ("attn_out", 1, -1, "question_last"): 0.5,
    ("z", 0, 0, "alias_last"): -0.5,
    ("z", 0, 1, "alias_last"): 1.0,
    ("z", 0, 0, "question_last"): -0.75,
    ("z", 0, 1, "question_last"): 1.5,
    ("z", 1, 0, "alias_last"): 0.0,
    ("z", 1, 1, "alias_last"): 0.0,
    ("z", 1, 0, "question_last"): 0.5,
    ("z", 1, 1, "question_last"): 0.0,
    ("v", 0, 0, "alias_last"): -1.25,
    ("v", 0, 1, "alias_last"): 2.5,
    ("v", 0, 0, "question_last"): 0.0,
    ("v", 0, 1, "question_last"): 0.0,
    ("v", 1, 0, "alias_last"): 0.25,
    ("v", 1, 1, "alias_last"): 0.0,
    ("v", 1, 0, "question_last"): 0.25,
    ("v", 1, 1, "question_last"): 0.0,
    ("mlp_out", 0, -1, "alias_last"): 0.0,
    ("mlp_out", 0, -1, "question_last"): 0.0,
    ("mlp_out", 1, -1, "alias_last"): 0.0,
    ("mlp_out", 1, -1, "question_last"): 0.0,
}


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("column", ["effect", "attribution"])
def test_a_linear_model_has_the_effects_of_a_calculation_by_hand(
    linear: HookedModel, word_pair: WordPair, direction: Direction, column: str
):
    pair = word_pair("w1 w3 w4", "w2 w3 w5", alias=(0, 0), question=(1, 1))
    scores = [linear.logits(torch.tensor([ids]))[0, -1, [7, 8]] for ids in ([4, 6], [5, 6])]
    assert torch.stack(scores).flatten().tolist() == pytest.approx([5, -3, 6, -4], abs=1e-4)
    sites = dict.fromkeys(Site(str(name), int(layer)) for name, layer, _, _ in LINEAR_EFFECTS)

    table = patch_pairs(linear, [pair], sites=list(sites), directions=[direction])

    found = effects(table.loc[table["role"] != "all"], column)
    assert found == pytest.approx(LINEAR_EFFECTS, abs=1e-4)


# ---- a planted circuit -----------------------------------------------------------------------


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize(("first_head", "second_head"), [(1, 2), (3, 0)])
def test_a_planted_circuit_stands_above_everything_else(
    planted_circuit: Callable[..., Any], first_head: int, second_head: int, direction: Direction
):
    planted = planted_circuit(first_head=first_head, second_head=second_head)
    expected = {
        ("resid_pre", 0, -1, "alias_last"),
        ("attn_out", 0, -1, "alias_last"),
        ("z", 0, first_head, "alias_last"),
        ("resid_pre", 1, -1, "alias_last"),
        ("attn_out", 1, -1, "question_last"),
        ("z", 1, second_head, "question_last"),
    }
    roles = ["alias_last", "question_first", "question_last"]

    table = patch_pairs(planted.model, planted.pairs, roles=roles, directions=[direction])

    exact, attributed = effects(table), effects(table, "attribution")
    assert len(exact) == 2 * 7 * 3
    for found, least in ((exact, 0.9), (attributed, 0.4)):
        others = [abs(value) for key, value in found.items() if key not in expected]
        assert min(found[key] for key in expected) > least
        assert max(others) < 0.1
    # Another alias's answer takes the wrong answer away, but does not bring the right one.
    control = effects(table, "control")
    assert [control[key] for key in expected] == pytest.approx([0.5] * 6, abs=0.1)
    assert attribution_correlation(table)["correlation"].item() > 0.98


# ---- bad input and side effects --------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sites": [Site("z", 9)]}, "no layer 9 in a model of 2; choose from 0 to 1"),
        ({"sites": [Site("z", 0, 9)]}, "no head 9 at .*; choose from 0 to 3"),
        ({"sites": [Site("resid_mid", 0)]}, "has no resid_mid at layer 0 .* choose another site"),
        ({"roles": ["tag"]}, "has no tag; choose"),
        ({"roles": ["answer_last"]}, "choose a role before the answer"),
        ({"roles": ["everything"]}, "no role 'everything'; choose one of"),
    ],
)
def test_a_grid_that_cannot_be_filled_is_an_error_and_changes_nothing(
    neox: HookedModel,
    word_pairs: list[PromptPair],
    state_of: StateOf,
    options: dict[str, Any],
    message: str,
):
    before = state_of(neox)
    with pytest.raises(InputError, match=message) as error:
        patch_pairs(neox, word_pairs, **options)

    assert "\n" not in str(error.value)
    assert state_of(neox) == before


def test_pairs_that_cannot_be_patched_are_errors(neox: HookedModel, word_pair: WordPair):
    with pytest.raises(InputError, match="an empty set of pairs; choose"):
        patch_pairs(neox, [])
    longer = replace(
        word_pair("w1 w2 w3", "w4 w5 w6"), corrupted=word_pair("w1 w2 w3 w4", "w1 w2 w3 w4").clean
    )
    with pytest.raises(InputError, match="unequal length"):
        patch_pairs(neox, [longer])
    with pytest.raises(InputError, match="a metric is the same for both prompts"):
        patch_pairs(neox, [word_pair("w1 w2 w3", "w1 w2 w6")])


def test_hooks_on_the_view_are_refused(neox: HookedModel, word_pairs: list[PromptPair]):
    edit = (SITE_HOOKS["mlp_out"].format(layer=0), lambda activation, hook: 2 * activation)
    with neox.hooks([edit]), pytest.raises(InputError, match="hooks are attached"):
        patch_pairs(neox, word_pairs)


def test_nothing_is_left_behind(
    any_model: HookedModel, word_pairs: list[PromptPair], state_of: StateOf
):
    before = state_of(any_model)
    options: dict[str, Any] = {"sites": [Site("z", 0), Site("mlp_out", 1)], "roles": ["alias_last"]}
    table = patch_pairs(any_model, word_pairs, **options)
    with torch.no_grad():
        again = patch_pairs(any_model, word_pairs, **options)

    assert state_of(any_model) == before
    pd.testing.assert_frame_equal(table, again)


@pytest.mark.parametrize("call", [1, 2, 5])
def test_nothing_is_left_behind_by_an_interrupt(
    neox: HookedModel,
    word_pairs: list[PromptPair],
    state_of: StateOf,
    monkeypatch: pytest.MonkeyPatch,
    call: int,
):
    """In the donor's pass, in the base's with its graph, in the middle of the patches."""
    from interp.patching.pair_batches import read_metrics

    n_calls = 0

    def stopping(*arguments: Any) -> Tensor:
        nonlocal n_calls
        n_calls += 1
        if n_calls == call:
            raise KeyboardInterrupt
        return read_metrics(*arguments)

    for module in ("analysis", "attribution", "cells"):
        monkeypatch.setattr(f"interp.patching.{module}.read_metrics", stopping)
    before = state_of(neox)
    with pytest.raises(KeyboardInterrupt):
        patch_pairs(neox, word_pairs)

    assert n_calls == call
    assert state_of(neox) == before
