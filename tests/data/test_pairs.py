import hashlib
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.errors import InputError
from data.pairs import PairKind, check_pair, make_pairs, pairs_table
from data.tasks.alias_toy import AliasNames
from data.tokens import TokenizedRow
from data.vocabulary import WordOrder
from tests.data.hand_made_pairs import (
    KINDS_AND_ORDERS,
    NAMES,
    SUBSET_OF,
    SWAPPED_ROLE,
    TWO_TOKENS,
    definition,
    differing_words,
    pairs_of,
    question,
    tokenized,
)

MakeRows = Callable[..., list[TokenizedRow]]
MakeConfig = Callable[..., Any]


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize(("kind", "order"), KINDS_AND_ORDERS)
def test_prompts_differ_in_the_swapped_role_alone(
    kind: PairKind, order: str, names: AliasNames, toy: MakeRows
) -> None:
    pairs = pairs_of(toy(word_order=WordOrder(order), names=names), kind)
    for pair in pairs:
        first, last = pair.clean.spans[SWAPPED_ROLE[kind]]
        differing = differing_words(pair)
        assert differing
        assert differing <= set(range(first, last + 1))
        answers = [side.row.rendered.answer for side in (pair.clean, pair.corrupted)]
        assert answers[0].split()[0] != answers[1].split()[0]
        assert pair.corrupted_is_answerable is (kind is not PairKind.TAG)
        assert (pair.kind, pair.subset) == (kind, SUBSET_OF[kind])
        check_pair(pair)


@pytest.mark.parametrize("kind", [kind for kind in PairKind if kind is not PairKind.TAG])
def test_both_rows_of_a_pair_are_rows_of_the_data(kind: PairKind, toy: MakeRows) -> None:
    rows = toy()
    for pair in pairs_of(rows, kind):
        assert pair.clean in rows
        assert pair.corrupted in rows
        assert pair.clean.row.is_evaluated
        assert pair.corrupted.row.is_evaluated


@pytest.mark.parametrize(
    ("subset", "other"),
    [
        ("D5_CONS", "D6_CONS"),
        ("D6_CONS", "D5_CONS"),
        ("D1_CONS_QA1", "D2_INCONS_QA2"),
        ("D2_INCONS_QA2", "D1_CONS_QA1"),
    ],
)
def test_across_takes_the_corrupted_alias_from_the_twin_subset(
    subset: str, other: str, toy: MakeRows
) -> None:
    pairs = make_pairs(toy(), PairKind.ALIAS_ACROSS, subset=subset, limit=None, seed=0)
    assert {(p.clean.row.subset.name, p.corrupted.row.subset.name) for p in pairs} == {
        (subset, other)
    }


@pytest.mark.parametrize("subset", ["D1_CONS_QA1", "QA3", "D6_CONS", "QA7_UNSEEN", "D8_CONS"])
def test_alias_pairs_stay_in_their_subset(subset: str, toy: MakeRows) -> None:
    pairs = make_pairs(toy(), PairKind.ALIAS, subset=subset, limit=None, seed=0)
    assert (
        {p.clean.row.subset.name for p in pairs}
        == {p.corrupted.row.subset.name for p in pairs}
        == {subset}
    )


def test_foil_is_no_answer_that_the_same_definition_has_elsewhere() -> None:
    rows = tokenized(
        definition("D5_CONS", "rel", "foo", "paris", "eta"),
        definition("D5_CONS", "rel", "bar", "paris", "eta"),
        definition("D5_CONS", "rel", "baz", "rome", "eta"),
        definition("D6_CONS", "unr", "qux", "paris", "eta"),
    )
    foils = {p.clean.row.alias: p.corrupted.row.alias for p in pairs_of(rows, PairKind.TAG)}
    assert foils.keys() == {"foo", "bar", "baz"}
    assert foils["foo"] == foils["bar"] == "baz"
    assert foils["baz"] in {"foo", "bar"}


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("order", ["tae", "ate", "eta"])
@pytest.mark.parametrize("kind", [PairKind.ALIAS, PairKind.QUESTION, PairKind.TAG])
def test_source_toy_has_pairs_of_its_kinds(
    kind: PairKind, order: str, names: AliasNames, source_toy: MakeRows
) -> None:
    pairs = pairs_of(source_toy(word_order=WordOrder(order), names=names), kind)
    assert len({pair.clean.row.alias for pair in pairs}) == 4
    for pair in pairs:
        first, last = pair.clean.spans[SWAPPED_ROLE[kind]]
        assert differing_words(pair) <= set(range(first, last + 1))
        check_pair(pair)


def test_foil_of_a_source_statement_is_a_value_of_its_attribute(source_toy: MakeRows) -> None:
    for pair in pairs_of(source_toy(), PairKind.TAG):
        assert pair.corrupted.row.question == pair.clean.row.question
        assert pair.corrupted.row.rendered.answer.startswith(f"{pair.clean.row.question}=")


