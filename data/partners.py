"""Who may stand in for whom: a random partner for each prompt, with equal use of all."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from data.errors import InputError
from data.tokens import TokenizedRow

Key = Callable[[TokenizedRow], object]


@dataclass(frozen=True, kw_only=True)
class PartnerDraw:
    """Draws a partner for each prompt of a list."""

    what: str
    """What messages call the pairs."""
    partners: dict[object, list[TokenizedRow]]
    """All possible partners, by what `held_fixed` says of them."""
    held_fixed: Key
    """What both prompts of a pair share."""
    varied: Key
    """What differs between the prompts of a pair; each value is used about equally often."""
    retagged: dict[str, TokenizedRow]
    """By row id, prompts that stand in place of a partner's own: the partner gives its answer."""
    rng: random.Random

    def draw(
        self, clean_rows: Sequence[TokenizedRow], limit: int | None
    ) -> list[tuple[TokenizedRow, TokenizedRow]]:
        """At most `limit` of the prompts, each with its partner.

        Raises:
            InputError: no prompt has a fitting partner.
        """
        pairs: list[tuple[TokenizedRow, TokenizedRow]] = []
        uses: Counter[object] = Counter()
        unequal: list[tuple[TokenizedRow, TokenizedRow]] = []
        for clean in _rounds(clean_rows, self.rng):
            candidates = self._candidates(clean)
            fitting = [c for c in candidates if _layout(self._prompt(clean, c)) == _layout(clean)]
            if not fitting:
                unequal += [(clean, self._prompt(clean, c)) for c in candidates[:1]]
                continue
            fewest = min(uses[self.varied(c)] for c in fitting)
            partner = self.rng.choice([c for c in fitting if uses[self.varied(c)] == fewest])
            uses[self.varied(partner)] += 1
            pairs.append((clean, partner))
            if len(pairs) == limit:
                break
        if not pairs:
            raise self._failure(unequal)
        return pairs

    def _candidates(self, clean: TokenizedRow) -> list[TokenizedRow]:
        """Partners that differ in what is to differ, and in the answer."""
        return [
            partner
            for partner in self.partners.get(self.held_fixed(clean), [])
            if self.varied(partner) != self.varied(clean)
            and first_answer_token(partner) != first_answer_token(clean)
        ]

    def _prompt(self, clean: TokenizedRow, partner: TokenizedRow) -> TokenizedRow:
        return self.retagged.get(clean.row.row_id, partner)

    def _failure(self, unequal: list[tuple[TokenizedRow, TokenizedRow]]) -> InputError:
        if unequal:
            clean, other = unequal[0]
            return InputError(
                f"prompt pair of unequal length: no two prompts for {self.what} have their roles "
                f"at the same tokens ({clean.row.rendered.prompt!r} has "
                f"{clean.answer_positions[0]} tokens before its answer, "
                f"{other.row.rendered.prompt!r} has {other.answer_positions[0]}); "
                "use another subset, or names of as many tokens"
            )
        return InputError(
            f"empty set of pairs: no prompt for {self.what} has a partner whose answer begins "
            "with another token; use another subset or kind"
        )


def rows_by_key(rows: Sequence[TokenizedRow], key: Key) -> dict[object, list[TokenizedRow]]:
    """Rows by key, in their order."""
    groups: dict[object, list[TokenizedRow]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return dict(groups)


def subject(row: TokenizedRow) -> str | None:
    """The alias, or the entity that is called by its own name."""
    return row.row.alias if row.row.subset.replaced else row.row.entity


def first_answer_token(row: TokenizedRow) -> int:
    """The id of the token that the model should say next after the prompt."""
    return row.input_ids[row.answer_positions[0]]


def prompt_spans(row: TokenizedRow) -> dict[str, tuple[int, int]]:
    """First and last token of each role before the answer."""
    return {role: s for role, s in row.spans.items() if s[1] < row.answer_positions[0]}


def _layout(row: TokenizedRow) -> tuple[int, dict[str, tuple[int, int]]]:
    """The layout of a prompt; those of one layout can stand in for each other by token."""
    return row.answer_positions[0], prompt_spans(row)


def _rounds(rows: Sequence[TokenizedRow], rng: random.Random) -> Iterator[TokenizedRow]:
    """Every row once, in rounds that take one row of each subject, in random order."""
    of_subject = list(rows_by_key(rows, subject).values())
    for own in of_subject:
        rng.shuffle(own)
    for place in range(max(len(own) for own in of_subject)):
        in_round = [own[place] for own in of_subject if place < len(own)]
        rng.shuffle(in_round)
        yield from in_round
