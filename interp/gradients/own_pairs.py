"""Inner products of chosen pairs of examples, and what the gradients have in common.

Pairs are measured in blocks: some left examples, all that they are paired with, one pass over
them. The sum of all gradients G comes from the same factors, and so do the inner products with it,
in a second sweep over the factors (or over the examples, where the factors do not fit in memory).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.gradients.captured_factors import FactorsByModule
from interp.gradients.example_gradients import ExampleGradients, NamedFactors
from interp.gradients.factors import Chosen, Factors

MAX_GROUP = 8
"""Partners of a left example that are measured in one product."""


@dataclass(frozen=True, kw_only=True)
class PairBlock:
    """Examples that are captured together, and the pairs among them."""

    examples: Int[Tensor, " example"]
    left: Int[Tensor, " group"]
    """The left example of each group, as a place in `examples`."""
    right: Int[Tensor, "group k"]
    """Its partners, as places in `examples`; groups that are not full repeat their first."""
    pair: Int[Tensor, "group k"]
    """Which pair it is; -1 for what only fills up."""
    is_new: list[bool]
    """Of each example, whether no block before holds it."""


@dataclass(frozen=True, kw_only=True)
class GradientStatistics:
    """How long the gradients of some examples are, and how much they point the same way."""

    n_examples: int
    mean_square_norm: float
    """Mean squared norm of an example's gradient."""
    mean_gradient_norm: float
    """Norm of the mean gradient."""
    cosines_to_mean: Float[Tensor, " example"]
    """Cosine of each example's gradient to the mean gradient, itself included in the mean."""

    @property
    def variance(self) -> float:
        """Mean squared distance to the mean gradient: the trace of the (1/n) covariance."""
        return self.mean_square_norm - self.mean_gradient_norm**2

    @property
    def mean_cosine_to_mean(self) -> float:
        """The mean over the examples of their gradients' cosines to the mean gradient."""
        return self.cosines_to_mean.mean().item()


