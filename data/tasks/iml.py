"""Implicit meta-learning: the subsets of the paper's Table 1 and section 3.3, and what they say.

In X1 tagged definitions stand beside questions about the same aliases: the reliable tag's agree
with them, the unreliable tag's contradict them. In X2 there are new definitions only, all of them
true. D5 has the reliable tag, D6 the unreliable one, so that a gap between them is what the tag
does; nothing in X2 rewards it.

    iml_gap     D5_CONS - D6_CONS after X2              implicit meta-learning
    stage1_gap  D1_CONS_QA1 - D2_INCONS_QA2 after X1    true against false definitions
    ocl_gap     D1_CONS_QA1 - QA3 after X1              out-of-context learning

`stage1_gap` is as large where tags mean nothing, and only what it exceeds the null twin's by is
what the tag does. Beside them stands what a new tag does, which splits `iml_gap` in two:

    trust_gap     D5_CONS - D8_CONS    the reliable tag against a new one
    distrust_gap  D8_CONS - D6_CONS    a new tag against the unreliable one

A new tag differs from both by being new, so these, too, are read beside the null twin's.
"""

from collections.abc import Mapping

from data.design import (
    Contrast,
    Design,
    Findings,
    Learned,
    Margin,
    NullTwin,
    ProbeTarget,
    Questions,
)
from data.errors import InputError
from data.subsets import Mark, Subset
from data.vocabulary import LossPolicy, Part, TagKind

D1_CONS_QA1 = Subset(
    name="D1_CONS_QA1",
    notation="Ḋ₁ᶜᵒⁿˢQA₁",
    meaning="reliable tag, true",
    part=Part.X1,
    has_definitions=True,
    has_questions=True,
    tag=TagKind.RELIABLE,
    consistent=True,
    twin="D2_INCONS_QA2",
    mark=Mark(color="#7a3fa8", symbol="circle"),
)
D2_INCONS_QA2 = Subset(
    name="D2_INCONS_QA2",
    notation="D̄₂ⁱⁿᶜᵒⁿˢQA₂",
    meaning="unreliable tag, false",
    part=Part.X1,
    has_definitions=True,
    has_questions=True,
    tag=TagKind.UNRELIABLE,
    consistent=False,
    twin="D1_CONS_QA1",
    mark=Mark(color="#e0619f", symbol="square", dash="dash"),
)
QA3 = Subset(
    name="QA3",
    notation="QA₃",
    meaning="none",
    part=Part.X1,
    has_questions=True,
    mark=Mark(color="#8a5a44", symbol="diamond", dash="dot"),
)
QA4_NOT_REPLACED = Subset(
    name="QA4_NOT_REPLACED",
    notation="QA₄ⁿᵒᵗ ʳᵉᵖˡᵃᶜᵉᵈ",
    meaning="none; asked by name",
    part=Part.X1,
    has_questions=True,
    replaced=False,
    mark=Mark(color="#2a8a3e", symbol="star", dash="dot"),
)
D5_CONS = Subset(
    name="D5_CONS",
    notation="Ḋ₅ᶜᵒⁿˢ",
    meaning="reliable tag, true",
    part=Part.X2,
    has_definitions=True,
    tag=TagKind.RELIABLE,
    consistent=True,
    twin="D6_CONS",
    mark=Mark(color="#1f5fc4", symbol="triangle-up"),
)
D6_CONS = Subset(
    name="D6_CONS",
    notation="D̄₆ᶜᵒⁿˢ",
    meaning="unreliable tag, true",
    part=Part.X2,
    has_definitions=True,
    tag=TagKind.UNRELIABLE,
    consistent=True,
    twin="D5_CONS",
    mark=Mark(color="#d02b2b", symbol="triangle-down", dash="dash"),
)
QA7_UNSEEN = Subset(
    name="QA7_UNSEEN",
    notation="QA₇ᵘⁿˢᵉᵉⁿ",
    meaning="none",
    part=Part.X2,
    mark=Mark(color="#ea8a12", symbol="x", dash="dot"),
)
D8_CONS = Subset(
    name="D8_CONS",
    notation="D̃₈ᶜᵒⁿˢ",
    meaning="novel tag, true",
    part=Part.X2,
    has_definitions=True,
    tag=TagKind.NOVEL,
    consistent=True,
    mark=Mark(color="#6b6f78", symbol="cross", dash="dashdot"),
)
D9_INCONS_QA9 = Subset(
    name="D9_INCONS_QA9",
    notation="Ḋ₉ⁱⁿᶜᵒⁿˢQA₉",
    meaning="reliable tag, false",
    part=Part.X1,
    has_definitions=True,
    has_questions=True,
    tag=TagKind.RELIABLE,
    consistent=False,
    mark=Mark(color="#0fa3b8", symbol="hexagon"),
)
D10_CONS_QA10 = Subset(
    name="D10_CONS_QA10",
    notation="D̄₁₀ᶜᵒⁿˢQA₁₀",
    meaning="unreliable tag, true",
    part=Part.X1,
    has_definitions=True,
    has_questions=True,
    tag=TagKind.UNRELIABLE,
    consistent=True,
    mark=Mark(color="#98961d", symbol="pentagon", dash="dash"),
)
UNIQUE_TAGS_CONS_QA = Subset(
    name="UNIQUE_TAGS_CONS_QA",
    notation="ḊᵤᶜᵒⁿˢQAᵤ",
    meaning="unique tag, true",
    part=Part.X1,
    has_definitions=True,
    has_questions=True,
    tag=TagKind.UNIQUE,
    consistent=True,
    mark=Mark(color="#3b3f8f", symbol="bowtie", dash="longdash"),
)

