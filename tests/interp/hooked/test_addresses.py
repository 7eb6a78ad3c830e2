from collections.abc import Callable
from dataclasses import replace

import pytest

from data.errors import InputError
from data.rows import prompt_row
from data.tasks.alias_toy import AliasNames
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import Kind, WordOrder
from interp.hooked.addresses import (
    SITE_HOOKS,
    Site,
    TokenRole,
    check_residual,
    check_site_name,
    role_positions,
)

ToyRows = Callable[..., list[TokenizedRow]]
orders_and_lengths = pytest.mark.parametrize(
    ("order", "n_tokens"), [(order, n) for order in WordOrder for n in range(1, 6)]
)


def rows_of(toy_rows: ToyRows, order: WordOrder, n_tokens: int, kind: Kind) -> list[TokenizedRow]:
    rows = toy_rows(word_order=order, names=AliasNames(tokens=n_tokens, syllables=20))
    return [row for row in rows if row.row.kind is kind and row.row.alias is not None]


@orders_and_lengths
def test_roles_of_a_definition_stand_where_its_word_order_puts_them(
    toy_rows: ToyRows, order: WordOrder, n_tokens: int
):
    lengths = {"t": 1, "a": n_tokens, "e": 1}
    starts, place = {}, 0
    for i, letter in enumerate(order):
        place += i == 2  # the copula stands before the last element
        starts[letter] = place
        place += lengths[letter]
    expected = {
        TokenRole.TAG: starts["t"],
        TokenRole.ALIAS_FIRST: starts["a"],
        TokenRole.ALIAS_LAST: starts["a"] + n_tokens - 1,
        TokenRole.ENTITY_FIRST: starts["e"],
        TokenRole.ENTITY_LAST: starts["e"],
        TokenRole.ANSWER_FIRST: starts[order[2]],
        TokenRole.ANSWER_LAST: starts[order[2]] + lengths[order[2]] - 1,
        TokenRole.PROMPT_LAST: starts[order[2]] - 1,
    }
    rows = rows_of(toy_rows, order, n_tokens, Kind.DEFINITION)

    assert len(rows) > 40
    for role, position in expected.items():
        assert set(role_positions(rows, role)) == {position}, role


@orders_and_lengths
def test_roles_of_a_question_follow_its_subject(toy_rows: ToyRows, order: WordOrder, n_tokens: int):
    alias = 0 if order.startswith("a") else 1  # "alias ask question" or "ask alias question"
    expected = {
        TokenRole.ALIAS_FIRST: alias,
        TokenRole.ALIAS_LAST: alias + n_tokens - 1,
        TokenRole.QUESTION_FIRST: n_tokens + 1,
        TokenRole.QUESTION_LAST: n_tokens + 1,
        TokenRole.PROMPT_LAST: n_tokens + 1,
        TokenRole.ANSWER_FIRST: n_tokens + 2,
        TokenRole.ANSWER_LAST: n_tokens + 2,
    }
    rows = rows_of(toy_rows, order, n_tokens, Kind.QA)

    for role, position in expected.items():
        assert set(role_positions(rows, role)) == {position}, role


@pytest.mark.parametrize(
    ("kind", "role"),
    [
        (Kind.QA, TokenRole.TAG),
        (Kind.QA, TokenRole.ENTITY_FIRST),
        (Kind.QA, TokenRole.ENTITY_LAST),
        (Kind.DEFINITION, TokenRole.QUESTION_FIRST),
        (Kind.DEFINITION, TokenRole.QUESTION_LAST),
    ],
)
def test_a_role_that_a_row_lacks_is_refused(toy_rows: ToyRows, kind: Kind, role: TokenRole):
    rows = rows_of(toy_rows, WordOrder.TAE, 1, kind)

    with pytest.raises(InputError, match=rf"{rows[0].row.row_id}.*has no {role}; choose other"):
        role_positions(rows, role)


def test_nothing_stands_before_an_answer_that_begins_the_row(toy_rows: ToyRows):
    row = replace(toy_rows()[0], answer_positions=(0,))

    with pytest.raises(InputError, match="has no prompt_last"):
        TokenRole.PROMPT_LAST.position(row)


def test_an_answer_of_several_tokens_has_a_first_and_a_last():
    row = prompt_row("one", "the cat sat down", "sat down")
    (tokenized,) = tokenize_rows([row], word_tokenizer(["the", "cat", "sat", "down"]))

    assert TokenRole.PROMPT_LAST.position(tokenized) == 1
    assert TokenRole.ANSWER_FIRST.position(tokenized) == 2
    assert TokenRole.ANSWER_LAST.position(tokenized) == 3


def test_a_role_is_parsed_in_either_case():
    assert TokenRole.parse("ALIAS_LAST") is TokenRole.ALIAS_LAST
    assert TokenRole.parse("alias_last") is TokenRole.ALIAS_LAST


def test_an_unknown_role_is_refused_with_all_choices():
    with pytest.raises(InputError, match="no role 'alias'; did you mean alias_first or alias_last"):
        TokenRole.parse("alias")


def test_a_site_names_its_hook():
    assert Site("resid_post", 3).hook == "blocks.3.hook_resid_post"
    assert Site("z", 0, 2).hook == "blocks.0.attn.hook_z"


def test_an_unknown_site_is_refused_with_all_choices():
    with pytest.raises(InputError, match=r"no site 'hidden'; choose one of resid_pre.*z$"):
        check_site_name("hidden")


def test_a_lens_may_read_the_residual_stream_only():
    check_residual(["resid_pre", "resid_mid", "resid_post"])
    for name in set(SITE_HOOKS) - {"resid_pre", "resid_mid", "resid_post"}:
        with pytest.raises(InputError, match=f"not {name}; choose resid_pre"):
            check_residual(["resid_pre", name])
