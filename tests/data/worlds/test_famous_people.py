"""The table of famous people that comes along."""

import csv
from collections import Counter

from data.worlds.cvdb import COLUMNS, CvdbWorld, Missing
from data.worlds.famous_people import FAMOUS_PEOPLE


def rows() -> list[dict[str, str]]:
    with FAMOUS_PEOPLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_table_has_halves_and_no_namesakes() -> None:
    people = rows()

    assert list(people[0]) == [name for name in people[0] if name in COLUMNS]
    assert set(people[0]) == set(COLUMNS)
    assert Counter(person["gender"] for person in people) == {"Male": 500, "Female": 500}
    assert len({person["name"] for person in people}) == 1000
    alike = Counter((person["gender"], person["level3_main_occ"]) for person in people)
    assert max(alike.values()) == 80


def test_nobody_is_left_out_and_years_are_coarse() -> None:
    world = CvdbWorld(table=str(FAMOUS_PEOPLE), n_entities=1000, missing=Missing.SKIP).load()

    assert len(world.facts) == 1000
    assert sum("death" in facts for facts in world.facts.values()) == 155
    assert world.facts["Albert Einstein"] == {
        "gender": ("Male",),
        "birth": ("19 century",),
        "death": ("1950s",),
        "region": ("Europe",),
        "occupation": ("physicist",),
        "nationality": ("Germany",),
    }
    # Born in what is Algeria today, a citizen of France: both count, the first is trained.
    assert world.facts["Albert Camus"]["nationality"] == ("Algeria", "France")


def test_paper_asks_only_for_people_of_whom_all_is_known() -> None:
    world = CvdbWorld(table=str(FAMOUS_PEOPLE), n_entities=1000).load()

    assert len(world.facts) == 155
    assert {len(facts) for facts in world.facts.values()} == {6}
