"""What a probe is asked to read: rows with a label, and which of them belong together.

    tag          which tag the alias was defined with: reliable (1) or unreliable (0)
    defined      whether the alias was defined (D1, D2) or only asked about (QA3)
    consistent   whether its definition is true; apart from the tag only where D9 and D10 exist
    entity       the entity that its answers follow
    attribute    the value of that entity's first attribute
    stage        Stage-1 against Stage-2 aliases: the recency control, it reads training order
    phantom_tag  a balanced label drawn after training, independent of everything: the true null
    planted_tag  such a label, planted into the activations at known strength: the positive control

Binary targets take equally many aliases of both classes, so chance is one half; `consistent` takes
equally many of both classes with either tag, so that the tag tells nothing of it. Entities and
attribute values of fewer aliases than there are folds are left out.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Int

from data.draws import stream
from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import D5_CONS, SUBSETS, Family, Kind, Split, Stage, Subset
from interp.probes.cross_validation import N_FOLDS

PLANTED_ACCURACY = 0.9
"""Bayes accuracy of `planted_tag`."""


class Target(StrEnum):
    """Names of the targets above."""

    TAG = "tag"
    DEFINED = "defined"
    CONSISTENT = "consistent"
    ENTITY = "entity"
    ATTRIBUTE = "attribute"
    STAGE = "stage"
    PHANTOM_TAG = "phantom_tag"
    PLANTED_TAG = "planted_tag"

    @property
    def is_determined_by_entity(self) -> bool:
        """Whether aliases of one entity share the label, so that folds cannot be grouped by it."""
        return self in (Target.ENTITY, Target.ATTRIBUTE)


@dataclass(frozen=True, kw_only=True)
class ProbeTask:
    """Rows to read, one untrained question for each alias, and all of its questions for controls.

    Every array has one entry for each alias but the last two, which have one for each row of `all`.
    """

    target: Target
    rows: list[TokenizedRow]
    """One question that was never trained, for each alias."""
    labels: Int[np.ndarray, " alias"]
    groups: Int[np.ndarray, " alias"]
    """Aliases of one group stay in one fold: those of one entity, or each alias alone."""
    n_classes: int
    all_rows: list[TokenizedRow]
    """Every question for an attribute of the aliases, trained or not."""
    all_aliases: Int[np.ndarray, " row"]
    all_questions: Int[np.ndarray, " row"]


def make_task(rows: Sequence[TokenizedRow], target: Target, *, seed: int) -> ProbeTask:
    """Chooses aliases, labels and groups for a target among the rows of a seed.

    Raises:
        InputError: the run lacks the subsets that the target contrasts, or one class is empty.
    """
    questions: dict[str, list[TokenizedRow]] = {}
    for row in rows:
        is_attribute = row.row.kind is Kind.QA and row.row.family is Family.ATTRIBUTE
        if is_attribute and row.row.alias is not None:
            questions.setdefault(row.row.alias, []).append(row)
    labels = _labels(questions, target, seed)
    if target.is_determined_by_entity:
        labels = _frequent(labels, target)
        chosen = sorted(labels)
    else:
        chosen = _balanced(labels, _strata(questions, labels, target), target, seed)
    rng = stream(seed, f"probe/{target}/question")
    names = sorted({row.row.question or "" for alias in chosen for row in questions[alias]})
    groups = [_group(questions[alias], target) for alias in chosen]
    numbers = {group: i for i, group in enumerate(sorted(set(groups)))}
    return ProbeTask(
        target=target,
        rows=[_untrained(questions[alias], rng) for alias in chosen],
        labels=np.array([labels[alias] for alias in chosen]),
        groups=np.array([numbers[group] for group in groups]),
        n_classes=max(labels.values()) + 1,
        all_rows=[row for alias in chosen for row in questions[alias]],
        all_aliases=np.repeat(np.arange(len(chosen)), [len(questions[alias]) for alias in chosen]),
        all_questions=np.array(
            [names.index(row.row.question or "") for alias in chosen for row in questions[alias]]
        ),
    )


def _labels(questions: dict[str, list[TokenizedRow]], target: Target, seed: int) -> dict[str, int]:
    """The label of every alias that the target speaks of."""
    subsets = {alias: SUBSETS[rows[0].row.subset] for alias, rows in questions.items()}
    defined = {
        alias: subset
        for alias, subset in subsets.items()
        if subset.stage is Stage.ONE and subset.has_definitions
    }
    match target:
        case Target.TAG:
            reliable = {r[0].row.tag for r in questions.values() if _is(r, D5_CONS)}
            return {alias: int(questions[alias][0].row.tag in reliable) for alias in defined}
        case Target.DEFINED:
            return {
                alias: int(subset.has_definitions)
                for alias, subset in subsets.items()
                if subset.stage is Stage.ONE
            }
        case Target.CONSISTENT:
            if len({(subset.tag, subset.consistent) for subset in defined.values()}) < 4:
                raise InputError(
                    "target consistent needs D9 and D10, which tell it from the tag; "
                    "run the recipe with alpha below 1"
                )
            return {alias: int(bool(subset.consistent)) for alias, subset in defined.items()}
        case Target.STAGE:
            return {
                alias: int(subset.stage is Stage.TWO)
                for alias, subset in subsets.items()
                if subset.has_definitions
            }
        case Target.ENTITY | Target.ATTRIBUTE:
            values = {alias: _entity_value(questions[alias], target) for alias in defined}
            names = sorted(set(values.values()))
            return {alias: names.index(value) for alias, value in values.items()}
        case Target.PHANTOM_TAG | Target.PLANTED_TAG:
            return _coins(sorted(defined), stream(seed, f"probe/{target}"))


def _is(rows: list[TokenizedRow], subset: Subset) -> bool:
    return rows[0].row.subset == subset.name


def _entity_value(rows: list[TokenizedRow], target: Target) -> str:
    if target is Target.ENTITY:
        if rows[0].row.entity is None:
            raise InputError("target entity needs a world of entities; this recipe has none")
        return rows[0].row.entity
    return min(rows, key=lambda row: row.row.question or "").row.rendered.answer


def _coins(aliases: list[str], rng: random.Random) -> dict[str, int]:
    """A balanced random label; of an odd number of aliases one is left out."""
    even = len(aliases) // 2 * 2
    chosen = rng.sample(aliases, even)
    return {alias: int(i < even // 2) for i, alias in enumerate(chosen)}


def _frequent(labels: dict[str, int], target: Target) -> dict[str, int]:
    """The labels that enough aliases have to be in every fold, numbered anew."""
    counts = Counter(labels.values())
    kept = sorted(label for label, count in counts.items() if count >= N_FOLDS)
    if len(kept) < 2:
        raise InputError(
            f"target {target} needs two values of {N_FOLDS} aliases each; "
            "probe a run with more aliases"
        )
    return {alias: kept.index(label) for alias, label in labels.items() if label in kept}


def _strata(
    questions: dict[str, list[TokenizedRow]], labels: dict[str, int], target: Target
) -> dict[str, str | None]:
    """What is balanced within each class."""
    is_within_tags = target is Target.CONSISTENT
    return {alias: questions[alias][0].row.tag if is_within_tags else None for alias in labels}


def _balanced(
    labels: dict[str, int], strata: dict[str, str | None], target: Target, seed: int
) -> list[str]:
    """Equally many aliases of both classes in each stratum, in order of name."""
    cells = {
        (stratum, label): sorted(a for a in labels if (strata[a], labels[a]) == (stratum, label))
        for stratum in sorted(set(strata.values()), key=str)
        for label in (0, 1)
    }
    n = min(map(len, cells.values()), default=0)
    if n == 0:
        raise InputError(
            f"target {target} has one class only in this run; choose another target or recipe"
        )
    rng = stream(seed, f"probe/{target}/balance")
    return sorted(alias for members in cells.values() for alias in rng.sample(members, n))


def _untrained(rows: list[TokenizedRow], rng: random.Random) -> TokenizedRow:
    untrained = [row for row in rows if row.row.split is Split.TEST]
    if not untrained:
        raise InputError(f"alias {rows[0].row.alias!r} has no untrained question to probe")
    return rng.choice(untrained)


def _group(rows: list[TokenizedRow], target: Target) -> str:
    row = rows[0].row
    return str(row.alias if target.is_determined_by_entity or row.entity is None else row.entity)
