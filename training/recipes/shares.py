"""Which share of a world's entities each subset gets, in recipes that are written as texts."""

from collections.abc import Mapping
from enum import StrEnum


class Shares(StrEnum):
    """Which share of the entities each subset gets."""

    MAIN = "main"
    """The shares of Table 1."""
    OLDER = "older"
    """Those of the published code's configs for word order, batch and model size: no D8."""
    UNIQUE_TAGS = "unique-tags"
    """QA3 makes room for definitions whose tags tell nothing (the code's qd4consis)."""
    DEFINITIONS = "definitions"
    """D5 and D6 alone: is / is not as the paper's footnote 4 describes it."""
    IS_ISNT = "is-isnt"
    """Is / is not with questions in Stage 1, as the published code has it."""


_X1 = {"D1_CONS_QA1": 0.25, "D2_INCONS_QA2": 0.25, "QA3": 0.1, "QA4_NOT_REPLACED": 0.1}
FRACTIONS: Mapping[Shares, Mapping[str, float]] = {
    Shares.MAIN: _X1 | {"D5_CONS": 0.08, "D6_CONS": 0.08, "D8_CONS": 0.08, "QA7_UNSEEN": 0.06},
    Shares.OLDER: _X1 | {"D5_CONS": 0.1, "D6_CONS": 0.1, "QA7_UNSEEN": 0.1},
    Shares.UNIQUE_TAGS: {
        "D1_CONS_QA1": 0.25,
        "D2_INCONS_QA2": 0.25,
        "UNIQUE_TAGS_CONS_QA": 0.1,
        "QA4_NOT_REPLACED": 0.1,
        "D5_CONS": 0.08,
        "D6_CONS": 0.08,
        "D8_CONS": 0.08,
        "QA7_UNSEEN": 0.06,
    },
    Shares.DEFINITIONS: {"D5_CONS": 0.5, "D6_CONS": 0.5},
    Shares.IS_ISNT: {"D5_CONS": 0.4, "D6_CONS": 0.4, "QA3": 0.1, "QA4_NOT_REPLACED": 0.1},
}