@dataclass(kw_only=True)
class _Sums:
    """The sums that are added to block by block: inner products, squares and gradients."""

    dots: dict[str, Float[Tensor, " pair"]] = field(default_factory=dict)
    squares: dict[str, Float[Tensor, " example"]] = field(default_factory=dict)
    total: dict[str, Tensor] = field(default_factory=dict)
    kept: list[tuple[Int[Tensor, " example"], FactorsByModule]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class OwnPairs:
    """Inner products of the chosen pairs by component, in double precision on the CPU."""

    dots: dict[str, Float[Tensor, " pair"]]
    squares: dict[str, Float[Tensor, " example"]]
    losses: Float[Tensor, " example"]
    statistics: GradientStatistics | None


def own_pairs(
    gradients: ExampleGradients, pairs: Int[Tensor, "pair 2"], *, statistics: bool
) -> OwnPairs:
    """Inner products of the pairs, which name two examples each.

    Args:
        gradients: All examples of either side.
        pairs: Left and right example of each.
        statistics: Whether to measure the mean gradient over all examples too.
    """
    sums = _Sums()
    losses = torch.zeros(len(gradients), dtype=torch.float64)
    blocks = list(pair_blocks(pairs, len(gradients), gradients.batch_size))
    memory = gradients.options.memory // gradients.example_bytes
    keeps = sum(len(block.examples) for block in blocks) <= memory
    for block in blocks:
        factors, block_losses, _ = gradients.batch(block.examples)
        losses[block.examples] = block_losses.double().cpu()
        _add_dots(sums, gradients.components(factors), block, len(pairs), len(gradients))
        if statistics:
            _add_total(sums, factors, block)
            if keeps:
                sums.kept.append((block.examples, factors))
    measured = _statistics(gradients, sums, blocks) if statistics else None
    return OwnPairs(dots=sums.dots, squares=sums.squares, losses=losses, statistics=measured)


def pair_blocks(
    pairs: Int[Tensor, "pair 2"], n_examples: int, batch_size: int
) -> Iterator[PairBlock]:
    """Groups of pairs with the same left example, as many as a batch holds, then the rest.

    Examples that no pair names come last, in blocks without pairs.
    """
    by_left: dict[int, list[int]] = {}
    for pair, left in enumerate(pairs[:, 0].tolist()):
        by_left.setdefault(left, []).append(pair)
    right = pairs[:, 1].tolist()
    groups = [
        (left, chosen[i : i + MAX_GROUP])
        for left, chosen in by_left.items()
        for i in range(0, len(chosen), MAX_GROUP)
    ]
    seen: set[int] = set()
    waiting: list[tuple[int, list[int]]] = []
    size = 0
    for group in groups:
        if waiting and size + 1 + len(group[1]) > batch_size:
            yield _block(waiting, right, seen)
            waiting, size = [], 0
        waiting.append(group)
        size += 1 + len(group[1])
    if waiting:
        yield _block(waiting, right, seen)
    rest = [example for example in range(n_examples) if example not in seen]
    for first in range(0, len(rest), batch_size):
        alone = rest[first : first + batch_size]
        none = torch.zeros(0, 1, dtype=torch.long)
        yield PairBlock(
            examples=torch.tensor(alone),
            left=none[:, 0],
            right=none,
            pair=none,
            is_new=[True] * len(alone),
        )


def _block(groups: list[tuple[int, list[int]]], right: list[int], seen: set[int]) -> PairBlock:
    """Left examples first, then the right ones in the groups' order, so that takes are slices."""
    width = max(len(chosen) for _, chosen in groups)
    filled = [chosen + [-1] * (width - len(chosen)) for _, chosen in groups]
    partners = [[right[pair if pair >= 0 else row[0]] for pair in row] for row in filled]
    in_order = [left for left, _ in groups] + [example for row in partners for example in row]
    examples = list(dict.fromkeys(in_order))
    place = {example: i for i, example in enumerate(examples)}
    is_new = [example not in seen for example in examples]
    seen.update(examples)
    return PairBlock(
        examples=torch.tensor(examples),
        left=torch.tensor([place[left] for left, _ in groups]),
        right=torch.tensor([[place[example] for example in row] for row in partners]),
        pair=torch.tensor(filled),
        is_new=is_new,
    )


def as_slice(places: Int[Tensor, " place"]) -> Chosen:
    """Places of examples, as a slice if they follow each other, which copies nothing."""
    first = int(places[0])
    if torch.equal(places, torch.arange(first, first + len(places))):
        return slice(first, first + len(places))
    return places


def _add_dots(
    sums: _Sums, parts: NamedFactors, block: PairBlock, n_pairs: int, n_examples: int
) -> None:
    is_pair = block.pair >= 0
    for name, factor in parts:
        dots = sums.dots.setdefault(name, torch.zeros(n_pairs, dtype=torch.float64))
        squares = sums.squares.setdefault(name, torch.zeros(n_examples, dtype=torch.float64))
        own = factor.group_dots(factor)[:, 0].double().cpu()
        is_new = torch.tensor(block.is_new)
        squares[block.examples[is_new]] += own[is_new]
        if len(block.left):
            left = factor.take(as_slice(block.left))
            right = factor.take(as_slice(block.right.flatten()))
            group = left.group_dots(right).double().cpu()
            dots[block.pair[is_pair]] += group[is_pair]


def _add_total(sums: _Sums, factors: FactorsByModule, block: PairBlock) -> None:
    for factor in factors.values():
        for name, part in _new(factor, block).total().items():
            if name in sums.total:
                sums.total[name] += part
            else:
                sums.total[name] = part


def _new(factor: Factors, block: PairBlock) -> Factors:
    """The factors of the examples of a block that no block before it holds."""
    if all(block.is_new):
        return factor
    return factor.take(torch.tensor(block.is_new).nonzero()[:, 0])


def _statistics(
    gradients: ExampleGradients, sums: _Sums, blocks: list[PairBlock]
) -> GradientStatistics:
    n = len(gradients)
    square = sum(part.double().square().sum().item() for part in sums.total.values())
    dots = torch.zeros(n, dtype=torch.float64)
    captured = sums.kept or ((b.examples, gradients.batch(b.examples)[0]) for b in blocks)
    for examples, factors in captured:
        each = [factor.dots_with(sums.total).double() for factor in factors.values()]
        dots[examples] = torch.stack(each).sum(0).cpu()
    squares = torch.stack(list(sums.squares.values())).sum(0)
    return GradientStatistics(
        n_examples=n,
        mean_square_norm=squares.mean().item(),
        mean_gradient_norm=square**0.5 / n,
        cosines_to_mean=dots / (squares * square).sqrt(),
    )
