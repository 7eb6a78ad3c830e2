"""Numbers and settings in words: what sentences, tables and axes are made of."""

from collections.abc import Mapping, Sequence
from typing import Any


def gap_text(estimate: Mapping[str, Any]) -> str:
    """A difference with its sign and, where there is one, its interval.

    >>> gap_text({"mean": 0.25, "ci_low": -0.1, "ci_high": 0.6})
    '+0.250 [-0.100, +0.600]'
    """
    if estimate["ci_low"] is None:
        return f"{estimate['mean']:+.3f}"
    return f"{estimate['mean']:+.3f} [{estimate['ci_low']:+.3f}, {estimate['ci_high']:+.3f}]"


def mean_text(estimate: Mapping[str, Any]) -> str:
    """A mean and, where there is one, its interval."""
    if estimate["ci_low"] is None:
        return f"{estimate['mean']:.2f}"
    return f"{estimate['mean']:.2f} [{estimate['ci_low']:.2f}, {estimate['ci_high']:.2f}]"


def unbroken(text: str) -> str:
    """A text for a narrow table: a line may end before an interval, but not within."""
    return text.replace(", ", ",\N{NO-BREAK SPACE}")


def plain(value: object) -> str:
    """A parameter's value as `--set` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def seed_ranges(seeds: Sequence[int]) -> str:
    """Consecutive seeds as `first to last`.

    >>> seed_ranges([1, 2, 3, 7])
    '1 to 3, 7'
    """
    ranges = consecutive(seeds)
    return ", ".join(f"{low} to {high}" if high > low else f"{low}" for low, high in ranges)


def consecutive(seeds: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each stretch without a gap."""
    known = set(seeds)
    starts = [seed for seed in seeds if seed - 1 not in known]
    ends = [seed for seed in seeds if seed + 1 not in known]
    return list(zip(starts, ends, strict=True))
