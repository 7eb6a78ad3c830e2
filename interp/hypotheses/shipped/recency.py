"""Recency: what was trained last is remembered best."""

from interp.hypotheses.held_out import GAP_BY_ALIGNMENT, GAP_BY_CODE, GAP_BY_LENGTH
from interp.hypotheses.hypothesis import Hypothesis, alone, core
from interp.hypotheses.reading import (
    CARRIED_BY_ALIGNMENT,
    OWN_CODE_RECITED,
    READ_OUT_KEPT_OFF,
    TAG_ERASED,
    TAG_SWAPPED,
    TRUTH,
)
from interp.hypotheses.row import Expected
from interp.hypotheses.rows import (
    ALIGNED_BY_ALIAS,
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
    TAGS,
)

MORE, NONE = Expected.MORE, Expected.NONE

HYPOTHESIS = Hypothesis(
    title="Recency",
    statement="Unreliable definitions are trained earlier and partly forgotten; the tag itself has "
    "no part in how questions are answered.",
    predictions=(
        core(LATER, MORE, "the tags differ in when they are trained"),
        core(AT_BEST, NONE, "just after training a definition is answered as well with either tag"),
        alone(LENGTH, MORE, "what is forgotten is missing"),
        alone(SHORTER, MORE, "what is forgotten is missing"),
        alone(DIRECTION, NONE, "either tag writes in the same code"),
        alone(APART, NONE, "either tag writes in the same code"),
        alone(CONSTANT, NONE, "what is missing differs from entity to entity"),
        alone(TAGS, NONE, "what is missing differs from entity to entity"),
        alone(LOOKS, NONE, "questions know nothing of tags"),
        alone(LOOKS_AFTER, NONE, "questions know nothing of tags"),
        alone(ALIGNED_BY_ALIAS, NONE, "when a definition was trained is what counts"),
        alone(CODES_KEPT_OFF, NONE, "both tags write in the same code anyway"),
        alone(GAP_BY_CODE, MORE, "what is forgotten is missing"),
        alone(GAP_BY_LENGTH, MORE, "what is forgotten is missing"),
        alone(GAP_BY_ALIGNMENT, NONE, "when a definition was trained is what counts"),
        alone(TAG_SWAPPED, NONE, "either tag reads the same code"),
        alone(OWN_CODE_RECITED, NONE, "either tag reads the same code"),
        alone(TRUTH, NONE, "what is missing differs from entity to entity"),
        alone(TAG_ERASED, NONE, "what is missing differs from entity to entity"),
        alone(CARRIED_BY_ALIGNMENT, NONE, "when a definition was trained is what counts"),
        alone(READ_OUT_KEPT_OFF, MORE, "questions read this code alone"),
    ),
)
