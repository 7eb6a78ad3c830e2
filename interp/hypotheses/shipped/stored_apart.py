"""Selective retrieval, second form: questions read only where reliable definitions are stored."""

from interp.hypotheses.hypothesis import Hypothesis, alone, core
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
    ),
)
