from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from data.errors import InputError
from data.rows import prompt_row
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import Role
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from interp.interventions.base import Hook, Intervention, answer_table
from interp.interventions.knock_outs import PATTERN_HOOK, KnockOut, Route

StateOf = Callable[[HookedModel], tuple[object, ...]]
ALIAS_TO_LAST = Route(Role.ALIAS, TokenRole.PROMPT_LAST)


@pytest.fixture(scope="module")
def prompts() -> list[TokenizedRow]:
    """Five words, then the answer; the alias is the second and the third."""
    texts = ["w1 w2 w3 w4 w5 w6", "w9 w8 w7 w6 w5 w4", "w3 w1 w4 w1 w5 w9"]
    spans = {Role.ALIAS: (3, 8), Role.ENTITY: (9, 11), Role.QUESTION: (12, 14)}
    rows = [prompt_row(f"p{i}", text, text[-2:], spans=spans) for i, text in enumerate(texts)]
    return tokenize_rows(rows, word_tokenizer([f"w{i}" for i in range(37)]))


def log_probs(
    model: HookedModel, rows: Sequence[TokenizedRow], interventions: Sequence[Intervention] = ()
) -> Tensor:
    return torch.tensor(answer_table(model, rows, interventions)["answer_log_prob"].to_numpy())


class PatternEdit:
    """The same cut made in the pattern itself, where a model lets it be edited."""

    def __init__(self, layers: Sequence[int], heads: Sequence[int], sources: list[int]) -> None:
        self.layers, self.heads, self.sources = layers, heads, sources

    def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
        def edit(pattern: Tensor, hook: nn.Module) -> Tensor:
            edited = pattern.clone()
            for head in self.heads:
                edited[:, head, 4, self.sources] = 0
                edited[:, head, 4] /= edited[:, head, 4].sum(-1, keepdim=True)
            return edited

        return [(PATTERN_HOOK.format(layer=layer), edit) for layer in self.layers]


@pytest.mark.parametrize(
    ("layers", "heads"),
    [
        pytest.param((), (), id="everywhere"),
        pytest.param((1,), (0, 3), id="two heads"),
        pytest.param((0,), (), id="first layer"),
    ],
)
def test_a_knock_out_is_an_edit_of_the_pattern_where_that_can_be_edited(
    any_model: HookedModel,
    prompts: list[TokenizedRow],
    layers: tuple[int, ...],
    heads: tuple[int, ...],
):
    if PATTERN_HOOK.format(layer=0) not in any_model.editable_hooks:
        pytest.skip("its pattern cannot be edited; see the next test")
    edit = PatternEdit(layers or (0, 1), heads or range(4), [1, 2])
    expected = log_probs(any_model, prompts, [edit])

    knock_out = KnockOut(model=any_model, route=ALIAS_TO_LAST, layers=layers, heads=heads)
    found = log_probs(any_model, prompts, [knock_out])

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert (found - log_probs(any_model, prompts)).abs().max() > 1e-3


def test_on_gpt_neo_it_is_an_edit_of_the_plain_model_inside(
    random_model: Callable[[str], PreTrainedModel], prompts: list[TokenizedRow]
):
    """Hugging Face passes each pattern through a dropout layer before it is used."""
    plain = random_model("gpt-neo")
    model = HookedModel.from_hf(plain)

    def cut(module: nn.Module, args: object, pattern: Tensor) -> Tensor:
        edited = pattern.clone()
        edited[:, :, 4, 1:3] = 0
        edited[:, :, 4] /= edited[:, :, 4].sum(-1, keepdim=True)
        return edited

    for name, module in plain.named_modules():
        if name.endswith("attn_dropout"):
            module.register_forward_hook(cut)
    tokens = torch.tensor([row.input_ids for row in prompts])
    with torch.no_grad():
        expected = plain(tokens).logits[:, 4].log_softmax(-1).gather(1, tokens[:, 5:])[:, 0]

    for _ in range(2):  # a pattern of an earlier pass must not be taken for this one's
        found = log_probs(model, prompts, [KnockOut(model=model, route=ALIAS_TO_LAST)])
        torch.testing.assert_close(found.float(), expected, atol=1e-5, rtol=0)


