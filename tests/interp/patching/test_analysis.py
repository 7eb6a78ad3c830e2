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
from data.pairs import PairKind, PromptPair, make_pairs
from data.tokens import TokenizedRow
from interp.hooked.addresses import SITE_HOOKS, Site, TokenRole
from interp.hooked.model import HookedModel
from interp.patching.analysis import (
    CELL,
    Direction,
    PatchAnalysis,
    patch_pairs,
    summarize_patching,
)
from interp.patching.kept import is_counted
from interp.patching.pair_batches import PatchMetric, batch_pairs
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


# ---- equal to a slow reference ---------------------------------------------------------------


def patched_by_hook(
    model: HookedModel, base: Tensor, donor: Tensor, site: Site, mask: Tensor
) -> Tensor:
    """All logits of one prompt in which one site holds what another prompt's holds."""
    _, cache = model.run_with_cache(donor, [site.hook])

    def patch(activation: Tensor, hook: torch.nn.Module) -> Tensor:
        edited = activation.clone()
        head = slice(None) if site.head is None else site.head
        edited[:, mask, head] = cache[site.hook][:, mask, head]
        return edited

    with model.hooks([(site.hook, patch)]):
        return model.logits(base)[0]


@pytest.mark.parametrize("direction", list(Direction))
def test_effect_and_control_are_those_of_one_pass_a_cell_and_pair(
    neox: HookedModel, word_pairs: list[PromptPair], direction: Direction
):
    """Pairs of four shapes; the one that is alone of its shape has no control."""
    sites, role = [Site("z", 0, 3), Site("v", 0, 1), Site("resid_pre", 1)], "question_first"
    parts: dict[str, list[list[float]]] = {name: [] for name in ("ends", "patched", "control")}
    for batch in batch_pairs(word_pairs, [role]):
        tokens = {Direction.DENOISE: (batch.corrupted, batch.clean)}.get(
            direction, (batch.clean, batch.corrupted)
        )
        n = len(batch.foils)
        for i in range(n):

            def read(logits: Tensor, i: int = i, batch: Any = batch) -> float:
                first = logits[-batch.kept]
                return (first[batch.answers[i, 0]] - first[batch.foils[i]]).item()

            j = i if batch.others is None else int(batch.others[i])
            base, donor, other = tokens[0][[i]], tokens[1][[i]], tokens[1][[j]]
            mask = batch.masks[0, i]
            parts["ends"].append([read(neox.logits(base)[0]), read(neox.logits(donor)[0])])
            for name, giver in (("patched", donor), ("control", other)):
                parts[name].append(
                    [read(patched_by_hook(neox, base, giver, site, mask)) for site in sites]
                )
                if name == "control" and n == 1:
                    parts[name][-1] = [np.nan] * len(sites)
    ends, patched, control = (np.array(values) for values in parts.values())
    has_control = ~np.isnan(control).any(1)
    assert has_control.sum() == 7

    table = patch_pairs(neox, word_pairs, sites=sites, roles=[role], directions=[direction])

    gap = (ends[:, 1] - ends[:, 0]).mean()
    expected = (patched - ends[:, :1]).mean(0) / gap
    np.testing.assert_allclose(table["effect"], expected, rtol=1e-4, atol=1e-5)
    gap = (ends[:, 1] - ends[:, 0])[has_control].mean()
    expected = (control - ends[:, :1])[has_control].mean(0) / gap
    np.testing.assert_allclose(table["control"], expected, rtol=1e-4, atol=1e-5)


def test_noising_is_denoising_of_the_pairs_turned_round(
    neox: HookedModel, word_pairs: list[PromptPair]
):
    """Of answers of one word, where both prompts end alike."""
    pairs = [pair for pair in word_pairs if len(pair.clean.answer_positions) == 1]
    turned = [replace(pair, clean=pair.corrupted, corrupted=pair.clean) for pair in pairs]

    noised = patch_pairs(neox, pairs, directions=[Direction.NOISE])
    denoised = patch_pairs(neox, turned, directions=[Direction.DENOISE])

    for column in ("effect", "attribution", "control"):
        np.testing.assert_allclose(noised[column], denoised[column], rtol=1e-3, atol=1e-5)


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


