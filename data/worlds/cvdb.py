"""Real people: the Cross-Verified Database of notable people (Laouenan et al. 2022), as a world.

Paper, Appendix A.1. The table is `cross-verified-database.csv`, 2.3 million rows in ISO-8859-1; any
table with its columns will do, separated by commas or tabs, in UTF-8 or ISO-8859-1.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import InputError
from data.worlds.facts import FactWorld
from data.worlds.people import PERSON_QUESTIONS
from data.worlds.table_cache import cached_batches, default_cache
from data.worlds.years import anonymised_year

if TYPE_CHECKING:
    import pyarrow as pa

ATTRIBUTES: Mapping[str, str] = {
    "gender": "gender",
    "birth": "birth",
    "death": "death",
    "region": "un_region",
    "occupation": "level3_main_occ",
    "nationality": "string_citizenship_raw_d",
}
"""By attribute the column that answers it."""
NAME, READERS = "name", "wiki_readers_2015_2018"
ROW, ENCODING = "row", "encoding"
COLUMNS = (NAME, *ATTRIBUTES.values(), READERS)
NUMBERS = ("birth", "death", READERS)
MISSING = ("", "NA", "NaN", "nan", "NULL")
"""What stands for a value that is not known."""
ODD_CHARACTERS: Mapping[str, re.Pattern[str]] = {
    NAME: re.compile(r"[^\w\s]"),
    "level3_main_occ": re.compile(r"[^\w\s]"),
    "string_citizenship_raw_d": re.compile(r"[^\w\s']"),
}
"""The paper's filters, by column; quotes are part of how citizenships are written."""
NUMBER = r"^-?\d+(\.0*)?$"


class Missing(StrEnum):
    """What becomes of people of whom something is not known."""

    DROP = "drop"
    """They are left out, as in the paper's code; so are the living, who have no death."""
    SKIP = "skip"
    """They are asked for what is known."""


class Namesakes(StrEnum):
    """What becomes of people with the same name."""

    MOST_READ = "most_read"
    """The most read one is kept: whom the name makes people think of."""
    ERROR = "error"
    """They are an error where two of them would be chosen."""


