"""Where the facts of text recipes come from: a table of people or works, or made-up ones."""

from dataclasses import dataclass
from enum import StrEnum

from data.errors import InputError
from data.facts import WorldProvider
from data.inputs import Input
from data.worlds.cvdb import CvdbWorld, Missing
from data.worlds.famous_people import FAMOUS_PEOPLE
from data.worlds.generated_works import GeneratedWorks
from data.worlds.people import PeopleWorld
from data.worlds.works import WorksWorld
from training.recipes.groups import Variant

FAMOUS = "famous"
"""The value of `table` that stands for the famous people that come along; see
`data.worlds.famous_people`."""
GENERATED = "generated"
"""The value of `table` that stands for made-up facts, for smoke tests."""


class World(StrEnum):
    """The tables that facts come from."""

    CVDB = "cvdb"
    WORKS = "works"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The facts of a text recipe: which entities there are, and what is true of them."""

    world: World = World.CVDB
    table: str = ""
    """The file that holds the facts; `famous` for the people that come along, `generated` for facts
    that are made up."""
    entities: int = 4000
    """How many entities of the table are taken."""
    missing: Missing = Missing.DROP
    """What becomes of people of whom something is not known."""

    @property
    def inputs(self) -> dict[str, Input]:
        """The inputs that are not built in: the table."""
        is_built_in = self.table in (FAMOUS, GENERATED)
        return {} if is_built_in else {"table": Input(location=self.table)}

    def provider(self, variant: Variant) -> WorldProvider:
        """The world that reads or makes the facts.

        Raises:
            InputError: no table is named, or `missing` is set where nothing is.
        """
        table, n = self.table, self.entities
        if table == FAMOUS and self.world is World.WORKS:
            raise InputError(f"table {FAMOUS} is of people; leave out world, or name another table")
        if not table:
            raise InputError(
                f"the world {self.world} is read from a table; download it and give "
                "--set table=FILE, "
                f"or try the recipe on made-up facts with --set table={GENERATED}"
            )
        if self.world is World.WORKS and self.missing is not Missing.DROP:
            raise InputError("missing is of no use in world works; leave it out")
        match self.world:
            case World.WORKS if table == GENERATED:
                return GeneratedWorks(n_works=n, seed=0)
            case World.WORKS:
                coded = variant is Variant.AS_CODED
                most = 0 if coded else 4
                return WorksWorld(table=table, n_entities=n, at_most=most, as_coded=coded)
            case World.CVDB if table == GENERATED:
                return PeopleWorld(n_people=n, seed=0)
            case World.CVDB:
                path = str(FAMOUS_PEOPLE) if table == FAMOUS else table
                return CvdbWorld(table=path, n_entities=n, missing=self.missing)