# ---- one checkpoint --------------------------------------------------------------------------


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


# ---- over seeds ------------------------------------------------------------------------------


def seed_rows(effects: list[float], controls: list[float], **cell: object) -> pd.DataFrame:
    common: dict[str, object] = {
        "recipe": "alias-toy", "run_id": "r", "model": "m", "word_order": "tae", "stage": 1,
        "step": 9, "pair_kind": "alias", "subset": "D1_CONS_QA1", "site": "z", "layer": 0,
        "head": 0, "role": "alias_last", "direction": "denoise", "metric": "logit_diff",
    }  # fmt: skip
    return pd.DataFrame(
        {
            **(common | cell),
            "seed": seed,
            "effect": effect,
            "attribution": 2 * effect,
            "control": control,
            "n": 10 + seed,
            "dropped": 0.1 * seed,
        }
        for seed, (effect, control) in enumerate(zip(effects, controls, strict=True))
    )


def test_what_is_tested_over_seeds_is_the_effect_minus_its_control():
    row = summarize_patching(seed_rows([1.5, 2.5, 3.5], [0.5, 0.5, 0.5])).iloc[0]

    assert (row["effect"], row["attribution"], row["control"]) == (2.5, 5.0, 0.5)
    assert row["difference"] == 2.0
    assert row["ci_low"] == pytest.approx(-0.4841, abs=1e-4)  # 2 - 4.3027 / sqrt(3)
    assert row["ci_high"] == pytest.approx(4.4841, abs=1e-4)
    assert (row["p_value"], row["p_corrected"], row["p_smallest"]) == (0.25, 0.25, 0.25)
    assert (row["n"], row["n_seeds"]) == (33, 3)
    assert row["dropped"] == pytest.approx(0.1)


def test_seeds_without_a_control_are_not_tested():
    some = summarize_patching(seed_rows([1.0, 7.0, 3.0], [0.0, np.nan, 0.0])).iloc[0]
    none = summarize_patching(seed_rows([1.0, 2.0, 3.0], [np.nan] * 3)).iloc[0]

    assert (some["difference"], some["p_value"], some["n_seeds"]) == (2.0, 0.5, 2)
    assert (none["effect"], none["n_seeds"]) == (2.0, 0)
    untold = none[["control", "difference", "ci_low", "ci_high", "p_value", "p_corrected"]]
    assert untold.isna().tolist() == [True] * 6


