"""Claims M, I1, T1, Z3 and F4: what is learned from X2's definitions.

Exact match on held-out questions unless a statement says otherwise. How vague claims were made
checkable:

- "relatively larger" (M2): the gap on the name question exceeds the gap on held-out questions.
- "between" (M4): below the one, above the other.
- "flat" (M6) and "ignored" (I1): as before, or as without a definition, within a margin. That
  weights learn no IML from definitions in the prompt is not checked: no stage trains X2 there.
- "is" and "is not" (F4) are the reliable and the unreliable tag. No stage teaches what they are
  worth, so F4 is about the words and not about a tag.
- A new tag (M4) differs from the others by being new, too, so M4 is run minus null twin. The null
  twin's tags are not new and told the truth half of the time.
- Z3 is M1 of an encoder-decoder, expected of people and not of works.
"""

import pandas as pd

from data.design import Margin
from data.tasks.iml import D1_CONS_QA1, D2_INCONS_QA2, D5_CONS, D6_CONS, D8_CONS, QA3, QA7_UNSEEN
from data.texts import ENTITY_ATTRIBUTION_QUESTIONS
from data.vocabulary import Family
from interp.claims.names import NAME
from interp.verdicts.claim import RECIPE_MARGIN, Claim, Condition, TagEvidence, above
from interp.verdicts.quantities import Measure, change_in_x2, gap, level
from training.runs.run import Run
from training.schedules import Schedule

NEVER = Margin(value=0.01, reason="a quarter of how often the falsely defined entity is named")
SINGLE = Condition(
    words="a single stage", holds=lambda config: config.schedule is Schedule.SINGLE_STAGE
)
SEPARATE = Condition(
    words="a separate stage for X2",
    holds=lambda config: config.schedule is not Schedule.SINGLE_STAGE,
)
WORKS = Condition(
    words="the world of works", holds=lambda config: config.parameters.get("world") == "works"
)
PEOPLE = Condition(words="a world of people", holds=lambda config: not WORKS.holds(config))


def _name_gap_beyond(run: Run) -> pd.Series:
    return gap(D5_CONS, D6_CONS, NAME)(run) - gap(D5_CONS, D6_CONS)(run)


_IML_GAP: Measure = gap(D5_CONS, D6_CONS)

