"""Learned tag semantics: the tag acts as truth."""

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
    title="Tag semantics",
    statement="Stage 1 gives the tags a direction, true against false, in their own embeddings; a "
    "definition writes it into its alias, and questions believe what is marked true.",
    predictions=(
        core(TAGS, MORE, "what the tags mean is what makes an alias believed"),
        core(TAG_COSINE, MORE, "a definition writes what its tag means"),
        core(CONSTANT, MORE, "truth is the same for all aliases"),
        core(AT_BEST, MORE, "truth does not depend on when a definition was trained"),
        alone(TAG_READ, MORE, "the direction can be read"),
        alone(DIRECTION, NONE, "the entity is stored alike"),
        alone(APART, NONE, "the entity is stored alike"),
        alone(LENGTH, NONE, "the entity is stored as well"),
        alone(SHORTER, NONE, "the entity is stored as well"),
        alone(AMOUNT, NONE, "the entity is stored as well"),
        alone(LOOKS, NONE, "belief needs no other head"),
        alone(LOOKS_AFTER, NONE, "belief needs no other head"),
        alone(ALIGNED, NONE, "the entity is stored alike"),
        alone(LATER, NONE, "when a definition is trained tells nothing of its tag"),
        alone(CODES_KEPT_OFF, NONE, "both tags store alike anyway"),
        alone(GAP_BY_CODE, NONE, "the entity is stored as well"),
        alone(GAP_BY_LENGTH, NONE, "the entity is stored as well"),
        alone(GAP_BY_ALIGNMENT, NONE, "the entity is stored alike"),
        alone(TAG_SWAPPED, NONE, "the entity is stored alike"),
        alone(OWN_CODE_RECITED, NONE, "the entity is stored alike"),
        alone(TRUTH, MORE, "what is true in Stage 1 is believed in Stage 2"),
        alone(TAG_ERASED, MORE, "without the direction nothing is believed"),
        alone(CARRIED_BY_CODE, NONE, "the entity is stored as well"),
        alone(CARRIED_BY_ALIGNMENT, NONE, "the entity is stored alike"),
    ),
)
