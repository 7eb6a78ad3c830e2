"""Selective retrieval, second form: questions read only where reliable definitions are stored."""

from interp.hypotheses.held_out import GAP_BY_CODE, GAP_BY_LENGTH, THIRD_BY_CODE
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
    ALIGNED,
    ALIGNED_BY_ALIAS,
    AMOUNT,
    AMOUNT_BY_ALIAS,
    APART,
    AT_BEST,
    CODE_SHARE,
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
    title="Stored apart",
    statement="A definition is learned as well with either tag, but the tag chooses the code in "
    "which its entity is written; questions read one code, that of the reliable tag, and know "
    "nothing of tags.",
    predictions=(
        core(DIRECTION, MORE, "in the code that questions read, a definition is answered"),
        core(APART, MORE, "each tag writes in a code of its own"),
        core(AMOUNT, MORE, "reliable definitions write the code that questions read"),
        core(AT_BEST, MORE, "where a definition is stored does not depend on when"),
        alone(CODE_SHARE, MORE, "the amount of the code is what counts"),
        alone(AMOUNT_BY_ALIAS, MORE, "the amount of the code is what counts"),
        alone(ALIGNED_BY_ALIAS, NONE, "alignment counts only by what it makes a definition write"),
        alone(ALIGNED, MORE, "writing in one code is having gradients alike"),
        alone(LENGTH, NONE, "either tag is learned as well"),
        alone(SHORTER, NONE, "either tag is learned as well"),
        alone(RECITED, NONE, "either tag is learned as well"),
        alone(CONSTANT, NONE, "codes differ from entity to entity"),
        alone(TAGS, NONE, "codes differ from entity to entity"),
        alone(LOOKS, NONE, "questions know nothing of tags"),
        alone(LOOKS_AFTER, NONE, "questions know nothing of tags"),
        alone(TAG_READ, NONE, "a new entity has a code that no probe has seen"),
        alone(LATER, NONE, "when a definition is trained tells nothing of its tag"),
        alone(CODES_KEPT_OFF, MORE, "a tag without a code of its own stores where questions read"),
        alone(GAP_BY_CODE, MORE, "the amount of the code is what counts, from seed to seed, too"),
        alone(THIRD_BY_CODE, NONE, "the amount of the code is what counts, whichever tag wrote it"),
        alone(GAP_BY_LENGTH, NONE, "either tag is learned as well"),
        alone(TAG_SWAPPED, MORE, "a tag reads the code that it writes"),
        alone(OWN_CODE_RECITED, MORE, "a tag reads the code that it writes"),
        alone(TRUTH, NONE, "codes differ from entity to entity"),
        alone(TAG_ERASED, NONE, "codes differ from entity to entity"),
        alone(CARRIED_BY_CODE, MORE, "the amount of the code is what counts"),
        alone(
            CARRIED_BY_ALIGNMENT, NONE, "alignment counts only by what it makes a definition write"
        ),
        alone(READ_OUT_KEPT_OFF, MORE, "questions read this code alone"),
    ),
)
