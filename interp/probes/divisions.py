"""Which aliases train a probe and which test it, so that none is read by an entity's company?

An alias can carry two entities: the one it stands for and, where its definition is false, the one
that this names. Folds of the former alone leak: a held-out entity then occurs in training only as
a *named* one, always with the label of false definitions, so that a probe reads less than half of
the aliases right where there is nothing to read. So folds are of entities, and an alias is kept
only where both of its entities lie in one fold: it is tested there, and trains the probes of the
other folds. All others are purged, and classes are balanced in each fold of what is left.

False definitions link nearly all entities, so the more folds, the more is purged: of 20 entities
linked at random two folds keep 9 of 19 false definitions, five folds 3 of 19. The fewer folds, the
less trains. The number of folds is the one with most n_train * n_test: to the square root of that
a probe's chance to find a weak signal is proportional. It depends on the design alone. Each
division into folds purges other aliases, so the mean over several reads nearly all of them.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import islice

import numpy as np
from jaxtyping import Int

from data.errors import InputError
from interp.probes.cross_validation import N_FOLDS, grouped_folds

N_DIVISIONS = 4
"""Divisions that are averaged over where each purges some aliases; one where none does."""
_ATTEMPTS = 5
"""Draws for each division that is wanted; in some a fold lacks a class."""


@dataclass(frozen=True, kw_only=True)
class Division:
    """Some of the aliases, in folds; which ones is purged from it is in no fold."""

    kept: Int[np.ndarray, " kept"]
    """Places of aliases, ascending."""
    folds: Int[np.ndarray, " kept"]
    blocks: Int[np.ndarray, " kept"]
    """Parts of folds: C is chosen between them, labels are permuted within them."""

    @property
    def n_folds(self) -> int:
        """The number of folds, each of which is the test fold in turn."""
        return int(self.folds.max()) + 1

    @property
    def n_test(self) -> float:
        """The number of aliases in a test fold, on average."""
        return len(self.kept) / self.n_folds

    @property
    def n_train(self) -> float:
        """Aliases that train the probe of a test fold, on average."""
        return len(self.kept) - self.n_test


@dataclass(frozen=True, kw_only=True)
class LabelledAliases:
    """What divisions depend on: of each alias its label, its entities and its kind."""

    labels: Int[np.ndarray, " alias"]
    own: Int[np.ndarray, " alias"]
    """The entity that it stands for, or the alias itself where there are no entities."""
    named: Int[np.ndarray, " alias"]
    """The entity that its definition names; `own` where that is the same, or nothing is named."""
    strata: Int[np.ndarray, " alias"]
    """Equally many aliases of both classes are taken from each."""
    kinds: Int[np.ndarray, " alias"]
    """Kinds of one class (D1 and D2 among the defined, say) are drawn as evenly as there are."""

    @property
    def is_linked(self) -> bool:
        """Whether any alias has two entities."""
        return bool((self.own != self.named).any())

    def take(self, places: Sequence[int]) -> "LabelledAliases":
        """The labels of some of the aliases."""
        return LabelledAliases(
            **{each.name: getattr(self, each.name)[places] for each in fields(self)}
        )

    @property
    def units(self) -> Int[np.ndarray, " alias"]:
        """The groups of aliases whose labels are permuted together; see `exchangeable_units`."""
        return exchangeable_units(self.labels, self.own)


def exchangeable_units(
    labels: Int[np.ndarray, " example"], groups: Int[np.ndarray, " example"]
) -> Int[np.ndarray, " example"]:
    """What labels may be permuted over: groups where each has one label, else examples."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    return group if (labels == labels[first][group]).all() else np.arange(len(labels))


def whole(
    labels: Int[np.ndarray, " example"],
    groups: Int[np.ndarray, " example"],
    rng: np.random.Generator,
) -> tuple[Division]:
    """One division that purges nothing and balances nothing; a group is never divided."""
    folds = grouped_folds(groups, labels, rng=rng)
    return (Division(kept=np.arange(len(labels)), folds=folds, blocks=folds),)


def divide(
    design: LabelledAliases, rng: np.random.Generator, *, chooses_c: bool = True
) -> tuple[Division, ...]:
    """Divisions with the number of folds that the module's docstring tells.

    Args:
        design: What to divide.
        rng: Draws the divisions.
        chooses_c: Whether C is chosen within training folds, of which two have blocks for it.

    Raises:
        InputError: there are too few entities, or aliases of a class, for two folds of both.
    """
    n_divisions = N_DIVISIONS if design.is_linked else 1
    best: tuple[Division, ...] = ()
    for n_folds in range(2, N_FOLDS + 1):
        found = _divisions(design, n_folds, n_divisions, rng, chooses_c)
        if _worth(found) > _worth(best):
            best = found
    if not best:
        raise _too_few(design)
    return best


