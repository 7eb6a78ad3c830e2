"""How far the last stage's change of each subset lies in each code: cosines, amounts, lengths."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from interp.codes.aliases import Alias
from interp.codes.estimation import (
    CODES,
    QUESTION,
    RELIABLE,
    UNRELIABLE,
    Code,
    code_cosine,
    code_length,
    coefficients,
    held_out_fit,
    is_known,
    mean_by_entity,
)
from interp.codes.nulls import NULLS
from interp.codes.rows import NullValues, code_row
from interp.codes.seed_codes import SeedCodes

COSINE, CEILING, COEFFICIENT, LENGTH = "cosine", "ceiling", "coefficient", "length"
FIT = "held_out_fit"
"""Of codes estimated on entities' own representations, see `held_out_fit`."""


def code_words(code: str) -> str:
    """How the column `subset` names a code that another is compared with.

    >>> code_words("question")
    'question code'
    """
    return f"{code} code"


def measure_shape(codes: SeedCodes) -> pd.DataFrame:
    """A row for each code and subset, and for each two codes, by quantity."""
    records = []
    means = {subset: codes.means(where) for subset, where in codes.sides.items()}
    ceilings = codes.ceilings()
    n_first = len(codes.aliases.first)
    for name in CODES:
        code = codes.codes[name]
        n_coded = {"quantity": COSINE, "code": name}
        for subset, where in codes.sides.items():
            mean, n = means[subset], int(where.sum())
            cosines = {k: [code_cosine(mean, each) for each in codes.nulls[name][k]] for k in NULLS}
            records += [
                code_row(code_cosine(mean, code), cosines, subset=subset, n=n, **n_coded),
                code_row(ceilings[name, subset], quantity=CEILING, code=name, subset=subset, n=n),
                _coefficient_row(codes, name, subset, n),
            ]
        for other in CODES:
            if other != name:
                pair = {"code": name, "subset": code_words(other), "n": n_first}
                drawn = codes.nulls[other]
                cosines = {k: [code_cosine(code, each) for each in drawn[k]] for k in NULLS}
                value = code_cosine(code, codes.codes[other])
                records += [
                    code_row(value, cosines | {"tag": []}, quantity=COSINE, **pair),
                    code_row(ceilings[name, other], quantity=CEILING, **pair),
                ]
        records.append(code_row(code_length(code), quantity=LENGTH, code=name, n=n_first))
    records += _fit_rows(codes)
    records += [
        code_row(code_length(means[subset]), quantity=LENGTH, subset=subset, n=int(where.sum()))
        for subset, where in codes.sides.items()
    ]
    for subset, aliases in codes.aliases.further_subsets.items():
        records += _further_rows(codes, subset, aliases)
    return pd.DataFrame(records)


def _further_rows(
    codes: SeedCodes, subset: str, aliases: Sequence[Alias]
) -> list[dict[str, object]]:
    """The amounts of each code, and the length, of a subset that is compared with none."""
    numbers = codes.before.numbers([alias.entity for alias in aliases])
    added = codes.added(aliases)
    mean = mean_by_entity(added, numbers, len(codes.before.entities))
    about = {"subset": subset, "n": len(aliases)}
    return [
        code_row(code_length(mean), quantity=LENGTH, **about),
        *(
            code_row(
                *_amount(codes, name, added, numbers, np.full(len(added), True)),
                quantity=COEFFICIENT, code=name, **about,
            )
            for name in CODES
        ),
    ]  # fmt: skip


def _fit_rows(codes: SeedCodes) -> list[dict[str, object]]:
    """How well codes that are linear in entities' own representations predict aliases held out."""
    if codes.before.own is None:
        return []
    aliases = codes.aliases
    mixed = [*aliases.unreliable, *aliases.undefined]
    return [
        code_row(held_out_fit(group, codes.before), quantity=FIT, code=name, n=len(group))
        for name, group in ((RELIABLE, aliases.reliable), (UNRELIABLE, mixed), (QUESTION, mixed))
    ]


def _coefficient_row(codes: SeedCodes, name: str, subset: str, n: int) -> dict[str, object]:
    """The mean over a subset's aliases of the amount of their own entity's code."""
    changes = codes.changes
    found = _amount(codes, name, changes.vectors, changes.numbers, codes.sides[subset])
    return code_row(*found, quantity=COEFFICIENT, code=name, subset=subset, n=n)


def _amount(
    codes: SeedCodes,
    name: str,
    added: Float[np.ndarray, "alias width"],
    numbers: Int[np.ndarray, " alias"],
    where: np.ndarray,
) -> tuple[float, NullValues]:
    """The mean amount of a code in some aliases' changes, and of its nulls.

    Over the aliases whose entity has a code.
    """

    def mean_amount(code: Code) -> float:
        chosen = where & is_known(code)[numbers]
        return float(coefficients(added, code, numbers)[chosen].mean()) if chosen.any() else np.nan

    nulls: NullValues = {k: [mean_amount(each) for each in codes.nulls[name][k]] for k in NULLS}
    return mean_amount(codes.codes[name]), nulls
