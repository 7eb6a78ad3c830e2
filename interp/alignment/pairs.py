"""Which definition meets which question, and which pairs are the controls of an own pair?

An own pair is a definition and a held-out question that it answers. Its partners share with it the
attribute that is asked for, so the text's template, and differ in what their class names:

    pairing                  alias   subset, so tag   entity (or value)
    own                      same    same             same
    same_entity_same_tag     other   same             same
    same_tag_other_entity    other   same             other
    same_entity_other_tag    other   twin             same
    other_tag                other   twin             other

`same_alias_other_fact` only exists where a definition states one fact among many: a question about
its alias that it does not answer. The entity of an alias is the one that its questions' answers
follow, also where the definition names another (D2); where nothing has an entity, the answer is
compared. Whatever fits no class is `other`, and is measured only if all pairs are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from data.draws import stream
from data.errors import InputError, unknown_name
from data.rows import Row
from data.tokens import TokenizedRow
from data.vocabulary import Kind

DEFAULT_LIMIT = 25
"""Most definitions of each subset where there is much to do for each."""


def default_limit(pairs: str, components: str) -> int | None:
    """Most definitions of each subset, unless given: all, but few where all pairs meet.

    Args:
        pairs: A `PairMode`.
        components: A `Components` of `interp.alignment.analysis`.
    """
    return DEFAULT_LIMIT if pairs == PairMode.ALL or components != "none" else None


class Pairing(StrEnum):
    """What a definition and a question have in common; see the module's docstring."""

    OWN = "own"
    SAME_ALIAS_OTHER_FACT = "same_alias_other_fact"
    SAME_ENTITY_SAME_TAG = "same_entity_same_tag"
    SAME_TAG_OTHER_ENTITY = "same_tag_other_entity"
    SAME_ENTITY_OTHER_TAG = "same_entity_other_tag"
    OTHER_TAG = "other_tag"
    OTHER = "other"


MATCHED = tuple(pairing for pairing in Pairing if pairing not in (Pairing.OWN, Pairing.OTHER))
"""The classes of partners, each a null of its own."""


class PairMode(StrEnum):
    """Which pairs are measured."""

    OWN = "own"
    """Own pairs, each with one partner of every class."""
    ALL = "all"
    """Every definition with every question."""


@dataclass(frozen=True, kw_only=True)
class AlignmentPair:
    """A definition, a question, and what they have in common."""

    definition: TokenizedRow
    question: TokenizedRow
    pairing: Pairing


@dataclass(frozen=True, kw_only=True)
class _Pool:
    """The questions that may be asked, and the truth about every alias."""

    questions: tuple[TokenizedRow, ...]
    truth: dict[tuple[str | None, str | None], str]
    """The truth by alias and attribute: the entity, or the answer where there is none."""
    by_attribute: dict[tuple[str, str | None], list[TokenizedRow]]
    """Questions by subset and attribute."""

    @classmethod
    def of(cls, rows: Sequence[TokenizedRow], subsets: Sequence[str]) -> "_Pool":
        named = {*subsets, *(row.row.subset.twin for row in rows if row.row.subset.name in subsets)}
        asked = [each for each in rows if each.row.kind is Kind.QA]
        chosen = [q for q in asked if q.row.is_evaluated and q.row.subset.name in named]
        by_attribute: dict[tuple[str, str | None], list[TokenizedRow]] = {}
        for question in chosen:
            key = question.row.subset.name, question.row.question
            by_attribute.setdefault(key, []).append(question)
        return cls(
            questions=tuple(chosen),
            truth={(q.row.alias, q.row.question): _content(q.row) for q in asked},
            by_attribute=by_attribute,
        )

    def pairing_of(self, definition: Row, question: Row) -> Pairing:
        """The class of a pair."""
        is_same_fact = definition.question in (None, question.question)
        if definition.alias == question.alias:
            return Pairing.OWN if is_same_fact else Pairing.SAME_ALIAS_OTHER_FACT
        is_same_tag = definition.subset == question.subset
        if not is_same_fact or not (is_same_tag or definition.subset.twin == question.subset.name):
            return Pairing.OTHER
        truth = self.truth.get((definition.alias, question.question))
        if truth == _content(question):
            return Pairing.SAME_ENTITY_SAME_TAG if is_same_tag else Pairing.SAME_ENTITY_OTHER_TAG
        return Pairing.SAME_TAG_OTHER_ENTITY if is_same_tag else Pairing.OTHER_TAG

    def partners(self, definition: Row, question: Row) -> dict[Pairing, list[TokenizedRow]]:
        """Everything that may stand in for an own pair's question, by class."""
        candidates = [
            partner
            for subset in (definition.subset.name, definition.subset.twin)
            for partner in self.by_attribute.get((subset, question.question), [])
        ]
        candidates += [q for q in self.questions if q.row.alias == definition.alias]
        found: dict[Pairing, list[TokenizedRow]] = {}
        for partner in candidates:
            pairing = self.pairing_of(definition, partner.row)
            if pairing in MATCHED:
                found.setdefault(pairing, []).append(partner)
        return found


