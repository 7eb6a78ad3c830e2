from collections import Counter
from collections.abc import Callable

import pytest

from data.errors import InputError
from data.pairs import PairKind, make_pairs
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import TokenizedRow
from tests.data.hand_made_pairs import pairs_of, question, tokenized

MakeRows = Callable[..., list[TokenizedRow]]


def test_partners_are_of_the_same_length() -> None:
    rows = tokenized(
        question("foo", "home", "red"),
        question("foo fly", "home", "green"),
        question("bar", "home", "blue"),
        question("bar fly", "home", "grey"),
        question("three word name", "home", "black"),
    )
    partners = {p.clean.row.alias: p.corrupted.row.alias for p in pairs_of(rows, PairKind.ALIAS)}
    assert partners == {"foo": "bar", "bar": "foo", "foo fly": "bar fly", "bar fly": "foo fly"}


def test_partners_have_their_roles_at_the_same_tokens() -> None:
    rows = tokenized(
        question("foo", "home town", "red"),
        question("foo", "job", "green"),
        question("bar fly", "job", "blue"),
    )
    with pytest.raises(InputError, match="prompt pair of unequal length"):
        pairs_of(rows, PairKind.ALIAS)


@pytest.mark.parametrize("kind", PairKind)
def test_aliases_are_used_equally_often(kind: PairKind, toy: MakeRows) -> None:
    rows = toy(n_values=40, n_entities=12)
    for limit in (None, 4, 7):
        pairs = pairs_of(rows, kind, limit=limit)
        clean = Counter(p.clean.row.alias or p.clean.row.entity for p in pairs)
        of_subset = {p.clean.row.alias or p.clean.row.entity for p in pairs_of(rows, kind)}
        counts = [clean[subject] for subject in of_subset]
        assert max(counts) - min(counts) <= 1


def test_partners_are_used_equally_often(toy: MakeRows) -> None:
    rows = toy(sizes=SubsetSizes(defined=12, undefined=5, stage2=30), n_entities=12)
    pairs = pairs_of(rows, PairKind.ALIAS)
    used = Counter(p.corrupted.row.alias for p in pairs)
    # 90 pairs over 30 aliases; partners drawn without regard to use would leave some at 0.
    assert len(pairs) == 90
    assert len(used) == 30
    assert set(used.values()) <= {2, 3, 4}


def test_one_evaluated_question_an_alias_leaves_no_question_to_swap(toy: MakeRows) -> None:
    with pytest.raises(InputError, match=r"empty set of pairs: .*question pairs of D1_CONS_QA1"):
        make_pairs(toy(), PairKind.QUESTION, subset="D1_CONS_QA1", limit=None, seed=0)


def test_answers_that_all_begin_alike_are_an_error() -> None:
    rows = tokenized(question("foo", "home", "red brick"), question("bar", "home", "red tent"))
    with pytest.raises(InputError, match=r"empty set of pairs: .*begins with another token"):
        pairs_of(rows, PairKind.ALIAS)


def test_no_two_prompts_of_equal_length_are_an_error() -> None:
    rows = tokenized(question("foo", "home", "red"), question("bar fly", "home", "blue"))
    with pytest.raises(
        InputError, match=r"^prompt pair of unequal length: .*alias pairs of D5_CONS.*3 .*4\); use"
    ):
        pairs_of(rows, PairKind.ALIAS)
