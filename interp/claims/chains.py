"""Claims K, R, H and C: what follows from trained facts, and is answered or not.

None of them is a claim of the paper on implicit meta-learning: each names its own source. Those of
chance are judged by an exact bound (`interp.verdicts.exact`); "no better than uniform" of a loss is
made checkable as above that of a guess among all answers, less a twentieth of a nat.
"""

import math
from collections.abc import Callable

import pandas as pd

from data.design import Subset
from data.tasks.chain import BROKEN, CHAINED, STEPS, TAUGHT
from data.tasks.iml import D1_CONS_QA1, D5_CONS, D6_CONS
from data.tasks.reversal import BOTH_WAYS, ONE_WAY
from data.tasks.two_hop import IN_DISTRIBUTION, OUT_OF_DISTRIBUTION, Task
from data.vocabulary import DEFINITION, HELD_OUT, TRAINED
from interp.verdicts.across import PHI, Across, slope
from interp.verdicts.claim import Claim, Condition, TagEvidence
from interp.verdicts.quantities import Measure, NotMeasured, gap, level
from training.config import RunConfig
from training.runs.run import Run

PERFECT = 0.99
"""What a mean over seeds must exceed to count as all of it."""
CHAINS, CURSE, BRIDGE, GROKKED = (
    "arXiv 2405.04669, section 5",
    "arXiv 2405.04669, section 4",
    "arXiv 2602.02470",
    "arXiv 2405.15071",
)


def _level(subset: Subset, question: str = HELD_OUT) -> Measure:
    return lambda run: level(run, subset, question)


def _of_control(measure: Measure) -> Measure:
    """A measure of the control that was trained beside a run."""

    def measured(run: Run) -> pd.Series:
        if run.finished_null is None:
            raise NotMeasured("no control: repeat iml run with --with-null")
        return measure(run.finished_null)

    return measured


def _over_uniform(subset: Subset) -> Measure:
    """By how much the loss of held-out questions exceeds that of a guess among all answers."""
    return lambda run: level(run, subset, metric="loss") - math.log(run.design.n_answers)


def _is(**wanted: object) -> Callable[[RunConfig], bool]:
    return lambda config: all(config.parameters.get(name) == v for name, v in wanted.items())


def _without(words: str, *names: str) -> Condition:
    return Condition(words=words, holds=_is(**dict.fromkeys(names, False)))


def _perfect(id: str, words: str, measure: Measure, paper: str) -> Claim:
    return Claim(
        id=id, statement=f"{words}: {PERFECT:g} or more", measure=measure,
        threshold=PERFECT, paper=paper,
    )  # fmt: skip


def _chance(id: str, words: str, subset: Subset, paper: str, only: Condition) -> Claim:
    return Claim(
        id=id, statement=f"{words}: at chance", measure=_level(subset), at_chance=subset,
        paper=paper, only=only,
    )  # fmt: skip


def _uniform(id: str, subset: Subset, paper: str, only: Condition) -> Claim:
    return Claim(
        id=id, statement=f"loss of {subset.name} over that of a guess among all answers, in nats",
        measure=_over_uniform(subset), threshold=-0.05, paper=paper, only=only,
    )  # fmt: skip


APART = _without("steps in rows of their own", "in_context")
CHAIN_CLAIMS: tuple[Claim, ...] = (
    _perfect("K1.first", "first steps recalled", _level(CHAINED, DEFINITION), f"1.00 ({CHAINS})"),
    _perfect("K1.second", "second steps recalled", _level(STEPS), f"1.00 ({CHAINS})"),
    _perfect("K1.trained", "trained A -> C", _level(TAUGHT, TRAINED), f"1.00 ({CHAINS})"),
    _chance("K2.chained", "A -> C of CHAINED", CHAINED, f"0.00 ({CHAINS})", APART),
    _chance("K2.broken", "A -> C of BROKEN", BROKEN, f"0.00 ({CHAINS})", APART),
    _uniform("K3", CHAINED, f"as uniform ({CHAINS})", APART),
    Claim(
        id="K4",
        statement="control: A -> C of CHAINED with both steps in context, .3 or more",
        measure=_of_control(_level(CHAINED)),
        threshold=0.3,
        paper=f"answered ({CHAINS})",
        only=APART,
    ),
)

