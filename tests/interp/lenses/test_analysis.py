import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Kind
from interp.hooked.activations import Activations, collect_activations, pad_tokens
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from interp.hooked.sites import choose_sites
from interp.lenses import analysis as lenses
from interp.lenses.analysis import (
    LensAnalysis,
    lens_checkpoint,
    lens_log_probs,
    read_lens,
    summarize_lens,
    token_quantities,
    train_tuned_lens,
)

ToyRows = Callable[..., list[TokenizedRow]]
LAST = Site("resid_post", 1)


@torch.no_grad()
def model_log_probs(model: HookedModel, rows: list[TokenizedRow]) -> torch.Tensor:
    """The model's own log-probabilities after each prompt."""
    logits = model.logits(pad_tokens([row.input_ids for row in rows]))
    ends = [TokenRole.PROMPT_LAST.position(row) for row in rows]
    return logits[range(len(rows)), ends].log_softmax(-1)


def test_at_the_last_layer_the_lens_is_the_model(
    any_model: HookedModel, word_prompts: list[TokenizedRow]
):
    answers = np.array([row.input_ids[-1] for row in word_prompts])
    activations = collect_activations(
        any_model, word_prompts, sites=[LAST], roles=[TokenRole.PROMPT_LAST]
    )
    table = read_lens(any_model, activations, {"answer": answers})
    expected = model_log_probs(any_model, word_prompts)
    of_answers = expected[range(len(answers)), answers]

    assert table["log_prob"].to_numpy() == pytest.approx(of_answers.numpy(), abs=1e-5)
    ranks = (expected > of_answers[:, None]).sum(1) + 1
    assert table["rank"].tolist() == ranks.tolist()


class HandModel(HookedModel):
    """Four tokens, one for each dimension; the logits are the residual stream itself."""

    def __init__(self) -> None:
        """There is nothing to wrap."""

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def W_U(self) -> torch.Tensor:
        return torch.eye(4)

    def unembed(self, resid: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        return resid


def test_ranks_and_log_probs_of_a_tiny_vocabulary():
    # Probabilities .1 .2 .3 .4, then .5 .25 .125 .125: two tokens share the third rank.
    stream = np.log(np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.25, 0.125, 0.125]]))
    activations = Activations(
        values={Site("resid_post", 0): stream[:, None].astype(np.float32)},
        roles=(TokenRole.PROMPT_LAST,),
    )
    quantities = {"answer": np.array([0, 2]), "entity": np.array([3, -1])}
    table = read_lens(HandModel(), activations, quantities)

    assert table["quantity"].tolist() == ["answer", "answer", "entity"]
    assert table["row"].tolist() == [0, 1, 0]
    assert table["rank"].tolist() == [4, 3, 1]
    assert table["log_prob"].tolist() == pytest.approx(
        [math.log(0.1), math.log(0.125), math.log(0.4)], abs=1e-6
    )


# ---- tuned lens ------------------------------------------------------------------------------


@pytest.fixture
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lenses, "TUNED_STEPS", 60)


def divergence(
    model: HookedModel, rows: list[TokenizedRow], site: Site, translator: nn.Linear | None
) -> float:
    """Mean Kullback-Leibler divergence from the model to the lens at the prompts' ends."""
    activations = collect_activations(
        model, rows, sites=[site], roles=[TokenRole.PROMPT_LAST], batch_size=len(rows)
    )
    resid = torch.from_numpy(activations.at(site, TokenRole.PROMPT_LAST))
    read, true = lens_log_probs(model, resid, translator), model_log_probs(model, rows)
    return (true.exp() * (true - read)).sum(-1).mean().item()


def test_without_a_step_the_tuned_lens_is_the_logit_lens(
    any_model: HookedModel, word_prompts: list[TokenizedRow], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lenses, "TUNED_STEPS", 0)
    sites = choose_sites(any_model)
    translators = train_tuned_lens(any_model, word_prompts, sites, seed=0)

    for site in sites:
        resid = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
        tuned = lens_log_probs(any_model, resid, translators[site])
        assert torch.equal(tuned, lens_log_probs(any_model, resid))


def test_training_brings_every_earlier_site_nearer_to_the_model(
    any_model: HookedModel, word_prompts: list[TokenizedRow], short_training: None
):
    sites = choose_sites(any_model)
    translators = train_tuned_lens(any_model, word_prompts, sites, seed=0)

    for site in sites[:-1]:
        logit = divergence(any_model, word_prompts, site, None)
        tuned = divergence(any_model, word_prompts, site, translators[site])
        assert tuned < 0.8 * logit
    assert divergence(any_model, word_prompts, sites[-1], translators[sites[-1]]) < 1e-4


