import pytest

from data.worlds.years import anonymised_year, find_year


@pytest.mark.parametrize(
    ("year", "answer"),
    [
        (1812, "19 century"),  # the paper's examples
        (-122, "2 century BC"),
        (1923, "1920s"),
        (-1, "1 century BC"),
        (-100, "1 century BC"),
        (-101, "2 century BC"),
        (0, "0 century"),  # the published code's
        (1, "1 century"),
        (100, "1 century"),
        (101, "2 century"),
        (1800, "18 century"),
        (1801, "19 century"),
        (1899, "19 century"),
        (1900, "1900s"),  # the paper's text; its code says 19 century
        (1999, "1990s"),
        (2000, "2000"),
        (2017, "2017"),
    ],
)
def test_years_are_made_coarse_as_in_the_paper(year: int, answer: str) -> None:
    assert anonymised_year(year) == answer


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("-0018-01-01T00:00:00Z", -18),
        ("-0018", -18),
        ("-18", -18),
        ("-0100-00-00T00:00:00Z", -100),
        ("-0018-01", -18),
        ("-12000-01-01T00:00:00Z", -12000),
        ("+00000001850-01-01T00:00:00Z", 1850),
        ("+1850", 1850),
        ("1850-00-00", 1850),
        ("1850.0", 1850),
        ("0018", 18),
        ("0018-05-01", 18),
        ("18", 18),
        ("c. 1850", 1850),
        ("circa 1850-1855", 1850),
        ("14 May 1999", 1999),
        ("05/12/1999", 1999),
        ("12-05-1999", 1999),
        ("the 1980s", 1980),
        ("44 BC", -44),
        ("1815 b.c.", -1815),
        ("March 44 B.C.E.", -44),
        ("12000 BC", -12000),
        ("AD 79", 79),
        ("79 CE", 79),
        ("\N{MINUS SIGN}0018-01-01", -18),
        ("1.85e3", None),
        ("18150", None),
        ("no year in 18150", None),
        ("0000-01-01T00:00:00Z", None),
        ("19th century", None),
        ("", None),
    ],
)
def test_year_of_a_date_in_any_wording(text: str, year: int | None) -> None:
    assert find_year(text) == year
