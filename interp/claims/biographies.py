"""Claims BIO, of Allen-Zhu and Li 2023 about what is known of people by their biographies alone."""

from typing import Any

from data.tasks.packed_biographies import ASKED, UNASKED, UNKNOWN
from data.vocabulary import TRAINED
from interp.verdicts.claim import Claim, Condition
from interp.verdicts.null_twin import beyond_twin, of_twin
from interp.verdicts.quantities import Measure, gap, level

SEVERAL = Condition(
    words="several phrasings", holds=lambda config: config.parameters.get("phrasings") != 1
)
TRAINED_QUESTIONS_KNOWN = 0.9


def _bio(part: str, statement: str, measure: Measure, paper: str, **others: Any) -> Claim:
    return Claim(
        id=f"BIO.{part}", statement=statement, measure=measure,
        paper=f"{paper} (arXiv 2309.14316)", only=SEVERAL, **others,
    )  # fmt: skip


BIOGRAPHIES: tuple[Claim, ...] = (
    _bio(
        "fitted",
        f"trained questions are answered: {ASKED.name}",
        lambda run: level(run, ASKED, TRAINED),
        "1.00",
        threshold=TRAINED_QUESTIONS_KNOWN,
    ),
    _bio(
        "extraction",
        f"people are known by their biographies alone: {UNASKED.name} above {UNKNOWN.name}",
        gap(UNASKED, UNKNOWN),
        ".96 of answers, five phrasings, permuted",
    ),
    _bio(
        "phrasings",
        f"by more than where each biography has one phrasing: {UNASKED.name} minus {UNKNOWN.name}, "
        "run minus control",
        beyond_twin(gap(UNASKED, UNKNOWN)),
        ".96 against .10 of answers",
    ),
    _bio(
        "fitted_one",
        f"with one phrasing, trained questions are answered, too: {ASKED.name}",
        of_twin(lambda run: level(run, ASKED, TRAINED)),
        "1.00",
        threshold=TRAINED_QUESTIONS_KNOWN,
    ),
)
