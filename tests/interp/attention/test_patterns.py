from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Role
from interp.attention import patterns as attention
from interp.attention.patterns import (
    attention_by_role,
    check_head,
    even_attention,
    token_attention,
    token_roles,
)
from interp.hooked.model import HookedModel

LAYERS = (0, 1)


def slow_weight(
    model: HookedModel, row: TokenizedRow, layer: int, head: int, dest: list[int], src: list[int]
) -> float:
    """Read token by token from a pass of this row alone."""
    name = f"blocks.{layer}.attn.hook_pattern"
    _, cache = model.run_with_cache(torch.tensor([row.input_ids]), [name])
    pattern = cache[name][0, head].double()
    return sum(pattern[q, k].item() for q in dest for k in src) / len(dest)


def with_two_roles(row: TokenizedRow) -> TokenizedRow:
    """The alias is the first two tokens, the question the third."""
    return replace(row, spans={Role.ALIAS: (0, 1), Role.QUESTION: (2, 2)})


@pytest.fixture
def long_prompts(word_prompts: list[TokenizedRow]) -> list[TokenizedRow]:
    return [with_two_roles(row) for row in word_prompts if len(row.input_ids) > 4]


def test_the_weights_of_a_destination_sum_to_one(
    any_model: HookedModel, long_prompts: list[TokenizedRow]
):
    found = attention_by_role(any_model, long_prompts)

    assert found.destinations == ("alias", "question", "other", "prompt_last")
    assert found.weights.shape == (len(long_prompts), 2, 4, 4, 3)
    assert found.weights.sum(-1) == pytest.approx(1, abs=1e-6)
    assert found.uniform.sum(-1) == pytest.approx(1, abs=1e-12)


def test_weights_are_those_of_each_row_read_alone(
    any_model: HookedModel, long_prompts: list[TokenizedRow]
):
    found = attention_by_role(any_model, long_prompts, batch_size=2)

    for i in (0, 3):
        row = long_prompts[i]
        n_pos = len(row.input_ids)
        tokens = {"alias": [0, 1], "question": [2], "other": list(range(3, n_pos))}
        for layer in LAYERS:
            for d, dest in enumerate(["alias", "question", "other"]):
                for s, src in enumerate(["alias", "question", "other"]):
                    expected = slow_weight(any_model, row, layer, 3, tokens[dest], tokens[src])
                    assert found.weights[i, layer, 3, d, s] == pytest.approx(expected, abs=1e-5)
            expected = slow_weight(any_model, row, layer, 0, [n_pos - 2], [0, 1])
            assert found.weights[i, layer, 0, 3, 0] == pytest.approx(expected, abs=1e-5)


def test_even_attention_is_one_over_the_number_of_visible_tokens(
    neox: HookedModel, long_prompts: list[TokenizedRow]
):
    row = long_prompts[0]  # five tokens: alias alias question other other
    uniform = attention_by_role(neox, [row]).uniform[0]

    # From alias to alias (1 + 2/2) / 2; from the question 2 of 3; from other 2/4 and 2/5.
    assert uniform[:, 0] == pytest.approx([1, 2 / 3, (2 / 4 + 2 / 5) / 2, 2 / 4])
    assert uniform[0, 1:].tolist() == [0, 0]


def test_a_model_without_preferences_attends_evenly(
    random_model: Callable[[str], torch.nn.Module], long_prompts: list[TokenizedRow]
):
    plain = random_model("gpt2")
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            if "c_attn" in name:
                parameter[..., :16] = 0  # queries
    model = HookedModel.from_hf(plain)  # pyright: ignore[reportArgumentType]
    found = attention_by_role(model, long_prompts)

    expected = np.broadcast_to(found.uniform[:, None, None], found.weights.shape)
    assert found.weights == pytest.approx(expected, abs=1e-6)