def halve(design: LabelledAliases, rng: np.random.Generator) -> Division:
    """Two folds: to one something is fitted, in the other it is tried.

    Raises:
        InputError: there are too few entities, or aliases of a class.
    """
    found = _divisions(design, 2, 1, rng, True)
    if not found:
        raise _too_few(design)
    return found[0]


def _too_few(design: LabelledAliases) -> InputError:
    return InputError(
        f"{len(set(design.own.tolist()))} entities of {len(design.own)} aliases cannot be "
        "divided so that two folds hold both classes; probe a run with more aliases or entities"
    )


def _worth(divisions: tuple[Division, ...]) -> float:
    """How good divisions are: the mean product of their numbers of training and test aliases."""
    return float(np.mean([d.n_train * len(d.kept) for d in divisions])) if divisions else 0.0


def _divisions(
    design: LabelledAliases,
    n_folds: int,
    n_divisions: int,
    rng: np.random.Generator,
    chooses_c: bool,
) -> tuple[Division, ...]:
    """So many divisions, or fewer where the aliases do not allow as many."""
    drawn = (_division(design, n_folds, rng, chooses_c) for _ in range(n_divisions * _ATTEMPTS))
    return tuple(islice((each for each in drawn if each is not None), n_divisions))


def _division(
    design: LabelledAliases, n_folds: int, rng: np.random.Generator, chooses_c: bool
) -> Division | None:
    """One division into so many folds, balanced; None where a fold would lack a class."""
    units = _units(design, n_folds, rng)
    if len(set(units[design.own].tolist())) < n_folds:
        return None
    fold_of_alias = grouped_folds(units[design.own], design.labels, rng=rng, n_folds=n_folds)
    fold_of_unit = dict(zip(units[design.own].tolist(), fold_of_alias.tolist(), strict=True))
    named = np.array([fold_of_unit.get(unit, -1) for unit in units[design.named].tolist()])
    places = np.flatnonzero(fold_of_alias == named)
    # With two folds, C is chosen between halves of the training fold: each must hold both classes.
    has_halves = chooses_c and n_folds == 2
    least = 2 if has_halves else 1
    kept = []
    for fold in range(n_folds):
        in_fold = places[fold_of_alias[places] == fold]
        cells = [
            in_fold[(design.strata[in_fold] == stratum) & (design.labels[in_fold] == label)]
            for stratum in set(design.strata.tolist())
            for label in (0, 1)
        ]
        n = min(map(len, cells))
        if n < least:
            return None
        kept += [_evenly(cell, design.kinds, n, rng) for cell in cells]
    chosen = np.sort(np.concatenate(kept))
    folds = fold_of_alias[chosen]
    blocks = 2 * folds + _halves(design, chosen, folds) if has_halves else folds
    return Division(kept=chosen, folds=folds, blocks=blocks)


def _halves(
    design: LabelledAliases, chosen: Int[np.ndarray, " kept"], folds: Int[np.ndarray, " kept"]
) -> Int[np.ndarray, " kept"]:
    """0 or 1: halves of each fold that hold both classes, and no unit in two."""
    units, labels = design.units[chosen], design.labels[chosen]
    halves = np.empty(len(chosen), dtype=int)
    for fold in set(folds.tolist()):
        for label in (0, 1):
            cell = (folds == fold) & (labels == label)
            halves[cell] = np.unique(units[cell], return_inverse=True)[1] % 2
    return halves


def _units(
    design: LabelledAliases, n_folds: int, rng: np.random.Generator
) -> Int[np.ndarray, " entity"]:
    """Entities that go to one fold together have one number, by entity.

    Linked entities are ordered along a random walk over their links and cut into arcs, one a fold:
    where links form circles, as in a permutation of names, that cuts few of them. Each of the
    others is by itself.
    """
    units = n_folds + np.arange(max(design.own.max(), design.named.max()) + 1)
    links: dict[int, list[int]] = defaultdict(list)
    for one, other in zip(design.own.tolist(), design.named.tolist(), strict=True):
        if one != other:
            links[one].append(other)
            links[other].append(one)
    walk: dict[int, None] = {}
    for start in rng.permutation(sorted(links)).tolist():
        ahead = [start]
        while ahead:
            entity = ahead.pop()
            if entity not in walk:
                walk[entity] = None
                ahead += rng.permutation(links[entity]).tolist()
    units[list(walk)] = np.arange(len(walk)) * n_folds // max(len(walk), 1)
    return units


def _evenly(
    places: Int[np.ndarray, " place"],
    kinds: Int[np.ndarray, " alias"],
    n: int,
    rng: np.random.Generator,
) -> Int[np.ndarray, " chosen"]:
    """`n` of the places at random, with as equal numbers of each kind as there are."""
    shuffled = rng.permutation(places)
    rank = np.empty(len(shuffled), dtype=int)
    for kind in set(kinds[shuffled].tolist()):
        of_kind = kinds[shuffled] == kind
        rank[of_kind] = np.arange(of_kind.sum())
    return shuffled[np.argsort(rank, kind="stable")[:n]]
