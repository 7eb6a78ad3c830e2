"""What the last stage changed in the embedding rows of the aliases that a design compares.

A change has three parts, of which rival hypotheses blame one each:

    constant    the mean over all aliases of the subset: the same whatever the entity
    direction   where the mean over an entity's aliases points, once the constant is taken off
    length      how much is written in all

What is left is each alias's own. Edits exchange one part between the two subsets and keep the rest.
What one subset writes of an entity is told apart by the other's direction: so much along it, and
the rest. Both count for how much is written, so that half of a definition in another place is as
much as all of it in one. Lengths of the rest are freed of the noise that halves of a subset show.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from data.design import Contrast
from data.tokens import TokenizedRow
from data.vocabulary import Kind, Part, Role
from interp.codes.nulls import moved_round

Vectors = Float[np.ndarray, "alias width"]
FEWEST_ALIASES = 2
"""Of an entity in each subset, so that its mean change can be split into halves."""
FEWEST_ENTITIES = 2
"""So that there is a difference between entities at all."""


@dataclass(frozen=True, kw_only=True)
class Aliases:
    """Aliases of one subset: their tokens, and the entity that each definition names."""

    names: tuple[str, ...]
    tokens: tuple[int, ...]
    entities: tuple[str, ...]

    @classmethod
    def of(cls, rows: Sequence[TokenizedRow], subset: str, kind: Kind) -> "Aliases | None":
        """The aliases of a subset, each once; None if one of them has several tokens.

        Args:
            rows: All rows of a seed.
            subset: Whose aliases.
            kind: Whether its definitions or its questions say which entity an alias stands for.
        """
        found: dict[str, tuple[int, str]] = {}
        for row in rows:
            its = row.row
            if its.subset.name != subset or its.kind is not kind or its.alias is None:
                continue
            first, last = row.spans[Role.ALIAS]
            if first != last or its.entity is None:
                return None
            found[its.alias] = (row.input_ids[first], its.entity)
        if not found:
            return None
        tokens, entities = zip(*found.values(), strict=True)
        return cls(names=tuple(found), tokens=tokens, entities=entities)


def defined_aliases(rows: Sequence[TokenizedRow], contrast: Contrast) -> list[Aliases]:
    """The defined aliases of both subsets; none where one of them has aliases of several tokens."""
    sides = [Aliases.of(rows, name, Kind.DEFINITION) for name in contrast.names]
    return [] if None in sides else [side for side in sides if side is not None]


def shared_entities(sides: Sequence[Aliases]) -> tuple[str, ...]:
    """The entities that have enough aliases in each subset."""
    return tuple(
        entity
        for entity in dict.fromkeys(sides[0].entities if sides else ())
        if min(side.entities.count(entity) for side in sides) >= FEWEST_ALIASES
    )


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What the last stage added to the rows of one subset's aliases."""

    aliases: Aliases
    added: Vectors
    entities: tuple[str, ...]
    """The entities that both subsets have aliases of, in the order of `means`."""

    @property
    def constant(self) -> Float[np.ndarray, " width"]:
        """The part that is the same for all aliases."""
        return self.added.mean(0)

    @property
    def numbers(self) -> Int[np.ndarray, " alias"]:
        """The place of each alias's entity in `entities`; -1 if it is not among them."""
        place = {entity: i for i, entity in enumerate(self.entities)}
        return np.array([place.get(entity, -1) for entity in self.aliases.entities])

    def means(self, half: int | None = None) -> Float[np.ndarray, "entity width"]:
        """The mean change of each entity's aliases without the constant; of half of them if said.

        Halves are every other alias of an entity. The means sum to zero over entities.
        """
        numbers, own = self.numbers, self.added - self.constant
        found = np.zeros((len(self.entities), own.shape[1]))
        for entity in range(len(self.entities)):
            chosen = np.flatnonzero(numbers == entity)
            found[entity] = own[chosen if half is None else chosen[half::2]].mean(0)
        return found - found.mean(0)

    @property
    def noise(self) -> float:
        """Root mean square length of what the means owe to the aliases that were drawn."""
        difference = self.means(0) - self.means(1)
        return float(np.sqrt((difference**2).sum(1).mean()) / 2)