def test_answers_of_several_tokens_differ_in_the_first() -> None:
    rows = tokenized(
        question("foo", "home", "red brick house"),
        question("bar", "home", "red tent"),
        question("baz", "home", "old tent"),
    )
    pairs = pairs_of(rows, PairKind.ALIAS)
    partners = {p.clean.row.alias: p.corrupted.row.alias for p in pairs}
    assert partners["foo"] == partners["bar"] == "baz"
    assert partners["baz"] in {"foo", "bar"}
    by_alias = {p.clean.row.alias: p for p in pairs}
    assert by_alias["foo"].clean.answer_positions == (3, 4, 5)
    assert by_alias["foo"].n_tokens == 3


@pytest.mark.parametrize("kind", PairKind)
def test_no_clean_row_comes_twice(kind: PairKind, toy: MakeRows) -> None:
    clean = Counter(p.clean.row.row_id for p in pairs_of(toy(), kind))
    assert set(clean.values()) == {1}


@pytest.mark.parametrize("kind", PairKind)
def test_smaller_limit_gives_the_first_pairs(kind: PairKind, toy: MakeRows) -> None:
    rows = toy()
    everything = pairs_of(rows, kind)
    for limit in range(1, len(everything) + 2):
        assert pairs_of(rows, kind, limit=limit) == everything[:limit]


@pytest.mark.parametrize("kind", PairKind)
def test_order_of_the_rows_does_not_matter(kind: PairKind, toy: MakeRows) -> None:
    rows = toy()
    shuffled = random.Random(0).sample(rows, len(rows))
    assert pairs_of(shuffled, kind) == pairs_of(rows, kind)


def test_seed_decides_the_draw(toy: MakeRows) -> None:
    rows = toy()
    draws = {tuple(p.pair_id for p in pairs_of(rows, PairKind.ALIAS, seed=s)) for s in range(5)}
    assert len(draws) == 5


def test_global_random_state_is_not_read(toy: MakeRows) -> None:
    rows = toy()
    random.seed(3)
    first = pairs_of(rows, PairKind.ALIAS)
    random.seed(4)
    assert pairs_of(rows, PairKind.ALIAS) == first


PRINT_DIGEST = """
import hashlib
from data.tasks.alias_toy import AliasNames, IMLConfig
from data.pairs import PairKind, make_pairs
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import tokenize_rows, word_tokenizer
from data.vocabulary import WordOrder
config = IMLConfig(
    sizes=SubsetSizes(defined=12, undefined=5, stage2=4),
    names=AliasNames(tokens=2, syllables=12), word_order=WordOrder.TAE, shuffle_tags=False,
    n_entities=6, n_attributes=3, n_values=4, held_out_questions=1, fact_repeats=2,
)
drawn = config.build(0)
rows = tokenize_rows(drawn.rows, word_tokenizer(drawn.words))
subsets = ["D5_CONS"] * 3 + ["QA4_NOT_REPLACED", "D5_CONS"]
pairs = [p for kind, subset in zip(PairKind, subsets, strict=True)
         for p in make_pairs(rows, kind, subset=subset, limit=None, seed=0)]
print(hashlib.sha256(repr(pairs).encode()).hexdigest())
"""


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_pairs_are_the_same_in_every_process(hash_seed: str, toy: MakeRows, tmp_path: Path) -> None:
    rows = toy(names=TWO_TOKENS)
    pairs = [pair for kind in PairKind for pair in pairs_of(rows, kind)]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", PRINT_DIGEST],
        cwd=tmp_path,
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == hashlib.sha256(repr(pairs).encode()).hexdigest()


def test_table_has_texts_and_ids_of_each_pair() -> None:
    rows = tokenized(question("foo", "home", "red brick"), question("bar", "home", "blue"))
    table = pairs_table(pairs_of(rows, PairKind.ALIAS))
    record = table.set_index("clean_row_id").loc["D5_CONS/qa/foo/home"].to_dict()
    # The vocabulary is [PAD] [END] [UNK] ask bar blue brick foo home red.
    assert record == {
        "pair_id": "D5_CONS/qa/foo/home|D5_CONS/qa/bar/home",
        "kind": "alias",
        "subset": "D5_CONS",
        "clean": "ask foo home",
        "corrupted": "ask bar home",
        "clean_answer": "red brick",
        "corrupted_answer": "blue",
        "n_tokens": 3,
        "corrupted_is_answerable": True,
        "corrupted_row_id": "D5_CONS/qa/bar/home",
        "clean_answer_token": 9,
        "corrupted_answer_token": 5,
        "clean_input_ids": [3, 7, 8, 9, 6],
        "corrupted_input_ids": [3, 4, 8, 5],
    }
    assert len(table) == 2


def test_table_of_no_pairs_is_an_error() -> None:
    with pytest.raises(InputError, match="empty set of pairs"):
        pairs_table([])
