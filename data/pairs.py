"""Which two prompts differ in one thing only? Clean / corrupted pairs, for interventions.

A pair has two prompts of the same number of tokens, with every role at the same place, and answers
that differ from their first token on. So an activation of one prompt can stand in for that of the
other, token by token, and what it does to the two answers can be read off the next-token logits.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from data.draws import stream
from data.errors import InputError, unknown_name
from data.partners import PartnerDraw, first_answer_token, prompt_spans, rows_by_key, subject
from data.subsets import Subset
from data.tag_swaps import SWAPPED_TAGS, retagged_definitions, with_answer
from data.tokens import TokenizedRow
from data.vocabulary import Kind, Role

if TYPE_CHECKING:
    import pandas as pd


class PairKind(StrEnum):
    """What the corrupted prompt has in place of the clean one's."""

    ALIAS = "alias"
    """Another alias of the same subset, asked the same question."""
    ALIAS_ACROSS = "alias_across"
    """An alias of the subset's twin (see `Subset.twin`), asked the same question."""
    TAG = "tag"
    """The other tag, reliable or unreliable, in the same definition."""
    ENTITY = "entity"
    """Another entity by its own name, asked the same question."""
    QUESTION = "question"
    """Another question about the same alias."""


OWN_PROMPTS = "own"
"""The kind of pairs that a person makes of prompts of their own: whatever they changed."""


@dataclass(frozen=True, kw_only=True)
class PromptPair:
    """Two prompts that differ in one thing, each with its answer; see `check_pair`."""

    kind: str
    """A `PairKind`, or `OWN_PROMPTS`."""
    subset: str
    """The subset of the clean prompt."""
    clean: TokenizedRow
    corrupted: TokenizedRow
    corrupted_is_answerable: bool
    """Whether the corrupted prompt has a true answer; where not, its answer is a foil."""

    @property
    def pair_id(self) -> str:
        """The identity of the pair within a seed."""
        return f"{self.clean.row.row_id}|{self.corrupted.row.row_id}"

    @property
    def n_tokens(self) -> int:
        """Tokens of each prompt, without its answer."""
        return self.clean.answer_positions[0]


def check_pair(pair: PromptPair) -> None:
    """Refuses a pair whose prompts cannot stand in for each other.

    Raises:
        InputError: the prompts differ in length, in their roles or in the places of these, or
            their answers begin with the same token.
    """
    clean, corrupted = pair.clean, pair.corrupted
    lengths = [row.answer_positions[0] for row in (clean, corrupted)]
    if lengths[0] != lengths[1]:
        raise InputError(
            f"prompt pair of unequal length: {pair.pair_id} has {lengths[0]} and {lengths[1]} "
            "tokens before the answer; pair prompts of equal length"
        )
    spans, other_spans = prompt_spans(clean), prompt_spans(corrupted)
    missing = spans.keys() ^ other_spans.keys()
    if missing:
        raise InputError(
            f"prompt pair {pair.pair_id}: one prompt lacks the role {', '.join(sorted(missing))}; "
            "pair prompts with the same roles"
        )
    moved = sorted(role for role in spans if spans[role] != other_spans[role])
    if moved:
        raise InputError(
            f"prompt pair {pair.pair_id}: the role {', '.join(moved)} is at other tokens in the "
            "other prompt; pair prompts with their roles at the same tokens"
        )
    if first_answer_token(clean) == first_answer_token(corrupted):
        raise InputError(
            f"prompt pair {pair.pair_id}: both answers ({clean.row.rendered.answer!r}, "
            f"{corrupted.row.rendered.answer!r}) begin with the same token; use another answer"
        )


def make_pairs(
    rows: Sequence[TokenizedRow], kind: PairKind, *, subset: str, limit: int | None, seed: int
) -> list[PromptPair]:
    """Pairs each clean prompt of a subset with a random corrupted one.

    Each row is the clean one of one pair, or of none if it has no fitting partner. Rows are taken
    in rounds over the aliases (or entities), and of the partners one of those used least so far. A
    smaller `limit` gives the first pairs of a larger one.

    Args:
        rows: All rows of one seed, in any order.
        kind: What differs between the two prompts.
        subset: Where the clean prompts come from: of `TAG` its definitions, else its evaluated
            questions; of `ENTITY` one whose questions name the entity itself.
        limit: The most pairs to make; None for all.
        seed: Fixes the draw, the same in every process.

    Raises:
        InputError: the subset is unknown or has nothing to swap, or no two prompts fit.
    """
    _check_request(rows, kind, subset, limit)
    ordered = sorted(rows, key=lambda row: row.row.row_id)
    clean_rows = _rows_of(ordered, kind, subset)
    partners = clean_rows
    if kind is PairKind.ALIAS_ACROSS:
        partners = _rows_of(ordered, kind, clean_rows[0].row.subset.twin)
    retagged = retagged_definitions(clean_rows, ordered) if kind is PairKind.TAG else {}
    draw = PartnerDraw(
        what=f"{kind} pairs of {subset}",
        partners=rows_by_key(partners, partial(_held_fixed, kind=kind)),
        held_fixed=partial(_held_fixed, kind=kind),
        varied=partial(_varied, kind=kind),
        retagged=retagged,
        rng=stream(seed, f"pairs/{kind}/{subset}"),
    )
    return [
        PromptPair(
            kind=kind,
            subset=subset,
            clean=clean,
            corrupted=with_answer(retagged[clean.row.row_id], partner) if retagged else partner,
            corrupted_is_answerable=not retagged,
        )
        for clean, partner in draw.draw(clean_rows, limit)
    ]


