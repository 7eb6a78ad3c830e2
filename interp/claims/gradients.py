"""Claims G: gradients of definitions and their questions after X1, from `iml align`.

"No effect or the opposite" of the squared distance (G2) is made checkable as: D5's is no smaller
than D6's by a twentieth. The norms that explain it are those of definition and question together,
|a|^2 + |b|^2 = |a - b|^2 + 2 <a, b>. "Weak or absent" at large batches (G4) is no effect within a
margin from 1024 rows on, and a gap that falls with the batch.

D5 and D6 are equally true. Definitions of D1 are true and those of D2 false, so that those of D1
agree better with their questions whatever the tags: G3 is run minus null twin.
"""

import math

import pandas as pd

from data.design import Margin, Subset
from data.tasks.iml import D1_CONS_QA1, D2_INCONS_QA2, D5_CONS, D6_CONS
from interp.verdicts.across import BATCH_SIZE, Across, mean_where, slope
from interp.verdicts.claim import Claim, Side, TagEvidence
from interp.verdicts.quantities import aligned, alignment_gap
from training.runs.run import Run

COSINE_MARGIN = Margin(value=0.007, reason="half of the poster's gap at batches of 128 to 512")
SMALLER = -0.05
"""As a share: what would count as a smaller distance."""


def _relative_distance(run: Run) -> pd.Series:
    """By how much the squared distance of D5 exceeds that of D6, as a share of it."""
    base = aligned(run, D6_CONS, "grad_sqdist")
    return (aligned(run, D5_CONS, "grad_sqdist") - base) / base


def _norm_gap(run: Run) -> pd.Series:
    return _squared_norms(run, D5_CONS) - _squared_norms(run, D6_CONS)


def _squared_norms(run: Run, subset: Subset) -> pd.Series:
    return aligned(run, subset, "grad_sqdist") + 2 * aligned(run, subset, "grad_dot")


_NEW, _TRAINED = (D5_CONS, D6_CONS), (D1_CONS_QA1, D2_INCONS_QA2)
_WORDS = {"grad_cosine": "cosine", "grad_dot": "inner product", "grad_sqdist": "squared distance"}


def _claim(id: str, measure: str, pair: tuple[Subset, Subset], paper: str, side: Side) -> Claim:
    names = f"{pair[0].name} {side} {pair[1].name}"
    return Claim(
        id=id,
        statement=f"{_WORDS[measure]} with own questions: {names}",
        measure=alignment_gap(*pair, measure),
        side=side,
        tag=TagEvidence.CONTRAST if pair is _NEW else TagEvidence.NULL_TWIN,
        paper=paper,
    )


GRADIENTS: tuple[Claim, ...] = (
    _claim("G1.cosine", "grad_cosine", _NEW, "+.014 (poster)", Side.ABOVE),
    _claim("G1.dot", "grad_dot", _NEW, "above (Figure 24)", Side.ABOVE),
    Claim(
        id="G2.distance",
        statement="squared distance, as a share: D5_CONS no smaller than D6_CONS by a twentieth",
        measure=_relative_distance,
        threshold=SMALLER,
        paper="none or above (Figure 24)",
    ),
    Claim(
        id="G2.norms",
        statement="squared norms of definition and question: D5_CONS above D6_CONS",
        measure=_norm_gap,
        tag=TagEvidence.CONTRAST,
        paper="above (Figure 25)",
    ),
    _claim("G3.cosine", "grad_cosine", _TRAINED, "above (Figure 26)", Side.ABOVE),
    _claim("G3.dot", "grad_dot", _TRAINED, "above (Figure 26)", Side.ABOVE),
    _claim("G3.distance", "grad_sqdist", _TRAINED, "below (Figure 26)", Side.BELOW),
    Claim(
        id="G4.slope",
        statement="the cosine's gap of D5_CONS and D6_CONS falls, per doubling of the batch size",
        measure=alignment_gap(*_NEW, "grad_cosine"),
        side=Side.BELOW,
        tag=TagEvidence.CONTRAST,
        paper="falls (poster)",
        across=Across(setting=BATCH_SIZE, compare=slope(math.log2)),
    ),
    Claim(
        id="G4.large",
        statement="from batches of 1024 on, cosine: D5_CONS like D6_CONS",
        measure=alignment_gap(*_NEW, "grad_cosine"),
        margin=COSINE_MARGIN,
        tag=TagEvidence.CONTRAST,
        paper="+.002 to +.013 (poster)",
        across=Across(
            setting=BATCH_SIZE, compare=mean_where(lambda size: size >= 1024, "1024 rows or more")
        ),
    ),
)