CURSED = _without("one direction, no bridge", "identity_bridge", "both_directions")
REVERSAL_CLAIMS: tuple[Claim, ...] = (
    _perfect("R1.one_way", "ONE_WAY as trained", _level(ONE_WAY, DEFINITION), f"1.00 ({CURSE})"),
    _perfect("R1.both_ways", "BOTH_WAYS as trained", _level(BOTH_WAYS, TRAINED), f"1.00 ({CURSE})"),
    _chance("R2", "opposite direction of ONE_WAY", ONE_WAY, f"0.00 ({CURSE})", CURSED),
    _uniform("R3", ONE_WAY, f"as uniform ({CURSE})", CURSED),
    Claim(
        id="R4",
        statement="control: the opposite direction with an identity bridge, .3 or more",
        measure=_of_control(_level(ONE_WAY)),
        threshold=0.3,
        paper=f".53 ({BRIDGE})",
        only=CURSED,
    ),
    Claim(
        id="R5",
        statement=f"ceiling: both directions trained, {PERFECT:g} or more",
        measure=_level(ONE_WAY),
        threshold=PERFECT,
        paper=f"1.00 ({CURSE})",
        only=Condition(words="both_directions=true", holds=_is(both_directions=True)),
    ),
)

COMPOSED = Condition(words="task=composition", holds=_is(task=str(Task.COMPOSITION)))
COMPARED = Condition(words="task=comparison", holds=_is(task=str(Task.COMPARISON)))
TWO_HOP_CLAIMS: tuple[Claim, ...] = (
    _perfect("H1.id", "facts of ID recalled", _level(IN_DISTRIBUTION, DEFINITION), GROKKED),
    _perfect("H1.ood", "facts of OOD recalled", _level(OUT_OF_DISTRIBUTION, DEFINITION), GROKKED),
    _perfect("H1.trained", "trained questions", _level(IN_DISTRIBUTION, TRAINED), GROKKED),
    Claim(
        id="H2",
        statement="two facts are put together in distribution: ID above .5",
        measure=_level(IN_DISTRIBUTION),
        threshold=0.5,
        paper=f"1.00 ({GROKKED})",
        only=Condition(
            words="task=composition and phi above 1",
            holds=lambda config: COMPOSED.holds(config) and not config.is_control,
        ),
    ),
    _chance("H3", "OOD", OUT_OF_DISTRIBUTION, f"0.00 ({GROKKED})", COMPOSED),
    Claim(
        id="H4",
        statement="it takes more questions a fact: ID at phi of the run above ID at phi 1",
        measure=lambda run: level(run, IN_DISTRIBUTION) - _of_control(_level(IN_DISTRIBUTION))(run),
        paper=f"above ({GROKKED})",
        only=COMPOSED,
    ),
    Claim(
        id="H5",
        statement="comparison: OOD above .8",
        measure=_level(OUT_OF_DISTRIBUTION),
        threshold=0.8,
        paper=f"1.00 ({GROKKED})",
        only=COMPARED,
    ),
)

PHI_CLAIM = Claim(
    id="H6",
    statement="exact match of ID grows with phi",
    measure=_level(IN_DISTRIBUTION),
    paper=f"grows ({GROKKED})",
    across=Across(setting=PHI, compare=slope()),
)

TAGGED_CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="C1",
        statement="two hops are put together in Stage 1: held-out D1_CONS_QA1 above .5",
        measure=_level(D1_CONS_QA1),
        threshold=0.5,
        paper="not in a paper",
    ),
    Claim(
        id="C2",
        statement="the tag changes composition: D5_CONS above D6_CONS, in two hops",
        measure=gap(D5_CONS, D6_CONS),
        tag=TagEvidence.CONTRAST,
        paper="not in a paper",
    ),
    Claim(
        id="C3",
        statement="the tag changes recall: first facts of D5_CONS above those of D6_CONS",
        measure=gap(D5_CONS, D6_CONS, DEFINITION),
        tag=TagEvidence.CONTRAST,
        paper="not in a paper",
    ),
)

CHAIN_FAMILY = (*CHAIN_CLAIMS, *REVERSAL_CLAIMS, *TWO_HOP_CLAIMS, PHI_CLAIM, *TAGGED_CLAIMS)
