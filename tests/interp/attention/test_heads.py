from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Role
from interp.attention import heads as attention_heads
from interp.attention.heads import read_heads, visible_roles
from interp.hooked.model import HookedModel
from interp.lenses.attribution import attribute_logits


def with_alias(rows: list[TokenizedRow], first: int, last: int) -> list[TokenizedRow]:
    return [
        replace(row, spans={Role.ALIAS: (first, last)}) for row in rows if len(row.input_ids) > 4
    ]


@torch.no_grad()
def slow_parts(
    view: HookedModel, row: TokenizedRow, layer: int, head: int
) -> tuple[torch.Tensor, float]:
    """What each token gives a head's output at the prompt's end, and the final norm's scale."""
    end = row.answer_positions[0] - 1
    names = [f"blocks.{layer}.attn.hook_pattern", f"blocks.{layer}.attn.hook_v"]
    last = f"blocks.{view.n_layers - 1}.hook_resid_post"
    _, cache = view.run_with_cache(
        torch.tensor([row.input_ids]), [*names, last], stop_at_layer=None
    )
    pattern, v = (cache[name][0].double() for name in names)
    group = head // (view.n_heads // v.shape[1])
    W_O = view.bridge.W_O[layer, head].double()
    written = torch.stack([pattern[head, end, k] * v[k, group] @ W_O for k in range(end + 1)])
    resid = cache[last][0, end].double()
    return written, float((resid.square().mean() + view.bridge.cfg.eps).sqrt())


def answer_of(row: TokenizedRow) -> int:
    return row.input_ids[row.answer_positions[0]]


def test_readings_are_those_computed_token_by_token(
    any_model: HookedModel, word_prompts: list[TokenizedRow]
):
    rows = with_alias(word_prompts, 1, 2)
    found = read_heads(any_model, rows, batch_size=3)
    view = any_model.processed()
    W_U = view.W_U.double()

    for i in (0, 2):
        others = [answer_of(row) for j, row in enumerate(rows) if j != i]
        for layer, head in ((0, 1), (1, 3)):
            written, scale = slow_parts(view, rows[i], layer, head)
            moved = written[1:3].sum(0)
            rest = [0, *range(3, len(written))]
            pairs = [written[[a, b]].sum(0).norm() for a, b in pairwise(rest)]
            control = (moved @ W_U[:, others]).mean() / scale
            cell = (i, layer, head, 0)
            assert found.value_norm[cell] == pytest.approx(moved.norm().item(), rel=1e-4)
            assert found.value_norm_control[cell] == pytest.approx(
                torch.stack(pairs).mean().item(), rel=1e-4
            )
            expected = (moved @ W_U[:, answer_of(rows[i])]).item() / scale
            assert found.direct_logit[cell] == pytest.approx(expected, abs=1e-4)
            assert found.direct_logit_control[cell] == pytest.approx(control.item(), abs=1e-4)
            every = (written.sum(0) @ W_U[:, answer_of(rows[i])]).item() / scale
            assert found.direct_logit[i, layer, head, 1] == pytest.approx(every, abs=1e-4)


def test_the_heads_and_their_bias_sum_to_the_attention_layer(
    any_model: HookedModel, word_prompts: list[TokenizedRow]
):
    rows = word_prompts
    found = read_heads(any_model, rows)
    parts = attribute_logits(any_model, rows).set_index(["component", "layer", "row"])["logit"]
    view = any_model.processed()

    for layer in range(2):
        b_O = view.bridge.blocks[layer].attn.b_O
        b_O = torch.zeros(16) if b_O is None else b_O.detach()
        for i, row in enumerate(rows):
            _, scale = slow_parts(view, row, layer, 0)
            bias = (b_O @ view.W_U[:, answer_of(row)]).item() / scale
            total = found.direct_logit[i, layer, :, -1].sum() + bias
            assert total == pytest.approx(parts.loc[("attn_out", layer, i)], abs=1e-4)


@torch.no_grad()
def copying_model(plain: torch.nn.Module, *, layer: int, head: int) -> HookedModel:
    """Attention is even, and only this head writes: what it saw, in four dimensions."""
    for name, parameter in plain.named_parameters():
        if "attention" in name or "mlp" in name:
            parameter.zero_()
        if "query_key_value.weight" in name and f"layers.{layer}." in name:
            values = parameter.view(4, 3, 4, 16)[head, 2]  # [head, qkv, d_head, d_model]
            values[:, :4] = torch.eye(4)
        if "attention.dense.weight" in name and f"layers.{layer}." in name:
            parameter[:4, 4 * head : 4 * head + 4] = torch.eye(4)
    return HookedModel.from_hf(plain)  # pyright: ignore[reportArgumentType]


