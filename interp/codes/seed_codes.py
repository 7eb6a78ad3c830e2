"""What a seed's aliases and codes are at a place: the ground on which all else is measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.codes.aliases import Alias, CodedAliases
from interp.codes.edits import Changes
from interp.codes.estimation import (
    CODES,
    Code,
    Vectors,
    code_cosine,
    coefficients,
    estimate_codes,
    linear_change,
    mean_by_entity,
)
from interp.codes.nulls import moved_round, null_codes
from training.seeds import derive_seed

N_SPLITS = 5
"""Random halvings of the aliases that a noise ceiling is the mean of."""


@dataclass(frozen=True, kw_only=True)
class SeedCodes:
    """Vectors of a seed's aliases before and after the last stage, and the codes in them."""

    aliases: CodedAliases
    start: Vectors
    """Before any training."""
    before: Vectors
    """At the end of the stage that codes are estimated at, before the last one."""
    after: Vectors
    """At the checkpoint that is looked at."""
    seed: int

    @cached_property
    def codes(self) -> dict[str, Code]:
        """The codes by name."""
        return estimate_codes(self.aliases, self.before)

    @cached_property
    def nulls(self) -> dict[str, dict[str, list[Code]]]:
        """What stands in for each code in controls; see `interp.codes.nulls`."""
        first = self.aliases.first
        grown = self.before.at(first) - self.start.at(first)
        rng = np.random.default_rng(derive_seed(self.seed, "codes/nulls"))
        return null_codes(self.aliases, self.before, self.codes, grown, rng)

    @cached_property
    def changes(self) -> Changes:
        """What the last stage changed in the compared aliases."""
        compared = self.aliases.compared
        numbers = self.before.numbers([alias.entity for alias in compared])
        rng = np.random.default_rng(derive_seed(self.seed, "codes/swap"))
        return Changes(
            vectors=self.added(compared),
            numbers=numbers,
            swapped=_others(numbers, rng),
            is_higher=np.arange(len(compared)) < len(self.aliases.higher),
        )

    def added(self, aliases: Sequence[Alias]) -> Float[np.ndarray, "alias width"]:
        """What the last stage changed in some aliases, less their mean."""
        vectors = self.after.at(aliases) - self.before.at(aliases)
        return vectors - vectors.mean(0)

    @property
    def sides(self) -> dict[str, np.ndarray]:
        """Which compared aliases are of which subset, the better one first."""
        is_higher = self.changes.is_higher
        names = self.aliases.higher[0].subset, self.aliases.lower[0].subset
        return dict(zip(names, (is_higher, ~is_higher), strict=True))

    def means(self, where: np.ndarray) -> Code:
        """The mean change by entity of some of the compared aliases.

        Where each entity has one alias, it is the part that its own representation tells.
        """
        changes = self.changes
        if self.before.own is not None:
            told = np.unique(changes.numbers).tolist()
            vectors, numbers = changes.vectors[where], changes.numbers[where]
            return linear_change(vectors, numbers, self.before, told)
        return mean_by_entity(
            changes.vectors[where], changes.numbers[where], len(self.before.entities)
        )

    def ceilings(self) -> dict[tuple[str, str], float]:
        """The highest cosine that noise allows, by code and by subset or other code.

        From the cosine of two halves, r, the reliability of the whole is 2r / (1 + r) (Spearman
        and Brown); a cosine cannot exceed the root of the product of two reliabilities.
        """
        rng = np.random.default_rng(derive_seed(self.seed, "codes/halves"))
        found: dict[str, list[float]] = {}
        for _ in range(N_SPLITS):
            halves = [estimate_codes(half, self.before) for half in _halves(self.aliases, rng)]
            for name in CODES:
                found.setdefault(name, []).append(code_cosine(*(half[name] for half in halves)))
            for subset, where in self.sides.items():
                order = rng.permutation(where.nonzero()[0])
                parts = [self.means(part) for part in (order[::2], order[1::2])]
                found.setdefault(subset, []).append(code_cosine(*parts))
        reliability = {name: _whole(float(np.mean(values))) for name, values in found.items()}
        return {
            (code, other): float(np.sqrt(reliability[code] * reliability[other]))
            for code in CODES
            for other in reliability
            if other != code
        }

    def per_alias(self) -> pd.DataFrame:
        """One row for each compared alias: `alias entity subset`, then measurements.

        `coefficient_reliable`, `coefficient_unreliable`, `coefficient_question` (on the own
        entity's code) and `change_length`.
        """
        changes = self.changes
        own = {
            f"coefficient_{name}": coefficients(changes.vectors, code, changes.numbers)
            for name, code in self.codes.items()
        }
        compared = self.aliases.compared
        names = {
            "alias": [alias.name for alias in compared],
            "entity": [alias.entity for alias in compared],
            "subset": [alias.subset for alias in compared],
        }
        lengths = np.linalg.norm(changes.vectors, axis=1)
        return pd.DataFrame(names | own | {"change_length": lengths})


def vectors_of(found: Mapping[str, Float[np.ndarray, " width"]], aliases: CodedAliases) -> Vectors:
    """Vectors by alias, with the order of the entities of a seed."""
    return Vectors(of=found, entities=aliases.entities)


def _others(numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another entity for each of some, out of the same: all of them have held-out answers."""
    known, places = np.unique(numbers, return_inverse=True)
    return known[moved_round(len(known), rng)][places]


def _halves(aliases: CodedAliases, rng: np.random.Generator) -> tuple[CodedAliases, CodedAliases]:
    """Two halves of the aliases of the first part; of each pair of entities as equal as can be."""
    groups = {
        name: _dealt(getattr(aliases, name), rng)
        for name in ("reliable", "unreliable", "undefined")
    }
    one, other = (
        replace(aliases, **{name: parts[i] for name, parts in groups.items()}) for i in (0, 1)
    )
    return one, other


def _dealt(group: list[Alias], rng: np.random.Generator) -> tuple[list[Alias], list[Alias]]:
    drawn = [group[i] for i in rng.permutation(len(group))]
    drawn.sort(key=lambda alias: (alias.defined or "", alias.asked or ""))
    return drawn[::2], drawn[1::2]


def _whole(half: float) -> float:
    """The reliability of the whole from the cosine of its halves; none below zero.

    Not a number where the halves have nothing in common that they could be compared by.
    """
    return float(np.maximum(0.0, 2 * half / (1 + half)))
