"""Whether a claim holds, by rule.

    directional   holds where the 95% t interval over Stage-1 seeds lies wholly on its side,
                  fails where wholly on the other, else undecided
    no effect     holds where the 90% interval lies inside ±margin (5% risk of a wrong yes),
                  fails where the 95% interval lies wholly outside, else undecided;
                  needs Stage 1 to be learned (`training.summary.stage1_learned`): a model that
                  learned nothing shows no effect of anything
    of chance     holds where the exact 95% upper bound of the share of questions that are answered,
                  those of all seeds together, lies at or below twice what a guess would answer,
                  fails where the lower bound lies above it, else undecided; needs Stage 1 to be
                  learned as well (`interp.verdicts.exact`)
    of a tag      rests on what is not there where tags mean nothing (`TagEvidence`); of a null
                  twin it is not measured

Fewer than 2 seeds decide nothing. A claim of several parts holds if all hold and fails if any
fails, so that its risk of a wrong `holds` is that of one part at most, and its risk of a wrong
`fails` the sum over its parts. Verdicts are not corrected for the number of claims: of 20 claims
about nothing, one is decided.
"""

from enum import StrEnum

from numpy.typing import ArrayLike

from data.design import Margin
from interp.verdicts.claim import Claim, Side
from training.statistics import equivalence, t_interval


class Word(StrEnum):
    """The verdict on a claim: what the values of its seeds say of it."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"
    NOT_MEASURED = "not measured"


def judge(claim: Claim, values: ArrayLike, *, margin: float | None = None) -> Word:
    """What one value per Stage-1 seed says of a claim.

    Args:
        claim: Directional, or of no effect.
        values: One for each seed.
        margin: The recipe's, for a claim that takes it.
    """
    low, high = t_interval(values)  # NaN of fewer than 2 seeds, which every comparison denies
    if claim.margin is not None:
        limit = claim.margin.value if isinstance(claim.margin, Margin) else margin
        assert limit is not None
        if equivalence(values, margin=limit).passed:
            return Word.HOLDS
        return Word.FAILS if low > limit or high < -limit else Word.UNDECIDED
    sides = {Side.ABOVE: low > claim.threshold, Side.BELOW: high < claim.threshold}
    if sides.pop(claim.side):
        return Word.HOLDS
    return Word.FAILS if any(sides.values()) else Word.UNDECIDED


def word_of_parts(words: set[Word]) -> Word:
    """The word for a whole claim, from those for its parts."""
    if Word.FAILS in words:
        return Word.FAILS
    return Word.HOLDS if words == {Word.HOLDS} else Word.UNDECIDED
