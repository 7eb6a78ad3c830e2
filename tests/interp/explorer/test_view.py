from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from data.errors import InputError
from data.rows import Row, SeedData
from data.tasks.alias_toy import AliasNames, IMLConfig
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import word_tokenizer
from data.vocabulary import WordOrder
from interp.explorer.grid import grid_of_view
from interp.explorer.shelf import SeedRows
from interp.explorer.tables import (
    TOP,
    answers_table,
    attention_table,
    chance,
    lens_quantities,
    lens_table,
)
from interp.explorer.view import Edit, GridCell, View, read_view
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from training.designs import recipe_design

WORDS = tuple(f"w{i}" for i in range(37))
ViewOf = Callable[[HookedModel, SeedRows], View]


def tokens_of(view: View) -> Tensor:
    return torch.tensor([view.question.input_ids[:-1]])


@pytest.fixture(scope="session")
def toy_seed() -> SeedRows:
    config = IMLConfig(
        sizes=SubsetSizes(defined=20, undefined=8, stage2=6),
        names=AliasNames(),
        word_order=WordOrder.TAE,
        shuffle_tags=False,
        n_entities=10,
        n_attributes=3,
        n_values=4,
        held_out_questions=1,
        fact_repeats=1,
    )
    data = config.build(0)
    return SeedRows(data, config.tokenizer(data), config.design)


def test_a_reading_has_the_models_own_log_probabilities(
    any_model: HookedModel, word_rows: SeedRows, view_of: ViewOf
) -> None:
    view = view_of(any_model, word_rows)
    expected = any_model.logits(tokens_of(view))[0, -1].log_softmax(-1)
    reading = read_view(view)
    assert torch.equal(reading.log_probs, expected)
    torch.testing.assert_close(reading.lens[-1], expected, atol=1e-5, rtol=0)
    assert reading.lens.shape == (any_model.n_layers + 1, any_model.d_vocab)


def test_a_readings_patterns_are_weights_over_the_prompt_so_far(
    any_model: HookedModel, word_rows: SeedRows, view_of: ViewOf
) -> None:
    patterns = read_view(view_of(any_model, word_rows)).patterns
    assert patterns.shape == (any_model.n_layers, any_model.n_heads, 3, 3)
    torch.testing.assert_close(patterns.sum(-1), torch.ones(patterns.shape[:-1]))
    assert patterns.triu(1).abs().max() == 0


def test_zeroing_every_head_is_zeroing_the_whole_site(
    any_model: HookedModel, word_rows: SeedRows, view_of: ViewOf
) -> None:
    view = view_of(any_model, word_rows)
    heads = [
        GridCell(site=Site("z", 1, head), role=TokenRole.QUESTION_LAST)
        for head in range(any_model.n_heads)
    ]

    def zero(activation: Tensor, hook: object) -> Tensor:
        return torch.cat([activation[:, :2], torch.zeros_like(activation[:, 2:])], 1)

    with any_model.hooks([("blocks.1.attn.hook_z", zero)]):
        expected = any_model.logits(tokens_of(view))[0, -1].log_softmax(-1)
    ablated = read_view(view, heads, Edit.ZERO).log_probs
    assert torch.equal(ablated, expected)
    assert not torch.allclose(ablated, read_view(view).log_probs, atol=1e-3)


def test_a_mean_ablation_writes_the_mean_over_the_questions(
    any_model: HookedModel, word_rows: SeedRows, view_of: ViewOf
) -> None:
    view = view_of(any_model, word_rows)
    asked = [row for about in word_rows.subjects["D5_CONS"].values() for row in about]
    tokens = torch.tensor([row.input_ids[:-1] for row in word_rows.tokenized(asked)])
    _, cache = any_model.run_with_cache(tokens, ["blocks.0.hook_mlp_out"])
    mean = cache["blocks.0.hook_mlp_out"].sum(0) / 3

    def write(activation: Tensor, hook: object) -> Tensor:
        return torch.stack([activation[:, 0], mean[None, 1], activation[:, 2]], 1)

    with any_model.hooks([("blocks.0.hook_mlp_out", write)]):
        expected = any_model.logits(tokens_of(view))[0, -1].log_softmax(-1)
    cell = GridCell(site=Site("mlp_out", 0), role=TokenRole.ALIAS_LAST)
    torch.testing.assert_close(read_view(view, [cell]).log_probs, expected, atol=1e-5, rtol=0)


def test_the_mean_of_one_question_alone_changes_nothing(
    neox: HookedModel, question_row: Callable[..., Row]
) -> None:
    data = SeedData(rows=(question_row("w1", "w9", "w11"),), words=WORDS)
    rows = SeedRows(data, word_tokenizer(WORDS), recipe_design("alias-toy"))
    question = rows.tokenized(rows.subjects["D5_CONS"]["w1"])[0]
    view = View(model=neox, rows=rows, question=question, corrupted=None)
    cell = GridCell(site=Site("attn_out", 0), role=TokenRole.QUESTION_LAST)
    after = read_view(view, [cell], Edit.MEAN).log_probs
    torch.testing.assert_close(after, read_view(view).log_probs, atol=1e-6, rtol=0)


def test_what_the_last_position_cannot_see_any_more_changes_nothing(
    neox: HookedModel, word_rows: SeedRows, view_of: ViewOf
) -> None:
    view = view_of(neox, word_rows)
    cell = GridCell(site=Site("mlp_out", 1), role=TokenRole.ALIAS_LAST)
    after = read_view(view, [cell], Edit.ZERO)
    assert torch.equal(after.log_probs, read_view(view).log_probs)


