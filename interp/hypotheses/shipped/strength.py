"""Strength: unreliable definitions are simply learned less."""

from interp.hypotheses.held_out import GAP_BY_ALIGNMENT, GAP_BY_CODE, GAP_BY_LENGTH, THIRD_BY_CODE
from interp.hypotheses.hypothesis import Hypothesis, alone, core
from interp.hypotheses.reading import (
    CARRIED_BY_ALIGNMENT,
    CARRIED_BY_CODE,
    OWN_CODE_RECITED,
    READ_OUT_KEPT_OFF,
    TAG_ERASED,
    TAG_SWAPPED,
    TRUTH,
)
from interp.hypotheses.row import Expected
from interp.hypotheses.rows import (
    ALIGNED_BY_ALIAS,
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
    title="Strength",
    statement="Less is learned of a definition with the unreliable tag, in the same code.",
    predictions=(
        core(SHORTER, MORE, "less learned is less changed"),
        core(LENGTH, MORE, "learned as much, a definition is answered as well"),
        core(AT_BEST, MORE, "what was never learned is not forgotten"),
        alone(RECITED, MORE, "less learned is less well recited"),
        alone(AMOUNT, MORE, "less learned is less of the code that questions read"),
        alone(DIRECTION, NONE, "either tag writes in the same code"),
        alone(APART, NONE, "either tag writes in the same code"),
        alone(CONSTANT, NONE, "what is missing differs from entity to entity"),
        alone(TAGS, NONE, "what is missing differs from entity to entity"),
        alone(LOOKS, NONE, "questions know nothing of tags"),
        alone(LOOKS_AFTER, NONE, "questions know nothing of tags"),
        alone(ALIGNED_BY_ALIAS, NONE, "at equal amounts nothing is left to explain"),
        alone(TAG_READ, NONE, "less of a code is no mark that holds for new entities"),
        alone(LATER, NONE, "when a definition is trained tells nothing of its tag"),
        alone(CODES_KEPT_OFF, NONE, "both tags write in the same code anyway"),
        alone(GAP_BY_CODE, MORE, "less learned is less of the code that questions read"),
        alone(THIRD_BY_CODE, NONE, "any tag writes in the same code"),
        alone(GAP_BY_LENGTH, MORE, "less learned is less changed"),
        alone(GAP_BY_ALIGNMENT, NONE, "how much is learned is what counts"),
        alone(TAG_SWAPPED, NONE, "either tag reads the same code"),
        alone(OWN_CODE_RECITED, NONE, "either tag reads the same code"),
        alone(TRUTH, NONE, "what is missing differs from entity to entity"),
        alone(TAG_ERASED, NONE, "what is missing differs from entity to entity"),
        alone(CARRIED_BY_CODE, MORE, "an alias of which more is learned is answered better"),
        alone(CARRIED_BY_ALIGNMENT, NONE, "at equal amounts nothing is left to explain"),
        alone(READ_OUT_KEPT_OFF, MORE, "questions read this code alone"),
    ),
)
