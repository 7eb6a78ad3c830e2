"""Claims O: what changes with the order of tag, alias and entity in a definition.

"Names" as in `interp.claims.settings`. "Near-zero attribution" (O2) is made checkable as the mean
of D1 and D5 over the four attribution questions, within a margin of 0. "All five sets" (O3) are the
held-out questions and the four attribution questions, where D2 is asked for the entity that its
false definition names. The order AET is expected to have IML on held-out questions (O3) and none on
attribution questions (O1).
"""

import pandas as pd

from data.design import Margin
from data.tasks.iml import D1_CONS_QA1, D2_INCONS_QA2, D5_CONS, D6_CONS, QA7_UNSEEN
from data.texts import ENTITY_ATTRIBUTION_QUESTIONS
from data.vocabulary import Family, WordOrder
from interp.claims.names import tag_gap_of_names
from interp.verdicts.across import WORD_ORDER, Across, at
from interp.verdicts.claim import RECIPE_MARGIN, Claim, Side, TagEvidence
from interp.verdicts.quantities import Measure, change_in_x2, gap, level, mean_of
from training.runs.run import Run

RARELY = Margin(value=0.02, reason="a tenth of D1's names in the order TAE (.186)")
_IML_GAP: Measure = gap(D5_CONS, D6_CONS)
_STAGE_1_GAP: Measure = gap(D1_CONS_QA1, D2_INCONS_QA2)


def _attributed(run: Run) -> pd.Series:
    return mean_of(
        level(run, D1_CONS_QA1, Family.ENTITY_ATTRIBUTION),
        level(run, D5_CONS, Family.ENTITY_ATTRIBUTION),
    )


def _stage_1_gap_of(question: str) -> Measure:
    return lambda run: (
        level(run, D1_CONS_QA1, question) - level(run, D2_INCONS_QA2, f"{question}_as_defined")
    )


def _in_order(order: WordOrder) -> Across:
    return Across(setting=WORD_ORDER, compare=at(str(order)))


_ENTITY_LAST = (WordOrder.TAE, WordOrder.ATE)
_ALIAS_AFTER_ENTITY = (WordOrder.EAT, WordOrder.TEA, WordOrder.ETA)
ORDER_CLAIMS: tuple[Claim, ...] = (
    *(
        Claim(
            id=f"O1.{order}",
            statement=f"names, entity last ({order.upper()}): D5_CONS above D6_CONS",
            measure=tag_gap_of_names,
            tag=TagEvidence.CONTRAST,
            paper="above (Figure 4b)",
            across=_in_order(order),
        )
        for order in _ENTITY_LAST
    ),
    *(
        Claim(
            id=f"O1.{order}",
            statement=f"names, entity not last ({order.upper()}): D5_CONS like D6_CONS",
            measure=tag_gap_of_names,
            tag=TagEvidence.CONTRAST,
            margin=RECIPE_MARGIN,
            paper="none (Figure 4b)",
            across=_in_order(order),
        )
        for order in _ALIAS_AFTER_ENTITY
    ),
    Claim(
        id="O1.aet",
        statement="entity not last (AET), attribution questions: D5_CONS like D6_CONS",
        measure=gap(D5_CONS, D6_CONS, Family.ENTITY_ATTRIBUTION),
        margin=RECIPE_MARGIN,
        tag=TagEvidence.CONTRAST,
        paper="none (Figure 4b)",
        across=_in_order(WordOrder.AET),
    ),
    *(
        Claim(
            id=f"O2.{order}",
            statement=f"alias after entity ({order.upper()}): no attribution (D1, D5)",
            measure=_attributed,
            margin=RARELY,
            paper="near 0 (Figure 4b)",
            across=_in_order(order),
        )
        for order in _ALIAS_AFTER_ENTITY
    ),
    Claim(
        id="O3.stage1",
        statement="AET, true definitions help and false ones hurt: D1_CONS_QA1 above D2_INCONS_QA2",
        measure=_STAGE_1_GAP,
        paper="above (Figure 11)",
        across=_in_order(WordOrder.AET),
    ),
    *(
        Claim(
            id=f"O3.stage1_{question}",
            statement=f"the same on the question {question!r}",
            measure=_stage_1_gap_of(question),
            paper="above (Figure 11)",
            across=_in_order(WordOrder.AET),
        )
        for question in ENTITY_ATTRIBUTION_QUESTIONS
    ),
    Claim(
        id="O3.iml",
        statement="AET: D5_CONS above D6_CONS on held-out questions",
        measure=_IML_GAP,
        tag=TagEvidence.CONTRAST,
        paper="above, p = 4.8e-8 (Figure 11)",
        across=_in_order(WordOrder.AET),
    ),
    Claim(
        id="O4.stage1",
        statement="EAT: D1_CONS_QA1 like D2_INCONS_QA2",
        measure=_STAGE_1_GAP,
        margin=RECIPE_MARGIN,
        paper="none, p = .14 (Figure 11)",
        across=_in_order(WordOrder.EAT),
    ),
    Claim(
        id="O4.iml",
        statement="EAT: D5_CONS above D6_CONS",
        measure=_IML_GAP,
        tag=TagEvidence.CONTRAST,
        paper="above (Figure 11)",
        across=_in_order(WordOrder.EAT),
    ),
    *(
        Claim(
            id=f"O4.{subset.name}",
            statement=f"EAT: training X2 lowers {subset.name}",
            measure=change_in_x2(subset),
            side=Side.BELOW,
            paper="falls (Figure 12)",
            across=_in_order(WordOrder.EAT),
        )
        for subset in (D6_CONS, QA7_UNSEEN)
    ),
)