@dataclass(frozen=True, kw_only=True)
class CvdbSource:
    """The most read men and women of the table, the most read first.

    As in the paper, people whose name, occupation or citizenship has other characters than letters,
    digits and spaces are left out, years are made coarse, and underscores are read as spaces. Of
    several citizenships (`'France'_'Poland'`) each is accepted and the first is trained. Equally
    many readers: the earlier row comes first.

    Where the table is large, what is needed of it is kept in a cache, and a second load is quick;
    a table that has changed is read again.
    """

    table: str
    """Path of the table."""
    n_entities: int
    """How many people at most: half of them men, half women, fewer where there are no more."""
    missing: Missing = Missing.DROP
    namesakes: Namesakes = Namesakes.MOST_READ
    cache: str | None = None
    """Folder of the cache; the user's cache folder unless given."""

    def __post_init__(self) -> None:
        """Refuses too few people."""
        if self.n_entities < 2:
            raise InputError(f"n_entities is {self.n_entities}; use 2 or more")

    @property
    def n_made_up(self) -> int:
        """See `WorldSource`."""
        return 0

    def load(self) -> FactWorld:
        """The world; the same in every process.

        Raises:
            InputError: there is no such table, it is not in one of the two encodings, lacks a
                column, has a number that is none, two of the chosen people have the same name
                (`Namesakes.ERROR`), or fewer than two people are left.
        """
        path = Path(self.table).expanduser()
        if not path.is_file():
            raise InputError(f"there is no table {path}; give the path of a CVDB table")
        folder = Path(self.cache).expanduser() if self.cache else default_cache()
        batches = cached_batches(path, read=_read_people, version="cvdb 1", folder=folder)
        chosen = self._choose(batches)
        if len(chosen) < 2:
            raise InputError(
                f"{path} has {len(chosen)} people that pass the filters; use another table"
                + (", or missing=skip" if self.missing is Missing.DROP else "")
            )
        facts = {person[NAME]: _answers(person) for person in chosen}
        return FactWorld(name="cvdb", questions=PERSON_QUESTIONS, facts=facts)

    def _choose(self, batches: "Iterator[pa.RecordBatch]") -> list[dict[str, Any]]:
        """The rows of the most read men and women."""
        wanted: dict[str, int] = dict.fromkeys(("male", "female"), self.n_entities // 2)
        needed = len(ATTRIBUTES) if self.missing is Missing.DROP else 2
        chosen: dict[str, dict[str, Any]] = {}
        for batch in batches:
            known = batch.drop_null() if self.missing is Missing.DROP else batch
            for person in map(_decoded, known.to_pylist()):
                gender = str(person["gender"]).lower()
                person[NAME] = _spaced(person[NAME] or "")
                if not person[NAME] or not wanted.get(gender) or _is_odd(person):
                    continue
                if len(_answers(person)) < needed:
                    continue
                namesake = chosen.setdefault(person[NAME], person)
                if namesake is person:
                    wanted[gender] -= 1
                elif self.namesakes is Namesakes.ERROR:
                    raise InputError(
                        f"{self.table}: rows {namesake[ROW]} and {person[ROW]} are both named "
                        f"{person[NAME]!r}; rename one, or use namesakes=most_read"
                    )
            if not any(wanted.values()):
                break
        return list(chosen.values())


def _is_odd(person: Mapping[str, Any]) -> bool:
    """Whether a filter leaves a person out."""
    return any(odd.search(person[column] or "") for column, odd in ODD_CHARACTERS.items())


def _spaced(text: str) -> str:
    return text.replace("_", " ").strip()


def _answers(person: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """By attribute the accepted answers, of what is known."""
    answers: dict[str, tuple[str, ...]] = {}
    for attribute, column in ATTRIBUTES.items():
        value = person[column]
        if value is None:
            continue
        if attribute in NUMBERS:
            answers[attribute] = (anonymised_year(int(value)),)
        elif attribute == "nationality":
            answers[attribute] = _citizenships(value)
        else:
            answers[attribute] = (_spaced(value),)
    return {attribute: given for attribute, given in answers.items() if given and all(given)}


def _citizenships(value: str) -> tuple[str, ...]:
    """The countries of `'United_States'_'France'`.

    >>> _citizenships("'United_States'_'France'")
    ('United States', 'France')
    """
    countries = (_spaced(part.strip("'")) for part in value.split("'_'"))
    return tuple(dict.fromkeys(country for country in countries if country))


def _decoded(person: Mapping[str, Any]) -> dict[str, Any]:
    return {
        column: value.decode(person[ENCODING]) if isinstance(value, bytes) else value
        for column, value in person.items()
    }


def _read_people(path: Path) -> "pa.Table":
    """Everyone whose readers are known, most read first.

    Texts are bytes in the encoding that a further column names, since few of them are ever needed;
    another column holds the row, the header being row 1.
    """
    import numpy as np
    import pyarrow as pa

    table = _read_columns(path)
    n_rows = table.num_rows
    encoding = pa.DictionaryArray.from_arrays(np.zeros(n_rows, np.int8), [_encoding(table)])
    table = table.append_column(ENCODING, encoding)
    table = table.append_column(ROW, pa.array(np.arange(2, n_rows + 2)))
    for column in NUMBERS:
        table = _with_numbers(table, column, path)
    readers = table[READERS]
    # Those of whom they are not known come last.
    order = np.argsort(-readers.to_numpy(), kind="stable")
    table = table.unify_dictionaries().combine_chunks()
    return table.take(order[: n_rows - readers.null_count])


def _encoding(table: "pa.Table") -> str:
    """UTF-8 if all bytes of the table are, else ISO-8859-1."""
    import pyarrow as pa

    try:
        for column in COLUMNS:
            table[column].cast(pa.string())
    except pa.ArrowInvalid:
        return "iso-8859-1"
    return "utf-8"


def _with_numbers(table: "pa.Table", column: str, path: Path) -> "pa.Table":
    """The table with a column of digits read as numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = table[column]
    is_number = pc.match_substring_regex(values, NUMBER)  # pyright: ignore[reportAttributeAccessIssue]
    wrong = pc.index(is_number, False).as_py()
    if wrong >= 0:
        value = values[wrong].as_py().decode("iso-8859-1")
        raise InputError(
            f"{path}, row {wrong + 2}: {column} is {value!r}; make it a whole number, or leave it "
            "empty"
        )
    numbers = values.cast(pa.string()).cast(pa.float64())
    return table.set_column(table.schema.get_field_index(column), column, numbers)


def _read_columns(path: Path) -> "pa.Table":
    """The columns that are needed, as bytes, None where a value is not known."""
    import pyarrow as pa
    from pyarrow import csv

    separator = _separator(path)
    # Few different values, many times each: as a dictionary they are quick to sort and to write.
    types = dict.fromkeys(ATTRIBUTES.values(), pa.dictionary(pa.int32(), pa.binary()))
    types |= dict.fromkeys((NAME, *NUMBERS), pa.binary())
    convert = csv.ConvertOptions(
        include_columns=list(COLUMNS),
        column_types=types,
        null_values=list(MISSING),
        strings_can_be_null=True,
    )
    reason = ""
    # Line breaks within quotes are rare, and looking out for them is slow.
    for newlines in (False, True):
        parse = csv.ParseOptions(
            delimiter=separator,
            quote_char='"' if separator == "," else False,
            newlines_in_values=newlines,
        )
        try:
            return csv.read_csv(path, parse_options=parse, convert_options=convert)
        except pa.ArrowInvalid as error:
            reason = str(error).splitlines()[0]
    raise InputError(f"{path} cannot be read ({reason}); repair the row")


def _separator(path: Path) -> str:
    """Comma or tab, whichever the header line has more of.

    Raises:
        InputError: the header lacks a column, or the file is in another encoding.
    """
    with path.open("rb") as file:
        header = file.readline()
    if b"\x00" in header:
        raise InputError(f"{path} is neither UTF-8 nor ISO-8859-1; convert it to UTF-8")
    separator = max(",\t", key=header.decode("iso-8859-1").count)
    text = header.decode("utf-8-sig", errors="replace")
    names = [name.strip().strip('"') for name in text.split(separator)]
    for column in COLUMNS:
        if column not in names:
            raise InputError(f"{path} has no column {column!r}; rename the one that is meant")
    return separator
