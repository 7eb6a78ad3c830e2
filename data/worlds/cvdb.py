"""Real people: the Cross-Verified Database of notable people (Laouenan et al. 2022), as a world.

Paper, Appendix A.1. The table is `cross-verified-database.csv`, 2.3 million rows in ISO-8859-1; any
table with its columns will do, separated by commas, tabs, semicolons or bars, in UTF-8, ISO-8859-1
or Windows-1252, each value in its own.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import InputError
from data.facts import FactWorld
from data.user_cache import default_cache
from data.worlds.columns import read_columns
from data.worlds.people import PERSON_QUESTIONS
from data.worlds.table_cache import cached_batches
from data.worlds.table_text import MISSING, decode, tidy
from data.worlds.years import anonymised_year, parse_number

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
"""The column that answers each attribute."""
NAME, READERS = "name", "wiki_readers_2015_2018"
ROW = "row"
COLUMNS = (NAME, *ATTRIBUTES.values(), READERS)
NUMBERS = ("birth", "death", READERS)
ODD_CHARACTERS: Mapping[str, re.Pattern[str]] = {
    NAME: re.compile(r"[^\w\s]"),
    "level3_main_occ": re.compile(r"[^\w\s]"),
    "string_citizenship_raw_d": re.compile(r"[^\w\s']"),
}
"""The paper's filters, by column; quotes are part of how citizenships are written."""
LAST_YEAR = 9999
PLAIN_NUMBER = r"^-?\d+(\.0*)?$"
UNKNOWN = "of whom something is not known"
ODD = "whose name, occupation or citizenship has more than letters, digits and spaces"
GENDER = "of another gender than male or female, of which halves cannot be made"
NAMESAKE = "named like someone more read"
"""A reason to leave people out."""


class Missing(StrEnum):
    """What becomes of people of whom something is not known."""

    DROP = "drop"
    """Such people are left out, as in the paper's code; so are the living, who have no death."""
    SKIP = "skip"
    """Such people are asked for what is known."""


class Namesakes(StrEnum):
    """What becomes of people with the same name."""

    MOST_READ = "most_read"
    """The most read one is kept: whom the name makes people think of."""
    ERROR = "error"
    """Namesakes are an error where two of them would be chosen."""


@dataclass(frozen=True, kw_only=True)
class CvdbWorld:
    """The most read men and women of the table, the most read first.

    As in the paper, people whose name, occupation or citizenship has other characters than letters,
    digits and spaces are left out, years are made coarse, and underscores are read as spaces. Of
    several citizenships (`'France'_'Poland'`) each is accepted and the first is trained. Equally
    many readers: the earlier row comes first.

    A value that pandas reads as missing by default ("None", "N/A" ...) is not known, as in the
    paper's code. Names that look alike are one name, however their accents and spaces are written.

    What is needed of the table is kept in a cache, and a second load is quick; a table that has
    changed is read again. How many people were left out, and why, stands in the world's `notes`.
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

    def load(self) -> FactWorld:
        """The world; the same in every process.

        Raises:
            InputError: there is no such table, it is in UTF-16, lacks a column, has a number that
                is none or quotes that swallow rows, two of the chosen people have the same name
                (`Namesakes.ERROR`), or fewer than two people are left.
        """
        path = Path(self.table).expanduser()
        if not path.is_file():
            raise InputError(f"there is no table {path}; give the path of a CVDB table")
        folder = Path(self.cache).expanduser() if self.cache else default_cache()
        batches = cached_batches(path, read=_read_people, version="cvdb 2", folder=folder)
        chosen, note = self._choose(batches)
        if len(chosen) < 2:
            raise InputError(
                f"{path} has {len(chosen)} people that pass the filters ({note}); use another table"
                + (", or missing=skip" if self.missing is Missing.DROP else "")
            )
        facts = {person[NAME]: _answers(person) for person in chosen}
        notes = (f"{path.name}: {len(chosen)} people, {note}",)
        return FactWorld(name="cvdb", questions=PERSON_QUESTIONS, facts=facts, notes=notes)

    def _choose(self, batches: "Iterator[pa.RecordBatch]") -> tuple[list[dict[str, Any]], str]:
        """The rows of the most read men and women, and who was left out."""
        wanted: dict[str, int] = dict.fromkeys(("male", "female"), self.n_entities // 2)
        chosen: dict[str, dict[str, Any]] = {}
        left_out: Counter[str] = Counter()
        n_rows = 0
        for batch in batches:
            known = batch.drop_null() if self.missing is Missing.DROP else batch
            n_rows += batch.num_rows
            left_out[UNKNOWN] += batch.num_rows - known.num_rows
            for person in map(_decoded, known.to_pylist()):
                reason = self._objection(person)
                if reason:
                    left_out[reason] += 1
                elif wanted[person["gender"].lower()]:
                    namesake = chosen.setdefault(person[NAME], person)
                    if namesake is person:
                        wanted[person["gender"].lower()] -= 1
                        continue
                    left_out[NAMESAKE] += 1
                    self._allow_namesake(namesake, person)
            if not any(wanted.values()):
                break
        reasons = [f"{n:,} {reason}" for reason, n in left_out.items() if n]
        seen = f"from the {n_rows:,} most read rows"
        return list(chosen.values()), f"{seen}; left out: {', '.join(reasons) or 'nobody'}"

    def _objection(self, person: Mapping[str, Any]) -> str:
        """Why someone is left out; empty where nothing speaks against it."""
        gender = person["gender"]
        if gender is not None and gender.lower() not in ("male", "female"):
            return GENDER
        if gender is None or person[NAME] is None or person[READERS] is None:
            return UNKNOWN
        if _is_odd(person):
            return ODD
        needed = len(ATTRIBUTES) if self.missing is Missing.DROP else 2
        return UNKNOWN if len(_answers(person)) < needed else ""

    def _allow_namesake(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
        if self.namesakes is Namesakes.ERROR:
            raise InputError(
                f"{self.table}: rows {first[ROW]} and {second[ROW]} are both named "
                f"{first[NAME]!r}; rename one, or use namesakes=most_read"
            )


def _is_odd(person: Mapping[str, Any]) -> bool:
    """Whether a filter leaves a person out."""
    return any(odd.search(person[column] or "") for column, odd in ODD_CHARACTERS.items())


def _spaced(text: str) -> str:
    return tidy(text.replace("_", " "))


def _answers(person: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The accepted answers by attribute, where they are known."""
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
    return tuple(dict.fromkeys(country for country in countries if country not in MISSING))


