import unicodedata

import pytest
from pandas._libs.parsers import STR_NA_VALUES

from data.worlds.table_text import MISSING, decode, tidy


def test_missing_is_what_pandas_takes_for_missing() -> None:
    assert STR_NA_VALUES == MISSING


@pytest.mark.parametrize(
    "text",
    [
        "José Ñandú",
        unicodedata.normalize("NFD", "José Ñandú"),
        "José\u00a0Ñandú",
        "José  Ñandú",
        " José\u2009\u3000Ñandú\t",
        "Jo\u200bsé Ñan\u00addú\ufeff",
        "\u200eJosé Ñandú\u200f",
    ],
)
def test_names_that_look_alike_are_one(text: str) -> None:
    assert tidy(text) == "José Ñandú"


def test_names_that_differ_stay_apart() -> None:
    names = ["Jose", "José", "JOSE", "Jo se", "\u0391da", "Ada"]
    assert len({tidy(name) for name in names}) == len(names)
    assert tidy("half \ud800 a pair") == "half ? a pair"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Müller".encode(), "Müller"),
        ("Müller".encode("latin-1"), "Müller"),
        ("Šime".encode("cp1252"), "Šime"),
        (b"\x81", "\x81"),
    ],
)
def test_value_is_decoded_by_itself(value: bytes, text: str) -> None:
    assert decode(value) == text
