"""Claims S: what is learned from X1, before X2.

Exact match on held-out questions unless a statement says otherwise. "Highest" (S4) is made
checkable as above each of the others; "equal within the interval" (S5) and "indistinguishable"
training losses (S7) as no effect within a margin.

D1 minus D2 (S3) is no evidence of a tag: definitions of D1 are true and those of D2 false, whatever
their tags. What the tag does in Stage 1 (S8, ours) is what D1 minus D2 exceeds that of the null
twin by; below alpha 1, where each tag has true and false definitions, what tells equally true ones
apart.
"""

from data.design import Margin
from data.tasks.iml import (
    D1_CONS_QA1,
    D2_INCONS_QA2,
    D5_CONS,
    D6_CONS,
    D8_CONS,
    D9_INCONS_QA9,
    D10_CONS_QA10,
    QA3,
    QA4_NOT_REPLACED,
    QA7_UNSEEN,
)
from data.vocabulary import DEFINITION, TRAINED
from interp.verdicts.claim import RECIPE_MARGIN, Claim, Condition, Side, TagEvidence, above
from interp.verdicts.quantities import before_x2, gap, level

SOMETIMES_WRONG = Condition(
    words="alpha below 1", holds=lambda config: config.parameters.get("alpha", 1) != 1
)
ALWAYS_RIGHT = Condition(words="alpha 1", holds=lambda config: not SOMETIMES_WRONG.holds(config))
LOSS_MARGIN = Margin(value=0.05, reason="a token's probability changes by a twentieth")

_S4 = ((D1_CONS_QA1, "+.072"), (QA3, "+.119"), (D2_INCONS_QA2, "+.131"))
_S5 = ((D5_CONS, ".000"), (D6_CONS, "-.005"), (D8_CONS, "-.007"))

STAGE_ONE: tuple[Claim, ...] = (
    Claim(
        id="S1",
        statement=f"true definitions help: {above(D1_CONS_QA1, QA3)}",
        measure=gap(D1_CONS_QA1, QA3),
        paper="+.047 (poster)",
    ),
    Claim(
        id="S2",
        statement=f"false definitions hurt: {D2_INCONS_QA2.name} below {QA3.name}",
        measure=gap(D2_INCONS_QA2, QA3),
        side=Side.BELOW,
        paper="-.011 (poster)",
    ),
    Claim(
        id="S3",
        statement=f"true definitions help and false ones hurt: {above(D1_CONS_QA1, D2_INCONS_QA2)}",
        measure=gap(D1_CONS_QA1, D2_INCONS_QA2),
        paper="+.059 (poster)",
    ),
    *(
        Claim(
            id=f"S4.{other.name}",
            statement=above(QA4_NOT_REPLACED, other),
            measure=gap(QA4_NOT_REPLACED, other),
            paper=f"{value} (poster)",
        )
        for other, value in _S4
    ),
    *(
        Claim(
            id=f"S5.{subset.name}",
            statement=f"before X2, {subset.name} is like {QA7_UNSEEN.name}",
            measure=before_x2(subset, QA7_UNSEEN),
            margin=RECIPE_MARGIN,
            paper=f"{value} (poster)",
        )
        for subset, value in _S5
    ),
    Claim(
        id="S6",
        statement=f"{QA7_UNSEEN.name} is above 0: some answers can be guessed",
        measure=lambda run: level(run, QA7_UNSEEN),
        paper="+.25 (poster)",
    ),
    *(
        Claim(
            id=f"S7.{question}",
            statement=f"loss of {words}: {D1_CONS_QA1.name} like {D2_INCONS_QA2.name}",
            measure=gap(D1_CONS_QA1, D2_INCONS_QA2, question, metric="loss"),
            margin=LOSS_MARGIN,
            paper="none (Figure 8)",
        )
        for question, words in ((DEFINITION, "definitions"), (TRAINED, "trained questions"))
    ),
    Claim(
        id="S7.held_out",
        statement=f"loss of held-out questions: {D1_CONS_QA1.name} below {D2_INCONS_QA2.name}",
        measure=gap(D1_CONS_QA1, D2_INCONS_QA2, metric="loss"),
        side=Side.BELOW,
        paper="below (Figure 8)",
    ),
    Claim(
        id="S8.beyond_twin",
        statement=f"the tag widens the gap: {above(D1_CONS_QA1, D2_INCONS_QA2)}",
        measure=gap(D1_CONS_QA1, D2_INCONS_QA2),
        tag=TagEvidence.NULL_TWIN,
        paper="no null twin",
        only=ALWAYS_RIGHT,
    ),
    Claim(
        id="S8.true",
        statement=f"of true definitions the reliable tag's help more: "
        f"{above(D1_CONS_QA1, D10_CONS_QA10)}",
        measure=gap(D1_CONS_QA1, D10_CONS_QA10),
        tag=TagEvidence.CONTRAST,
        paper="above (Figure 4a)",
        only=SOMETIMES_WRONG,
    ),
    Claim(
        id="S8.false",
        statement="of false definitions the reliable tag's hurt more: "
        f"{D9_INCONS_QA9.name} below {D2_INCONS_QA2.name}",
        measure=gap(D9_INCONS_QA9, D2_INCONS_QA2),
        side=Side.BELOW,
        tag=TagEvidence.CONTRAST,
        paper="below (Figure 4a)",
        only=SOMETIMES_WRONG,
    ),
)
