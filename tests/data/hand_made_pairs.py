"""Rows written by hand and pairs made of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from data.pairs import PairKind, PromptPair, make_pairs
from data.rows import Row
from data.statements import Definition, QAPair
from data.tasks.alias_toy import AliasNames
from data.tasks.iml import SUBSETS
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import Kind, Role, Split, WordOrder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TWO_TOKENS = AliasNames(tokens=2, syllables=12)
NAMES = [pytest.param(AliasNames(), id="one-token"), pytest.param(TWO_TOKENS, id="two-token")]
SUBSET_OF = {
    PairKind.ALIAS: "D5_CONS",
    PairKind.ALIAS_ACROSS: "D5_CONS",
    PairKind.TAG: "D5_CONS",
    PairKind.ENTITY: "QA4_NOT_REPLACED",
    PairKind.QUESTION: "D5_CONS",
}
SWAPPED_ROLE = {
    PairKind.ALIAS: Role.ALIAS,
    PairKind.ALIAS_ACROSS: Role.ALIAS,
    PairKind.TAG: Role.TAG,
    PairKind.ENTITY: Role.ENTITY,
    PairKind.QUESTION: Role.QUESTION,
}
TAG_IN_ANSWER = ("aet", "eat")
KINDS_AND_ORDERS = [
    (kind, order)
    for kind in PairKind
    for order in ("tae", "ate", "eat", "eta")
    if kind is not PairKind.TAG or order not in TAG_IN_ANSWER
]


def pairs_of(
    rows: Sequence[TokenizedRow], kind: PairKind, *, limit: int | None = None, seed: int = 0
) -> list[PromptPair]:
    return make_pairs(rows, kind, subset=SUBSET_OF[kind], limit=limit, seed=seed)


def question(alias: str, attribute: str, answer: str, subset: str = "D5_CONS") -> Row:
    return Row(
        row_id=f"{subset}/qa/{alias}/{attribute}",
        subset=SUBSETS[subset],
        split=Split.TEST,
        kind=Kind.QA,
        rendered=QAPair(subject=alias, role=Role.ALIAS, question=attribute, answer=answer).render(),
        alias=alias,
        entity=None,
        tag=None,
        question=attribute,
    )


def definition(subset: str, tag: str, alias: str, entity: str, order: str = "tae") -> Row:
    rendered = Definition(tag=tag, alias=alias, entity=entity, order=WordOrder(order)).render()
    return Row(
        row_id=f"{subset}/definition/{alias}",
        subset=SUBSETS[subset],
        split=Split.TRAIN,
        kind=Kind.DEFINITION,
        rendered=rendered,
        alias=alias,
        entity=entity,
        tag=tag,
        question=None,
    )


def tokenized(*rows: Row) -> list[TokenizedRow]:
    return tokenize_rows(rows, tokenizer_of(rows))


def tokenizer_of(rows: Sequence[Row]) -> "PreTrainedTokenizerFast":
    return word_tokenizer(sorted({word for row in rows for word in row.rendered.text.split()}))


def differing_words(pair: PromptPair) -> set[int]:
    clean, corrupted = (side.row.rendered.prompt.split() for side in (pair.clean, pair.corrupted))
    words = enumerate(zip(clean, corrupted, strict=True))
    return {i for i, (one, other) in words if one != other}
