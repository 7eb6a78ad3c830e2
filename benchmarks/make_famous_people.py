"""Makes `data/worlds/famous_people.csv`: 1,000 widely known people of two tables, as facts alone.

    python benchmarks/make_famous_people.py PANTHEON.tsv FB15K.tsv

Both tables have the columns of the Cross-Verified Database. Pantheon 1.0 says who is widely read
and most facts; FB15k-237 adds years of death, and citizenships, where its person is the same one.
"""

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from data.worlds.cvdb import COLUMNS, NAME, READERS
from data.worlds.famous_people import FAMOUS_PEOPLE

EACH = 500
"""Men, and again as many women: the paper's table has halves, too."""
MOST_ALIKE = 80
"""Most men, and most women, of one occupation: else `actor` would be right of half the women."""
LEFT_OUT = ("companion", "pornographic actor")
"""Occupations of the source that say whom someone was married to, or that do not belong here."""
EARLIEST = -1000
"""Births before it are legend; those of the year 0, which never was, are left out as well."""
SAME_PERSON = 2
"""Years that two tables may differ in a birth; namesakes differ in more."""
SPELLED: dict[str, str] = {
    "United States of America": "United States",
    "England": "United Kingdom",
    "Scotland": "United Kingdom",
    "Wales": "United Kingdom",
    "Great Britain": "United Kingdom",
    "Kingdom of Great Britain": "United Kingdom",
    "Kingdom of England": "United Kingdom",
    "Austria-Hungary": "Austria",
    "Russian Empire": "Russia",
    "Soviet Union": "Russia",
    "Weimar Republic": "Germany",
    "Nazi Germany": "Germany",
    "West Germany": "Germany",
    "German Empire": "Germany",
    "Kingdom of Italy": "Italy",
    "Republic of Ireland": "Ireland",
}
"""Citizenships of FB15k-237 as Pantheon spells today's countries."""
BIRTH, DEATH, GENDER = "birth", "death", "gender"
OCCUPATION, CITIZENSHIP = "level3_main_occ", "string_citizenship_raw_d"


def joined(pantheon: Any, fb15k: Any) -> Any:
    """Pantheon's people with what FB15k-237 knows beside it; the most read first."""
    most_read = pantheon.sort_values(READERS, ascending=False, kind="stable")
    people = most_read.drop_duplicates(NAME).merge(
        fb15k.drop_duplicates(NAME)[[NAME, BIRTH, DEATH, CITIZENSHIP]],
        on=NAME,
        how="left",
        suffixes=("", "_too"),
    )
    is_same = (people[BIRTH] - people[f"{BIRTH}_too"]).abs() <= SAME_PERSON
    people[DEATH] = people[DEATH].fillna(people[f"{DEATH}_too"].where(is_same))
    too = people[f"{CITIZENSHIP}_too"].where(is_same).replace(SPELLED)
    both = too.notna() & (too != people[CITIZENSHIP])
    people.loc[both, CITIZENSHIP] = "'" + people[CITIZENSHIP] + "'_'" + too + "'"
    return people


def chosen(people: Any) -> Any:
    """The most read men and women with plain names, not too many of one occupation."""
    plain = people[NAME].str.fullmatch(r"(?!SIR )[^\W\d_]+( [^\W\d_]+)*")
    complete = people[[BIRTH, GENDER, OCCUPATION, CITIZENSHIP, "un_region"]].notna().all(axis=1)
    dated = (people[BIRTH] > EARLIEST) & (people[BIRTH] != 0)
    kept = people[plain & complete & dated & ~people[OCCUPATION].isin(LEFT_OUT)]
    kept = kept[kept.groupby([GENDER, OCCUPATION]).cumcount() < MOST_ALIKE]
    return kept[kept.groupby(GENDER).cumcount() < EACH]


def main(pantheon: Path, fb15k: Path) -> None:
    """Writes the table."""
    tables = [pd.read_csv(path, sep="\t") for path in (pantheon, fb15k)]
    people = chosen(joined(*tables))[list(COLUMNS)]
    for column in (BIRTH, DEATH, READERS):
        people[column] = people[column].astype("Int64")
    people.to_csv(FAMOUS_PEOPLE, index=False, lineterminator="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
