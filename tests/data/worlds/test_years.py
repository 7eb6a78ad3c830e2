import pytest

from data.worlds.years import anonymised_year


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