def test_nothing_of_an_alias_that_no_token_sees_reaches_the_answer(
    any_model: HookedModel, prompts: list[TokenizedRow]
):
    other = [_with_alias(row, (20, 21)) for row in prompts]
    routes = [ALIAS_TO_LAST, Route(Role.ALIAS, Role.ENTITY)]
    cuts = [KnockOut(model=any_model, route=route) for route in routes]

    found, expected = (log_probs(any_model, rows, cuts) for rows in (prompts, other))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    before = log_probs(any_model, prompts) - log_probs(any_model, other)
    assert before.abs().max() > 1e-3


def _with_alias(row: TokenizedRow, tokens: tuple[int, int]) -> TokenizedRow:
    ids = (row.input_ids[0], *tokens, *row.input_ids[3:])
    return replace(row, input_ids=ids)


def test_a_token_with_nothing_left_to_see_reads_zero(neox: HookedModel):
    text = "w1 w2 w3"
    rows = tokenize_rows(
        [prompt_row("p", text, "w3", spans={Role.ALIAS: (0, 5)})],
        word_tokenizer([f"w{i}" for i in range(37)]),
    )
    seen: list[Tensor] = []

    class Reading:
        def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
            return [(Site("z", 0).hook, lambda z, hook: seen.append(z.clone()))]

    answer_table(neox, rows, [KnockOut(model=neox, route=ALIAS_TO_LAST, layers=(0,)), Reading()])

    assert (seen[0][0, 1] == 0).all()
    assert (seen[0][0, 0] != 0).any()


def test_the_control_cuts_as_many_other_tokens(neox: HookedModel, prompts: list[TokenizedRow]):
    drawn = set()
    for seed in range(60):
        control = KnockOut(model=neox, route=ALIAS_TO_LAST, control=seed)
        (cuts,) = [control._cuts(prompts[0])]
        assert list(cuts) == [4]
        drawn.add(tuple(sorted(cuts[4])))

    assert drawn == {(0, 3), (0, 4), (3, 4)}


def test_nothing_is_left_behind_by_a_knock_out_or_an_interrupt(
    any_model: HookedModel, prompts: list[TokenizedRow], state_of: StateOf
):
    class Interrupting:
        def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
            def fail(activation: Tensor, hook: nn.Module) -> None:
                raise KeyboardInterrupt

            return [(Site("resid_post", 0).hook, fail)]

    before = state_of(any_model)
    for control in (None, 0):
        knock_out = KnockOut(model=any_model, route=ALIAS_TO_LAST, control=control)
        answer_table(any_model, prompts, [knock_out])
        with pytest.raises(KeyboardInterrupt):
            answer_table(any_model, prompts, [knock_out, Interrupting()])

    assert state_of(any_model) == before


def test_a_route_is_written_with_an_arrow():
    route = Route.parse("alias -> prompt_last")

    assert route == ALIAS_TO_LAST
    assert str(route) == "alias->prompt_last"


def test_what_cannot_be_cut_is_said(neox: HookedModel, prompts: list[TokenizedRow]):
    with pytest.raises(InputError, match="write two places"):
        Route.parse("alias")
    with pytest.raises(InputError, match="comes after"):
        Route(Role.QUESTION, Role.ALIAS).cuts(prompts[0])
    with pytest.raises(InputError, match="no tag"):
        Route(Role.TAG, TokenRole.PROMPT_LAST).cuts(prompts[0])
    assert not Route(Role.TAG, TokenRole.PROMPT_LAST).is_in(prompts[0])
    with pytest.raises(InputError, match="no head 4 at z of layer 0, which has 4"):
        KnockOut(model=neox, route=ALIAS_TO_LAST, heads=(4,))
    with pytest.raises(InputError, match="no layer 2 in a model of 2"):
        KnockOut(model=neox, route=ALIAS_TO_LAST, layers=(2,))