@dataclass(frozen=True, kw_only=True)
class ChangePair:
    """The changes of the two subsets that are compared."""

    higher: Changes
    lower: Changes

    @classmethod
    def of(
        cls,
        rows: Sequence[TokenizedRow],
        contrast: Contrast,
        before: Float[np.ndarray, "token width"],
        after: Float[np.ndarray, "token width"],
    ) -> "ChangePair | None":
        """Reads the changes off the embeddings before and after the stage; None if it cannot.

        It cannot where aliases have several tokens, or entities lack aliases in either subset.
        """
        sides = defined_aliases(rows, contrast)
        shared = shared_entities(sides)
        if len(shared) < FEWEST_ENTITIES:
            return None
        higher, lower = (
            Changes(
                aliases=side,
                added=(after - before)[list(side.tokens)].astype(np.float64),
                entities=shared,
            )
            for side in sides
        )
        return cls(higher=higher, lower=lower)

    @property
    def constant(self) -> Float[np.ndarray, " width"]:
        """By how much the higher subset's constant exceeds the lower's."""
        return self.higher.constant - self.lower.constant

    @property
    def sizes(self) -> tuple[float, float]:
        """Root mean square length of the entities' mean changes, in the higher and the lower."""
        higher, lower = (_length(side.means(), 0.0) for side in (self.higher, self.lower))
        return higher, lower

    @property
    def lengths(self) -> tuple[float, float]:
        """How much the entities' mean changes write in all, in the higher and the lower subset."""
        higher = _length(self.higher.means(), self.higher.noise)
        along, rest = _split(self.lower.means(), self.higher.means())
        return higher, float(np.sqrt((along**2).mean())) + _length(rest, self.lower.noise)

    def edits(self, rng: np.random.Generator) -> dict[str, tuple[Vectors, Vectors]]:
        """What is added to each alias's row by each edit, in the higher and the lower subset.

        Each edit gives a subset one part of the other's change: `constant`, `length`, `direction`,
        all three (`all`) or, as a control, the direction of another entity (`direction_other`).
        """
        lengths, own = self.lengths, (self.higher.means(), self.lower.means())
        flat = [np.ones((len(side.added), 1)) for side in (self.higher, self.lower)]
        constant = (-self.constant * flat[0], self.constant * flat[1])
        others = moved_round(len(self.higher.entities), rng)
        swapped = self._spread(own[1] - own[0], own[0] - own[1])
        noise = (self.higher.noise, self.lower.noise)
        return {
            "constant": constant,
            "length": self._spread(
                (lengths[1] / lengths[0] - 1) * own[0], (lengths[0] / lengths[1] - 1) * own[1]
            ),
            "direction": self._spread(
                _turn(own[0], own[1], noise[0]), _turn(own[1], own[0], noise[1])
            ),
            "direction_other": self._spread(
                _turn(own[0], own[1], noise[0], others), _turn(own[1], own[0], noise[1], others)
            ),
            "all": (constant[0] + swapped[0], constant[1] + swapped[1]),
        }

    def _spread(self, higher: np.ndarray, lower: np.ndarray) -> tuple[Vectors, Vectors]:
        """Vectors of entities as vectors of aliases; zero for aliases of other entities."""
        first, second = (
            vectors[side.numbers] * (side.numbers >= 0)[:, None]
            for vectors, side in ((higher, self.higher), (lower, self.lower))
        )
        return first, second


