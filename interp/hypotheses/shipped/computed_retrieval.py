"""Selective retrieval, first form: the question computes which tag the alias was defined with."""

from interp.hypotheses.held_out import GAP_BY_CODE, GAP_BY_LENGTH
from interp.hypotheses.hypothesis import Hypothesis, alone, core
from interp.hypotheses.reading import (
    CARRIED_BY_CODE,
    OWN_CODE_RECITED,
    READ_OUT_KEPT_OFF,
    TAG_ERASED,
    TAG_SWAPPED,
    TRUTH,
)
from interp.hypotheses.row import Expected
from interp.hypotheses.rows import (
    AMOUNT,
    APART,
    AT_BEST,
    CODES_KEPT_OFF,
    CONSTANT,
    DIRECTION,
    LATER,
    LENGTH,
    LOOKS,
    LOOKS_AFTER,
    RECITED,
    SHORTER,
    TAG_READ,
    TAGS,
)

MORE, NONE = Expected.MORE, Expected.NONE

HYPOTHESIS = Hypothesis(
    title="Computed retrieval",
    statement="Definitions of either tag are stored alike and leave a mark of their tag; a part of "
    "the question looks at the mark and reads the entity only where the mark is reliable.",
    predictions=(
        core(LOOKS, MORE, "a part that reads by tag looks at aliases by tag"),
        core(LOOKS_AFTER, MORE, "what it looks at is a mark, the same for all aliases of a tag"),
        core(AT_BEST, MORE, "reading does not depend on when a definition was trained"),
        alone(CONSTANT, MORE, "with the other tag's mark a definition is read"),
        alone(TAG_READ, MORE, "the mark can be read"),
        alone(DIRECTION, NONE, "both tags store alike"),
        alone(APART, NONE, "both tags store alike"),
        alone(LENGTH, NONE, "both tags store as much"),
        alone(SHORTER, NONE, "both tags store as much"),
        alone(RECITED, NONE, "both tags store as much"),
        alone(AMOUNT, NONE, "questions have a way of their own to what definitions store"),
        alone(TAGS, NONE, "the mark need not be the tag's own direction"),
        alone(LATER, NONE, "when a definition is trained tells nothing of its tag"),
        alone(CODES_KEPT_OFF, NONE, "both tags store alike anyway"),
        alone(GAP_BY_CODE, NONE, "both tags store alike"),
        alone(GAP_BY_LENGTH, NONE, "both tags store as much"),
        alone(TAG_SWAPPED, NONE, "both tags store alike"),
        alone(OWN_CODE_RECITED, NONE, "both tags store alike"),
        alone(TRUTH, MORE, "the mark is what aliases of one tag have in common"),
        alone(TAG_ERASED, MORE, "without a mark nothing is looked at"),
        alone(CARRIED_BY_CODE, NONE, "both tags store alike"),
        alone(
            READ_OUT_KEPT_OFF, NONE, "questions have a way of their own to what definitions store"
        ),
    ),
)
