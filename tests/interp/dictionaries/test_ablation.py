"""A feature that carries the answer is missed, another is not; controls matter as much."""

import numpy as np
import pytest
import torch

from data.tokens import TokenizedRow
from interp.dictionaries.ablation import FeatureAblation, Weight, matched_features, weight_of
from interp.dictionaries.dictionary import Dictionary
from interp.dictionaries.effects import Asked, ablate_targets
from interp.dictionaries.readings import collect, read_rows
from interp.dictionaries.rows import LOG_PROB, SET_NORM, SET_RATE
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from interp.interventions.base import answer_table, intervening, read_at
from training.designs import recipe_design

SITE = Site("resid_post", 0)


def split_in_two(vectors: torch.Tensor) -> Dictionary:
    """Two features: the direction of the vectors' mean, and one orthogonal to it that does fire."""
    first = torch.nn.functional.normalize(vectors.mean(0), dim=0)
    rest = vectors - (vectors @ first)[:, None] * first
    second = torch.linalg.svd(rest)[2][0]
    rows = torch.stack([first, second])
    return Dictionary(
        encoder=rows, encoder_bias=torch.tensor([0.0, 10.0]), decoder=rows,
        bias=torch.zeros(len(first)), k=2,
    )  # fmt: skip


def test_an_ablation_takes_out_the_contribution_and_nothing_else(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    role = TokenRole.PROMPT_LAST
    before = read_at(neox, word_prompts, SITE, role)
    dictionary = split_in_two(torch.from_numpy(before))
    ablation = FeatureAblation(
        model=neox, site=SITE, role=role, dictionary=dictionary, features=(0,)
    )
    after = read_at(neox, word_prompts, SITE, role, [ablation])
    code = dictionary.encode(torch.from_numpy(before))[:, :1]
    expected = before - (code * dictionary.decoder[:1]).numpy()
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(before - after).max() > 0.01
    # Elsewhere nothing changes: the tokens before are as they were.
    tokens = torch.tensor([word_prompts[0].input_ids])
    _, plain = neox.run_with_cache(tokens, [SITE.hook])
    with intervening(neox, word_prompts[:1], [ablation]):
        _, edited = neox.run_with_cache(tokens, [SITE.hook])
    changed = (plain[SITE.hook] - edited[SITE.hook]).abs().amax(-1)[0] > 1e-4
    assert changed.nonzero()[:, 0].tolist() == [role.position(word_prompts[0])]


def test_a_feature_that_never_fires_changes_no_answer(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    width = neox.d_model
    silent = Dictionary(
        encoder=torch.zeros(2, width), encoder_bias=torch.full((2,), -1.0),
        decoder=torch.nn.functional.normalize(torch.ones(2, width)), bias=torch.zeros(width), k=1,
    )  # fmt: skip
    ablation = FeatureAblation(model=neox, site=SITE, role=None, dictionary=silent, features=(0, 1))
    metrics = ["exact_match", "answer_log_prob"]
    plain = answer_table(neox, word_prompts)[metrics]
    without = answer_table(neox, word_prompts, [ablation])[metrics]
    np.testing.assert_allclose(plain, without)


def test_rates_and_norms_by_hand():
    eye = torch.eye(2)
    dictionary = Dictionary(
        encoder=eye, encoder_bias=torch.zeros(2), decoder=eye, bias=torch.zeros(2), k=2
    )
    weight = weight_of(
        dictionary, torch.tensor([[3.0, -1.0], [1.0, -2.0], [-1.0, -1.0], [0.0, 4.0]])
    )
    np.testing.assert_allclose(weight.rates, [0.5, 0.25])
    np.testing.assert_allclose(weight.norms, [2.0, 4.0])


def test_matched_features_are_alike_and_none_of_the_chosen():
    rng = np.random.default_rng(0)
    rates, norms = np.exp(rng.normal(size=(2, 300)))
    weight = Weight(rates=rates / rates.max(), norms=norms)
    chosen = tuple(range(10))
    found = matched_features(weight, chosen, rng)
    assert len(set(found)) == 10
    assert not set(found) & set(chosen)
    for name in ("rates", "norms"):
        known = np.log(getattr(weight, name))
        assert abs(known[found].mean() - known[list(chosen)].mean()) < 0.25
    # Dead features are neither matched nor drawn.
    lives = np.zeros(300)
    lives[:12] = 0.5
    few = matched_features(Weight(rates=lives, norms=norms), chosen, rng)
    assert set(few) == {10, 11}


def test_the_planted_feature_moves_the_gap_and_its_controls_do_not(
    neox: HookedModel, toy_rows, monkeypatch: pytest.MonkeyPatch
):
    """The answers are read off one feature, of one side only; the matched feature does nothing."""
    contrast = recipe_design("alias-toy").main
    rows = [
        row for row in toy_rows() if row.row.is_evaluated and row.row.subset.name in contrast.names
    ]
    tables = {(): [0.0, 0.0], (0,): [-2.0, -0.5]}

    def answers(self: Asked, features: tuple[int, ...] = ()):
        import pandas as pd

        change = tables.get(tuple(features), [0.0, 0.0])
        subsets = [row.row.subset.name for row in rows]
        values = [change[contrast.names.index(name)] for name in subsets]
        return pd.DataFrame({"subset": subsets, "exact_match": values, "answer_log_prob": values})

    monkeypatch.setattr(Asked, "answers", answers)
    rng = np.random.default_rng(0)
    vectors = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    dictionary = Dictionary(
        encoder=torch.cat([torch.eye(4), -torch.eye(4)]), encoder_bias=torch.zeros(8),
        decoder=torch.cat([torch.eye(4), -torch.eye(4)]), bias=torch.zeros(4), k=4,
    )  # fmt: skip
    asked = Asked(model=neox, questions=rows, site=SITE, role=None, dictionary=dictionary)
    found = ablate_targets(asked, {"tag": (0,)}, vectors, contrast, rng)
    by_cell = {(row["quantity"], row["subset"]): row for row in found}
    gap = by_cell[LOG_PROB, contrast.gap]
    assert (gap["value"], gap["control"], gap["n"]) == (-1.5, 0.0, len(rows))
    assert by_cell[LOG_PROB, contrast.names[0]]["value"] == -2.0
    known = weight_of(dictionary, vectors)
    assert by_cell[SET_RATE, ""]["value"] == pytest.approx(known.rates[0])
    assert by_cell[SET_NORM, ""]["value"] == pytest.approx(known.norms[0])


def test_vectors_at_a_role_and_at_all_tokens_are_edited_alike(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    vectors = collect(neox, read_rows(neox, word_prompts, None), SITE)
    dictionary = split_in_two(vectors)
    whole = FeatureAblation(
        model=neox, site=SITE, role=None, dictionary=dictionary, features=(0, 1)
    )
    role = TokenRole.ALIAS_LAST
    edited = read_at(neox, word_prompts, SITE, role, [whole])
    before = torch.from_numpy(read_at(neox, word_prompts, SITE, role))
    expected = before - dictionary.encode(before) @ dictionary.decoder
    np.testing.assert_allclose(edited, expected.numpy(), rtol=1e-4, atol=1e-4)
