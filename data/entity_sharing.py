"""Which entity each alias of a symbolic world stands for, and how many aliases share one.

In the paper every alias has an entity of its own, and those of X2 are not those of X1. A small
world shares a few entities among all aliases: what an entity's facts are and how aliases lead to
them is then met many times over. Both differences are settings: each can be taken away.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

from data.errors import InputError
from data.subsets import Subset
from data.vocabulary import Part


@dataclass(frozen=True, kw_only=True)
class EntitySharing:
    """How many entities there are, and how they are given to aliases."""

    n_entities: int
    """Entities that aliases are drawn from, with replacement; unused with `per_entity`."""
    per_entity: int = 0
    """Most aliases of one entity in Stage 1. The number of aliases of every subset stays as it is,
    so that it says how many entities there are; 0 for `n_entities` and a draw with replacement."""
    new_in_stage2: bool = False
    """Whether Stage 2 has entities of its own, which no alias of Stage 1 stands for."""

    def counts(self, subsets: Sequence[Subset]) -> tuple[int, int]:
        """Entities of Stage 1, and those that Stage 2 has beyond them.

        Args:
            subsets: The subset of each alias.

        Raises:
            InputError: so many aliases of an entity leave fewer than two entities.
        """
        per = self.per_entity
        if not per:
            return self.n_entities, self.n_entities if self.new_in_stage2 else 0
        n_first = sum(subset.part is Part.X1 for subset in subsets)
        if not 1 <= per < n_first:
            raise InputError(
                f"aliases_per_entity is {per} of {n_first} aliases in Stage 1; use 1 to "
                f"{n_first - 1}, or 0 to draw from a fixed number of entities"
            )
        n_second = len(subsets) - n_first
        return -(-n_first // per), -(-n_second // per) if self.new_in_stage2 else 0

    def draw(
        self, entities: Sequence[str], subsets: Sequence[Subset], rng: random.Random
    ) -> list[str]:
        """The entity of each alias.

        Args:
            entities: As many as `counts` says, those of Stage 1 first.
            subsets: The subset of each alias.
            rng: What is drawn from.
        """
        n_shared, n_new = self.counts(subsets)
        is_second = [subset.part is Part.X2 for subset in subsets]
        if not self.per_entity:
            drawn = rng.choices(range(n_shared), k=len(subsets))
            # The same draw but for whom Stage 2 is about.
            places = [
                i + n_shared if n_new and second else i
                for i, second in zip(drawn, is_second, strict=True)
            ]
            return [entities[place] for place in places]
        first = _spread(entities[:n_shared], len(subsets) - sum(is_second), rng)
        second = _spread(entities[n_shared:] or entities, sum(is_second), rng)
        by_stage = {False: iter(first), True: iter(second)}
        return [next(by_stage[each]) for each in is_second]


def _spread(entities: Sequence[str], n: int, rng: random.Random) -> list[str]:
    """`n` entities in random order, each as often as any other, give or take one."""
    rounds = [rng.sample(entities, len(entities)) for _ in repeat(None, -(-n // len(entities)))]
    drawn = [entity for each in rounds for entity in each][:n]
    rng.shuffle(drawn)
    return drawn
