"""Constant shift: one vector that does not depend on what a definition says."""

from interp.hypotheses.held_out import GAP_BY_ALIGNMENT, GAP_BY_CODE, GAP_BY_LENGTH
from interp.hypotheses.hypothesis import Hypothesis, alone, core
from interp.hypotheses.reading import (
    CARRIED_BY_ALIGNMENT,
    CARRIED_BY_CODE,
    OWN_CODE_RECITED,
    TAG_ERASED,
    TAG_SWAPPED,
    TRUTH,
)
from interp.hypotheses.row import Expected
from interp.hypotheses.rows import (
    ALIGNED,
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
    SHORTER,
    TAG_COSINE,
    TAG_READ,
    TAGS,
)

MORE, NONE = Expected.MORE, Expected.NONE

HYPOTHESIS = Hypothesis(
    title="Constant shift",
    statement="A reliable definition adds one vector to its alias, the same whatever it says, that "
    "makes questions read more of what is stored; it is none that the tags had before.",
    predictions=(
        core(CONSTANT, MORE, "one vector makes the gap"),
        core(TAGS, NONE, "the vector is none of the tags' own"),
        core(
            LOOKS_AFTER, NONE, "the vector makes more of what is read, and no head look elsewhere"
        ),
        core(AT_BEST, MORE, "the vector does not depend on when a definition was trained"),
        alone(LOOKS, NONE, "no head looks elsewhere"),
        alone(TAG_COSINE, NONE, "the vector is none of the tags' own"),
        alone(TAG_READ, MORE, "the vector can be read"),
        alone(DIRECTION, NONE, "the entity is stored alike"),
        alone(APART, NONE, "the entity is stored alike"),
        alone(LENGTH, NONE, "the entity is stored as well"),
        alone(SHORTER, NONE, "the entity is stored as well"),
        alone(AMOUNT, NONE, "the entity is stored as well"),
        alone(ALIGNED, NONE, "the entity is stored alike"),
        alone(LATER, NONE, "when a definition is trained tells nothing of its tag"),
        alone(CODES_KEPT_OFF, NONE, "both tags store alike anyway"),
        alone(GAP_BY_CODE, NONE, "the entity is stored as well"),
        alone(GAP_BY_LENGTH, NONE, "the entity is stored as well"),
        alone(GAP_BY_ALIGNMENT, NONE, "the entity is stored alike"),
        alone(TAG_SWAPPED, NONE, "the entity is stored alike"),
        alone(OWN_CODE_RECITED, NONE, "the entity is stored alike"),
        alone(TRUTH, MORE, "the vector is what aliases of one tag have in common"),
        alone(TAG_ERASED, MORE, "without the vector no tag is read better"),
        alone(CARRIED_BY_CODE, NONE, "the entity is stored as well"),
        alone(CARRIED_BY_ALIGNMENT, NONE, "the entity is stored alike"),
    ),
)