def test_training_a_lens_changes_nothing_of_the_model(
    any_model: HookedModel,
    word_prompts: list[TokenizedRow],
    short_training: None,
    state_of: Callable[[HookedModel], tuple[object, ...]],
):
    before = state_of(any_model)
    train_tuned_lens(any_model, word_prompts, choose_sites(any_model), seed=0)

    assert state_of(any_model) == before


def test_an_interrupted_training_changes_nothing_of_the_model(
    random_model: Callable[[str], nn.Module],
    word_prompts: list[TokenizedRow],
    state_of: Callable[[HookedModel], tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
):
    model = HookedModel.from_hf(random_model("neox"))  # pyright: ignore[reportArgumentType]
    steps: list[int] = []

    def interrupt(*_arguments: object) -> None:
        steps.append(1)
        if len(steps) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(torch.optim.lr_scheduler.CosineAnnealingLR, "step", interrupt)
    before = state_of(model)

    with pytest.raises(KeyboardInterrupt):
        train_tuned_lens(model, word_prompts, [Site("resid_pre", 0)], seed=0)
    assert state_of(model) == before


def test_a_lens_is_the_same_each_time(
    neox: HookedModel, word_prompts: list[TokenizedRow], short_training: None
):
    one, same, other = (
        train_tuned_lens(neox, word_prompts, [Site("resid_pre", 0)], seed=seed)
        for seed in (0, 0, 1)
    )
    site = Site("resid_pre", 0)

    assert torch.equal(one[site].weight, same[site].weight)
    assert not torch.equal(one[site].weight, other[site].weight)


def test_a_sites_lens_is_the_same_alone_and_beside_any_others(
    neox: HookedModel, word_prompts: list[TokenizedRow], short_training: None
):
    sites = choose_sites(neox)
    together = train_tuned_lens(neox, word_prompts, sites, seed=0)
    reversed_order = train_tuned_lens(neox, word_prompts, sites[::-1], seed=0)

    for site in sites:
        alone = train_tuned_lens(neox, word_prompts, [site], seed=0)
        for translators in (alone, reversed_order):
            assert torch.equal(translators[site].weight, together[site].weight)
            assert torch.equal(translators[site].bias, together[site].bias)


def test_a_lens_is_trained_where_gradients_are_off(
    neox: HookedModel, word_prompts: list[TokenizedRow], short_training: None
):
    with torch.no_grad():
        translators = train_tuned_lens(neox, word_prompts, [Site("resid_pre", 0)], seed=0)

    assert translators[Site("resid_pre", 0)].weight.abs().max() > 0


def test_half_precision_is_read_in_its_own(
    random_model: Callable[[str], nn.Module], word_prompts: list[TokenizedRow], short_training: None
):
    model = HookedModel.from_hf(random_model("neox").bfloat16())  # pyright: ignore[reportArgumentType]
    answers = np.array([row.input_ids[-1] for row in word_prompts])
    activations = collect_activations(
        model, word_prompts, sites=[LAST], roles=[TokenRole.PROMPT_LAST]
    )
    table = read_lens(model, activations, {"answer": answers})
    expected = model_log_probs(model, word_prompts).float()[range(len(answers)), answers]
    translators = train_tuned_lens(model, word_prompts, [Site("resid_pre", 0)], seed=0)

    assert table["log_prob"].to_numpy() == pytest.approx(expected.numpy(), abs=0.05)
    assert torch.isfinite(translators[Site("resid_pre", 0)].weight).all()


# ---- quantities ------------------------------------------------------------------------------


def test_the_quantities_of_a_question_are_those_of_its_definition(toy_rows: ToyRows):
    rows = toy_rows()
    words = {
        i: w for r in rows for i, w in zip(r.input_ids, r.row.rendered.text.split(), strict=True)
    }
    named = {r.row.alias: r.row.entity for r in rows if r.row.kind is Kind.DEFINITION}
    asked = [r for r in rows if r.row.is_evaluated and r.row.alias is not None]
    found = token_quantities(rows, asked, seed=0)

    for i, row in enumerate(asked):
        assert words[found["answer"][i]] == row.row.rendered.answer
        assert words[found["entity"][i]] == row.row.entity
        other = words[found["other_entity"][i]]
        assert other.startswith("entity")
        assert other != row.row.entity
        if row.row.subset.name == "D2_INCONS_QA2":
            assert other == named[row.row.alias]


def test_the_control_entities_are_drawn_evenly(toy_rows: ToyRows):
    rows = toy_rows()
    asked = [r for r in rows if r.row.subset.name == "D5_CONS" and r.row.kind is Kind.QA] * 50
    drawn = token_quantities(rows, asked, seed=0)["other_entity"]

    assert len(set(drawn.tolist())) == 10
    assert np.unique(drawn, return_counts=True)[1].min() > 0.05 * len(drawn)


def test_a_prompt_without_an_entity_has_an_answer_only(word_prompts: list[TokenizedRow]):
    found = token_quantities(word_prompts, word_prompts, seed=0)

    assert list(found) == ["answer"]
    assert found["answer"].tolist() == [row.input_ids[-1] for row in word_prompts]


# ---- a checkpoint ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_toy(toy_rows: ToyRows) -> tuple[HookedModel, list[TokenizedRow]]:
    from training.models.scratch import ModelConfig, build_model

    rows = toy_rows()
    config = ModelConfig(
        n_layers=2, d_model=16, n_heads=2, d_mlp=32, tied_embeddings=False, rotary_pct=0.5
    )
    size = 1 + max(max(row.input_ids) for row in rows)
    plain = build_model(config, vocabulary_size=size, max_length=8, end_token=1, seed=0)
    return HookedModel.from_hf(plain), rows


def test_a_table_holds_means_over_the_questions_of_each_subset(
    small_toy: tuple[HookedModel, list[TokenizedRow]],
):
    model, rows = small_toy
    lens = LensAnalysis(tuned=False, roles=(TokenRole.QUESTION_LAST,))
    table = lens_checkpoint(model, rows, [LAST], lens, seed=0)
    asked = [r for r in rows if r.row.subset.name == "QA3" and r.row.is_evaluated]
    log_probs = model_log_probs(model, asked)[range(len(asked)), [r.input_ids[-1] for r in asked]]
    cell = table[(table["subset"] == "QA3") & (table["quantity"] == "answer")].iloc[0]

    expected = ["subset", "lens", "site", "layer", "role", "quantity", "rank", "log_prob", "n"]
    assert list(table.columns) == expected
    assert cell["log_prob"] == pytest.approx(log_probs.mean().item(), abs=1e-5)
    assert cell["n"] == len(asked) == 8
    assert "QA4_NOT_REPLACED" not in set(table["subset"])


def test_both_lenses_read_the_same_cells(
    small_toy: tuple[HookedModel, list[TokenizedRow]], short_training: None
):
    model, rows = small_toy
    table = lens_checkpoint(model, rows, choose_sites(model), LensAnalysis(), seed=0)
    logit, tuned = (
        table[table["lens"] == lens].drop(columns=["lens", "rank", "log_prob"]).to_numpy().tolist()
        for lens in ("logit", "tuned")
    )

    assert logit == tuned
    assert len(logit) == 7 * 3 * 2 * 3  # subsets, sites, roles, quantities


def test_a_site_outside_the_residual_stream_is_refused(
    small_toy: tuple[HookedModel, list[TokenizedRow]],
):
    model, rows = small_toy
    with pytest.raises(InputError, match="a lens reads the residual stream, not attn_out"):
        lens_checkpoint(model, rows, [Site("attn_out", 0)], LensAnalysis(tuned=False), seed=0)


def test_the_summary_is_over_seeds():
    run = {"recipe": "toy", "run_id": "run", "model": "none", "word_order": "tae"} | {
        "stage": 1,
        "step": 3,
    }
    where = {"subset": "QA3", "lens": "logit", "site": "resid_post", "layer": 0} | {
        "role": "alias_last",
        "quantity": "answer",
    }
    values = [(1.0, -1.0, 10), (3.0, -2.0, 20), (5.0, -3.0, 30)]
    table = pd.DataFrame(
        [
            run | where | {"seed": seed, "rank": rank, "log_prob": log_prob, "n": n}
            for seed, (rank, log_prob, n) in enumerate(values)
        ]
    )
    (row,) = summarize_lens(table).to_dict("records")

    half_width = 4.302653 / math.sqrt(3)  # t(2, .975) * sd 1 / sqrt 3
    assert row["rank"] == 3
    assert row["log_prob"] == -2
    assert row["ci_low"] == pytest.approx(-2 - half_width)
    assert row["ci_high"] == pytest.approx(-2 + half_width)
    assert (row["n"], row["n_seeds"]) == (60, 3)