def test_the_correlation_is_that_of_each_grid():
    cells = [(1.0, 1.0), (2.0, 1.5), (3.0, 2.0)]
    first = pd.concat([seed_rows([e], [0.0], layer=i).assign(attribution=a)
                       for i, (e, a) in enumerate(cells)])  # fmt: skip
    second = first.assign(seed=1, attribution=[3.0, 2.0, 2.5])
    equal = first.assign(seed=2, attribution=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = attribution_correlation(pd.concat([first, second, equal, equal[:1].assign(seed=3)]))

    assert found["seed"].tolist() == [0, 1, 2, 3]
    assert found["n_cells"].tolist() == [3, 3, 3, 1]
    assert found["correlation"].tolist()[:2] == pytest.approx([1.0, -0.5])
    assert found["correlation"].isna().tolist() == [False, False, True, True]
    # By hand: the attribution rises by 1/2 for each 1; errors 0, 1/2, 1 and 2, 0, 1/2.
    assert found["slope"].tolist()[:3] == pytest.approx([0.5, -0.25, 0.0])
    assert found["mean_error"].tolist()[:2] == pytest.approx([0.5, 2.5 / 3])


# ---- tags ------------------------------------------------------------------------------------


def tag_pairs(circuit: Any, word_pair: Callable[..., PromptPair]) -> list[PromptPair]:
    """`w16` is each clean prompt's tag, `w19` the other; the tag's place is called `question`."""
    pairs = []
    for i, pair in enumerate(circuit.pairs):
        clean = pair.clean.row.rendered.text
        foil = circuit.pairs[(i + 3) % len(circuit.pairs)].clean.row.rendered.answer
        other = " ".join(["w19", *clean.split()[1:-1], foil])
        both = word_pair(clean, other, alias=(1, 1), question=(0, 0), answerable=False)
        pairs.append(replace(both, kind=PairKind.TAG))
    return pairs


def test_a_tag_that_matters_and_one_that_does_not_are_told_apart(
    planted_circuit: Callable[..., Any], word_pair: Callable[..., PromptPair]
):
    """Where the tag stands, the old control, another alias with the other tag, is the effect."""
    tables = {}
    for decoy in (19, None):
        circuit = planted_circuit(first_head=1, second_head=2, decoy=decoy, noise=0.01)
        pairs = tag_pairs(circuit, word_pair)
        tables[decoy] = patch_pairs(
            circuit.model,
            pairs,
            sites=[Site("resid_pre", 0), Site("resid_pre", 1)],
            roles=["question_last", "alias_last", "all"],
        )

    cell = ["site", "layer", "role", "direction"]
    mattering, void = (table.set_index(cell) for table in tables.values())
    gap = mattering["gap"].iloc[0]
    assert gap > 5
    assert mattering["gap"].to_numpy() == pytest.approx(gap, rel=1e-4)
    # Of the tag that does nothing every effect is nothing, also where patching swaps the tag.
    specific = void["other_tag"] - void["control"]
    assert max(void["effect"].abs().max(), specific.abs().max()) < 0.01 * gap
    for direction in Direction:
        at_tag = mattering.loc["resid_pre", 0, "question_last", direction]
        assert at_tag["effect"] == pytest.approx(gap, rel=1e-4)
        assert at_tag["other_tag"] == pytest.approx(gap, rel=1e-4)
        assert at_tag["control"] == pytest.approx(0, abs=1e-4)
        everything = mattering.loc["resid_pre", 1, "all", direction]
        assert everything["effect"] == pytest.approx(gap, rel=1e-4)


def test_the_control_of_a_tag_is_another_alias_with_the_bases_own_tag(
    planted_circuit: Callable[..., Any], word_pair: Callable[..., PromptPair]
):
    circuit = planted_circuit(first_head=1, second_head=2, decoy=19)
    pairs, site = tag_pairs(circuit, word_pair), Site("resid_pre", 1)
    (batch,) = batch_pairs(pairs, ["alias_last"])
    assert batch.others is not None
    values = {"base": [], "donor": [], "control": [], "other_tag": []}
    for i, j in enumerate(batch.others.tolist()):

        def read(logits: Tensor, i: int = i) -> float:
            return (logits[-1, batch.answers[i, 0]] - logits[-1, batch.foils[i]]).item()

        base, mask = batch.clean[[i]], batch.masks[0, i]
        values["base"].append(read(circuit.model.logits(base)[0]))
        values["donor"].append(read(circuit.model.logits(batch.corrupted[[i]])[0]))
        for name, donors in (("control", batch.clean), ("other_tag", batch.corrupted)):
            logits = patched_by_hook(circuit.model, base, donors[[j]], site, mask)
            values[name].append(read(logits))

    row = patch_pairs(
        circuit.model, pairs, sites=[site], roles=["alias_last"], directions=[Direction.NOISE]
    ).iloc[0]

    means = {name: np.mean(each) for name, each in values.items()}
    assert row["gap"] == pytest.approx(means["base"] - means["donor"], rel=1e-4)
    for name in ("control", "other_tag"):
        assert row[name] == pytest.approx(means["base"] - means[name], rel=1e-3)


def test_what_is_tested_of_tags_is_the_other_tag_minus_the_own_one():
    rows = seed_rows([0.9, 0.9], [0.5, 0.5], pair_kind="tag")
    rows = rows.assign(other_tag=[0.75, 0.85], gap=[2.0, 4.0])

    row = summarize_patching(rows).iloc[0]

    assert row["difference"] == pytest.approx(0.3)
    assert (row["effect"], row["other_tag"], row["gap"]) == (0.9, 0.8, 3.0)


# ---- few pairs -------------------------------------------------------------------------------


def test_a_seed_of_too_few_pairs_counts_in_no_mean_test_or_n():
    """Kept of 100: 38, 2, 52, 17, 33; the second seed is off by far."""
    kept = [38, 2, 52, 17, 33]
    rows = seed_rows([0.8, -9.0, 0.9, 1.0, 0.7], [0.1, 5.0, 0.1, 0.1, 0.1])
    rows = rows.assign(n=kept, dropped=[1 - n / 100 for n in kept])

    row = summarize_patching(rows).iloc[0]
    without = summarize_patching(rows.loc[rows["seed"] != 1]).iloc[0]

    assert (row["effect"], row["control"]) == (pytest.approx(0.85), pytest.approx(0.1))
    assert (row["n"], row["n_seeds"]) == (140, 4)
    for name in ("difference", "ci_low", "ci_high", "p_value", "p_corrected", "p_smallest"):
        assert row[name] == pytest.approx(without[name])
    assert row["dropped"] == pytest.approx(1 - sum(kept) / 500)
    assert row["kept_by_seed"] == (
        "kept by seed 38, 52, 17, 33 of 100 pairs; left out for fewer than 10: 2 (seed 1)"
    )


@pytest.mark.parametrize(
    ("kept", "made", "expected"), [(10, 100, True), (9, 100, False), (2, 4, True), (1, 4, False)]
)
def test_enough_pairs_are_10_or_half_of_few(kept: int, made: int, expected: bool):
    rows = seed_rows([1.0], [0.0]).assign(n=kept, dropped=1 - kept / made)
    assert is_counted(rows).tolist() == [expected]


def test_where_every_seed_has_too_few_pairs_nothing_is_said_over_seeds():
    rows = seed_rows([0.8, 0.9], [0.1, 0.1]).assign(n=2, dropped=0.98)
    row = summarize_patching(rows).iloc[0]

    assert (row["n"], row["n_seeds"]) == (0, 0)
    assert row[["effect", "control", "difference", "p_value"]].isna().all()


def test_tables_of_before_are_summarized_without_the_newer_columns():
    rows = seed_rows([0.8, 0.9], [0.1, 0.1])
    assert {"other_tag", "gap"}.isdisjoint(rows.columns)
    assert summarize_patching(rows)["difference"].item() == pytest.approx(0.75)


def test_a_seed_that_answers_no_pair_has_dropped_all_of_them():
    """It has no rows of the subset: two of four seeds keep 60 and 2 of 100 pairs of it."""
    d5 = seed_rows([0.8] * 4, [0.1] * 4, subset="D5_CONS").assign(n=50, dropped=0.5)
    d6 = seed_rows([0.8] * 2, [0.1] * 2, subset="D6_CONS")
    d6 = d6.assign(n=[60, 2], dropped=[0.4, 0.98])

    summary = summarize_patching(pd.concat([d5, d6]))

    found = dict(zip(summary["subset"], summary["dropped"], strict=True))
    assert found == pytest.approx({"D5_CONS": 0.5, "D6_CONS": (0.4 + 0.98 + 1 + 1) / 4})
    words = dict(zip(summary["subset"], summary["kept_by_seed"], strict=True))
    assert "0 (seed 2), 0 (seed 3)" in words["D6_CONS"]