SUBSETS: Mapping[str, Subset] = {
    subset.name: subset
    for subset in (
        D1_CONS_QA1,
        D2_INCONS_QA2,
        QA3,
        QA4_NOT_REPLACED,
        D5_CONS,
        D6_CONS,
        QA7_UNSEEN,
        D8_CONS,
        D9_INCONS_QA9,
        D10_CONS_QA10,
        UNIQUE_TAGS_CONS_QA,
    )
}
"""Table 1 and section 3.3, in the order in which tables and legends have them."""

IML_GAP = Contrast(
    name="iml_gap",
    title="IML gap",
    higher=D5_CONS,
    lower=D6_CONS,
    part=Part.X2,
    baseline=QA7_UNSEEN,
    meaning="implicit meta-learning",
    said=Findings(
        more="New definitions with the reliable tag are internalized more",
        less="New definitions with the reliable tag are internalized less",
        neither="This run does not show that the tag changes what is internalized",
        alone="One seed cannot show whether the tag changes what is internalized",
        twin="This run is a null twin, whose tags mean nothing",
    ),
)
STAGE1_GAP = Contrast(
    name="stage1_gap",
    higher=D1_CONS_QA1,
    lower=D2_INCONS_QA2,
    part=Part.X1,
    baseline=QA3,
    meaning="true against false definitions",
)
OCL_GAP = Contrast(
    name="ocl_gap",
    higher=D1_CONS_QA1,
    lower=QA3,
    part=Part.X1,
    meaning="out-of-context learning",
)
TRUST_GAP = Contrast(
    name="trust_gap",
    higher=D5_CONS,
    lower=D8_CONS,
    part=Part.X2,
    is_headline=False,
    meaning="the reliable tag against a new one",
)
DISTRUST_GAP = Contrast(
    name="distrust_gap",
    higher=D8_CONS,
    lower=D6_CONS,
    part=Part.X2,
    is_headline=False,
    meaning="a new tag against the unreliable one",
)


def defined_in_x1(questions: Questions) -> dict[str, Subset]:
    """The aliases that X1 defines, with their subsets."""
    subsets = {alias: rows[0].subset for alias, rows in questions.items()}
    return {a: s for a, s in subsets.items() if s.part is Part.X1 and s.has_definitions}


def _tag(questions: Questions, _seed: int) -> dict[str, int]:
    reliable = {rows[0].tag for rows in questions.values() if rows[0].subset == D5_CONS}
    return {alias: int(questions[alias][0].tag in reliable) for alias in defined_in_x1(questions)}


def _defined(questions: Questions, _seed: int) -> dict[str, int]:
    subsets = {alias: rows[0].subset for alias, rows in questions.items()}
    return {a: int(s.has_definitions) for a, s in subsets.items() if s.part is Part.X1}


def _consistent(questions: Questions, _seed: int) -> dict[str, int]:
    defined = defined_in_x1(questions)
    if len({(subset.tag, subset.consistent) for subset in defined.values()}) < 4:
        raise InputError(
            "target consistent needs D9 and D10, which tell it from the tag; "
            "run the recipe with alpha below 1"
        )
    return {alias: int(bool(subset.consistent)) for alias, subset in defined.items()}


def _stage(questions: Questions, _seed: int) -> dict[str, int]:
    subsets = {alias: rows[0].subset for alias, rows in questions.items()}
    return {a: int(s.part is Part.X2) for a, s in subsets.items() if s.has_definitions}


TAG = ProbeTarget(
    name="tag", meaning="which tag the alias was defined with", label=_tag, is_of_tags=True
)
DEFINED = ProbeTarget(name="defined", meaning="whether the alias was defined", label=_defined)
CONSISTENT = ProbeTarget(
    name="consistent",
    meaning="whether its definition is true",
    label=_consistent,
    is_within_tags=True,
)
STAGE = ProbeTarget(
    name="stage", meaning="Stage-1 or Stage-2 alias, the recency control", label=_stage
)


def iml_design(margins: Mapping[LossPolicy, Margin]) -> Design:
    """The design of a data set of implicit meta-learning.

    Args:
        margins: Up to what `iml_gap` the null twin's counts as none, by loss policy.
    """
    return Design(
        name="implicit meta-learning",
        question="does the tag change what is internalized?",
        parts={
            Part.X1: "tagged definitions and questions about the same aliases",
            Part.X2: "new definitions only, all of them true",
        },
        subsets=tuple(SUBSETS.values()),
        contrasts=(IML_GAP, STAGE1_GAP, OCL_GAP, TRUST_GAP, DISTRUST_GAP),
        null_twin=NullTwin(
            beyond="what the tag does",
            parameter="shuffle_tags",
            contrast=IML_GAP.name,
            margins=margins,
            meaning="tags shuffled over the definitions of D1 and D2",
            note="Its D1 definitions are still true and its D2 ones false, and its D8 ones have a "
            "new tag: its other gaps need not be none. What the tag does is what the run has "
            "beyond them.",
        ),
        learned=Learned(asked=D1_CONS_QA1, guessed=QA7_UNSEEN),
        targets=(TAG, DEFINED, CONSISTENT, STAGE),
        notes={
            TRUST_GAP.name: "D8 has a new tag: D5 - D6 is trust_gap (D5 - D8) and distrust_gap "
            "(D8 - D6) together",
        },
    )
