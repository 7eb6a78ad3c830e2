"""The rows of the table `codes`: a value, and beside it what its matched nulls give.

`site layer role code subset edit quantity` say what was measured; `value` is it, `control` the mean
over the nulls that are drawn, `null_low null_high` the middle 95% of them, `n_null` how many there
are, `p_value` how often they lie as far out on either side, `null_other` to `null_tag` the mean by
kind (the other tag's code is one and no draw), and `n` how many aliases the value is of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from interp.codes.nulls import DRAWN, NULLS

COORDINATES = ["site", "layer", "role", "code", "subset", "edit", "quantity"]
BY_NULL = [f"null_{kind}" for kind in NULLS]
MEASURED = ["value", "control", "null_low", "null_high", "n_null", "p_value", *BY_NULL, "n"]

NullValues = Mapping[str, Sequence[float]]
"""By kind of null what was measured with it."""


@dataclass(frozen=True, kw_only=True)
class Variants:
    """The vectors that an edit is made with: the code, then its nulls, by kind."""

    kinds: list[str]

    def split(self, values: Float[np.ndarray, " variant"]) -> tuple[float, NullValues]:
        """The value of the code itself, and those of its nulls."""
        nulls: dict[str, list[float]] = {kind: [] for kind in NULLS}
        for kind, value in zip(self.kinds[1:], values[1:], strict=True):
            nulls[kind].append(float(value))
        return float(values[0]), nulls


def code_row(
    value: float,
    nulls: NullValues | None = None,
    *,
    quantity: str,
    n: int,
    code: str = "",
    subset: str = "",
    edit: str = "",
) -> dict[str, object]:
    """One row of the table, without its place."""
    where: dict[str, object] = {"code": code, "subset": subset, "edit": edit, "quantity": quantity}
    return where | {"value": float(value)} | beside(float(value), nulls or {}) | {"n": n}


def beside(value: float, nulls: NullValues) -> dict[str, float]:
    """What nulls say of a value."""
    drawn = np.array([each for kind in DRAWN for each in nulls.get(kind, ())], dtype=float)
    drawn = drawn[np.isfinite(drawn)]
    means = {f"null_{kind}": _mean(nulls.get(kind, ())) for kind in NULLS}
    if not len(drawn) or not np.isfinite(value):
        empty = dict.fromkeys(("control", "null_low", "null_high"), np.nan)
        return empty | {"n_null": 0, "p_value": np.nan} | means
    low, high = np.quantile(drawn, [0.025, 0.975])
    n_as_far = min((drawn >= value).sum(), (drawn <= value).sum())
    return {
        "control": float(drawn.mean()),
        "null_low": float(low),
        "null_high": float(high),
        "n_null": len(drawn),
        "p_value": float(min(1.0, 2 * (n_as_far + 1) / (len(drawn) + 1))),
    } | means


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else np.nan