def test_roles_that_some_rows_lack_are_not_told_apart_unless_asked(
    neox: HookedModel, long_prompts: list[TokenizedRow], word_prompts: list[TokenizedRow]
):
    mixed = [*long_prompts, word_prompts[1]]

    assert attention_by_role(neox, mixed).sources == ("alias", "other")
    with pytest.raises(InputError, match=r"prompt 1 .* has no question; choose other rows"):
        attention_by_role(neox, mixed, roles=[Role.QUESTION])


def test_a_destination_that_some_rows_lack_is_averaged_over_the_others(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    whole = replace(word_prompts[1], spans={Role.ALIAS: (0, 2)})
    table = attention_by_role(neox, [whole, word_prompts[0]]).mean()
    alone = attention_by_role(neox, [word_prompts[0]]).mean()
    of_other = table.loc[table["destination"] == "other"].reset_index(drop=True)

    assert set(of_other["n"]) == {1}
    assert set(table.loc[table["destination"] == "alias", "n"]) == {2}
    expected = alone.loc[alone["destination"] == "other", "attention"]
    assert of_other["attention"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-6)


def test_of_overlapping_spans_the_later_role_counts(word_prompts: list[TokenizedRow]):
    row = replace(word_prompts[0], spans={Role.ANSWER: (3, 4), Role.ALIAS: (1, 3)})

    assert token_roles(row) == ["other", "alias", "alias", "answer", "answer"]


def test_a_rows_pattern_is_the_models(any_model: HookedModel, word_prompts: list[TokenizedRow]):
    row = word_prompts[2]
    table = token_attention(any_model, row, layers=[1])
    cell = table.set_index(["layer", "head", "dest_pos", "src_pos"])["attention"]

    assert len(table) == 4 * 8 * 8
    expected = slow_weight(any_model, row, 1, 2, [5], [3])
    assert cell.loc[(1, 2, 5, 3)] == pytest.approx(expected, abs=1e-6)


def test_layers_and_heads_out_of_range_are_refused(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    with pytest.raises(InputError, match="no layer 2 in a model of 2; choose from 0 to 1"):
        attention_by_role(neox, word_prompts, layers=[2])
    with pytest.raises(
        InputError, match="no head 4 at z of layer 0, which has 4; choose from 0 to 3"
    ):
        check_head(neox, 0, 4)
    with pytest.raises(InputError, match="no layers were named"):
        attention_by_role(neox, word_prompts, layers=[])


def test_no_rows_and_rows_beyond_the_context_are_refused(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    long = replace(word_prompts[0], input_ids=(3,) * 33)

    with pytest.raises(InputError, match="no rows to look at"):
        attention_by_role(neox, [])
    with pytest.raises(InputError, match="has 33 tokens, this gpt_neox model reads 32"):
        attention_by_role(neox, [long])


def test_the_model_stays_as_it_was(
    any_model: HookedModel,
    word_prompts: list[TokenizedRow],
    state_of: Callable[[HookedModel], tuple[object, ...]],
):
    before = state_of(any_model)
    attention_by_role(any_model, word_prompts)
    token_attention(any_model, word_prompts[0])

    assert state_of(any_model) == before


def test_the_model_stays_as_it_was_when_a_hook_raises(
    neox: HookedModel,
    word_prompts: list[TokenizedRow],
    state_of: Callable[[HookedModel], tuple[object, ...]],
):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    before = state_of(neox)
    with (
        pytest.raises(RuntimeError, match="planted"),
        neox.hooks([("blocks.1.attn.hook_v", fail)]),
    ):
        attention_by_role(neox, word_prompts)
    assert state_of(neox) == before


def test_the_model_stays_as_it_was_when_the_averaging_raises(
    neox: HookedModel,
    word_prompts: list[TokenizedRow],
    state_of: Callable[[HookedModel], tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
):
    def fail(_: int) -> torch.Tensor:
        raise KeyboardInterrupt

    monkeypatch.setattr(attention, "even_attention", fail)
    before = state_of(neox)
    with pytest.raises(KeyboardInterrupt):
        attention_by_role(neox, word_prompts)
    assert state_of(neox) == before


def test_even_attention_of_three_tokens():
    expected = [[1, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]]

    assert even_attention(3).numpy() == pytest.approx(np.array(expected))
