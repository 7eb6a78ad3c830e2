"""Some columns of a large table as bytes: separated by commas, tabs, semicolons or bars.

Quotes are read as the CSV standard has them where the separator is no tab, or the header has them.
A quote that stands where none belongs opens a value that swallows the rows up to the next one; such
a table is refused, because what is lost would not be missed.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from data.errors import InputError, reason_of
from data.worlds.table_text import MISSING, SEPARATORS, refuse_wide_encodings, split_header

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 1 << 24


def read_columns(path: Path, columns: Sequence[str], *, repetitive: Sequence[str]) -> "pa.Table":
    """Columns of a table as bytes, in any order; null where a value is not known.

    Args:
        path: The table.
        columns: Which ones, by name.
        repetitive: Those of few different values, many times each: as a dictionary they are quick
            to sort and to write.

    Raises:
        InputError: a column is lacking or doubled, a row has too few or too many values, quotes
            swallow rows, or the table is in UTF-16.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow

    line = _first_line(path)
    separator, header = _header(path, line, columns)
    types = dict.fromkeys(columns, pa.binary())
    types |= dict.fromkeys(repetitive, pa.dictionary(pa.int32(), pa.binary()))
    convert = arrow.ConvertOptions(
        include_columns=list(columns),
        column_types=types,
        null_values=sorted(MISSING),
        strings_can_be_null=True,
    )
    has_quotes = separator != "\t" or line.lstrip().startswith('"')
    reason = ""
    # Line breaks within quotes are rare, and looking out for them is slow.
    for newlines in (False, True):
        parse = arrow.ParseOptions(
            delimiter=separator,
            quote_char='"' if has_quotes else False,
            newlines_in_values=newlines,
        )
        try:
            table = arrow.read_csv(
                path,
                read_options=arrow.ReadOptions(column_names=header, skip_rows=1),
                parse_options=parse,
                convert_options=convert,
            )
        except pa.ArrowInvalid as error:
            reason = reason_of(error)
            continue
        if _n_lines(path) - 1 != table.num_rows and has_quotes:
            _refuse_odd_rows(path, separator, len(header), has_quotes=True)
        return table
    _n_lines(path)
    _refuse_odd_rows(path, separator, len(header), has_quotes=has_quotes)
    raise InputError(f"{path} cannot be read ({reason}); repair the row")


def _first_line(path: Path) -> str:
    with path.open("rb") as file:
        line = file.readline(CHUNK)
    refuse_wide_encodings(path, line)
    return line.decode("utf-8-sig", errors="replace")


def _header(path: Path, line: str, columns: Sequence[str]) -> tuple[str, list[str]]:
    """The separator that shows the most of the columns, and the names of all columns.

    Raises:
        InputError: no separator shows them all.
    """
    headers = {separator: split_header(line, separator) for separator in SEPARATORS}
    separator = max(headers, key=lambda each: len(set(columns) & set(headers[each])))
    header = headers[separator]
    for column in columns:
        if header.count(column) != 1:
            has = f"two columns {column!r}" if column in header else f"no column {column!r}"
            raise InputError(
                f"{path} has {has}; rename the one that is meant (columns are taken to be "
                f"separated by {SEPARATORS[separator]})"
            )
    return separator, header


def _n_lines(path: Path) -> int:
    """Lines of a file, the last one with or without a line break.

    Raises:
        InputError: there is a NUL in one, so that it is no text.
    """
    n, last = 0, b"\n"
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            if (at := chunk.find(b"\x00")) >= 0:
                line = n + chunk.count(b"\n", 0, at) + 1
                raise InputError(f"{path}, line {line}: a NUL, which no text has; repair the file")
            n, last = n + chunk.count(b"\n"), chunk[-1:]
    return n if last == b"\n" else n + 1


def _refuse_odd_rows(path: Path, separator: str, n_columns: int, *, has_quotes: bool) -> None:
    """Refuses rows of too few or too many values, and values over lines that look like rows.

    Raises:
        InputError: there is such a row; the message names its lines.
    """
    record: list[str] = []

    def remembered(file: TextIO) -> Iterator[str]:
        for line in file:
            record.append(line)
            yield line

    quoting = csv.QUOTE_MINIMAL if has_quotes else csv.QUOTE_NONE
    with path.open(encoding="iso-8859-1", newline="") as file:
        reader = csv.reader(remembered(file), delimiter=separator, quoting=quoting)
        try:
            for row in reader:
                line = reader.line_num - len(record) + 1
                whole = [each.count(separator) == n_columns - 1 for each in record]
                if any(whole[1:-1]) or (len(whole) > 1 and whole[0] and whole[-1]):
                    raise InputError(
                        f"{path}, line {line}: a quote opens a value that goes on to line "
                        f"{reader.line_num} and swallows the rows between; remove or close it"
                    )
                if row and len(row) != n_columns:
                    raise InputError(
                        f"{path}, line {line} cannot be read ({len(row)} values instead of "
                        f"{n_columns}); repair it"
                    )
                record.clear()
        except csv.Error as error:
            line = reader.line_num - len(record) + 1
            raise InputError(
                f"{path}, line {line}: no row ends that begins here ({error}); look for a quote "
                "that is never closed"
            ) from error
