"""A table of codes whose shares can be worked out by hand."""

from collections.abc import Mapping, Sequence

import pandas as pd

from interp.codes.edited import GAP
from interp.codes.edits import EXPLAINING, REVERSING
from interp.codes.estimation import CODES, RELIABLE
from interp.codes.rows import code_row
from interp.codes.shape import CEILING, COEFFICIENT, COSINE, LENGTH, code_words

D5, D6, FLOOR = "D5_CONS", "D6_CONS", "QA7_UNSEEN"
COMPARED = f"{D5}-{D6}"
RUN = {"recipe": "alias-toy", "run_id": "a", "model": "m", "word_order": "tae", "stage": 2}
RUN |= {"step": 200}
PLACE = {"site": "embed", "layer": 0, "role": "alias"}


def codes_table(
    gaps: Sequence[float] = (2.0, 4.0, 3.0, 3.0),
    *,
    left: float = 0.25,
    taken_by: Mapping[str, float] | None = None,
    answered: float = -2.0,
) -> pd.DataFrame:
    """Edits along the reliable tag's code leave a part of each seed's gap, nulls nearly all.

    Args:
        gaps: Of each seed, in nats.
        left: The part that is left; after an exchange, of the way to a gap turned round.
        taken_by: By kind of null the share that it takes; 0 unless given.
        answered: How both subsets are answered after an edit; the floor is at -4 nats.
    """
    tables = [
        pd.DataFrame(_rows(gap, left, taken_by or {}, answered)).assign(seed=seed, **RUN, **PLACE)
        for seed, gap in enumerate(gaps)
    ]
    return pd.concat(tables, ignore_index=True)


def _rows(
    gap: float, left: float, taken_by: Mapping[str, float], answered: float
) -> list[dict[str, object]]:
    rows = [
        code_row(-1.0, subset=D5, quantity="answer_log_prob", n=10),
        code_row(-1.0 - gap, subset=D6, quantity="answer_log_prob", n=10),
        code_row(-4.0, subset=FLOOR, quantity="answer_log_prob", n=10),
        code_row(gap, subset=COMPARED, quantity=GAP, n=20),
    ]
    kinds = {kind: taken_by.get(kind, 0.0) for kind in ("other", "permuted", "random", "tag")}
    for code in CODES:
        rows += _shape_of(code)
        taken = 1 - left if code == RELIABLE else 0.0
        # Along the other codes few edits are enough, and tests are quicker.
        for edit in (*EXPLAINING, "add", "swap") if code == RELIABLE else ("lower", "equal"):
            due = 2 if edit in REVERSING else 1
            nulls = {kind: [gap * (1 - due * share)] * 2 for kind, share in kinds.items()}
            where = {"code": code, "edit": edit}
            value = gap * (1 - due * taken)
            rows.append(code_row(value, nulls, subset=COMPARED, quantity=GAP, n=20, **where))
            for subset in (D5, D6):
                spread = {"other": [-3.0, -3.0]}
                rows += [
                    code_row(
                        answered, spread, subset=subset, quantity="answer_log_prob", n=10, **where
                    ),
                    code_row(0.5, spread, subset=subset, quantity="exact_match", n=10, **where),
                ]
        for subset in (D5, D6):
            swapped = {"code": code, "edit": "swap", "quantity": "other_match"}
            rows.append(code_row(0.6, {"other": [0.1, 0.1]}, subset=subset, n=10, **swapped))
    return rows


def _shape_of(code: str) -> list[dict[str, object]]:
    own = {D5: 0.9 if code != "unreliable" else 0.1, D6: 0.8 if code == "unreliable" else 0.0}
    rows = [code_row(2.0, quantity=LENGTH, code=code, n=30)]
    for subset, value in own.items():
        nulls = {"permuted": [0.0, 0.1]}
        rows += [
            code_row(value, nulls, quantity=COSINE, code=code, subset=subset, n=10),
            code_row(0.95, quantity=CEILING, code=code, subset=subset, n=10),
            code_row(value / 10, nulls, quantity=COEFFICIENT, code=code, subset=subset, n=10),
        ]
        if code == RELIABLE:
            rows.append(code_row(0.05, quantity=LENGTH, subset=subset, n=10))
    for other in CODES:
        if other != code:
            pair = {"code": code, "subset": code_words(other), "n": 30}
            rows.append(code_row(0.2, quantity=COSINE, **pair))
    return rows
