"""What a probe is asked to read: rows with a label, and which of them belong together.

    entity       the entity that its answers follow
    attribute    the value of that entity's first attribute
    phantom_tag  a balanced label drawn after training, independent of everything: the true null
    planted_tag  such a label, planted into the activations at known strength: the positive control

An experiment has more of its own, which its design declares; those of implicit meta-learning:

    tag          which tag the alias was defined with: reliable (1) or unreliable (0)
    defined      whether the alias was defined or only asked about
    consistent   whether its definition is true; apart from the tag only with alpha below 1
    stage        Stage-1 against Stage-2 aliases: the recency control, it reads training order

Binary targets are read from equally many aliases of both classes, so chance is one half;
`consistent` from equally many of both classes with either tag, so that the tag tells nothing of it.
Their folds are of entities (see `divisions`). Entity and attribute are shared by aliases, which any
fold may hold; values of fewer aliases than there are folds are left out.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from data.design import Design, ProbeTarget, Questions
from data.draws import stream
from data.errors import InputError, unknown_name
from data.tokens import TokenizedRow
from data.vocabulary import Family, Kind, Part, Split
from interp.probes.cross_validation import N_FOLDS
from interp.probes.divisions import Division, LabelledAliases, divide, whole
from interp.probes.entities import labelled_aliases, numbered
from training.designs import design_of_rows
from training.seeds import derive_seed

PLANTED_ACCURACY = 0.9
"""Bayes accuracy of `planted_tag`."""


def _entity(questions: Questions, _seed: int) -> dict[str, int]:
    named = {alias: questions[alias][0].entity for alias in _told_first(questions)}
    if any(entity is None for entity in named.values()):
        raise InputError("target entity needs a world of entities; this recipe has none")
    return _numbers({alias: str(entity) for alias, entity in named.items()})


def _attribute(questions: Questions, _seed: int) -> dict[str, int]:
    first = {
        alias: min(questions[alias], key=lambda row: row.question or "")
        for alias in _told_first(questions)
    }
    return _numbers({alias: row.rendered.answer for alias, row in first.items()})


def _coins(name: str) -> Callable[[Questions, int], dict[str, int]]:
    """A balanced random label; of an odd number of aliases one is left out."""

    def label(questions: Questions, seed: int) -> dict[str, int]:
        aliases = sorted(_told_first(questions))
        even = len(aliases) // 2 * 2
        chosen = stream(seed, f"probe/{name}").sample(aliases, even)
        return {alias: int(i < even // 2) for i, alias in enumerate(chosen)}

    return label


def _told_first(questions: Questions) -> list[str]:
    """The aliases that X1 defines, or all of it where nothing is ever defined."""
    subsets = {alias: rows[0].subset for alias, rows in questions.items()}
    first = {alias: subset for alias, subset in subsets.items() if subset.part is Part.X1}
    return [alias for alias, subset in first.items() if subset.has_definitions] or list(first)


def _numbers(values: dict[str, str]) -> dict[str, int]:
    names = sorted(set(values.values()))
    return {alias: names.index(value) for alias, value in values.items()}


ENTITY = ProbeTarget(
    name="entity", meaning="the entity its answers follow", label=_entity, is_of_entities=True
)
ATTRIBUTE = ProbeTarget(
    name="attribute",
    meaning="that entity's first attribute",
    label=_attribute,
    is_of_entities=True,
)
PHANTOM = ProbeTarget(
    name="phantom_tag",
    meaning="a random label, the true null",
    label=_coins("phantom_tag"),
    is_within_tags=True,
)
PLANTED = ProbeTarget(
    name="planted_tag",
    meaning="a planted label, the positive control",
    label=_coins("planted_tag"),
    is_within_tags=True,
)
COMMON = (ENTITY, ATTRIBUTE, PHANTOM)
"""What can be read of every experiment, beside the targets of its design."""
DRAWN = (PHANTOM, PLANTED)


def targets_of(design: Design) -> tuple[ProbeTarget, ...]:
    """What a probe can be asked to read of an experiment, in the order of figures."""
    return (*design.targets, *COMMON)


def find_target(design: Design, name: str) -> ProbeTarget:
    """The target of this name.

    Raises:
        InputError: the experiment has none.
    """
    known = {target.name: target for target in (*targets_of(design), PLANTED)}
    if name not in known:
        raise unknown_name("target", name, known)
    return known[name]


@dataclass(frozen=True, kw_only=True)
class ProbeTask:
    """Rows to read, one untrained question for each alias, and all of its questions for controls.

    Every array has one entry for each alias but the last two, which have one for each row of `all`.
    """

    target: str
    rows: list[TokenizedRow]
    """One question that was never trained, for each labelled alias."""
    design: LabelledAliases
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


def make_task(rows: Sequence[TokenizedRow], target: str, *, seed: int) -> ProbeTask:
    """Chooses aliases, labels and divisions for a target among the rows of a seed.

    Raises:
        InputError: the run lacks the subsets that the target contrasts, or one class is empty, or
            purging the aliases of entities in two folds leaves too few.
    """
    experiment = design_of_rows(rows)
    wanted = find_target(experiment, target)
    questions = _questions(rows)
    asked_of = {alias: [row.row for row in rows] for alias, rows in questions.items()}
    labels = wanted.label(asked_of, seed)
    strata = _strata(asked_of, labels, wanted, experiment, seed)
    if wanted.is_of_entities:
        labels = _frequent(labels, target)
        balanced = sorted(labels)
    else:
        balanced = _balanced(labels, strata, target, seed)
    aliases = sorted(labels)
    question_rng = stream(seed, f"probe/{target}/question")
    chosen = [_untrained(questions[alias], question_rng) for alias in aliases]
    numbers = np.array([labels[alias] for alias in aliases])
    design = labelled_aliases(chosen, numbers, rows, [str(strata[alias]) for alias in aliases])
    if wanted.is_of_entities:
        itself = np.arange(len(aliases))
        design = replace(design, own=itself, named=itself)
    folds_rng = np.random.default_rng(derive_seed(seed, f"probe folds {target}"))
    places = np.searchsorted(aliases, balanced)
    asked = [(place, row) for place in places for row in questions[aliases[place]]]
    return ProbeTask(
        target=target,
        rows=chosen,
        design=design,
        divisions=_divisions(design, wanted, folds_rng),
        balanced=places,
        n_classes=max(labels.values()) + 1,
        all_rows=[row for _, row in asked],
        all_aliases=np.array([place for place, _ in asked]),
        all_questions=numbered([row.row.question or "" for _, row in asked]),
    )


def _divisions(
    design: LabelledAliases, target: ProbeTarget, rng: np.random.Generator
) -> tuple[Division, ...]:
    """Folds of entities, but for labels that entities determine."""
    if target.is_of_entities:
        return whole(design.labels, design.own, rng)
    try:
        return divide(design, rng)
    except InputError:
        if target not in DRAWN:
            raise
    # Of few aliases a drawn label can be had in every fold, but not with either tag.
    return divide(replace(design, strata=np.zeros_like(design.strata)), rng)


def _questions(rows: Sequence[TokenizedRow]) -> dict[str, list[TokenizedRow]]:
    """Questions for an attribute, by alias; those of which none was left untrained are left out.

    Raises:
        InputError: that leaves nobody to read.
    """
    questions: dict[str, list[TokenizedRow]] = {}
    for row in rows:
        is_attribute = row.row.kind is Kind.QA and row.row.family is Family.ATTRIBUTE
        if is_attribute and row.row.alias is not None:
            questions.setdefault(row.row.alias, []).append(row)
    asked = {
        alias: rows
        for alias, rows in questions.items()
        if any(row.row.split is Split.TEST for row in rows)
    }
    if not asked:
        raise InputError("no alias has an untrained question to probe; use another recipe")
    return asked


def _frequent(labels: dict[str, int], target: str) -> dict[str, int]:
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
    questions: Questions, labels: dict[str, int], target: ProbeTarget, design: Design, seed: int
) -> dict[str, int | None]:
    """What each class holds equally much of, so that it tells nothing of the label.

    A drawn label is read from aliases as many and as mixed as the tag's, whose null it is to be.
    """
    of_tags = [each for each in design.targets if each.is_of_tags]
    tags = of_tags[0].label(questions, seed) if target.is_within_tags and of_tags else {}
    return {alias: tags.get(alias) for alias in labels}


def _balanced(
    labels: dict[str, int], strata: dict[str, int | None], target: str, seed: int
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
    return rng.choice([row for row in rows if row.row.split is Split.TEST])