def test_a_planted_copying_head_is_found_and_no_other(
    random_model: Callable[[str], torch.nn.Module], word_prompts: list[TokenizedRow]
):
    model = copying_model(random_model("neox-sequential"), layer=1, head=2)
    # The answer is the alias itself.
    rows = [replace(row, input_ids=(*row.input_ids[:-1], row.input_ids[0])) for row in word_prompts]
    found = read_heads(model, rows)
    excess = (found.direct_logit - found.direct_logit_control)[..., 0].mean(0)
    others = np.delete(excess.ravel(), 1 * 4 + 2)

    assert excess[1, 2] > 0.05
    assert np.abs(others).max() == 0
    assert np.delete(found.value_norm.mean(0).ravel(), 1 * 4 + 2).max() == 0
    assert found.value_norm[:, 1, 2].min() > 0


def test_a_planted_head_adds_nothing_to_unrelated_answers(
    random_model: Callable[[str], torch.nn.Module], word_prompts: list[TokenizedRow]
):
    model = copying_model(random_model("neox-sequential"), layer=1, head=2)
    words = sorted({row.input_ids[0] for row in word_prompts})
    answers = np.random.default_rng(0).choice(words, size=(400,))
    rows = [
        replace(row, input_ids=(*row.input_ids[:-1], int(answer)))
        for row, answer in zip(word_prompts * 44, answers, strict=False)
    ]
    found = read_heads(model, rows)
    excess = (found.direct_logit - found.direct_logit_control)[:, 1, 2, 0]

    assert abs(excess.mean()) < 3 * excess.std() / np.sqrt(len(excess))


def test_equal_answers_leave_nothing_above_the_control(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    rows = [replace(row, input_ids=(*row.input_ids[:-1], 9)) for row in word_prompts]
    found = read_heads(neox, rows)

    assert np.abs(found.direct_logit).max() > 0.01
    assert found.direct_logit == pytest.approx(found.direct_logit_control, abs=1e-9)


def asked(row: TokenizedRow, question: str) -> TokenizedRow:
    return replace(row, row=replace(row.row, question=question))


def test_answers_are_held_against_those_to_the_same_question(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    rows = [asked(row, q) for row, q in zip(word_prompts[:5], "abaca", strict=True)]
    found = read_heads(neox, rows)
    alone = read_heads(neox, [rows[0], rows[2], rows[4]])

    assert np.isnan(found.direct_logit_control[[1, 3]]).all()
    kept = found.direct_logit_control[[0, 2, 4]]
    assert kept == pytest.approx(alone.direct_logit_control, abs=1e-6)


def test_without_two_rows_of_a_question_there_is_no_control(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    with pytest.raises(InputError, match="no two rows have the same question"):
        read_heads(neox, [asked(word_prompts[0], "a"), asked(word_prompts[1], "b")])


def test_roles_that_are_missing_or_not_before_the_answer_are_refused(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    behind = with_alias(word_prompts, 4, 4)[:1]
    whole = [replace(word_prompts[1], spans={Role.ALIAS: (0, 1)})]

    with pytest.raises(InputError, match=r"prompt 0 .* has no tag; choose other rows"):
        read_heads(neox, word_prompts, sources=[Role.TAG])
    with pytest.raises(InputError, match="alias is not before the answer"):
        read_heads(neox, behind)
    with pytest.raises(InputError, match="has only alias before the answer"):
        read_heads(neox, whole)
    with pytest.raises(InputError, match="no layer 7"):
        read_heads(neox, word_prompts, layers=[7])


def test_visible_roles_are_those_before_the_answer_in_every_row(
    toy_rows: Callable[..., list[TokenizedRow]],
):
    rows = [row for row in toy_rows() if row.row.subset.name == "D5_CONS"]
    questions = [row for row in rows if row.row.kind == "qa"]
    definitions = [row for row in rows if row.row.kind == "definition"]

    assert visible_roles(questions) == (Role.ALIAS, Role.QUESTION)
    assert visible_roles(definitions) == (Role.TAG, Role.ALIAS)
    assert visible_roles(rows) == (Role.ALIAS,)


def test_the_model_stays_as_it_was(
    any_model: HookedModel,
    word_prompts: list[TokenizedRow],
    state_of: Callable[[HookedModel], tuple[object, ...]],
):
    before = state_of(any_model)
    read_heads(any_model, word_prompts)

    assert state_of(any_model) == before


def test_the_model_stays_as_it_was_when_reading_raises(
    neox: HookedModel,
    word_prompts: list[TokenizedRow],
    state_of: Callable[[HookedModel], tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
):
    def fail(*_: object) -> torch.Tensor:
        raise KeyboardInterrupt

    monkeypatch.setattr(attention_heads, "_norms", fail)
    before = state_of(neox)
    with pytest.raises(KeyboardInterrupt):
        read_heads(neox, word_prompts)
    assert state_of(neox) == before
