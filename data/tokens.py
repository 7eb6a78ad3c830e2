"""Token ids of a row, the positions of its answer, and the token span of each role.

Works with any fast tokenizer that reports character offsets: the toys' word-level one, or a
pretrained byte-pair one, in which an alias may be split into several tokens.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from data.errors import InputError
from data.rows import Row
from data.tokenizers import front_tokens
from data.vocabulary import Role

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

PAD, END, UNKNOWN = "[PAD]", "[END]", "[UNK]"
_NAMES = {Role.ALIAS: "aliases", Role.ENTITY: "entities", Role.TAG: "tags"}


@dataclass(frozen=True, kw_only=True)
class TokenizedRow:
    """A row as the model sees it, without any end token; a tokenizer may put one in front."""

    row: Row
    input_ids: tuple[int, ...]
    answer_positions: tuple[int, ...]
    """Positions of the answer's tokens, with the space before them; of a definition, those of its
    last element."""
    spans: dict[str, tuple[int, int]]
    """First and last token position of each `Role`, or of what a person calls one, inclusive."""
    others: "tuple[TokenizedRow, ...]" = ()
    """The same question with each further answer that counts as right."""
    tokenizer: str = field(default="", compare=False, repr=False)
    """What to call the tokenizer that made the tokens; empty where they were put together."""


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


def tokenizer_name(tokenizer: "PreTrainedTokenizerBase") -> str:
    """What messages call a tokenizer: where it is from, or how many tokens it has."""
    return str(tokenizer.name_or_path) or f"a tokenizer of {len(tokenizer)} tokens"


def encode(
    texts: Sequence[str], tokenizer: "PreTrainedTokenizerFast"
) -> list[tuple[list[int], list[tuple[int, int]]]]:
    """Token ids of each text, and the characters of each token: first, and the one behind the last.

    What the tokenizer puts in front of a text, such as a beginning-of-sequence token, stands there
    once: a text that begins with it, as those of chat templates do, gets no second one. Its
    characters are -1 where the text does not have it. Nothing is put behind.
    """
    front = front_tokens(tokenizer)
    encoded = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True)
    found = []
    for ids, offsets in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
        missing = () if tuple(ids[: len(front)]) == front else front
        found.append(([*missing, *ids], [*[(-1, -1)] * len(missing), *offsets]))
    return found


def tokenize_rows(rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast") -> list[TokenizedRow]:
    """Tokenizes rows and finds each role's tokens.

    What the tokenizer puts in front of a text stands there and has no role; see `encode`.

    Raises:
        InputError: some text of a role has no token of its own, is no word of the toys'
            vocabulary, or has the tokens of another text.
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
    found = [
        replace(row, others=tuple(islice(tokenized, len(row.row.other_answers)))) for row in main
    ]
    _require_told_apart(found)
    return found


def _tokenized_as_they_are(
    rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast"
) -> list[TokenizedRow]:
    # Pretrained vocabularies may lack a character, which their models then read as unknown.
    unknown = tokenizer.unk_token_id if tokenizer.unk_token == UNKNOWN else None
    assert unknown is None or isinstance(unknown, int)
    encoded, name = (
        encode([row.rendered.text for row in rows], tokenizer),
        tokenizer_name(tokenizer),
    )
    return [
        replace(_tokenized(row, ids, offsets, unknown), tokenizer=name)
        for row, (ids, offsets) in zip(rows, encoded, strict=True)
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


def _require_told_apart(rows: Sequence[TokenizedRow]) -> None:
    """Refuses a tokenizer that spells two answers, names or tags alike: to a model they are one.

    Answers are compared with those to the same question; others never stand for one another.
    """
    words: dict[tuple[Hashable, ...], str] = {}
    for row in (each for main in rows for each in (main, *main.others)):
        rendered = row.row.rendered
        said = [(("answers", row.row.question), rendered.answer_span, row.answer_positions)]
        for role, kind in _NAMES.items():
            if role in row.spans:
                first, last = row.spans[role]
                said.append(((kind, None), rendered.spans[role], tuple(range(first, last + 1))))
        for kind, characters, positions in said:
            own = rendered.text[slice(*characters)].strip()
            ids = tuple(row.input_ids[position] for position in positions)
            other = words.setdefault((*kind, ids), own)
            if other != own:
                raise InputError(
                    f"row {row.row.row_id}: the {kind[0]} {other!r} and {own!r} have the same "
                    "tokens; use a tokenizer that tells them apart, or leave one of them out"
                )
