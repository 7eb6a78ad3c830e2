"""The rows of the table `dictionaries`: a value, and beside it what its control gives.

`site layer role dictionary k` say which autoencoder, or baseline of equal sparsity; `role` is `all`
of one that was trained on every token. `target` is what features were chosen for, `subset` whose
questions were asked or read, `feature` the number of one feature (-1: not about one; numbers mean
nothing in another seed), `quantity` what was measured. `value` is it, `control` what it is held
against (NaN: nothing), `n` of how many vectors, questions or features, `text` what a feature's page
shows.
"""

import numpy as np

COORDINATES = [
    *("site", "layer", "role", "dictionary", "k"),
    *("target", "subset", "feature", "quantity"),
]
NO_FEATURE = -1

AUROC = "auroc"
LOG_PROB, EXACT_MATCH = "ablated_log_prob", "ablated_exact_match"
SET_RATE, SET_NORM = "ablated_rate", "ablated_norm"
ALIKE, MOVED, OLD_VARIANCE = "alike_before", "moved", "explained_by_old"
RATE, PROMOTED, EXAMPLE = "rate", "promoted", "example"
OF_PAGE = (RATE, PROMOTED, EXAMPLE)
"""Quantities of single features, which no mean over seeds is taken of."""


def feature_row(
    quantity: str,
    value: float,
    *,
    control: float = np.nan,
    n: int,
    target: str = "",
    subset: str = "",
    feature: int = NO_FEATURE,
    text: str = "",
) -> dict[str, object]:
    """A row without its place, dictionary and k."""
    where = {"target": target, "subset": subset, "feature": feature, "quantity": quantity}
    return where | {"value": float(value), "control": float(control), "n": n, "text": text}
