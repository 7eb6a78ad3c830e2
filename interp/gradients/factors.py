"""Gradients of one module's parameters, kept as factors instead of being formed.

The gradient of example i is a sum over rows t (token positions) of small pieces. With the module's
inputs x and the gradients d at its outputs

    linear      <g_i, g_j> = sum_ts (x_it . x_js + has_bias) (d_it . d_js)
    embedding   <g_i, g_j> = sum_ts [token_it = token_js] (d_it . d_js)
    norm        g_i = sum_t (d_it * normalised x_it, d_it), short enough to be formed

and an embedding tied to the unembedding adds the two crossed products of `CrossFactors`. All kinds
answer the same questions, so a Gram matrix is a loop over them. In a group, example i of the left
meets the k examples i k ... i k + k - 1 of the right.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import Generic, TypeVar

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from interp.gradients.products import batched_products, formed_columns, products, tile_elements

Chosen = slice | Int[Tensor, " chosen"]
Same = TypeVar("Same", bound="Factors")
"""The kind of factors: inner products are taken between factors of one kind only."""


class Factors(ABC, Generic[Same]):
    """The gradients of some examples in some parameters, as sums over rows."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of examples."""

    @abstractmethod
    def take(self, chosen: Chosen) -> Same:
        """The factors of chosen examples; where a slice chooses them, nothing is copied."""

    @classmethod
    @abstractmethod
    def join(cls, parts: Sequence[Same]) -> Same:
        """The factors of all examples of the parts; shorter ones get rows of zeros."""

    @abstractmethod
    def row_products(self, other: Same) -> Float[Tensor, "left_row right_row"]:
        """Inner products of the pieces of all rows of all examples."""

    @abstractmethod
    def row_dots(self, other: Same) -> Float[Tensor, "left row group_row"]:
        """Inner products of the pieces of each left example with those of its group."""

    @abstractmethod
    def total(self) -> dict[str, Tensor]:
        """Sum of the gradients by name of the parameter, in the parameter's own layout."""

    @abstractmethod
    def dots_with(self, total: Mapping[str, Tensor]) -> Float[Tensor, " left"]:
        """Inner products with one vector, given as `total` gives it."""

    @abstractmethod
    def nbytes(self) -> int:
        """The number of bytes that the factors take."""

    def dots(self, other: Same) -> Float[Tensor, "left right"]:
        """Inner products of all pairs, in tiles of rows that stay in the cache."""
        probe = self.take(slice(0, 1)).row_products(other.take(slice(0, 1)))
        elements = tile_elements(probe.device)
        step = max(1, isqrt(elements) // probe.shape[0])
        other_step = max(1, elements // (step * probe.numel()))
        result = probe.new_empty(len(self), len(other))
        for i in range(0, len(self), step):
            left = self.take(slice(i, i + step))
            for j in range(0, len(other), other_step):
                right = other.take(slice(j, j + other_step))
                rows = left.row_products(right).view(len(left), probe.shape[0], -1).sum(1)
                result[i : i + step, j : j + other_step] = rows.view(len(left), len(right), -1).sum(
                    2
                )
        return result

    def group_dots(self, other: Same) -> Float[Tensor, "left k"]:
        """Inner products of each example with those of its group."""
        k = len(other) // len(self)
        return self.row_dots(other).sum(1).view(len(self), k, -1).sum(2)


@dataclass(frozen=True, kw_only=True)
class LinearFactors(Factors["LinearFactors"]):
    """A linear layer: `outer(d_t, x_t)` for the weight and `d_t` for the bias."""

    inputs: Float[Tensor, "example row d_in"]
    gradients: Float[Tensor, "example row d_out"]
    weight: str
    bias: str | None
    is_transposed: bool = False
    """Whether the weight is laid out as `[d_in, d_out]`."""

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.inputs)

    def take(self, chosen: Chosen) -> "LinearFactors":
        """See `Factors`."""
        return replace(self, inputs=self.inputs[chosen], gradients=self.gradients[chosen])

    @classmethod
    def join(cls, parts: Sequence["LinearFactors"]) -> "LinearFactors":
        """See `Factors`."""
        return replace(
            parts[0],
            inputs=join_rows([part.inputs for part in parts]),
            gradients=join_rows([part.gradients for part in parts]),
        )

    def nbytes(self) -> int:
        """See `Factors`."""
        return self.inputs.nbytes + self.gradients.nbytes

    def row_products(self, other: "LinearFactors") -> Float[Tensor, "left_row right_row"]:
        """See `Factors`."""
        inputs = products(self.inputs.flatten(0, 1), other.inputs.flatten(0, 1))
        if self.bias:
            inputs += 1
        return inputs.mul_(products(self.gradients.flatten(0, 1), other.gradients.flatten(0, 1)))

    def row_dots(self, other: "LinearFactors") -> Float[Tensor, "left row group_row"]:
        """See `Factors`."""
        inputs = batched_products(self.inputs, grouped(other.inputs, len(self)))
        if self.bias:
            inputs += 1
        return inputs.mul_(batched_products(self.gradients, grouped(other.gradients, len(self))))

    def dots(self, other: "LinearFactors") -> Float[Tensor, "left right"]:
        """Inner products of all pairs, by whichever of the two exact forms costs less."""
        rows, other_rows = self.inputs.shape[1], other.inputs.shape[1]
        d_in, d_out = self.inputs.shape[2], self.gradients.shape[2]
        forming = d_in * d_out * (1 + rows / max(len(other), 1) + other_rows / max(len(self), 1))
        if rows * other_rows * (d_in + d_out) <= forming:
            return super().dots(other)
        biases = [single(side.gradients).sum(1) for side in (self, other)]
        result = biases[0] @ biases[1].T
        result *= self.bias is not None
        for columns in self._column_tiles(len(self) + len(other)):
            result += products(self.formed(columns), other.formed(columns))
        return result

    def group_dots(self, other: "LinearFactors") -> Float[Tensor, "left k"]:
        """Inner products in groups, by whichever of the two exact forms costs less."""
        rows, k = self.inputs.shape[1], len(other) // len(self)
        d_in, d_out = self.inputs.shape[2], self.gradients.shape[2]
        group_rows = k * other.inputs.shape[1]
        if rows * group_rows * (d_in + d_out) <= d_in * d_out * (rows + group_rows + k):
            return super().group_dots(other)
        biases = [single(side.gradients).sum(1, keepdim=True) for side in (self, other)]
        dots = batched_products(biases[0], grouped(biases[1], len(self)))[:, 0]
        dots *= self.bias is not None
        for columns in self._column_tiles(len(self) + len(other)):
            left, right = self.formed(columns)[:, None], other.formed(columns)[:, None]
            dots += batched_products(left, grouped(right, len(self)))[:, 0]
        return dots

    def formed(self, columns: slice) -> Float[Tensor, "example weight"]:
        """Gradients of some columns of the wider side's weights, formed and flattened."""
        narrow, wide = self.inputs, self.gradients
        if narrow.shape[2] > wide.shape[2]:
            narrow, wide = wide, narrow
        return torch.bmm(wide[:, :, columns].transpose(1, 2), narrow).flatten(1)

    def part(
        self,
        *,
        outputs: Int[Tensor, " output"] | None = None,
        inputs: Int[Tensor, " input"] | None = None,
    ) -> "LinearFactors":
        """The part of the weight at some outputs, biases included, or at some inputs, without."""
        return replace(
            self,
            inputs=self.inputs if inputs is None else self.inputs[..., inputs],
            gradients=self.gradients if outputs is None else self.gradients[..., outputs],
            bias=self.bias if inputs is None else None,
        )

    def total(self) -> dict[str, Tensor]:
        """See `Factors`."""
        inputs, gradients = self.inputs.flatten(0, 1), self.gradients.flatten(0, 1)
        # The kernel copies what stands first, so that is the narrower of the two.
        if inputs.shape[1] < gradients.shape[1]:
            weight = products(inputs.T, gradients.T).T
        else:
            weight = products(gradients.T, inputs.T)
        total = {self.weight: weight.T if self.is_transposed else weight}
        if self.bias:
            total[self.bias] = single(gradients).sum(0)
        return total

    def dots_with(self, total: Mapping[str, Tensor]) -> Float[Tensor, " left"]:
        """See `Factors`."""
        gradients = single(self.gradients)
        weight = total[self.weight] if self.is_transposed else total[self.weight].T
        mapped = products(gradients.flatten(0, 1), weight).view_as(self.inputs)
        dots = mapped.mul_(self.inputs).sum((1, 2))
        return dots + gradients.sum(1) @ total[self.bias] if self.bias else dots

    def _column_tiles(self, n_formed: int) -> list[slice]:
        """Columns of the wider side whose formed weights stay in the cache."""
        narrow, wide = sorted((self.inputs.shape[2], self.gradients.shape[2]))
        width = max(1, formed_columns(self.inputs.device, n_formed) // narrow)
        return [slice(first, first + width) for first in range(0, wide, width)]


def grouped(
    values: Float[Tensor, "example row width"], n_groups: int
) -> Float[Tensor, "group group_row width"]:
    """The rows of each group's examples in one row of the batch."""
    return values.reshape(n_groups, -1, values.shape[2])


def join_rows(parts: Sequence[Shaped[Tensor, "_ _ ..."]]) -> Shaped[Tensor, "example row ..."]:
    """One tensor of all examples, padded with zeros to the most rows."""
    n_rows = max(part.shape[1] for part in parts)
    if all(part.shape[1] == n_rows for part in parts):
        return torch.cat(list(parts))
    joined = parts[0].new_empty(sum(map(len, parts)), n_rows, *parts[0].shape[2:])
    first = 0
    for part in parts:
        joined[first : first + len(part), : part.shape[1]] = part
        joined[first : first + len(part), part.shape[1] :] = 0
        first += len(part)
    return joined


def single(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """In single precision at least, for sums."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