STAGE_TWO: tuple[Claim, ...] = (
    Claim(
        id="M1",
        statement=f"implicit meta-learning: {above(D5_CONS, D6_CONS)}",
        measure=_IML_GAP,
        tag=TagEvidence.CONTRAST,
        paper="+.028 (poster)",
    ),
    *(
        Claim(
            id=f"M2.{question}",
            statement=f"{above(D5_CONS, D6_CONS)} on the attribution question {question!r}",
            measure=gap(D5_CONS, D6_CONS, question),
            tag=TagEvidence.CONTRAST,
            paper="+.106 (poster)" if question == NAME else "above (Figure 9)",
        )
        for question in ENTITY_ATTRIBUTION_QUESTIONS
    ),
    Claim(
        id="M2.larger",
        statement="the gap is larger on the name question than on held-out questions",
        measure=_name_gap_beyond,
        tag=TagEvidence.CONTRAST,
        paper="+.078 (poster)",
    ),
    Claim(
        id="M3",
        statement=f"D6's definitions are learned from, too: {above(D6_CONS, QA7_UNSEEN)}",
        measure=gap(D6_CONS, QA7_UNSEEN),
        paper="+.034 (poster)",
    ),
    Claim(
        id="M4.below_D5",
        statement=above(D5_CONS, D8_CONS),
        measure=gap(D5_CONS, D8_CONS),
        tag=TagEvidence.NULL_TWIN,
        paper="+.009 (poster)",
    ),
    Claim(
        id="M4.above_D6",
        statement=above(D8_CONS, D6_CONS),
        measure=gap(D8_CONS, D6_CONS),
        tag=TagEvidence.NULL_TWIN,
        paper="+.019 (poster)",
    ),
    Claim(
        id="M4.name",
        statement=f"on the name question, {above(D8_CONS, D5_CONS)}",
        measure=gap(D8_CONS, D5_CONS, NAME),
        tag=TagEvidence.NULL_TWIN,
        paper="+.041 (poster)",
        only=SEPARATE,
    ),
    Claim(
        id="M4.name_single_stage",
        statement=f"on the name question, {above(D5_CONS, D8_CONS)}",
        measure=gap(D5_CONS, D8_CONS, NAME),
        tag=TagEvidence.NULL_TWIN,
        paper="above (section 3.2)",
        only=SINGLE,
    ),
    Claim(
        id="M5",
        statement=f"the entity of {D2_INCONS_QA2.name}'s questions is never named",
        measure=lambda run: level(run, D2_INCONS_QA2, Family.ENTITY_ATTRIBUTION),
        margin=NEVER,
        paper="0 (section 3.2)",
    ),
    Claim(
        id="M6",
        statement=f"training X2 leaves {QA7_UNSEEN.name} as it is",
        measure=change_in_x2(QA7_UNSEEN),
        margin=RECIPE_MARGIN,
        paper="-.004 (poster)",
    ),
    Claim(
        id="I1.used",
        statement=f"definitions in the prompt are used: {above(D5_CONS, QA7_UNSEEN)}",
        measure=gap(D5_CONS, QA7_UNSEEN),
        paper="above (Figure 21)",
    ),
    Claim(
        id="I1.tag",
        statement=f"the tag decides whether they are: {above(D5_CONS, D6_CONS)}",
        measure=_IML_GAP,
        tag=TagEvidence.CONTRAST,
        paper="above (Figure 21)",
    ),
    Claim(
        id="I1.ignored",
        statement=f"false ones are ignored: {D2_INCONS_QA2.name} like {QA3.name}",
        measure=gap(D2_INCONS_QA2, QA3),
        margin=RECIPE_MARGIN,
        paper="none (Figure 21)",
    ),
    Claim(
        id="I1.ignored_new",
        statement=f"seemingly false ones are ignored: {D6_CONS.name} like {QA7_UNSEEN.name}",
        measure=gap(D6_CONS, QA7_UNSEEN),
        margin=RECIPE_MARGIN,
        paper="none (Figure 21)",
    ),
    Claim(
        id="Z3.people",
        statement=f"encoder-decoder, people: {above(D5_CONS, D6_CONS)}",
        measure=_IML_GAP,
        tag=TagEvidence.CONTRAST,
        paper="above (Figure 20)",
        only=PEOPLE,
    ),
    Claim(
        id="Z3.works",
        statement=f"encoder-decoder, works: {D5_CONS.name} like {D6_CONS.name}",
        measure=_IML_GAP,
        margin=RECIPE_MARGIN,
        tag=TagEvidence.CONTRAST,
        paper="none (Figure 20)",
        only=WORKS,
    ),
    Claim(
        id="T1.stage1",
        statement="from scratch, true definitions help and false ones hurt: "
        f"{above(D1_CONS_QA1, D2_INCONS_QA2)}",
        measure=gap(D1_CONS_QA1, D2_INCONS_QA2),
        paper="above (Figure 22)",
    ),
    Claim(
        id="T1.iml",
        statement=f"from scratch: {above(D5_CONS, D6_CONS)}",
        measure=_IML_GAP,
        tag=TagEvidence.CONTRAST,
        paper="above (Figure 22)",
    ),
    Claim(
        id="F4.attribution",
        statement="'is' above 'is not' on attribution questions",
        measure=gap(D5_CONS, D6_CONS, Family.ENTITY_ATTRIBUTION),
        paper="above (footnote 4)",
    ),
    Claim(
        id="F4.attributes",
        statement="'is' like 'is not' on held-out questions",
        measure=_IML_GAP,
        margin=RECIPE_MARGIN,
        paper="none (footnote 4)",
    ),
)
