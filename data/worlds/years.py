"""Years as tables write them, and as the paper's answers give them (Appendix A.1).

Years before Christ are counted as historians do, who have no year 0: -122 is 122 BC, as in the
paper's example, and `-0018-01-01T00:00:00Z` is 18 BC. So are the years of Wikidata's JSON, which
T-REx was made from; its RDF export counts -0017 for the same year. The two differ by a year, which
an answer shows at the ends of centuries alone.
"""

import re

NUMBER = re.compile(r"([+-]?)(\d+)(?:\.0*)?")
"""A year that stands alone, or any whole number."""
DATE = re.compile(r"([+-]?)(\d{4,})-\d\d(?!\d)|([+-])(\d+)(?![\d.])")
"""The start of a date of ISO 8601 or Wikidata, in which month and day may be 00."""
BEFORE_CHRIST = re.compile(r"(?<!\d)(\d{1,5})\s*(?:BCE?|B\.\s?C\.(?:\s?E\.)?)(?!\w)", re.IGNORECASE)
AFTER_CHRIST = re.compile(
    r"(?<!\w)A\.?D\.?\s*(\d{1,4})(?!\d)|(?<!\d)(\d{1,4})\s*(?:A\.?D\.?|CE|C\.E\.)(?!\w)",
    re.IGNORECASE,
)
IN_TEXT = re.compile(r"(?<!\d)\d{4}(?!\d)")


def parse_number(text: str) -> int | None:
    """A whole number with or without a sign, such as `-18`, `+1850`, `0018` or `1850.0`.

    >>> [parse_number(text) for text in ("-18", "+1850", "0018", "1850.0", "1.85e3", "c. 1850")]
    [-18, 1850, 18, 1850, None, None]
    """
    match = NUMBER.fullmatch(text.strip().replace("\N{MINUS SIGN}", "-"))
    return int(match[1] + match[2]) if match else None


def find_year(text: str) -> int | None:
    """The year of a date in any wording, negative before Christ; None if it names none.

    Of several years the first counts. Five digits are a year in a date of ISO 8601 or before
    Christ alone.

    >>> [find_year(t) for t in ("-0018-01-01T00:00:00Z", "+1850-00-00T00:00:00Z", "44 BC", "AD 79")]
    [-18, 1850, -44, 79]
    >>> [find_year(t) for t in ("14 May 1999", "c. 1850", "-1850", "12000 BC", "18150", "1.85e3")]
    [1999, 1850, -1850, -12000, None, None]
    """
    text = text.strip().replace("\N{MINUS SIGN}", "-")
    if match := BEFORE_CHRIST.search(text):
        year = -int(match[1])
    elif match := DATE.match(text):
        year = int(match[1] + match[2]) if match[2] else int(match[3] + match[4])
    elif match := AFTER_CHRIST.search(text):
        year = int(match[1] or match[2])
    elif NUMBER.fullmatch(text):
        number = parse_number(text)
        year = number if number is not None and abs(number) < 10_000 else 0
    else:
        match = IN_TEXT.search(text)
        year = int(match[0]) if match else 0
    return year or None  # there is no year 0


def anonymised_year(year: int) -> str:
    """The century before 1900, the decade before 2000, the year itself from then on.

    The paper's text makes decades of the years from 1900 on; its published code says "19 century"
    for 1900, and here the text is followed. For the year 0, of which the text says nothing, it is
    the code's "0 century".

    Args:
        year: Negative before Christ: -122 is 122 BC.

    >>> [anonymised_year(year) for year in (-122, 1812, 1900, 1923, 2000)]
    ['2 century BC', '19 century', '1900s', '1920s', '2000']
    """
    if year < 1900:
        century = (abs(year) + 99) // 100
        return f"{century} century BC" if year < 0 else f"{century} century"
    return f"{year // 10}0s" if year < 2000 else str(year)
