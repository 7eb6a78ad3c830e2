"""Do the gradients of two examples point the same way?

The inner product of the gradients of two examples' losses says, to first order, how far a step of
gradient descent on one lowers the loss of the other. Here it is exact, over all parameters of a
model, for all pairs or for chosen pairs, from one batched forward and backward pass and without
forming a gradient (`factors` has the formulas):

    options = GradientOptions(policy=LossPolicy.ANSWER)
    all_of_them = gradient_gram(model, definitions, questions, options=options)
    all_of_them.cosine                      # [definition, question]
    own = gradient_pairs(model, definitions, questions, pairs=pairs, options=options)
    own.sqdist                              # [pair]
    own.statistics.variance                 # of all gradients around their mean
    token_gram(model, definitions, questions, pairs=pairs, options=options)["all"]

The model is a plain Hugging Face one (`training.runs.checkpoints.load_model`), on any device, and
is left as it was. Rows are `TokenizedRow`s; what the loss of one is the mean over, `options.policy`
says. `options.granularity` splits every inner product into layers, modules or attention heads,
whose parts sum to the whole.

How to read it: a cosine of 1 is the same direction, 0 says that a small enough step on one example
leaves the other's loss as it is. The gradient is not the update of an optimizer that rescales it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.gradients.all_pairs import all_pairs
from interp.gradients.example_gradients import ExampleGradients
from interp.gradients.options import GradientOptions, Granularity
from interp.gradients.own_pairs import GradientStatistics, own_pairs
from interp.gradients.tokens import token_dots

__all__ = [
    "GradientGram",
    "GradientOptions",
    "GradientStatistics",
    "Granularity",
    "gradient_gram",
    "gradient_pairs",
    "gradient_statistics",
    "token_gram",
]


@dataclass(frozen=True, kw_only=True)
class GradientGram:
    """Inner products of gradients, and the measures that follow from them.

    All numbers are double precision, on the CPU. Of all pairs they are `[a, b]`, of chosen pairs
    `[pair]`.
    """

    parts: Mapping[str, Float[Tensor, "*pairs"]]
    """Inner products by component; only `all` unless a split was asked for."""
    square_parts_a: Mapping[str, Float[Tensor, " a"]]
    """Inner product of each gradient of the first side with itself, by component."""
    square_parts_b: Mapping[str, Float[Tensor, " b"]]
    losses_a: Float[Tensor, " a"]
    """Loss of each example, in nats a target token."""
    losses_b: Float[Tensor, " b"]
    pairs: Int[Tensor, "pair 2"] | None = None
    """Index into the first and the second side; None if all pairs were measured."""
    statistics: GradientStatistics | None = None
    """Over the examples of both sides together, first side first."""

    @property
    def components(self) -> tuple[str, ...]:
        """The names of the components that the inner products are split into."""
        return tuple(self.parts)

    @property
    def dot(self) -> Float[Tensor, "*pairs"]:
        """Inner products of the gradients, over all components together."""
        return torch.stack(list(self.parts.values())).sum(0)

    @property
    def norms_a(self) -> Float[Tensor, " a"]:
        """Length of each gradient of the first side."""
        return torch.stack(list(self.square_parts_a.values())).sum(0).clamp(min=0).sqrt()

    @property
    def norms_b(self) -> Float[Tensor, " b"]:
        """Length of each gradient of the second side."""
        return torch.stack(list(self.square_parts_b.values())).sum(0).clamp(min=0).sqrt()

    @property
    def cosine(self) -> Float[Tensor, "*pairs"]:
        """Cosines; NaN where a gradient is zero."""
        left, right = self._norms()
        return self.dot / (left * right)

    @property
    def sqdist(self) -> Float[Tensor, "*pairs"]:
        """Squared Euclidean distances."""
        left, right = self._norms()
        return (left.square() + right.square() - 2 * self.dot).clamp(min=0)

    def component(self, *names: str) -> "GradientGram":
        """The gradients in the parameters of some components only.

        Crossed products of tied embeddings are no parameters: take them with both of theirs.

        Raises:
            InputError: there is no such component.
        """
        for name in names:
            if name not in self.parts:
                raise InputError(f"no component {name!r}; choose of {', '.join(self.parts)}")
        return GradientGram(
            parts={name: self.parts[name] for name in names},
            square_parts_a={name: self.square_parts_a[name] for name in names},
            square_parts_b={name: self.square_parts_b[name] for name in names},
            losses_a=self.losses_a,
            losses_b=self.losses_b,
            pairs=self.pairs,
        )

    def _norms(self) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
        if self.pairs is None:
            return self.norms_a[:, None], self.norms_b[None]
        return self.norms_a[self.pairs[:, 0]], self.norms_b[self.pairs[:, 1]]


def gradient_gram(
    model: PreTrainedModel,
    rows_a: Sequence[TokenizedRow],
    rows_b: Sequence[TokenizedRow],
    *,
    options: GradientOptions,
) -> GradientGram:
    """Inner products of the gradients of all pairs of rows.

    Raises:
        InputError: a side is empty, a gradient is not finite, or the model has a parameter that
            the exact form does not cover.
    """
    a = ExampleGradients.open(model, rows_a, options)
    b = ExampleGradients.open(model, rows_b, options)
    measured = all_pairs(a, b)
    check_finite(measured.squares_a, rows_a)
    check_finite(measured.squares_b, rows_b)
    return GradientGram(
        parts=measured.dots,
        square_parts_a=measured.squares_a,
        square_parts_b=measured.squares_b,
        losses_a=measured.losses_a,
        losses_b=measured.losses_b,
    )


def gradient_pairs(
    model: PreTrainedModel,
    rows_a: Sequence[TokenizedRow],
    rows_b: Sequence[TokenizedRow],
    *,
    pairs: Int[Tensor, "pair 2"],
    options: GradientOptions,
    statistics: bool = True,
) -> GradientGram:
    """Inner products of the gradients of chosen pairs, much cheaper than of all.

    Args:
        model: A plain Hugging Face model; left as it was.
        rows_a: First side.
        rows_b: Second side.
        pairs: Index into the first and into the second side of each pair.
        options: See `GradientOptions`.
        statistics: Whether to measure mean gradient and variance over both sides too.

    Raises:
        InputError: as `gradient_gram`, or a pair does not exist.
    """
    indices = _check_pairs(pairs, len(rows_a), len(rows_b))
    rows, n = [*rows_a, *rows_b], len(rows_a)
    gradients = ExampleGradients.open(model, rows, options)
    measured = own_pairs(gradients, indices, statistics=statistics)
    check_finite(measured.squares, rows)
    return GradientGram(
        parts=measured.dots,
        square_parts_a={name: values[:n] for name, values in measured.squares.items()},
        square_parts_b={name: values[n:] for name, values in measured.squares.items()},
        losses_a=measured.losses[:n],
        losses_b=measured.losses[n:],
        pairs=pairs,
        statistics=measured.statistics,
    )


def gradient_statistics(
    model: PreTrainedModel, rows: Sequence[TokenizedRow], *, options: GradientOptions
) -> GradientStatistics:
    """Mean gradient, variance and cosines to the mean over some rows."""
    gradients = ExampleGradients.open(model, rows, options)
    measured = own_pairs(gradients, torch.zeros(0, 2, dtype=torch.long), statistics=True)
    check_finite(measured.squares, rows)
    assert measured.statistics is not None
    return measured.statistics


def token_gram(
    model: PreTrainedModel,
    rows_a: Sequence[TokenizedRow],
    rows_b: Sequence[TokenizedRow],
    *,
    pairs: Int[Tensor, "pair 2"],
    options: GradientOptions,
) -> dict[str, Float[Tensor, "pair pos_a pos_b"]]:
    """Inner products of chosen pairs, by component, split by the token positions of both.

    At position t stands what is computed there from the tokens up to t, also the prediction of
    token t + 1. Each map sums to the inner product of its pair.

    Raises:
        InputError: as `gradient_pairs`.
    """
    indices = _check_pairs(pairs, len(rows_a), len(rows_b))
    gradients = ExampleGradients.open(model, [*rows_a, *rows_b], options)
    return token_dots(gradients, indices)


def check_finite(
    squares: Mapping[str, Float[Tensor, " example"]], rows: Sequence[TokenizedRow]
) -> None:
    """Raises InputError for the first row whose gradient is not finite."""
    is_finite = torch.stack(list(squares.values())).sum(0).isfinite()
    if not bool(is_finite.all()):
        name = rows[int((~is_finite).nonzero()[0])].row.row_id
        raise InputError(
            f"the gradient of row {name} is not finite; the model is damaged or diverged"
        )


def _check_pairs(pairs: Int[Tensor, "pair 2"], n_a: int, n_b: int) -> Int[Tensor, "pair 2"]:
    """The pairs as indices into both sides one after the other."""
    if not len(pairs):
        raise InputError("there are no pairs to measure; choose other subsets")
    if bool((pairs < 0).any()) or int(pairs[:, 0].max()) >= n_a or int(pairs[:, 1].max()) >= n_b:
        raise InputError(f"a pair lies outside {n_a} and {n_b} rows; give indices of both sides")
    return pairs.cpu() + torch.tensor([0, n_a])
