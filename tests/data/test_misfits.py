"""Pairs that are none, and rows that pairs cannot be made of."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from data.errors import InputError
from data.pairs import PairKind, PromptPair, check_pair, make_pairs
from data.rows import Row
from data.tokens import TokenizedRow
from data.vocabulary import Role
from tests.data.hand_made_pairs import pairs_of, question, tokenized

MakeRows = Callable[..., list[TokenizedRow]]


def hand_made(clean: Row, corrupted: Row) -> PromptPair:
    first, second = tokenized(clean, corrupted)
    return PromptPair(
        kind=PairKind.ALIAS,
        subset="D5_CONS",
        clean=first,
        corrupted=second,
        corrupted_is_answerable=True,
    )


def without_role(row: Row, role: Role) -> Row:
    spans = {r: span for r, span in row.rendered.spans.items() if r is not role}
    return replace(row, rendered=replace(row.rendered, spans=spans))


def test_fitting_pair_passes_the_check() -> None:
    check_pair(hand_made(question("foo", "home", "red"), question("bar", "home", "blue")))


@pytest.mark.parametrize(
    ("clean", "corrupted", "message"),
    [
        pytest.param(
            question("foo", "home", "red"),
            question("bar fly", "home", "blue"),
            "unequal length: .* 3 and 4 tokens before the answer",
            id="length",
        ),
        pytest.param(
            question("foo", "home", "red"),
            without_role(question("bar", "home", "blue"), Role.ALIAS),
            "lacks the role alias",
            id="role missing in the corrupted",
        ),
        pytest.param(
            without_role(question("foo", "home", "red"), Role.QUESTION),
            question("bar", "home", "blue"),
            "lacks the role question",
            id="role missing in the clean",
        ),
        pytest.param(
            question("foo", "home town", "red"),
            question("bar fly", "home", "blue"),
            "the role alias, question is at other tokens",
            id="places",
        ),
        pytest.param(
            question("foo", "home", "red brick"),
            question("bar", "home", "red tent"),
            "'red brick', 'red tent'.* begin with the same token",
            id="answer",
        ),
    ],
)
def test_misfit_is_refused_by_the_check(clean: Row, corrupted: Row, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_pair(hand_made(clean, corrupted))


@pytest.mark.parametrize("kind", PairKind)
def test_unknown_subset_is_an_error(kind: PairKind, toy: MakeRows) -> None:
    with pytest.raises(InputError, match="no subset 'D7'"):
        make_pairs(toy(), kind, subset="D7", limit=None, seed=0)


@pytest.mark.parametrize(
    ("kind", "subset"),
    [
        (PairKind.ALIAS, "QA4_NOT_REPLACED"),
        (PairKind.QUESTION, "QA4_NOT_REPLACED"),
        (PairKind.ALIAS_ACROSS, "QA3"),
        (PairKind.ALIAS_ACROSS, "D8_CONS"),
        (PairKind.TAG, "QA3"),
        (PairKind.TAG, "D8_CONS"),
        (PairKind.ENTITY, "D5_CONS"),
    ],
)
def test_subset_without_the_kind_is_an_error(kind: PairKind, subset: str, toy: MakeRows) -> None:
    with pytest.raises(InputError, match=f"{subset} has no prompts for pairs of kind {kind}; use"):
        make_pairs(toy(), kind, subset=subset, limit=None, seed=0)


@pytest.mark.parametrize("kind", [PairKind.ALIAS, PairKind.TAG])
def test_subset_that_this_data_lacks_is_an_error(kind: PairKind, toy: MakeRows) -> None:
    with pytest.raises(InputError, match="no subset 'D9_INCONS_QA9'; did you mean"):
        make_pairs(toy(), kind, subset="D9_INCONS_QA9", limit=None, seed=0)


def test_source_toy_has_no_entities_to_swap(source_toy: MakeRows) -> None:
    with pytest.raises(InputError, match="no subset 'QA4_NOT_REPLACED'"):
        pairs_of(source_toy(), PairKind.ENTITY)


def test_no_rows_are_an_error() -> None:
    with pytest.raises(InputError, match="empty set of pairs"):
        pairs_of([], PairKind.ALIAS)


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_below_one_is_an_error(limit: int, toy: MakeRows) -> None:
    with pytest.raises(InputError, match=f"limit is {limit}"):
        pairs_of(toy(), PairKind.ALIAS, limit=limit)


def test_rows_of_two_seeds_are_an_error(toy: MakeRows) -> None:
    with pytest.raises(InputError, match="is there 2 times; pass the rows of one seed"):
        pairs_of([*toy(0), *toy(1)], PairKind.ALIAS)
