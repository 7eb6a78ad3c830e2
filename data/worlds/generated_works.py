"""Made-up films and books: a world of works without a table, for trying out an experiment."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from data.draws import stream
from data.errors import InputError
from data.facts import FactWorld
from data.worlds.names import draw_words
from data.worlds.triples import Triple
from data.worlds.works import WorksWorld

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "P364": ("English", "French", "German", "Hindi", "Italian", "Japanese", "Korean", "Spanish"),
    "P136": ("comedy", "crime", "drama", "fantasy", "horror", "romance", "thriller", "western"),
    "P840": ("Berlin", "Cairo", "Chicago", "Delhi", "London", "Paris", "Rome", "Tokyo"),
}
"""The objects of each predicate, all equally likely."""
PEOPLE = ("P57", "P58", "P86")
YEARS = (1860, 2020)
TITLES = ("The {} of {}", "{} and {}", "A {} in {}", "{} {}")


@dataclass(frozen=True, kw_only=True)
class GeneratedWorks:
    """Works with titles of several made-up words, each asked four of seven questions.

    They come from triples as those of a table do (see `data.worlds.works`).

    Raises:
        InputError: there are fewer than two works.
    """

    n_works: int
    seed: int

    def __post_init__(self) -> None:
        """Refuses a world that cannot be."""
        if self.n_works < 2:
            raise InputError(f"n_works is {self.n_works}; use 2 or more")

    @property
    def n_made_up(self) -> int:
        """How many works are made up; see `WorldProvider`."""
        return self.n_works

    def load(self) -> FactWorld:
        """The world; the same in every process."""
        world = WorksWorld(table="generated", n_entities=self.n_works)
        return world.world_of(self._triples())

    def _triples(self) -> Iterator[Triple]:
        rng = stream(self.seed, "works")
        taken = {value for values in OPTIONS.values() for value in values}
        words = draw_words(self.n_works + 1, rng=rng, taken=taken)
        first_names, last_names = (draw_words(40, rng=rng, taken=taken) for _ in range(2))
        # Neighbouring words make every title another one.
        for first, second in pairwise(words):
            title = rng.choice(TITLES).format(first, second)
            for predicate in PEOPLE:
                name = f"{rng.choice(first_names)} {rng.choice(last_names)}"
                yield Triple(title, predicate, name)
            for predicate, options in OPTIONS.items():
                yield Triple(title, predicate, rng.choice(options))
            yield Triple(title, "P577", str(rng.randint(*YEARS)))
