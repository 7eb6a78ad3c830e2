"""A table of 1,000 widely known people that comes along: 500 men and 500 women, facts alone.

The facts are from Pantheon 1.0 (A. Z. Yu, S. Ronen, K. Hu, T. Lu and C. A. Hidalgo, "Pantheon 1.0,
a manually verified dataset of globally famous biographies", Scientific Data 3:150075, 2016; the
article is under CC BY 4.0) and, for years of death and second citizenships, from FB15k-237 and
MMKG, which took them from Freebase (CC BY 2.5). `benchmarks/make_famous_people.py` chose and joined
them: years are the tables', and `CvdbWorld` makes them coarse as in the paper.

Nationality is the country of today that someone was born in; where FB15k-237 has another one, that
one counts as right, too. A year of death is known of 155 of the 1,000, the others are asked five
questions.
"""

from pathlib import Path

FAMOUS_PEOPLE = Path(__file__).with_name("famous_people.csv")
"""The table, in the columns of the Cross-Verified Database."""
