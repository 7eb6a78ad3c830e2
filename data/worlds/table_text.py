"""How the text of a table from elsewhere is read: encodings, missing values, one spelling a name.

The same name can be written in several ways that look alike: with composed or combining accents,
with no-break or double spaces, with characters of no width. `tidy` makes them one, so that one
person is one person. What stands for a missing value is what pandas takes for one by default, as in
the paper's code.
"""

import csv
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from data.errors import InputError

MISSING = frozenset(
    (
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"),
        *("1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    )
)
"""What `pandas.read_csv` reads as missing unless told otherwise."""
SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
INVISIBLE = re.compile("[\u034f\ufe00-\ufe0f]")
"""Characters of no width that Unicode does not list as format characters."""


def tidy(text: str) -> str:
    """A text with single plain spaces, composed accents, and nothing that cannot be seen.

    >>> tidy(" Jose\u0301\u00a0 \u200bCruz ") == "Jos\u00e9 Cruz"
    True
    """
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()  # no halves of surrogate pairs
        text = "".join(c for c in text if unicodedata.category(c) != "Cf")
        text = unicodedata.normalize("NFC", INVISIBLE.sub("", text))
    return " ".join(text.split())


def decode(value: bytes) -> str:
    """A single value as text: UTF-8, or where it is not that, Windows-1252 or ISO-8859-1.

    One value at a time, so that one row in another encoding garbles no other. The last two differ
    in letters that only Windows-1252 has.

    >>> decode("Jos\u00e9".encode()) == decode("Jos\u00e9".encode("latin-1")) == "Jos\u00e9"
    True
    """
    for encoding in ("utf-8", "cp1252"):
        try:
            return value.decode(encoding)
        except UnicodeDecodeError:
            continue
    return value.decode("iso-8859-1")


def refuse_wide_encodings(path: Path, start: bytes) -> None:
    """Refuses a table with two or four bytes to a character.

    Raises:
        InputError: its first bytes are a mark of UTF-16 or UTF-32, or include a NUL.
    """
    if start.startswith(BYTE_ORDER_MARKS) or b"\x00" in start:
        raise InputError(
            f"{path} looks like UTF-16, it is neither UTF-8 nor ISO-8859-1; convert it to UTF-8"
        )


def split_header(line: str, separator: str) -> list[str]:
    """The names of the columns."""
    first = re.split("[\r\n]", line, maxsplit=1)[0]
    return [tidy(name) for name in next(csv.reader([first], delimiter=separator), [])]


def seen_separator(line: str, among: Sequence[str]) -> str | None:
    """What divides a header into names, one of which is among those that are expected."""
    marks = (mark for mark in SEPARATORS if set(among) & set(split_header(line, mark)[1:]))
    return next(marks, None)