def pairs_table(pairs: Sequence[PromptPair]) -> "pd.DataFrame":
    """One row a pair: `clean` and `corrupted` are prompts without answers, `*_input_ids` with.

    Raises:
        InputError: there are no pairs.
    """
    if not pairs:
        raise InputError("empty set of pairs: there is nothing to tabulate; make some first")
    import pandas as pd  # not above: the command line names kinds of pairs, and is to start fast

    return pd.DataFrame([_record(pair) for pair in pairs])


def _record(pair: PromptPair) -> dict[str, object]:
    sides = {"clean": pair.clean, "corrupted": pair.corrupted}
    return {
        "pair_id": pair.pair_id,
        "kind": str(pair.kind),
        "subset": pair.subset,
        **{name: side.row.rendered.prompt for name, side in sides.items()},
        **{f"{name}_answer": side.row.rendered.answer for name, side in sides.items()},
        "n_tokens": pair.n_tokens,
        "corrupted_is_answerable": pair.corrupted_is_answerable,
        **{f"{name}_row_id": side.row.row_id for name, side in sides.items()},
        **{f"{name}_answer_token": first_answer_token(side) for name, side in sides.items()},
        **{f"{name}_input_ids": list(side.input_ids) for name, side in sides.items()},
    }


def is_fit(subset: Subset, kind: PairKind) -> bool:
    """Whether a subset can have pairs of a kind: what can be swapped follows from what it is."""
    match kind:
        case PairKind.ALIAS | PairKind.QUESTION:
            return subset.replaced
        case PairKind.ALIAS_ACROSS:
            return bool(subset.twin)
        case PairKind.TAG:
            return subset.tag in SWAPPED_TAGS
        case PairKind.ENTITY:
            return not subset.replaced


def _check_request(
    rows: Sequence[TokenizedRow], kind: PairKind, subset: str, limit: int | None
) -> None:
    known = {row.row.subset.name: row.row.subset for row in rows}
    if rows and subset not in known:
        raise unknown_name("subset", subset, known)
    fit = [name for name, each in known.items() if is_fit(each, kind)]
    if rows and subset not in fit:
        listed = f"use one of {', '.join(fit)}" if fit else "none of this data has any"
        raise InputError(f"subset {subset} has no prompts for pairs of kind {kind}; {listed}")
    if limit is not None and limit < 1:
        raise InputError(f"empty set of pairs: limit is {limit}; use 1 or more")
    twice, n = Counter(row.row.row_id for row in rows).most_common(1)[0] if rows else ("", 0)
    if n > 1:
        raise InputError(f"row {twice} is there {n} times; pass the rows of one seed, once each")


def _rows_of(ordered: Sequence[TokenizedRow], kind: PairKind, subset: str) -> list[TokenizedRow]:
    """The prompts of a subset that pairs of this kind are made of."""
    is_tag = kind is PairKind.TAG
    of_kind = [
        row
        for row in ordered
        if row.row.subset.name == subset
        and (row.row.kind is Kind.DEFINITION if is_tag else row.row.is_evaluated)
        and subject(row) is not None
    ]
    if not of_kind:
        what = "definitions" if is_tag else "evaluated questions"
        raise InputError(
            f"empty set of pairs: no {what} of {subset} among the {len(ordered)} rows; "
            "pass all rows of a seed, or use another subset"
        )
    return of_kind


def _held_fixed(row: TokenizedRow, *, kind: PairKind) -> str | None:
    """What the two prompts of a pair share; of definitions, the foil's question."""
    return subject(row) if kind is PairKind.QUESTION else row.row.question


def _varied(row: TokenizedRow, *, kind: PairKind) -> object:
    """What tells a partner from the clean prompt."""
    if kind is PairKind.QUESTION:
        return row.row.question
    if kind is not PairKind.TAG:
        return subject(row)
    # Two definitions that say the same but for the tag have answers that are equally true, so
    # that neither is a foil of the other ("entity00 TAG is" fits every alias of entity00).
    first, last = row.spans[Role.TAG]
    return row.input_ids[:first] + row.input_ids[last + 1 : row.answer_positions[0]]
