"""Recency: what was trained last is remembered best."""

from interp.hypotheses.hypothesis import Hypothesis, alone, core
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
    ),
)
