"""Token ids of a row, the positions of its answer, and the token span of each role.

Works with any fast tokenizer that reports character offsets: the toys' word-level one, or a
pretrained byte-pair one, in which an alias may be split into several tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from data.errors import InputError
from data.rows import Row
from data.vocabulary import Role

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, END, UNKNOWN = "[PAD]", "[END]", "[UNK]"


@dataclass(frozen=True, kw_only=True)
class TokenizedRow:
    """A row as the model sees it, without any end token."""

    row: Row
    input_ids: tuple[int, ...]
    answer_positions: tuple[int, ...]
    """Positions of the answer's tokens, with the space before them; of a definition, those of its
    last element."""
    spans: dict[Role, tuple[int, int]]
    """First and last token position of each role, both inclusive."""
    others: "tuple[TokenizedRow, ...]" = ()
    """The same question with each further answer that counts as right."""


def word_tokenizer(words: Sequence[str]) -> "PreTrainedTokenizerFast":
    """A tokenizer with one token per word, split at white space; it adds no special tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate((PAD, END, UNKNOWN, *words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, unk_token=UNKNOWN
    )


def tokenize_rows(rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast") -> list[TokenizedRow]:
    """Tokenizes rows without special tokens and finds each role's tokens.

    Raises:
        InputError: some text of a role has no token of its own, or is no word of the toys'
            vocabulary.
    """
    if not rows:
        return []
    others = [
        replace(row, rendered=rendered, other_answers=())
        for row in rows
        for rendered in row.other_answers
    ]
    tokenized = iter(_tokenized_as_they_are([*rows, *others], tokenizer))
    main = [next(tokenized) for _ in rows]
    return [
        replace(row, others=tuple(islice(tokenized, len(row.row.other_answers)))) for row in main
    ]


def _tokenized_as_they_are(
    rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast"
) -> list[TokenizedRow]:
    texts = [row.rendered.text for row in rows]
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    # Pretrained vocabularies may lack a character, which their models then read as unknown.
    unknown = tokenizer.unk_token_id if tokenizer.unk_token == UNKNOWN else None
    assert unknown is None or isinstance(unknown, int)
    return [
        _tokenized(row, ids, offsets, unknown)
        for row, ids, offsets in zip(
            rows, encoded["input_ids"], encoded["offset_mapping"], strict=True
        )
    ]


def _tokenized(
    row: Row, ids: list[int], offsets: list[tuple[int, int]], unknown: int | None
) -> TokenizedRow:
    if unknown is not None and unknown in ids:
        raise InputError(
            f"row {row.row_id}: {row.rendered.text!r} has a word outside the vocabulary; "
            "use the tokenizer that was saved with this seed"
        )
    spans = {role: _token_span(row, span, offsets) for role, span in row.rendered.spans.items()}
    start, end = row.rendered.answer_span
    first, last = _token_span(row, (start, end), offsets)
    # Where the space before the answer is a token of its own, the model has to say it as well.
    space = len(row.rendered.text[:start].rstrip(" "))
    while first and offsets[first - 1][0] >= space:
        first -= 1
    return TokenizedRow(
        row=row,
        input_ids=tuple(ids),
        answer_positions=tuple(range(first, last + 1)),
        spans=spans,
    )


def _token_span(
    row: Row, characters: tuple[int, int], offsets: list[tuple[int, int]]
) -> tuple[int, int]:
    """First and last token that share a character with the span."""
    start, end = characters
    inside = [i for i, (left, right) in enumerate(offsets) if left < end and right > start]
    if not inside:
        raise InputError(
            f"row {row.row_id}: {row.rendered.text[start:end]!r} has no token of its own; "
            "use another tokenizer"
        )
    return inside[0], inside[-1]
