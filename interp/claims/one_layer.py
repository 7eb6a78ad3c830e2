"""Claims OCR and TRUTH, of two papers about models of one layer; the thresholds are this project's.

Each run is judged together with its control: the same model whose value matrix is merged (Huang et
al. 2025), or that has no norm (Ravfogel et al. 2025), which `iml run --with-null` trains. What is
"at chance" is held against a margin; "known" is above .95.
"""

from typing import Any

import pandas as pd

from data.design import Margin
from data.tasks.one_layer_retrieval import BOTH, IMPLIED, UNTOLD
from data.tasks.truth_direction import CONTEXT_ATTRIBUTE, FALSE, TRUE
from data.vocabulary import DEFINITION, TRAINED, Role
from interp.verdicts.claim import Claim, Condition
from interp.verdicts.null_twin import beyond_twin, of_twin
from interp.verdicts.quantities import Measure, NotMeasured, gap, level
from training.config import RunConfig
from training.models.own import AFTER, BEFORE
from training.runs.run import Run

KNOWN = 0.95
HUANG, RAVFOGEL = "arXiv 2506.10887", "arXiv 2510.15804"
CHANCE = Margin(value=0.1, reason="as far as one pair of ten; chosen on seeds below 1000")
NO_DIRECTION = Margin(
    value=0.07, reason="a seventh of what is possible; chosen on seeds below 1000"
)


def _is(parameter: str, value: str) -> Condition:
    def holds(config: RunConfig) -> bool:
        return config.parameters.get(parameter) == value

    return Condition(words=f"{parameter}={value}", holds=holds)


FACTORISED, NORMED = _is("value_matrix", "factorised"), _is("norm", "unit")


def above_chance(run: Run) -> pd.Series:
    """How much more of the held-out implications is answered than by naming any of them."""
    return level(run, IMPLIED) - 1 / int(run.config.parameters["pairs"])


def fitted(run: Run) -> pd.Series:
    """The least exact match of what is trained: facts of either subset, implications."""
    parts = [
        level(run, BOTH, DEFINITION),
        level(run, IMPLIED, DEFINITION),
        level(run, BOTH, TRAINED),
    ]
    return pd.concat(parts, axis=1).min(axis=1)


def auc(part: str, state: str) -> Measure:
    """How well a linear classifier tells true contexts from false ones, from `iml blocks`."""
    return lambda run: _read(run, "auc", part, state)


def _read(run: Run, quantity: str, part: str, state: str) -> pd.Series:
    """A number that `iml blocks` read at each seed's last step."""
    table = run.table("blocks")
    if table is None:
        raise NotMeasured("run iml blocks first")
    chosen = {"run_id": run.config.run_id, "quantity": quantity, "part": part, "state": state}
    rows = table.loc[(table[list(chosen)] == pd.Series(chosen)).all(axis=1)]
    if rows.empty:
        raise NotMeasured(f"iml blocks has no {quantity} of {part}")
    last = rows.loc[rows["step"] == rows.groupby("seed")["step"].transform("max")]
    return last.set_index("seed")["value"].sort_index()


def copied(run: Run) -> pd.Series:
    """What held-out subjects add to their own implication beyond others', from `iml blocks`."""
    part = f"subjects {IMPLIED.name} → implications"
    return _read(run, "block", part, "own") - _read(run, "block", part, "other")


def off_chance(measure: Measure) -> Measure:
    """An AUC minus the .5 of guessing."""
    return lambda run: measure(run) - 0.5


def _ocr(part: str, statement: str, measure: Measure, paper: str, **others: Any) -> Claim:
    return Claim(
        id=f"OCR.{part}", statement=statement, measure=measure, paper=f"{paper} ({HUANG})",
        only=FACTORISED, **others,
    )  # fmt: skip


def _truth(part: str, statement: str, measure: Measure, paper: str, **others: Any) -> Claim:
    return Claim(
        id=f"TRUTH.{part}", statement=statement, measure=measure, paper=f"{paper} ({RAVFOGEL})",
        only=NORMED, **others,
    )  # fmt: skip


_PLACES = {CONTEXT_ATTRIBUTE: "at y", str(Role.ALIAS): "at x'"}

ONE_LAYER: tuple[Claim, ...] = (
    _ocr(
        "fitted",
        "all that is trained is answered",
        fitted,
        "training loss near 0",
        threshold=KNOWN,
    ),
    _ocr(
        "implied",
        f"implications that were never trained are known: {IMPLIED.name}",
        lambda run: level(run, IMPLIED),
        "known",
        threshold=KNOWN,
    ),
    _ocr(
        "untold",
        f"they are known from the facts: {IMPLIED.name} above {UNTOLD.name}",
        gap(IMPLIED, UNTOLD),
        "not tested",
    ),
    _ocr(
        "copied",
        "the value matrix has them: what subjects add to their own implication, minus to others', "
        "more than merged",
        beyond_twin(copied),
        "copied in the blocks of W_OV",
    ),
    _ocr(
        "merged_fitted",
        "merged, all that is trained is answered, too",
        of_twin(fitted),
        "training loss near 0",
        threshold=KNOWN,
    ),
    _ocr(
        "merged",
        f"merged, {IMPLIED.name} is at chance",
        of_twin(above_chance),
        "at chance",
        margin=CHANCE,
    ),
    *(
        claim
        for part, place in _PLACES.items()
        for claim in (
            _truth(
                f"after_{part}",
                f"AUC of true against false contexts {place}, after the norm, is .98 or more",
                auc(part, AFTER),
                "a direction",
                threshold=0.98,
            ),
            _truth(
                f"before_{part}",
                f"AUC {place} before the norm, minus .5, is none",
                off_chance(auc(part, BEFORE)),
                "none",
                margin=NO_DIRECTION,
            ),
            _truth(
                f"no_norm_{part}",
                f"AUC {place} in a model without a norm, minus .5, is none",
                of_twin(off_chance(auc(part, BEFORE))),
                "none",
                margin=NO_DIRECTION,
            ),
        )
    ),
    _truth(
        "gap",
        f"log-probability of the true attribute: {TRUE.name} above {FALSE.name}, by more than in "
        "the control",
        beyond_twin(gap(TRUE, FALSE, metric="answer_log_prob")),
        "above",
    ),
)