def _decoded(person: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its texts in one spelling, None for what is not known."""
    read = dict(person)
    for column, value in person.items():
        if isinstance(value, bytes):
            text = tidy(decode(value))
            read[column] = None if text in MISSING else text
    read[NAME] = read[NAME] and _spaced(read[NAME])
    return read


def _read_people(path: Path) -> "pa.Table":
    """Everyone, most read first, those last of whom readers are not known.

    Texts are bytes as the table has them, since few of them are ever needed; a further column holds
    the row, the header being row 1.
    """
    import numpy as np
    import pyarrow as pa

    repetitive = [column for column in ATTRIBUTES.values() if column not in NUMBERS]
    table = read_columns(path, COLUMNS, repetitive=repetitive)
    table = table.append_column(ROW, pa.array(np.arange(2, table.num_rows + 2)))
    for column in NUMBERS:
        table = _with_numbers(table, column, path)
    order = np.argsort(-table[READERS].to_numpy(), kind="stable")
    return table.unify_dictionaries().combine_chunks().take(order)


def _with_numbers(table: "pa.Table", column: str, path: Path) -> "pa.Table":
    """The table with a column of digits read as numbers, exact ones and those that need care."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    values = table[column].combine_chunks()
    is_plain = pc.match_substring_regex(values, PLAIN_NUMBER)  # pyright: ignore[reportAttributeAccessIssue]
    others = np.flatnonzero(~is_plain.fill_null(True).to_numpy(zero_copy_only=False))
    plain = pc.if_else(is_plain, values, None)  # pyright: ignore[reportAttributeAccessIssue]
    numbers = plain.cast(pa.string()).cast(pa.float64())
    if len(others):
        read = numbers.to_numpy(zero_copy_only=False).copy()
        read[others] = [_number(values[at].as_py(), column, path, at + 2) for at in others.tolist()]
        numbers = pa.array(read, from_pandas=True)
    if column != READERS and (pc.max(numbers).as_py() or 0) > LAST_YEAR:  # pyright: ignore[reportAttributeAccessIssue]
        at = int(np.nanargmax(numbers.to_numpy(zero_copy_only=False)))
        raise InputError(
            f"{path}, row {at + 2}: {column} is {numbers[at].as_py():.0f}, which is no year; "
            "correct it, or leave it empty"
        )
    return table.set_column(table.schema.get_field_index(column), column, numbers)


def _number(value: bytes, column: str, path: Path, row: int) -> float:
    """A number that is written in an unusual way; NaN where it is not known.

    Raises:
        InputError: the text is no number.
    """
    text = tidy(decode(value))
    number = parse_number(text)
    if text not in MISSING and number is None:
        raise InputError(
            f"{path}, row {row}: {column} is {text!r}; make it a whole number, or leave it empty"
        )
    return math.nan if number is None else float(number)
