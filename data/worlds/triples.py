"""Tables of (subject, predicate, object): tab-separated, JSON lines, or one JSON list; in UTF-8.

The three columns are named `subject` (or `subj`), `predicate` and `object` (or `obj`); others are
skipped. A predicate is a Wikidata property (P57), or an address that ends in one.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from data.errors import InputError

COLUMNS = (("subject", "subj"), ("predicate",), ("object", "obj"))


class Triple(NamedTuple):
    """One fact: the object is what the predicate says of the subject."""

    subject: str
    predicate: str
    object: str


def read_triples(path: Path) -> Iterator[Triple]:
    """The triples of a table, read as they are needed.

    Raises:
        InputError: it is not in UTF-8, or lacks a column or a value; the message names the row,
            where a header is row 1.
    """
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        try:
            start = file.read(1)
            file.seek(0)
            match start:
                case "[":
                    rows = enumerate(map(_of_object, _parsed(path, 1, file.read())), start=1)
                case "{":
                    rows = _json_lines(path, file)
                case _:
                    rows = _tab_separated(path, file)
            for number, values in rows:
                yield _triple(path, number, values)
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not in UTF-8; convert it") from error


def _json_lines(path: Path, file: TextIO) -> Iterator[tuple[int, list[Any]]]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            yield number, _of_object(_parsed(path, number, line))


def _parsed(path: Path, number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}, line {number}: no JSON ({error}); repair it") from error


def _of_object(row: Any) -> list[Any]:
    """The values of the three columns, None where there is none."""
    columns = row if isinstance(row, Mapping) else {}
    return [next((columns[name] for name in names if name in columns), None) for names in COLUMNS]


def _tab_separated(path: Path, file: TextIO) -> Iterator[tuple[int, list[str]]]:
    """The values of the three columns; quotes have no meaning, since titles have them."""
    header = file.readline().rstrip("\r\n").split("\t")
    places = []
    for names in COLUMNS:
        found = [header.index(name) for name in names if name in header]
        if not found:
            raise InputError(f"{path} has no column {names[0]!r}; rename the one that is meant")
        places.append(found[0])
    for number, line in enumerate(file, start=2):
        values = line.rstrip("\r\n").split("\t")
        if len(values) != len(header):
            raise InputError(
                f"{path}, row {number}: {len(values)} columns instead of {len(header)}; repair it"
            )
        yield number, [values[place] for place in places]


def _triple(path: Path, number: int, values: list[Any]) -> Triple:
    """A row's values as a triple."""
    stripped = [value.strip() if isinstance(value, str) else "" for value in values]
    if not all(stripped):
        lacking = COLUMNS[stripped.index("")][0]
        raise InputError(f"{path}, row {number}: no {lacking}; add it, or remove the row")
    subject, predicate, value = stripped
    return Triple(subject, predicate.rsplit("/", 1)[-1], value)