def test_a_cell_that_is_not_there_is_refused(
    neox: HookedModel, word_rows: SeedRows, view_of: ViewOf
) -> None:
    view = view_of(neox, word_rows)
    with pytest.raises(InputError, match="no tag"):
        read_view(view, [GridCell(site=Site("mlp_out", 0), role=TokenRole.TAG)])
    with pytest.raises(InputError, match="no layer 2"):
        read_view(view, [GridCell(site=Site("mlp_out", 2), role=TokenRole.ALIAS_LAST)])


def test_nothing_of_the_model_changes_also_where_a_pass_raises(
    neox: HookedModel,
    word_rows: SeedRows,
    view_of: ViewOf,
    state_of: Callable[[HookedModel], tuple[object, ...]],
) -> None:
    view = view_of(neox, word_rows)
    before = state_of(neox)
    cell = GridCell(site=Site("z", 0, 1), role=TokenRole.ALIAS_LAST)
    read_view(view, [cell])
    grid_of_view(view)
    beyond = GridCell(site=Site("z", 0, neox.n_heads), role=TokenRole.ALIAS_LAST)
    with pytest.raises(InputError, match="no head 4 at z of layer 0"):
        read_view(view, [beyond], Edit.ZERO)
    assert state_of(neox) == before


def toy_view(model: HookedModel, rows: SeedRows, subset: str) -> View:
    row = next(iter(rows.subjects[subset].values()))[0]
    return View(model=model, rows=rows, question=rows.tokenized([row])[0], corrupted=None)


@pytest.fixture(scope="session")
def wide(toy_seed: SeedRows) -> HookedModel:
    """A model with the toy's vocabulary."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        vocab_size=len(toy_seed.vocabulary()), hidden_size=16, intermediate_size=32,
        num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=32,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return HookedModel.from_hf(GPTNeoXForCausalLM(config).eval())


def test_the_true_answer_is_always_shown_and_marked(wide: HookedModel, toy_seed: SeedRows) -> None:
    view = toy_view(wide, toy_seed, "D5_CONS")
    reading = read_view(view)
    rank = int((reading.log_probs > reading.log_probs[view.question.input_ids[-1]]).sum())
    table = answers_table(view, reading)
    assert rank > TOP  # a random model: the answer would not be among the likeliest
    assert table.loc[table["is_answer"], "token"].tolist() == [view.question.row.rendered.answer]
    assert len(table) == TOP
    before = table["before"].tolist()
    assert before == sorted(before, reverse=True)
    assert before[0] == pytest.approx(float(reading.log_probs.exp().max()))
    assert np.isnan(table["after"].to_numpy()).all()
    assert True not in table["is_stated"].tolist()


def test_what_a_false_definition_implies_is_shown_beside_the_answer(
    wide: HookedModel, toy_seed: SeedRows
) -> None:
    definition_of = {a: r[0] for a, r in toy_seed._definitions.items()}
    for about in toy_seed.subjects["D2_INCONS_QA2"].values():
        row = about[0]
        view = View(
            model=wide, rows=toy_seed, question=toy_seed.tokenized([row])[0], corrupted=None
        )
        named = definition_of[row.alias].entity
        fact = next(
            r for r in toy_seed.subjects["QA4_NOT_REPLACED"][str(named)]
            if r.question == row.question
        )  # fmt: skip
        table = answers_table(view, read_view(view))
        stated = table.loc[table["is_stated"], "token"].tolist()
        is_same = fact.rendered.answer == row.rendered.answer
        assert stated == ([] if is_same else [fact.rendered.answer])
        assert ("stated answer" in lens_quantities(view)) is not is_same
        assert "stated entity" in lens_quantities(view)


def test_the_lens_table_has_means_over_everything_else_as_controls(
    wide: HookedModel, toy_seed: SeedRows
) -> None:
    view = toy_view(wide, toy_seed, "D5_CONS")
    reading = read_view(view)
    table = lens_table(view, reading, reading).set_index(["state", "quantity"])
    ids = toy_seed.vocabulary()
    entity, row = view.question.row.entity, view.question.row
    others = [i for name, i in ids.items() if name.startswith("entity") and name != entity]
    assert len(others) == 9
    expected = np.mean([float(reading.lens[1, i]) for i in others])
    assert table.loc[("stream after layer 0", "other entities (mean)"), "before"] == pytest.approx(
        expected
    )
    answer = float(reading.lens[2, ids[row.rendered.answer]])
    assert table.loc[("stream after layer 1", "answer"), "after"] == pytest.approx(answer)


def test_chance_is_one_of_the_values_of_the_attribute(
    wide: HookedModel, toy_seed: SeedRows
) -> None:
    view = toy_view(wide, toy_seed, "D5_CONS")
    question = view.question.row.question
    given = {
        row.rendered.answer
        for about in toy_seed.subjects.values()
        for rows in about.values()
        for row in rows
        if row.question == question
    }
    assert len(given) in (3, 4)
    assert chance(view) == 1 / len(given)


def test_one_heads_attention_is_its_pattern(
    neox: HookedModel, word_rows: SeedRows, view_of: ViewOf
) -> None:
    reading = read_view(view_of(neox, word_rows))
    table = attention_table(reading, head=(1, 2))
    assert len(table) == 9
    for row in table.to_dict("records"):
        expected = reading.patterns[1, 2, row["dest_pos"], row["src_pos"]]
        assert row["attention"] == float(expected)
    assert len(attention_table(reading)) == 9 * neox.n_layers * neox.n_heads
