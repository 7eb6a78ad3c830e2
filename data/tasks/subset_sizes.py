"""How many aliases each subset gets: exact sizes, no item lost, no subset empty."""

from collections.abc import Mapping
from dataclasses import dataclass

from data.errors import InputError
from data.tasks.iml import (
    D1_CONS_QA1,
    D2_INCONS_QA2,
    D5_CONS,
    D6_CONS,
    D8_CONS,
    D9_INCONS_QA9,
    D10_CONS_QA10,
    QA3,
    QA7_UNSEEN,
)


def split_sizes(total: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """Divides `total` items by `fractions`, by largest remainder; the sizes sum to `total`.

    Raises:
        InputError: a fraction is not positive, they do not sum to 1, or a part comes out empty.

    >>> split_sizes(10, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})
    {'a': 4, 'b': 3, 'c': 3}
    """
    if abs(sum(fractions.values()) - 1) > 1e-9:
        raise InputError(
            f"fractions {dict(fractions)} sum to {sum(fractions.values()):g}; make them sum to 1"
        )
    shares = {name: total * fraction for name, fraction in fractions.items()}
    sizes = {name: int(share + 1e-9) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: sizes[name] - shares[name])
    for name in by_remainder[: total - sum(sizes.values())]:
        sizes[name] += 1
    for name, size in sizes.items():
        if size <= 0:
            raise InputError(
                f"the fraction {fractions[name]:g} of {total} leaves {name} empty; "
                "raise the fraction or the total"
            )
    return sizes


@dataclass(frozen=True, kw_only=True)
class SubsetSizes:
    """How many aliases each subset of Table 1 gets."""

    defined: int
    """Aliases with a reliable tag in Stage 1, and again as many with an unreliable one."""
    undefined: int
    """Aliases of QA3: asked about, never defined."""
    stage2: int
    """Aliases of each of D5, D6, D8 and QA7."""
    alpha: float = 1.0
    """Share of reliable definitions that are true and of unreliable ones that are false (Fig. 4a);
    below 1 the rest makes up D9 and D10."""

    def by_subset(self) -> dict[str, int]:
        """Sizes by subset name; D9 and D10 appear only below alpha 1, empty subsets are errors."""
        sizes = {
            subset.name: n
            for n, subsets in (
                (self.defined, (D1_CONS_QA1, D2_INCONS_QA2)),
                (self.undefined, (QA3,)),
                (self.stage2, (D5_CONS, D6_CONS, D8_CONS, QA7_UNSEEN)),
            )
            for subset in subsets
        }
        for name, n in sizes.items():
            if n < 1:
                raise InputError(f"{n} aliases leave {name} empty; use at least 1")
        for parts in _split_by_alpha(self.alpha):
            sizes |= split_sizes(self.defined, parts)
        return sizes


def split_by_alpha(fractions: Mapping[str, float], alpha: float) -> dict[str, float]:
    """The fractions with a share 1 - alpha of D1 given to D9, and of D2 to D10 (section 3.3).

    Raises:
        InputError: alpha is no share, or there is no D1 or D2 to split.

    >>> split_by_alpha({"D1_CONS_QA1": 0.5, "D2_INCONS_QA2": 0.5}, 1.0)
    {'D1_CONS_QA1': 0.5, 'D2_INCONS_QA2': 0.5}
    """
    result = dict(fractions)
    for parts in _split_by_alpha(alpha):
        whole = next(iter(parts))
        if whole not in fractions:
            raise InputError(f"alpha is {alpha:g}, but there is no {whole} to split; use alpha=1")
        result |= {name: share * fractions[whole] for name, share in parts.items()}
    return result


def _split_by_alpha(alpha: float) -> list[dict[str, float]]:
    """How D1 and D2 are divided; empty where they stay whole."""
    if not 0 < alpha <= 1:
        raise InputError(f"alpha is {alpha:g}; use a number above 0, up to 1")
    if alpha == 1:
        return []
    return [
        {agreeing.name: alpha, disagreeing.name: 1 - alpha}
        for agreeing, disagreeing in (
            (D1_CONS_QA1, D9_INCONS_QA9),
            (D2_INCONS_QA2, D10_CONS_QA10),
        )
    ]
