"""How much is written, so that models of different kinds answer alike but for the gap.

What is matched is measured on the planted process itself, never on what a tool finds in it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from data.subsets import Subset
from data.vocabulary import Part
from interp.planted.asking import Questions
from interp.planted.kinds import ASKED, WEAK, Side
from interp.planted.writes import AliasRows, Amounts

DEFINED_TARGET = 0.40
"""Exact match of the two subsets that are compared, on average, at the end of Stage 2."""
TRUE_TARGET, FALSE_TARGET, UNDEFINED_TARGET = 0.97, 0.88, 0.93
"""Exact match of Stage 1's subsets: with true definitions, with false ones, with none."""
MOST = 4.0
"""More than any amount that comes out."""
HALVINGS = 12


@dataclass(frozen=True, kw_only=True)
class Matched:
    """What the kinds have in common, by the names of subsets."""

    stage1: Mapping[str, float]
    """Exact match of each at the end of Stage 1."""
    compared: tuple[str, str]
    """The two whose mean is matched; the one with the reliable tag first."""

    @classmethod
    def of(cls, subsets: tuple[Subset, ...], compared: tuple[str, str]) -> "Matched":
        """The targets of a design's subsets."""
        asked = [s for s in subsets if s.part is Part.X1 and s.has_questions and s.replaced]
        return cls(stage1={subset.name: _target(subset) for subset in asked}, compared=compared)


def _target(subset: Subset) -> float:
    if not subset.has_definitions:
        return UNDEFINED_TARGET
    return TRUE_TARGET if subset.consistent else FALSE_TARGET


def calibrate(
    rows: AliasRows, base: Float[Tensor, "alias d_model"], questions: Questions, matched: Matched
) -> Amounts:
    """The amounts at which a model has the exact matches that all kinds have.

    Args:
        rows: The aliases of the seed.
        base: The rows to which everything is added.
        questions: All held-out questions, of the model with its planted weights.
        matched: What is to come out.
    """
    amounts = _calibrate_definitions(rows, base, questions.of_subsets(matched.compared), matched)
    asked = questions.of_subsets(list(matched.stage1))
    low = dict.fromkeys(set(asked.subsets), 0.0)
    high = dict.fromkeys(low, MOST)
    for _ in range(HALVINGS):
        middle = {name: (low[name] + high[name]) / 2 for name in low}
        tried = rows.at(replace(amounts, asked=middle), stage1=1.0, stage2=0.0)
        is_right = asked.is_right(base + tried).float()
        for name, value in middle.items():
            is_enough = is_right[asked.is_of(name)].mean() >= matched.stage1[name]
            (high if is_enough else low)[name] = value
    return replace(amounts, asked=high)


def _calibrate_definitions(
    rows: AliasRows, base: Float[Tensor, "alias d_model"], questions: Questions, matched: Matched
) -> Amounts:
    """What Stage 2 writes, so that the compared subsets are answered as often as they should."""

    def right(defined: float) -> float:
        tried = rows.at(Amounts(defined=defined), stage1=1.0, stage2=1.0)
        is_right = questions.is_right(base + tried).float()
        parts = [is_right[questions.is_of(name)].mean() for name in matched.compared]
        return float(torch.stack(parts).mean())

    amounts = Amounts(defined=_least(right, DEFINED_TARGET, MOST))
    if not rows.kind.splits_gap:
        return amounts
    return replace(amounts, second=_second(rows, base, questions, amounts, matched.compared[1]))


def _second(
    rows: AliasRows,
    base: Float[Tensor, "alias d_model"],
    questions: Questions,
    amounts: Amounts,
    subset: str,
) -> float:
    """What the second side writes in the second code, where the gap is half strength.

    Had all that is learned gone into the first code, half of the gap in nats would be left. The
    amount learned is that at which this is so; what is not in the first code is in the second.
    """
    asked = questions.of_subsets([subset])

    def nats(share: float) -> float:
        written = replace(
            rows, kind=replace(rows.kind, reliable=_only(share), unreliable=_only(share))
        )
        return float(asked.nats(base + written.at(amounts, stage1=1.0, stage2=1.0)).mean())

    return _least(nats, (nats(1.0) + nats(WEAK)) / 2, 1.0) - WEAK


def _only(share: float) -> Side:
    return Side(codes={ASKED: share})


def _least(function: Callable[[float], float], wanted: float, most: float) -> float:
    """Where a growing function has a value, by halving."""
    low, high = 0.0, most
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if function(middle) >= wanted:
            high = middle
        else:
            low = middle
    return high
