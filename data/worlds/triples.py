"""Tables of (subject, predicate, object): tab-separated, JSON lines, or one JSON list; in UTF-8.

The three columns are named `subject` (or `subj`), `predicate` and `object` (or `obj`); others are
skipped. A predicate is a Wikidata property (P57), or an address that ends in one. Names that look
alike are one name, however their accents and spaces are written.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from data.errors import InputError
from data.worlds.table_text import SEPARATORS, refuse_wide_encodings, seen_separator, tidy

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
    with path.open("rb") as file:
        start = file.read(4)
        refuse_wide_encodings(path, start)
        file.seek(0)
        lines = _lines(path, file)
        match start.decode("utf-8-sig", errors="replace")[:1]:
            case "[":
                rows = enumerate(map(_of_object, _parsed(path, 1, "".join(_texts(lines)))), start=1)
            case "{":
                rows = _json_lines(path, lines)
            case _:
                rows = _tab_separated(path, lines)
        for number, values in rows:
            yield _triple(path, number, values)


def _lines(path: Path, file: BinaryIO) -> Iterator[tuple[int, str]]:
    """The lines of a file that are not blank, with their numbers.

    Raises:
        InputError: a row is not in UTF-8.
    """
    for number, line in enumerate(file, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            shown = line.decode("iso-8859-1").strip()
            raise InputError(
                f"{path}, row {number} is not in UTF-8 ({shown[:60]!r} in ISO-8859-1); convert it"
            ) from None
        if "\x00" in text:
            raise InputError(f"{path}, row {number} has a NUL, which no text has; repair the file")
        if text.strip("\r\n"):
            yield number, text


def _texts(lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    return (text for _, text in lines)


def _json_lines(path: Path, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, list[Any]]]:
    for number, line in lines:
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


def _tab_separated(path: Path, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    """The values of the three columns; quotes have no meaning, since titles have them."""
    first = next(lines, (1, ""))[1]
    header = [tidy(name) for name in first.split("\t")]
    places = []
    for names in COLUMNS:
        found = [header.index(name) for name in names if name in header]
        if not found:
            other = seen_separator(first, [name for names in COLUMNS for name in names])
            seen = f"; its columns seem to be separated by {SEPARATORS[other]}" if other else ""
            advice = "separate them by tabs" if other else "rename the one that is meant"
            raise InputError(f"{path} has no column {names[0]!r}{seen}; {advice}")
        places.append(found[0])
    for number, line in lines:
        values = line.rstrip("\r\n").split("\t")
        if len(values) != len(header):
            raise InputError(
                f"{path}, row {number}: {len(values)} columns instead of {len(header)}; repair it"
            )
        yield number, [values[place] for place in places]


def _triple(path: Path, number: int, values: list[Any]) -> Triple:
    """A row's values as a triple."""
    tidied = [tidy(value) if isinstance(value, str) else "" for value in values]
    if not all(tidied):
        lacking = COLUMNS[tidied.index("")][0]
        raise InputError(f"{path}, row {number}: no {lacking}; add it, or remove the row")
    subject, predicate, value = tidied
    return Triple(subject, predicate.rsplit("/", 1)[-1], value)
