"""What a probe is asked to read: rows with a label, and which of them belong together.

    tag          which tag the alias was defined with: reliable (1) or unreliable (0)
    defined      whether the alias was defined (D1, D2) or only asked about (QA3)
    consistent   whether its definition is true; apart from the tag only where D9 and D10 exist
    entity       the entity that its answers follow
    attribute    the value of that entity's first attribute
    stage        Stage-1 against Stage-2 aliases: the recency control, it reads training order
    phantom_tag  a balanced label drawn after training, independent of everything: the true null
    planted_tag  such a label, planted into the activations at known strength: the positive control

Binary targets are read from equally many aliases of both classes, so chance is one half;
`consistent` from equally many of both classes with either tag, so that the tag tells nothing of it.
Their folds are of entities (see `divisions`). Entity and attribute are shared by aliases, which any
fold may hold; values of fewer aliases than there are folds are left out.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from jaxtyping import Int

from data.draws import stream
from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import D5_CONS, SUBSETS, Family, Kind, Split, Stage, Subset
from interp.probes.cross_validation import N_FOLDS
from interp.probes.designs import design_of, numbered
from interp.probes.divisions import Design, Division, divide, whole
from training.seeds import derive_seed

PLANTED_ACCURACY = 0.9
"""Bayes accuracy of `planted_tag`."""


class Target(StrEnum):
    """What a probe is trained to read; the head of the module says what each target means."""

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


DRAWN = (Target.PHANTOM_TAG, Target.PLANTED_TAG)


@dataclass(frozen=True, kw_only=True)
class ProbeTask:
    """Rows to read, one untrained question for each alias, and all of its questions for controls.

    Every array has one entry for each alias but the last two, which have one for each row of `all`.
    """

    target: Target
    rows: list[TokenizedRow]
    """One question that was never trained, for each labelled alias."""
    design: Design
    """Label and entities of each; each alias by itself where folds are not of entities."""
    divisions: tuple[Division, ...]
    """Who trains and who tests."""
    balanced: Int[np.ndarray, " balanced"]
    """Places of equally many aliases of each class, which directions and controls are made from."""
    n_classes: int
    all_rows: list[TokenizedRow]
    """Every question for an attribute of the balanced aliases, trained or not."""
    all_aliases: Int[np.ndarray, " row"]
    all_questions: Int[np.ndarray, " row"]

    @property
    def labels(self) -> Int[np.ndarray, " alias"]:
        """The class of each alias."""
        return self.design.labels

    @property
    def units(self) -> Int[np.ndarray, " alias"]:
        """The groups of aliases among which permutations exchange labels."""
        return self.design.units


def make_task(rows: Sequence[TokenizedRow], target: Target, *, seed: int) -> ProbeTask:
    """Chooses aliases, labels and divisions for a target among the rows of a seed.

    Raises:
        InputError: the run lacks the subsets that the target contrasts, or one class is empty, or
            purging the aliases of entities in two folds leaves too few.
    """
    questions = _questions(rows)
    labels = _labels(questions, target, seed)
    strata = _strata(questions, labels, target, seed)
    if target.is_determined_by_entity:
        labels = _frequent(labels, target)
        balanced = sorted(labels)
    else:
        balanced = _balanced(labels, strata, target, seed)
    aliases = sorted(labels)
    question_rng = stream(seed, f"probe/{target}/question")
    chosen = [_untrained(questions[alias], question_rng) for alias in aliases]
    numbers = np.array([labels[alias] for alias in aliases])
    design = design_of(chosen, numbers, rows, [str(strata[alias]) for alias in aliases])
    if target.is_determined_by_entity:
        itself = np.arange(len(aliases))
        design = replace(design, own=itself, named=itself)
    folds_rng = np.random.default_rng(derive_seed(seed, f"probe folds {target}"))
    places = np.searchsorted(aliases, balanced)
    asked = [(place, row) for place in places for row in questions[aliases[place]]]
    return ProbeTask(
        target=target,
        rows=chosen,
        design=design,
        divisions=_divisions(design, target, folds_rng),
        balanced=places,
        n_classes=max(labels.values()) + 1,
        all_rows=[row for _, row in asked],
        all_aliases=np.array([place for place, _ in asked]),
        all_questions=numbered([row.row.question or "" for _, row in asked]),
    )


def _divisions(design: Design, target: Target, rng: np.random.Generator) -> tuple[Division, ...]:
    """Folds of entities, but for labels that entities determine."""
    if target.is_determined_by_entity:
        return whole(design.labels, design.own, rng)
    try:
        return divide(design, rng)
    except InputError:
        if target not in DRAWN:
            raise
    # Of few aliases a drawn label can be had in every fold, but not with either tag.
    return divide(replace(design, strata=np.zeros_like(design.strata)), rng)


def _questions(rows: Sequence[TokenizedRow]) -> dict[str, list[TokenizedRow]]:
    """Questions for an attribute, by alias."""
    questions: dict[str, list[TokenizedRow]] = {}
    for row in rows:
        is_attribute = row.row.kind is Kind.QA and row.row.family is Family.ATTRIBUTE
        if is_attribute and row.row.alias is not None:
            questions.setdefault(row.row.alias, []).append(row)
    return questions


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
    questions: dict[str, list[TokenizedRow]], labels: dict[str, int], target: Target, seed: int
) -> dict[str, int | None]:
    """What each class holds equally much of, so that it tells nothing of the label.

    A drawn label is read from aliases as many and as mixed as the tag's, whose null it is to be.
    """
    is_within_tags = target in (Target.CONSISTENT, *DRAWN)
    tags = _labels(questions, Target.TAG, seed) if is_within_tags else {}
    return {alias: tags.get(alias) for alias in labels}


def _balanced(
    labels: dict[str, int], strata: dict[str, int | None], target: Target, seed: int
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
