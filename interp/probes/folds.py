"""What does each fold see of the features, without a copy of them per fold?

All folds share one matrix, standardised over all examples; a fold's own standardised features are
(matrix - offset) * gain, from its training examples alone. Where a fold has fewer training
examples than features, its problem is rewritten in the span of its examples, where the solution
of any penalised linear model lies.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import get_lapack_funcs, solve_triangular

CHUNK = 256
"""Examples squared at once, few enough to stay in the processor's cache."""
(_FACTORIZE,) = get_lapack_funcs(("pstrf",), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class FoldedFeatures:
    """One matrix and every distinct set of training examples among the columns."""

    matrix: Float[np.ndarray, "example feature"]
    folds: Bool[np.ndarray, "fold example"]
    fold_of_column: Int[np.ndarray, " column"]
    offset: Float[np.ndarray, "fold feature"]
    gain: Float[np.ndarray, "fold feature"]
    mean: Float[np.ndarray, "fold feature"]
    scale: Float[np.ndarray, "fold feature"]
    is_typical: Bool[np.ndarray, " fold"]
    """Whether the fold varies as all examples do; an outlier elsewhere would drown it."""


@dataclass(frozen=True, kw_only=True)
class RowSpace:
    """Coordinates of the training examples in an orthonormal basis of their span."""

    coordinates: Float[np.ndarray, "example dimension"]
    triangle: Float[np.ndarray, "dimension dimension"]
    examples: Float[np.ndarray, "dimension feature"]

    def lift(
        self, weights: Float[np.ndarray, "*rows dimension"]
    ) -> Float[np.ndarray, "*rows feature"]:
        """Weights on the coordinates, turned into the weights on the features that do the same."""
        flat = weights.reshape(-1, weights.shape[-1])
        mixed = solve_triangular(self.triangle.T, flat.T)
        return (mixed.T @ self.examples).reshape(*weights.shape[:-1], -1)


def fold_features(
    features: Float[np.ndarray, "example feature"], train: Bool[np.ndarray, "example column"]
) -> FoldedFeatures:
    """Standardise the features for the training examples of each column."""
    folds, fold_of_column = _distinct(train)
    centre = features.mean(0, dtype=np.float64)
    matrix = features - centre
    spread = np.sqrt(np.einsum("ed,ed->d", matrix, matrix) / len(matrix))
    flat = _is_constant(spread, centre, len(matrix))
    spread[flat] = 1.0
    matrix[:, flat] = 0.0
    matrix *= 1 / spread
    offset, deviation = _moments(matrix, folds)
    mean, scale = centre + offset * spread, deviation * spread
    constant = _is_constant(scale, np.maximum(np.abs(mean), np.abs(centre)), len(matrix))
    return FoldedFeatures(
        matrix=matrix,
        folds=folds,
        fold_of_column=fold_of_column,
        offset=offset,
        gain=np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation)),
        mean=mean,
        scale=np.where(constant, 1.0, scale),
        is_typical=np.where(constant, 1.0, deviation).min(1) > 0.01,
    )


def standardize(
    features: Float[np.ndarray, "example feature"], train: Bool[np.ndarray, " example"]
) -> tuple[Float[np.ndarray, " feature"], Float[np.ndarray, " feature"]]:
    """Mean and deviation over the training examples; the deviation of a constant counts as 1.

    >>> standardize(np.array([[1.0, 5.0], [3.0, 5.0], [99.0, 0.0]]), np.array([True, True, False]))
    (array([2., 5.]), array([1., 1.]))
    """
    view = fold_features(features[train], np.ones((int(train.sum()), 1), dtype=bool))
    return view.mean[0], view.scale[0]


def row_space(examples: Float[np.ndarray, "example feature"]) -> RowSpace:
    """Rotate examples with more features than examples into as many dimensions as they span.

    A Cholesky factor of their products with rows chosen by size stands in for a QR factor of the
    transpose, at a third of the cost; repeated examples end it early.
    """
    packed, order, rank, _ = _FACTORIZE(examples @ examples.T, lower=1)
    chosen = order - 1
    lower = np.tril(packed)[:, :rank]
    coordinates = np.empty_like(lower)
    coordinates[chosen] = lower
    return RowSpace(
        coordinates=coordinates, triangle=lower[:rank], examples=examples[chosen[:rank]]
    )


def _distinct(
    train: Bool[np.ndarray, "example column"],
) -> tuple[Bool[np.ndarray, "fold example"], Int[np.ndarray, " column"]]:
    """Distinct columns as rows, in order of appearance, and the row of each column."""
    numbers: dict[bytes, int] = {}
    packed = np.packbits(train.T, axis=1)
    fold_of_column = np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in packed])
    first = np.unique(fold_of_column, return_index=True)[1]
    return np.ascontiguousarray(train.T[first]), fold_of_column


def _moments(
    matrix: Float[np.ndarray, "example feature"], folds: Bool[np.ndarray, "fold example"]
) -> tuple[Float[np.ndarray, "fold feature"], Float[np.ndarray, "fold feature"]]:
    """Mean and standard deviation of each feature over every fold's training examples."""
    shares = folds / folds.sum(1, keepdims=True)
    # Both products are faster with the larger factor on the left.
    offset = (matrix.T @ shares.T).T
    square = np.zeros_like(offset)
    for start in range(0, len(matrix), CHUNK):
        rows = slice(start, start + CHUNK)
        square += (np.square(matrix[rows]).T @ shares[:, rows].T).T
    variance = square - np.square(offset)
    # Where the two nearly cancel (an outlier outside the fold), they are computed in turn.
    cancelled = variance < 1e-6 * square
    for fold in np.flatnonzero(cancelled.any(1)):
        rows = matrix[np.ix_(folds[fold], cancelled[fold])]
        offset[fold, cancelled[fold]] = rows.mean(0)
        variance[fold, cancelled[fold]] = rows.var(0)
    return offset, np.sqrt(np.maximum(variance, 0.0))


def _is_constant(
    deviation: Float[np.ndarray, "*grid"], mean: Float[np.ndarray, "*grid"], n_examples: int
) -> Bool[np.ndarray, "*grid"]:
    """Whether the deviation is no more than the rounding of the mean, as in scikit-learn."""
    return deviation <= n_examples * np.finfo(np.float64).eps * np.abs(mean)
