from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.errors import InputError
from data.pairs import PairKind, make_pairs
from data.statements import Definition
from data.tasks.alias_toy import AliasNames, IMLConfig
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import Role, Split, WordOrder
from tests.data.hand_made_pairs import (
    NAMES,
    TAG_IN_ANSWER,
    definition,
    pairs_of,
    tokenized,
    tokenizer_of,
)

MakeRows = Callable[..., list[TokenizedRow]]
MakeConfig = Callable[..., Any]
PYTHIA = Path(__file__).parents[2].parent / "shared" / "data" / "tokenizers" / "20B_tokenizer.json"


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("order", ["tae", "tea", "ate", "eta"])
@pytest.mark.parametrize("subset", ["D1_CONS_QA1", "D2_INCONS_QA2", "D6_CONS"])
def test_definition_with_the_other_tag_is_what_the_tokenizer_makes_of_its_text(
    subset: str, order: str, names: AliasNames, iml_config: MakeConfig
) -> None:
    drawn = iml_config(word_order=WordOrder(order), names=names).build(0)
    tokenizer = word_tokenizer(drawn.words)
    rows = tokenize_rows(drawn.rows, tokenizer)
    pairs = make_pairs(rows, PairKind.TAG, subset=subset, limit=None, seed=0)
    corrupted = [pair.corrupted for pair in pairs]
    assert tokenize_rows([side.row for side in corrupted], tokenizer) == corrupted
    for pair in pairs:
        row = pair.corrupted.row
        assert row.tag is not None
        assert row.alias is not None
        assert row.entity is not None
        rendered = Definition(
            tag=row.tag, alias=row.alias, entity=row.entity, order=WordOrder(order)
        ).render()
        assert rendered == row.rendered


@pytest.mark.parametrize("shuffle_tags", [False, True])
def test_tag_is_swapped_for_the_other_one_also_in_a_null_twin(
    shuffle_tags: bool, toy: MakeRows
) -> None:
    rows = toy(shuffle_tags=shuffle_tags)
    (reliable,) = {r.row.tag for r in rows if r.row.subset.name == "D5_CONS"}
    (unreliable,) = {r.row.tag for r in rows if r.row.subset.name == "D6_CONS"}
    pairs = make_pairs(rows, PairKind.TAG, subset="D1_CONS_QA1", limit=None, seed=0)
    swaps = Counter((p.clean.row.tag, p.corrupted.row.tag) for p in pairs)
    both = {(reliable, unreliable), (unreliable, reliable)}
    assert set(swaps) == (both if shuffle_tags else {(reliable, unreliable)})
    assert swaps.total() == 12


def test_retagged_definition_has_an_identity_of_its_own(toy: MakeRows) -> None:
    (pair,) = pairs_of(toy(), PairKind.TAG, limit=1)
    assert pair.corrupted.row.row_id == f"{pair.clean.row.row_id}/tag=other"
    assert pair.pair_id == f"{pair.clean.row.row_id}|{pair.clean.row.row_id}/tag=other"
    assert pair.corrupted.row.split is Split.TEST


def test_tag_of_other_letters_and_answer_of_other_tokens_move_the_spans() -> None:
    plain = [
        definition("D5_CONS", "rel", "foo", "new york"),
        definition("D5_CONS", "rel", "bar", "rome"),
        definition("D6_CONS", "unreliable", "qux", "paris"),
    ]
    rows = tokenize_rows(plain, tokenizer_of(plain))
    corrupted = {p.clean.row.alias: p.corrupted for p in pairs_of(rows, PairKind.TAG)}
    assert corrupted["foo"].row.rendered.text == "unreliable foo is rome"
    assert corrupted["foo"].answer_positions == (3,)
    assert corrupted["bar"].row.rendered.text == "unreliable bar is new york"
    assert corrupted["bar"].answer_positions == (3, 4)
    assert corrupted["bar"].row.rendered.spans == {
        Role.TAG: (0, 10),
        Role.ALIAS: (11, 14),
        Role.ENTITY: (18, 26),
    }
    assert corrupted["bar"].spans[Role.ENTITY] == (3, 4)
    retokenized = tokenize_rows([c.row for c in corrupted.values()], tokenizer_of(plain))
    assert retokenized == list(corrupted.values())


@pytest.mark.parametrize("order", ["eta", "tea"])
def test_byte_pair_tags_are_swapped_where_they_are_of_equal_length(
    order: str, iml_config: Callable[..., IMLConfig]
) -> None:
    from transformers import PreTrainedTokenizerFast

    if not PYTHIA.is_file():
        pytest.skip("the Pythia tokenizer is not here")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(PYTHIA))
    config = iml_config(word_order=WordOrder(order), n_entities=12)
    n_swapped = 0
    for seed in range(8):
        rows = tokenize_rows(config.build(seed).rows, tokenizer)
        tags = [
            next(r for r in rows if r.row.subset.name == name) for name in ("D5_CONS", "D6_CONS")
        ]
        lengths = {row.spans[Role.TAG][1] - row.spans[Role.TAG][0] for row in tags}
        if len(lengths) > 1:
            with pytest.raises(InputError, match="prompt pair of unequal length"):
                pairs_of(rows, PairKind.TAG)
            continue
        corrupted = [pair.corrupted for pair in pairs_of(rows, PairKind.TAG)]
        assert tokenize_rows([side.row for side in corrupted], tokenizer) == corrupted
        n_swapped += 1
    assert 0 < n_swapped < 8


def test_tags_of_unequal_length_are_an_error() -> None:
    rows = tokenized(
        definition("D5_CONS", "rel", "foo", "rome"),
        definition("D5_CONS", "rel", "bar", "paris"),
        definition("D6_CONS", "un rel", "qux", "rome"),
    )
    with pytest.raises(InputError, match=r"'rel foo is' has 3.*|'rel bar is' has 3.*'un rel"):
        pairs_of(rows, PairKind.TAG)


@pytest.mark.parametrize("order", TAG_IN_ANSWER)
@pytest.mark.parametrize("toy_name", ["toy", "source_toy"])
def test_tag_that_is_the_answer_is_an_error(
    toy_name: str, order: str, request: pytest.FixtureRequest
) -> None:
    rows = request.getfixturevalue(toy_name)(word_order=WordOrder(order))
    with pytest.raises(InputError, match=f"row D5_CONS/definition/00000.*word order {order} the"):
        pairs_of(rows, PairKind.TAG)


def test_definitions_with_one_tag_only_are_an_error() -> None:
    rows = tokenized(
        definition("D5_CONS", "rel", "foo", "rome"), definition("D5_CONS", "rel", "bar", "paris")
    )
    with pytest.raises(InputError, match="carry 1 reliable and unreliable tags, not 2"):
        pairs_of(rows, PairKind.TAG)
