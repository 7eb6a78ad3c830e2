"""The same definition with the other tag, and with another answer: rows that no data set holds.

Text, token ids and the spans of all roles are changed together; the new token ids are those that a
row of the same word order has at the same place, so they are what a tokenizer would give.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from data.errors import InputError
from data.statements import RenderedText
from data.tokens import TokenizedRow
from data.vocabulary import Kind, Role, Split, TagKind

Span = tuple[int, int]

SWAPPED_TAGS = (TagKind.RELIABLE, TagKind.UNRELIABLE)
RETAGGED = "/tag=other"
"""The ending of the row id of a definition that carries the other tag."""
_LETTERS: Mapping[str, str] = {Role.TAG: "t", Role.ALIAS: "a", Role.ENTITY: "e", Role.QUESTION: "e"}


def retagged_definitions(
    clean_rows: Sequence[TokenizedRow], rows: Sequence[TokenizedRow]
) -> dict[str, TokenizedRow]:
    """Each definition with the other tag in its place, by its row id.

    Args:
        clean_rows: Definitions with a reliable or an unreliable tag.
        rows: All rows of the same seed, in which the other tag is looked up.

    Raises:
        InputError: the tag is no part of the prompt in this word order, or there are not two tags.
    """
    for row in clean_rows:
        if row.spans[Role.TAG][1] >= row.answer_positions[0]:
            raise InputError(
                f"row {row.row.row_id}: in word order {_order(row)} the tag is the answer, not in "
                "the prompt; use the tag's pairs in another word order"
            )
    # A null twin's Stage-1 tags say nothing of their subsets, so each row's own tag counts.
    tags: dict[str | None, tuple[int, ...]] = {}
    for row in rows:
        if row.row.kind is Kind.DEFINITION and row.row.subset.tag in SWAPPED_TAGS:
            first, last = row.spans[Role.TAG]
            tags.setdefault(row.row.tag, row.input_ids[first : last + 1])
    if len(tags) != 2:
        raise InputError(
            f"empty set of pairs: the definitions carry {len(tags)} reliable and unreliable tags, "
            "not 2; pass all rows of one seed"
        )
    return {row.row.row_id: _with_other_tag(row, tags) for row in clean_rows}


def _order(row: TokenizedRow) -> str:
    """The word order of a definition, read from its spans."""
    roles = sorted((role for role in row.spans if role in _LETTERS), key=lambda r: row.spans[r])
    return "".join(_LETTERS[role] for role in roles)


def _with_other_tag(clean: TokenizedRow, tags: dict[str | None, tuple[int, ...]]) -> TokenizedRow:
    (other,) = (tag for tag in tags if tag is not None and tag != clean.row.tag)
    first, last = clean.spans[Role.TAG]
    swapped = _replaced(
        clean,
        characters=clean.row.rendered.spans[Role.TAG],
        tokens=(first, last + 1),
        text=other,
        input_ids=tags[other],
    )
    row = replace(swapped.row, row_id=f"{clean.row.row_id}{RETAGGED}", tag=other, split=Split.TEST)
    return replace(swapped, row=row)


def with_answer(row: TokenizedRow, donor: TokenizedRow) -> TokenizedRow:
    """The prompt of `row` with the answer of `donor`."""
    rendered = row.row.rendered
    answered = _replaced(
        row,
        characters=rendered.answer_span,
        tokens=(row.answer_positions[0], len(row.input_ids)),
        text=donor.row.rendered.answer,
        input_ids=donor.input_ids[donor.answer_positions[0] :],
    )
    answers = {role for role, span in rendered.spans.items() if span == rendered.answer_span}
    changed = replace(
        answered.row,
        alias=donor.row.alias if Role.ALIAS in answers else row.row.alias,
        entity=donor.row.entity if Role.ENTITY in answers else row.row.entity,
    )
    return replace(answered, row=changed)


def _replaced(
    row: TokenizedRow, *, characters: Span, tokens: Span, text: str, input_ids: tuple[int, ...]
) -> TokenizedRow:
    """The row with other words at one place; both spans of that place have exclusive ends."""
    rendered = row.row.rendered
    shift = len(text) - (characters[1] - characters[0])
    token_shift = len(input_ids) - (tokens[1] - tokens[0])
    new = RenderedText(
        text=rendered.text[: characters[0]] + text + rendered.text[characters[1] :],
        answer_span=_moved(rendered.answer_span, after=characters[1], by=shift),
        spans={r: _moved(s, after=characters[1], by=shift) for r, s in rendered.spans.items()},
    )
    answer = (row.answer_positions[0], row.answer_positions[-1] + 1)
    spans = {}
    for role, (first, last) in row.spans.items():
        start, end = _moved((first, last + 1), after=tokens[1], by=token_shift)
        spans[role] = (start, end - 1)
    return TokenizedRow(
        row=replace(row.row, rendered=new),
        input_ids=row.input_ids[: tokens[0]] + input_ids + row.input_ids[tokens[1] :],
        answer_positions=tuple(range(*_moved(answer, after=tokens[1], by=token_shift))),
        spans=spans,
    )


def _moved(span: Span, *, after: int, by: int) -> Span:
    start, end = (place + by if place >= after else place for place in span)
    return start, end
