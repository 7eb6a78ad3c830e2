"""Made-up people with the paper's six attributes (Appendix A.1): seeded, nothing to download.

A pretrained model knows none of them; a model that was trained on this world's facts does.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from data.draws import stream
from data.errors import InputError
from data.facts import FactWorld
from data.worlds.names import draw_words
from data.worlds.years import anonymised_year

Value = TypeVar("Value")

PERSON_QUESTIONS: Mapping[str, str] = {
    "gender": "What was the gender of {}?",
    "birth": "When was {} born?",
    "death": "When did {} die?",
    "region": "In which region did {} live?",
    "occupation": "What did {} do?",
    "nationality": "What was the nationality of {}?",
}
"""The paper's questions about people; Appendix A.1."""

GENDERS = ("male", "female")
NATIONS: Mapping[str, tuple[str, ...]] = {
    "Africa": (
        *("Egypt", "Nigeria", "Kenya", "Ghana", "Morocco", "Ethiopia", "Senegal", "Algeria"),
        *("Tunisia", "Angola", "Zambia", "Mali"),
    ),
    "America": (
        *("Canada", "Mexico", "Brazil", "Argentina", "Chile", "Peru", "Cuba", "Colombia"),
        *("Bolivia", "Uruguay", "Jamaica", "Haiti"),
    ),
    "Asia": (
        *("China", "Japan", "India", "Turkey", "Iran", "Korea", "Thailand", "Vietnam"),
        *("Nepal", "Mongolia", "Indonesia", "Israel"),
    ),
    "Europe": (
        *("France", "Germany", "Italy", "Spain", "Poland", "Greece", "Sweden", "Austria"),
        *("Hungary", "Ireland", "Portugal", "Norway"),
    ),
    "Oceania": (
        *("Australia", "New Zealand", "Fiji", "Samoa", "Tonga", "Vanuatu", "Palau", "Nauru"),
        *("Kiribati", "Tuvalu", "Papua New Guinea", "Micronesia"),
    ),
}
"""Nationalities by region, equally many each."""
OCCUPATIONS = (
    *("writer", "painter", "actor", "singer", "politician", "lawyer", "physician", "priest"),
    *("soldier", "merchant", "composer", "dancer", "engineer", "historian", "chemist", "athlete"),
    *("philosopher", "explorer", "journalist", "architect", "teacher", "sculptor", "banker"),
    *("farmer", "judge", "printer", "sailor", "astronomer", "botanist", "diplomat", "poet"),
    *("mathematician", "nurse", "pilot", "photographer", "cook", "tailor", "carpenter", "monk"),
    *("surgeon", "translator", "librarian", "geologist", "jeweller", "miner", "weaver", "spy"),
    *("inventor", "preacher", "baker", "potter", "editor", "linguist", "gardener", "jockey"),
    *("magician", "publisher", "surveyor", "watchmaker", "violinist"),
)
BIRTHS: Sequence[tuple[int, int]] = (
    *((start, start + 99) for start in range(1701, 0, -100)),
    *((start, start + 99) for start in range(-100, -801, -100)),
    (1801, 1899),
    *((start, start + 9) for start in range(1900, 1930, 10)),
)
"""First and last year of each answer to the question for the birth."""
AGES = (25, 95)
"""The youngest and the oldest that anyone dies."""


@dataclass(frozen=True, kw_only=True)
class PeopleWorld:
    """A world of made-up people, the most popular first (see `zipf_popularity`).

    Names have two or three words, shared among people so that no single word names anyone; no two
    people have both the first and the last word in common. Everyone has all six attributes, and
    they fit together: nations lie in their region, and people die at an age of 25 to 95.

    Raises:
        InputError: there are fewer than two people, or `overlap` is outside 0 to 1.
    """

    n_people: int
    seed: int
    overlap: float = 0.0
    """How much answers coincide between people, from 0 to 1.

    Of an attribute with K possible answers, K^(1 - overlap) 2^overlap (rounded) are in use, each by
    equally many people up to one: all K at 0, two at 1. This goes for occupation (K = 60),
    nationality (60), and birth (30). Region and death follow from nationality and birth, and
    genders are always two: at 0 two people share region and gender by chance one time in 5 and 2.
    """

    def __post_init__(self) -> None:
        """Refuses a world that cannot be."""
        if self.n_people < 2:
            raise InputError(f"n_people is {self.n_people}; use 2 or more")
        if not 0 <= self.overlap <= 1:
            raise InputError(f"overlap is {self.overlap}; use 0 (least) to 1 (most)")

    @property
    def n_made_up(self) -> int:
        """How many people are made up; see `WorldProvider`."""
        return self.n_people

    def load(self) -> FactWorld:
        """The world; the same in every process."""
        # One nation of each region in turn, so that few nations still are of many regions.
        nations = [
            (region, nation)
            for turn in zip(*NATIONS.values(), strict=True)
            for region, nation in zip(NATIONS, turn, strict=True)
        ]
        columns = zip(
            self._names(),
            self._deal("gender", GENDERS),
            self._deal("birth", BIRTHS),
            self._deal("nationality", nations),
            self._deal("occupation", OCCUPATIONS),
            strict=True,
        )
        years = stream(self.seed, "people/years")
        facts: dict[str, dict[str, tuple[str, ...]]] = {}
        for name, gender, births, (region, nation), occupation in columns:
            birth, death = _life(births, years)
            answers = (gender, birth, death, region, occupation, nation)
            facts[name] = {
                attribute: (answer,)
                for attribute, answer in zip(PERSON_QUESTIONS, answers, strict=True)
            }
        return FactWorld(name="people", questions=PERSON_QUESTIONS, facts=facts)

    def _deal(self, attribute: str, values: Sequence[Value]) -> list[Value]:
        """Everyone's value, those in use equally often up to one."""
        n_used = round(len(values) ** (1 - self.overlap) * 2**self.overlap)
        dealt = [values[person % n_used] for person in range(self.n_people)]
        stream(self.seed, f"people/{attribute}").shuffle(dealt)
        return dealt

    def _names(self) -> list[str]:
        rng = stream(self.seed, "people/names")
        # Four times as many pairs as people, or more.
        n_words = 2 * math.isqrt(self.n_people) + 2
        taken = {word for nations in NATIONS.values() for word in nations}
        first, middle, last = (draw_words(n_words, rng=rng, taken=taken) for _ in range(3))
        names = []
        for code in rng.sample(range(n_words**2), self.n_people):
            between = [rng.choice(middle)] if rng.random() < 1 / 3 else []
            names.append(" ".join([first[code // n_words], *between, last[code % n_words]]))
        return names


def _life(births: tuple[int, int], rng: random.Random) -> tuple[str, str]:
    """Birth and death as answers."""
    birth = rng.randint(*births)
    death = birth + rng.randint(*AGES)
    if birth < 0 <= death:
        death += 1  # no year 0
    return anonymised_year(birth), anonymised_year(death)


def zipf_popularity(world: FactWorld, *, exponent: float = 1.0) -> dict[str, float]:
    """Share of all attention that each entity gets, by Zipf's law in the world's order.

    The share of the entity at place r, counted from 1, is in proportion to r^(-exponent); they sum
    to 1, and with an exponent of 0 all are equal.
    """
    weights = [rank**-exponent for rank in range(1, len(world.facts) + 1)]
    total = math.fsum(weights)
    return {name: weight / total for name, weight in zip(world.entities, weights, strict=True)}