def apartness(pair: ChangePair) -> float:
    """How far an entity's changes point apart in the two subsets: 0 alike, 1 not alike at all.

    One minus the cosine between subsets over the cosine between halves of one subset, which is
    how alike they could be at best. NaN where halves of one subset are not alike themselves.
    """
    halves = [[side.means(half) for half in (0, 1)] for side in (pair.higher, pair.lower)]
    within = [_cosine(*side) for side in halves]
    across = float(np.mean([_cosine(a, b) for a in halves[0] for b in halves[1]]))
    ceiling = float(np.sqrt(np.prod(np.clip(within, 0, None))))
    return 1 - across / ceiling if ceiling > LEAST_CEILING else float("nan")


LEAST_CEILING = 0.05
"""Cosine between halves below which nothing can be said of a direction."""


def amounts(
    side: Changes, code: Mapping[str, Float[np.ndarray, " width"]]
) -> Float[np.ndarray, " alias"]:
    """The coefficient of each alias's change on the code of its own entity; NaN where unknown."""
    found = np.full(len(side.added), np.nan)
    for i, entity in enumerate(side.aliases.entities):
        if entity in code:
            found[i] = side.added[i] @ code[entity] / (code[entity] @ code[entity])
    return found


def question_code(
    rows: Sequence[TokenizedRow], embeddings: Float[np.ndarray, "token width"]
) -> dict[str, Float[np.ndarray, " width"]]:
    """By entity what is common to the rows of its aliases that only questions were trained on.

    Questions alone wrote these rows, so that it is the code that questions read. The mean over
    entities is taken off. Empty where the data have no such aliases.
    """
    names = dict.fromkeys(row.row.subset for row in rows)
    asked = [
        subset.name
        for subset in names
        if subset.part is Part.X1
        and subset.has_questions
        and subset.replaced
        and not subset.has_definitions
    ]
    found: dict[str, list[np.ndarray]] = {}
    for name in asked:
        aliases = Aliases.of(rows, name, Kind.QA)
        for token, entity in zip(aliases.tokens, aliases.entities, strict=True) if aliases else ():
            found.setdefault(entity, []).append(embeddings[token].astype(np.float64))
    means = {entity: np.mean(vectors, axis=0) for entity, vectors in found.items()}
    if len(means) < FEWEST_ENTITIES:
        return {}
    centre = np.mean(list(means.values()), axis=0)
    return {entity: vector - centre for entity, vector in means.items()}


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Mean over entities of the cosine between two vectors of each."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(np.mean((first * second).sum(1) / np.where(lengths == 0, 1, lengths)))


def _split(
    own: Float[np.ndarray, "entity width"], other: Float[np.ndarray, "entity width"]
) -> tuple[Float[np.ndarray, " entity"], Float[np.ndarray, "entity width"]]:
    """How much of each vector lies along the other one of its entity, and what is left of it."""
    unit = other / np.linalg.norm(other, axis=1, keepdims=True)
    along = (own * unit).sum(1)
    return along, own - along[:, None] * unit


def _length(vectors: Float[np.ndarray, "entity width"], noise: float) -> float:
    """Root mean square length without what noise adds to it."""
    return float(np.sqrt(max((vectors**2).sum(1).mean() - noise**2, 0.0)))


def _turn(
    own: Float[np.ndarray, "entity width"],
    other: Float[np.ndarray, "entity width"],
    noise: float,
    order: Int[np.ndarray, " entity"] | None = None,
) -> Float[np.ndarray, "entity width"]:
    """What turns all that lies elsewhere into the other subset's direction, of so much as is real.

    Args:
        own: What is turned, by entity.
        other: Where to.
        noise: See `Changes.noise`.
        order: Whose direction each entity is given; its own unless said.
    """
    rest = _split(own, other)[1]
    lengths = np.linalg.norm(rest, axis=1, keepdims=True)
    mean = np.sqrt((lengths**2).mean())
    kept = _length(rest, noise) / mean if mean > 0 else 0.0
    target = other if order is None else other[order]
    unit = target / np.linalg.norm(target, axis=1, keepdims=True)
    return kept * lengths * unit - rest
