"""Inner products of the gradients of all pairs of examples, in blocks of examples.

Both sides are captured in chunks that share the memory allowed. Every chunk of the left meets
every chunk of the right, so the right is captured once for each chunk of the left; memory grows
with the number of pairs only by the result itself.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.gradients.example_gradients import ExampleGradients, NamedFactors, last_targets


@dataclass(frozen=True, kw_only=True)
class AllPairs:
    """Inner products by component, in double precision on the CPU."""

    dots: dict[str, Float[Tensor, "a b"]]
    squares_a: dict[str, Float[Tensor, " a"]]
    squares_b: dict[str, Float[Tensor, " b"]]
    losses_a: Float[Tensor, " a"]
    losses_b: Float[Tensor, " b"]


def all_pairs(a: ExampleGradients, b: ExampleGradients) -> AllPairs:
    """Inner products of every gradient of `a` with every gradient of `b`."""
    result = AllPairs(
        dots={}, squares_a={}, squares_b={}, losses_a=_empty(len(a)), losses_b=_empty(len(b))
    )
    for i, chunk_a in enumerate(_chunks(a)):
        factors, losses = a.many(chunk_a)
        parts_a = a.components(factors)
        result.losses_a[chunk_a] = losses.double().cpu()
        _add_squares(result.squares_a, parts_a, chunk_a, a)
        for chunk_b in _chunks(b):
            factors, losses = b.many(chunk_b)
            parts_b = b.components(factors)
            if i == 0:
                result.losses_b[chunk_b] = losses.double().cpu()
                _add_squares(result.squares_b, parts_b, chunk_b, b)
            for (name, left), (_, right) in zip(parts_a, parts_b, strict=True):
                dots = result.dots.setdefault(
                    name, torch.zeros(len(a), len(b), dtype=torch.float64)
                )
                dots[chunk_a[:, None], chunk_b] += left.dots(right).double().cpu()
    return result


def _chunks(gradients: ExampleGradients) -> tuple[Int[Tensor, " example"], ...]:
    """Examples of about equal length, as many as half of the memory holds."""
    by_length = last_targets(gradients.examples).argsort(stable=True)
    return by_length.split(max(1, gradients.options.memory // 2 // gradients.example_bytes))


def _add_squares(
    squares: dict[str, Float[Tensor, " example"]],
    parts: NamedFactors,
    chosen: Int[Tensor, " chosen"],
    gradients: ExampleGradients,
) -> None:
    for name, factor in parts:
        column = squares.setdefault(name, torch.zeros(len(gradients), dtype=torch.float64))
        for places in torch.arange(len(chosen)).split(gradients.batch_size):
            part = factor.take(slice(int(places[0]), int(places[-1]) + 1))
            column[chosen[places]] += part.group_dots(part)[:, 0].double().cpu()


def _empty(n_examples: int) -> Float[Tensor, " example"]:
    return torch.zeros(n_examples, dtype=torch.float64)