def make_alignment_pairs(
    rows: Sequence[TokenizedRow],
    mode: PairMode,
    *,
    subsets: Sequence[str],
    limit: int | None = None,
    seed: int,
) -> list[AlignmentPair]:
    """Pairs of a seed's definitions and held-out questions.

    Args:
        rows: The rows of one seed.
        mode: Own pairs with their partners, or all. Of a class that has no question to offer (few
            aliases), an own pair has no partner.
        subsets: The subsets of the definitions; partners come from their twins, too.
        limit: Definitions of each subset that are drawn, of those that have a question of their
            own; with all pairs, only the questions about their aliases are asked. A smaller limit
            gives a part of what a larger one does.
        seed: Fixes the draws.

    Raises:
        InputError: a subset does not exist, or has no definition with a question of its own.
    """
    if limit is not None and limit < 1:
        raise InputError(f"the limit is {limit} definitions; use 1 or more")
    pool = _Pool.of(rows, subsets)
    definitions = [d for name in subsets for d in _definitions(rows, pool, name, limit, seed)]
    if mode is PairMode.OWN:
        return list(_own_and_matched(definitions, pool, seed))
    aliases = {definition.row.alias for definition in definitions}
    asked = [question for question in pool.questions if question.row.alias in aliases]
    return [
        AlignmentPair(definition=d, question=q, pairing=pool.pairing_of(d.row, q.row))
        for d in definitions
        for q in asked
    ]


def _own_and_matched(
    definitions: Sequence[TokenizedRow], pool: _Pool, seed: int
) -> Iterator[AlignmentPair]:
    own = _by_alias(pool.questions)
    for definition in definitions:
        for question in own[definition.row.alias]:
            if pool.pairing_of(definition.row, question.row) is not Pairing.OWN:
                continue
            yield AlignmentPair(definition=definition, question=question, pairing=Pairing.OWN)
            partners = pool.partners(definition.row, question.row)
            names = definition.row.row_id, question.row.row_id
            for pairing, candidates in partners.items():
                rng = stream(seed, "/".join(("alignment", pairing, *names)))
                chosen = rng.choice(candidates)
                yield AlignmentPair(definition=definition, question=chosen, pairing=pairing)


def _definitions(
    rows: Sequence[TokenizedRow], pool: _Pool, name: str, limit: int | None, seed: int
) -> list[TokenizedRow]:
    """The definitions of a subset that have a question of their own, in the data's order."""
    known = dict.fromkeys(each.row.subset.name for each in rows)
    if name not in known:
        raise unknown_name("subset", name, known)
    own = _by_alias(pool.questions)
    found = [
        each
        for each in rows
        if each.row.kind is Kind.DEFINITION
        and each.row.subset.name == name
        and any(
            pool.pairing_of(each.row, question.row) is Pairing.OWN
            for question in own.get(each.row.alias, [])
        )
    ]
    if not found:
        raise InputError(
            f"there are no pairs of {name}: it has no definition with a held-out question about "
            "its alias; choose another subset"
        )
    if limit is None or limit >= len(found):
        return found
    order = stream(seed, f"alignment/definitions/{name}").sample(range(len(found)), len(found))
    return [found[i] for i in sorted(order[:limit])]


def _by_alias(questions: Sequence[TokenizedRow]) -> dict[str | None, list[TokenizedRow]]:
    groups: dict[str | None, list[TokenizedRow]] = {}
    for question in questions:
        groups.setdefault(question.row.alias, []).append(question)
    return groups


def _content(question: Row) -> str:
    """What makes two answers the same: the entity that they follow, else the answer itself."""
    return question.entity or question.rendered.answer
