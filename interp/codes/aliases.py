"""The aliases of a seed: what defines each, what questions about it follow, and those questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from data.design import Design
from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Family, Kind, Part, Split
from interp.codes.stated import Table, Told, table_name


@dataclass(frozen=True, kw_only=True)
class Alias:
    """An alias, and everything that codes are estimated and tested with."""

    name: str
    subset: str
    part: Part
    """The part of the data that trains it."""
    defined: str | None
    """The entity that its definition names, be it true or false; None without a definition.

    Where rows name no entity, the table of values that they state takes its place, here and below.
    """
    asked: str | None
    """The entity that the answers to its trained questions follow; None if none are trained."""
    entity: str
    """The entity that the answers to its held-out questions follow."""
    questions: tuple[TokenizedRow, ...]
    """Its held-out questions."""
    prompts: tuple[TokenizedRow, ...] = ()
    """Those that its vector is the mean over: every question about it, trained ones as well, so
    that two aliases do not differ by what they happen to be asked."""


def _aliases_of(rows: Sequence[TokenizedRow], told: "_AllTold") -> list[Alias]:
    """All aliases that are asked about with held-out questions, in the order of the rows."""
    questions: dict[str, list[TokenizedRow]] = {}
    prompts: dict[str, list[TokenizedRow]] = {}
    for each in rows:
        row = each.row
        if row.alias is None or row.kind is not Kind.QA or told.whole.of(row.alias) is None:
            continue
        if row.is_evaluated:
            questions.setdefault(row.alias, []).append(each)
        if row.family is Family.ATTRIBUTE:
            prompts.setdefault(row.alias, []).append(each)
    return [
        Alias(
            name=name,
            subset=own[0].row.subset.name,
            part=own[0].row.subset.part,
            defined=told.defined.of(name),
            asked=told.asked.of(name),
            entity=str(told.whole.of(name)),
            questions=tuple(own),
            prompts=tuple(prompts[name]),
        )
        for name, own in questions.items()
    ]


class _AllTold(NamedTuple):
    """What definitions, trained questions and all questions say that aliases stand for."""

    defined: Told
    asked: Told
    whole: Told


def _told(rows: Sequence[TokenizedRow]) -> _AllTold:
    told = _AllTold(Told(), Told(), Told())
    for each in rows:
        row = each.row
        if row.kind is Kind.DEFINITION:
            told.defined.hear(row)
        elif row.family is Family.ATTRIBUTE:
            told.whole.hear(row)
            if row.split is Split.TRAIN and not row.is_evaluated:
                told.asked.hear(row)
    return told


@dataclass(frozen=True, kw_only=True)
class CodedAliases:
    """The aliases that an analysis of codes needs, by what they are for."""

    reliable: list[Alias]
    """Of the first part: those whose definitions have the tag that tells the truth."""
    unreliable: list[Alias]
    """Of the first part: those whose definitions have the other tag."""
    undefined: list[Alias]
    """Of the first part: those that only have questions."""
    higher: list[Alias]
    """Of the last part: those of the compared subset that should be answered better."""
    lower: list[Alias]
    """Of the last part: those of the other compared subset."""
    baseline: list[Alias]
    """Aliases that are never defined, whose questions can only be guessed."""
    further: list[Alias] = field(default_factory=list)
    """Defined in the last part like the compared ones, but of neither of their subsets: nothing is
    estimated or set on them, so that what codes say of them is a prediction."""
    answers: Mapping[tuple[str | None, str | None], tuple[int, ...]] = field(default_factory=dict)
    """The tokens of the answer to each question about each entity, wherever it is asked."""
    tables: Mapping[str, Table] = field(default_factory=dict)
    """What stands for entities where there are none; see `interp.codes.stated`."""

    @classmethod
    def of(cls, rows: Sequence[TokenizedRow], design: Design) -> "CodedAliases":
        """Sorts the aliases of a seed by the contrasts of its design.

        Raises:
            InputError: one of the four subsets that codes are made of and tested on is not there.
        """
        first, main = design.compared(Part.X1), design.main
        by_subset: dict[str, list[Alias]] = {}
        told = _told(rows)
        for alias in _aliases_of(rows, told):
            by_subset.setdefault(alias.subset, []).append(alias)
        wanted = dict.fromkeys((*first.names, *main.names))
        missing = [name for name in wanted if not by_subset.get(name)]
        if missing or first is main:
            lacking = ", ".join(missing) or "a contrast of its first part"
            raise InputError(f"codes need {lacking}; choose a run that has it")
        known = set(wanted)
        others = [a for name, group in by_subset.items() if name not in known for a in group]
        return cls(
            reliable=by_subset[first.higher.name],
            unreliable=by_subset[first.lower.name],
            undefined=[
                a for a in others if a.part is Part.X1 and a.defined is None and a.asked is not None
            ],
            higher=by_subset[main.higher.name],
            lower=by_subset[main.lower.name],
            baseline=[] if main.baseline is None else by_subset.get(main.baseline.name, []),
            further=[a for a in others if a.part is main.part and a.defined is not None],
            answers=_answers(rows, told.whole),
            tables={table_name(each): each for use in told for each in use.tables.values()},
        )

    @property
    def first(self) -> list[Alias]:
        """The aliases of the first part, on which codes are estimated."""
        return [*self.reliable, *self.unreliable, *self.undefined]

    @property
    def compared(self) -> list[Alias]:
        """The aliases of both compared subsets, on which codes are tested."""
        return [*self.higher, *self.lower]

    @property
    def all_used(self) -> list[Alias]:
        """All aliases whose vectors are looked at."""
        return [*self.first, *self.compared, *self.further]

    @property
    def further_subsets(self) -> dict[str, list[Alias]]:
        """The further aliases by subset, of entities that have a code."""
        coded = set(self.entities)
        known = [alias for alias in self.further if alias.entity in coded]
        names = dict.fromkeys(alias.subset for alias in known)
        return {name: [a for a in known if a.subset == name] for name in names}

    @property
    def entities(self) -> list[str]:
        """Every entity that one of these aliases stands for, in order."""
        named = (e for a in [*self.first, *self.compared] for e in (a.defined, a.asked, a.entity))
        return sorted({entity for entity in named if entity is not None})


def _answers(
    rows: Sequence[TokenizedRow], told: Told
) -> dict[tuple[str | None, str | None], tuple[int, ...]]:
    return {
        (row.entity or told.of(row.alias or ""), row.question): tuple(
            each.input_ids[at] for at in each.answer_positions
        )
        for each in rows
        if (row := each.row).kind is Kind.QA and row.family is Family.ATTRIBUTE
    }
