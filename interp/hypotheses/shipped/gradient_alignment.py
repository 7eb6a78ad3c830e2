"""Gradient alignment: a definition helps its questions as far as their gradients are alike."""

from interp.hypotheses.held_out import GAP_BY_ALIGNMENT, GAP_BY_LENGTH
from interp.hypotheses.hypothesis import Hypothesis, alone, core
from interp.hypotheses.reading import (
    CARRIED_BY_ALIGNMENT,
    CARRIED_BY_CODE,
    READ_OUT_KEPT_OFF,
    TAG_ERASED,
    TRUTH,
)
from interp.hypotheses.row import Expected
from interp.hypotheses.rows import (
    ALIGNED,
    ALIGNED_BY_ALIAS,
    ALIGNMENT_KEPT_OFF,
    AMOUNT_BY_ALIAS,
    AT_BEST,
    CONSTANT,
    LATER,
    LENGTH,
    LOOKS,
    LOOKS_AFTER,
    RECITED,
    SHORTER,
    TAGS,
)

MORE, NONE = Expected.MORE, Expected.NONE

HYPOTHESIS = Hypothesis(
    title="Gradient alignment",
    statement="Before it is trained, a reliable definition has a gradient like that of its "
    "questions, an unreliable one has not; how alike they are decides, alias by alias, how much of "
    "the definition is internalized.",
    predictions=(
        core(ALIGNED, MORE, "alignment is what tells the tags apart"),
        core(ALIGNED_BY_ALIAS, MORE, "an alias is internalized as far as it is aligned"),
        core(AT_BEST, MORE, "alignment was there before the definition was trained"),
        alone(AMOUNT_BY_ALIAS, NONE, "what was written counts only as far as it was aligned"),
        alone(LENGTH, NONE, "less alike is not less learned"),
        alone(SHORTER, NONE, "less alike is not less learned"),
        alone(RECITED, NONE, "less alike is not less learned"),
        alone(CONSTANT, NONE, "own pairs are alike by their alias and entity"),
        alone(TAGS, NONE, "own pairs are alike by their alias and entity"),
        alone(LOOKS, NONE, "questions know nothing of tags"),
        alone(LOOKS_AFTER, NONE, "questions know nothing of tags"),
        alone(LATER, NONE, "when a definition is trained tells nothing of its tag"),
        alone(ALIGNMENT_KEPT_OFF, MORE, "without alignment no definition is internalized"),
        alone(GAP_BY_ALIGNMENT, MORE, "a seed has a gap as far as alignment tells its tags apart"),
        alone(GAP_BY_LENGTH, NONE, "less alike is not less learned"),
        alone(TRUTH, NONE, "own pairs are alike by their alias and entity"),
        alone(TAG_ERASED, NONE, "own pairs are alike by their alias and entity"),
        alone(CARRIED_BY_CODE, NONE, "what was written counts only as far as it was aligned"),
        alone(CARRIED_BY_ALIGNMENT, MORE, "an alias is internalized as far as it is aligned"),
        alone(READ_OUT_KEPT_OFF, MORE, "off what questions read, no definition is aligned"),
    ),
)
