"""Years as the paper's answers give them: too coarse to name a person by (Appendix A.1)."""


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
