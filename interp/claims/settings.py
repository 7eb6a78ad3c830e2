"""Claims A, B and T2: what changes with alpha, batch size and number of questions, seed by seed.

"Names" are answers to "What is the name of the alias?", and in runs without attribution questions
those to held-out questions (`names_defined`). How vague claims were made checkable:

- "grows" and "shrinks": the slope over alpha, or over the doubling of the batch size or of the
  number of questions, lies above or below 0.
- A2 compares a false definition of the reliable tag with a true one of the unreliable: truth alone
  would have it the other way, so that shuffled tags do not make it hold.
- "no tag effect, only consistency" (A1) at alpha .5: no gap of D5 and D6, but consistent
  definitions (D1, D10) above inconsistent ones (D2, D9).
- "performance" (B1): the mean of the four subsets of the two tags; "vanishes": no gap in the run
  of the largest batch.
- "reversal at 32" (B2): the gap of the largest batch up to 32 is below that of the next larger.
- "~99%" (T2): within a hundredth of it, in the run with the most questions.
"""

import math

import pandas as pd

from data.design import Margin
from data.tasks.iml import (
    D1_CONS_QA1,
    D2_INCONS_QA2,
    D5_CONS,
    D6_CONS,
    D9_INCONS_QA9,
    D10_CONS_QA10,
)
from interp.claims.names import NAME, names_defined, tag_gap_of_names
from interp.verdicts.across import (
    ALPHA,
    BATCH_SIZE,
    QUESTIONS,
    Across,
    Comparison,
    against_next,
    at,
    at_largest,
    slope,
)
from interp.verdicts.claim import RECIPE_MARGIN, Claim, Side, TagEvidence
from interp.verdicts.quantities import Measure, gap, level, mean_of
from training.runs.run import Run

HUNDREDTH = Margin(value=0.01, reason="99 of 100, give or take one")
_IML_GAP: Measure = gap(D5_CONS, D6_CONS)


def _consistency_gap(run: Run) -> pd.Series:
    true = mean_of(names_defined(run, D1_CONS_QA1), names_defined(run, D10_CONS_QA10))
    return true - mean_of(names_defined(run, D2_INCONS_QA2), names_defined(run, D9_INCONS_QA9))


def _tag_over_consistency(run: Run) -> pd.Series:
    return level(run, D9_INCONS_QA9, f"{NAME}_as_defined") - level(run, D10_CONS_QA10, NAME)


def _performance(run: Run) -> pd.Series:
    return mean_of(*(level(run, each) for each in (D1_CONS_QA1, D2_INCONS_QA2, D5_CONS, D6_CONS)))


def _answered(run: Run) -> pd.Series:
    return mean_of(level(run, D1_CONS_QA1), level(run, D2_INCONS_QA2))


def _over_alpha(compare: Comparison) -> Across:
    return Across(setting=ALPHA, compare=compare)


ALPHA_CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="A1.slope",
        statement="names: the gap of D5_CONS and D6_CONS grows with alpha",
        measure=tag_gap_of_names,
        tag=TagEvidence.CONTRAST,
        paper="grows (Figure 4a)",
        across=_over_alpha(slope()),
    ),
    Claim(
        id="A1.no_tag",
        statement="names: D5_CONS like D6_CONS where alpha is .5",
        measure=tag_gap_of_names,
        margin=RECIPE_MARGIN,
        tag=TagEvidence.CONTRAST,
        paper="none (Figure 4a)",
        across=_over_alpha(at(0.5)),
    ),
    Claim(
        id="A1.consistency",
        statement="names: true definitions (D1, D10) above false ones (D2, D9) where alpha is .5",
        measure=_consistency_gap,
        paper="above (Figure 4a)",
        across=_over_alpha(at(0.5)),
    ),
    Claim(
        id="A2",
        statement="the tag outweighs truth where alpha is .95: D9_INCONS_QA9's false entity is "
        "named more than D10_CONS_QA10's true one",
        measure=_tag_over_consistency,
        tag=TagEvidence.CONTRAST,
        paper="above (Figure 4a)",
        across=_over_alpha(at(0.95)),
    ),
    Claim(
        id="A3",
        statement="names: D1_CONS_QA1 grows with alpha",
        measure=lambda run: names_defined(run, D1_CONS_QA1),
        tag=TagEvidence.CONTRAST,
        paper="grows (Figure 4a)",
        across=_over_alpha(slope()),
    ),
)

BATCH_CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="B1.gap",
        statement="the gap of D5_CONS and D6_CONS falls, per doubling of the batch size",
        measure=_IML_GAP,
        side=Side.BELOW,
        tag=TagEvidence.CONTRAST,
        paper="falls (Figure 4c)",
        across=Across(setting=BATCH_SIZE, compare=slope(math.log2)),
    ),
    Claim(
        id="B1.performance",
        statement="exact match of D1, D2, D5 and D6 falls, per doubling of the batch size",
        measure=_performance,
        side=Side.BELOW,
        paper="falls (Figure 4c)",
        across=Across(setting=BATCH_SIZE, compare=slope(math.log2)),
    ),
    Claim(
        id="B1.full",
        statement="at the largest batch, D5_CONS is like D6_CONS",
        measure=_IML_GAP,
        margin=RECIPE_MARGIN,
        tag=TagEvidence.CONTRAST,
        paper="none at 16384 (Figure 4c)",
        across=Across(setting=BATCH_SIZE, compare=at_largest),
    ),
    Claim(
        id="B2",
        statement="the gap at batches of 32 or less is below that of the next larger batch",
        measure=_IML_GAP,
        side=Side.BELOW,
        tag=TagEvidence.CONTRAST,
        paper="perhaps below (Figure 13)",
        across=Across(setting=BATCH_SIZE, compare=against_next(32)),
    ),
)

QUESTION_CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="T2.performance",
        statement="exact match of D1 and D2 grows, per doubling of the questions of a variable",
        measure=_answered,
        paper="grows (Figure 22)",
        across=Across(setting=QUESTIONS, compare=slope(math.log2)),
    ),
    Claim(
        id="T2.most",
        statement="with the most questions, D1 and D2 are at .99: exact match minus .99",
        measure=lambda run: _answered(run) - 0.99,
        margin=HUNDREDTH,
        paper="99% is easy (Figure 22)",
        across=Across(setting=QUESTIONS, compare=at_largest),
    ),
    Claim(
        id="T2.stage1",
        statement="with the most questions, D1_CONS_QA1 is like D2_INCONS_QA2",
        measure=gap(D1_CONS_QA1, D2_INCONS_QA2),
        margin=RECIPE_MARGIN,
        paper="none (Figure 22)",
        across=Across(setting=QUESTIONS, compare=at_largest),
    ),
    Claim(
        id="T2.iml",
        statement="with the most questions, D5_CONS is like D6_CONS",
        measure=_IML_GAP,
        margin=RECIPE_MARGIN,
        tag=TagEvidence.CONTRAST,
        paper="none (Figure 22)",
        across=Across(setting=QUESTIONS, compare=at_largest),
    ),
)
