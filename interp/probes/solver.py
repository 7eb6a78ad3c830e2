"""Which labels can be read linearly out of one feature matrix, for hundreds of labels at once?

A column is one probe: its own labels, its own training examples (a fold, say) and its own inverse
penalty C. `fit_logistic` and `fit_multinomial` minimise, for every column,

    1/2 |w|^2 + C * sum over training examples of log-loss(label, w . standardised features + b),

the objective of scikit-learn's `LogisticRegression(C=C)`, with the intercept b unpenalised.
`fit_mass_mean` and `fit_nearest_mean` compare class means instead. Every column's features are
standardised by the mean and deviation of its own training examples and of no others.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from data.errors import InputError
from interp.probes.folds import FoldedFeatures, RowSpace, fold_features, row_space
from interp.probes.minimizer import Preconditioner, minimize
from interp.probes.problems import Problems

BLOCK_SIZE = 2**19
"""Number of logits held at once; more columns are solved block after block."""


@dataclass(frozen=True, kw_only=True)
class BinaryFit:
    """One direction per column, in units of the column's standardised features."""

    weights: Float[np.ndarray, "column feature"]
    intercepts: Float[np.ndarray, " column"]
    mean: Float[np.ndarray, "column feature"]
    scale: Float[np.ndarray, "column feature"]
    converged: Bool[np.ndarray, " column"]


@dataclass(frozen=True, kw_only=True)
class MulticlassFit:
    """One direction per column and class, in units of the column's standardised features."""

    weights: Float[np.ndarray, "column class feature"]
    intercepts: Float[np.ndarray, "column class"]
    mean: Float[np.ndarray, "column feature"]
    scale: Float[np.ndarray, "column feature"]
    converged: Bool[np.ndarray, " column"]


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Columns that are solved over one matrix, and the examples that are its rows."""

    columns: Int[np.ndarray, " column"]
    examples: Int[np.ndarray, " example"] | slice
    matrix: Float[np.ndarray, "example dimension"]
    offset: Float[np.ndarray, "fold dimension"]
    gain: Float[np.ndarray, "fold dimension"]
    space: RowSpace | None


def fit_logistic(
    features: Float[np.ndarray, "example feature"],
    labels: Bool[np.ndarray, "example column"],
    *,
    train: Bool[np.ndarray, "example column"],
    inverse_penalty: Float[np.ndarray, " column"],
    tolerance: float = 5e-5,
    max_iterations: int = 1000,
) -> BinaryFit:
    """Logistic regression with an L2 penalty, one per column.

    Args:
        features: Raw; they are standardised per column.
        labels: Read at the training examples only.
        train: Examples that each column is fitted to.
        inverse_penalty: scikit-learn's C.
        tolerance: Largest component of the gradient of the mean objective, as scikit-learn's
            `tol` (there 1e-4 unless said).
        max_iterations: Limit in each of two precisions; `converged` says who kept it.
    """
    view, targets = _prepare(features, labels, train, n_classes=2)
    weights, intercepts, converged = _solve(
        view, targets[:, 1:], inverse_penalty, tolerance, max_iterations
    )
    return BinaryFit(
        weights=weights[:, 0],
        intercepts=intercepts[:, 0],
        mean=view.mean[view.fold_of_column],
        scale=view.scale[view.fold_of_column],
        converged=converged,
    )


def fit_multinomial(
    features: Float[np.ndarray, "example feature"],
    labels: Int[np.ndarray, "example column"],
    *,
    train: Bool[np.ndarray, "example column"],
    inverse_penalty: Float[np.ndarray, " column"],
    n_classes: int,
    tolerance: float = 5e-5,
    max_iterations: int = 1000,
) -> MulticlassFit:
    """Softmax regression with an L2 penalty, one per column.

    The classes are 0 to n_classes - 1; the other arguments are those of `fit_logistic`.
    """
    view, targets = _prepare(features, labels, train, n_classes=n_classes)
    weights, intercepts, converged = _solve(
        view, targets, inverse_penalty, tolerance, max_iterations
    )
    return MulticlassFit(
        weights=weights,
        # A shift common to all classes changes nothing; scikit-learn's intercepts sum to 0.
        intercepts=intercepts - intercepts.mean(1, keepdims=True),
        mean=view.mean[view.fold_of_column],
        scale=view.scale[view.fold_of_column],
        converged=converged,
    )


def fit_mass_mean(
    features: Float[np.ndarray, "example feature"],
    labels: Bool[np.ndarray, "example column"],
    *,
    train: Bool[np.ndarray, "example column"],
) -> BinaryFit:
    """Direction from the mean of the false to the mean of the true examples; 0 is midway."""
    view, targets = _prepare(features, labels, train, n_classes=2)
    means = _class_means(view, targets)
    weights = means[:, 1] - means[:, 0]
    return BinaryFit(
        weights=weights,
        intercepts=-np.einsum("kd,kd->k", weights, means.mean(1)),
        mean=view.mean[view.fold_of_column],
        scale=view.scale[view.fold_of_column],
        converged=np.ones(len(weights), dtype=bool),
    )


def fit_nearest_mean(
    features: Float[np.ndarray, "example feature"],
    labels: Int[np.ndarray, "example column"],
    *,
    train: Bool[np.ndarray, "example column"],
    n_classes: int,
) -> MulticlassFit:
    """Mass-mean probe for several classes: the class whose mean is nearest is predicted."""
    view, targets = _prepare(features, labels, train, n_classes=n_classes)
    means = _class_means(view, targets)
    return MulticlassFit(
        weights=means,
        intercepts=-0.5 * np.square(means).sum(-1),
        mean=view.mean[view.fold_of_column],
        scale=view.scale[view.fold_of_column],
        converged=np.ones(len(means), dtype=bool),
    )


def decision(
    fit: BinaryFit | MulticlassFit, features: Float[np.ndarray, "example feature"]
) -> Float[np.ndarray, "example column *class"]:
    """Logits of every example under every column; of every class where there are several."""
    extra = (slice(None), None) if isinstance(fit, MulticlassFit) else (slice(None),)
    directions = fit.weights / fit.scale[extra]
    shift = fit.intercepts - (directions * fit.mean[extra]).sum(-1)
    flat = features.astype(np.float64, copy=False) @ directions.reshape(-1, features.shape[1]).T
    flat += shift.reshape(-1)
    return flat.reshape(len(features), *shift.shape)


def predict(
    fit: BinaryFit | MulticlassFit, features: Float[np.ndarray, "example feature"]
) -> Bool[np.ndarray, "example column"] | Int[np.ndarray, "example column"]:
    """Predicted labels: truth values of a binary fit, class numbers of another."""
    logits = decision(fit, features)
    return logits > 0 if isinstance(fit, BinaryFit) else logits.argmax(-1)


def _prepare(
    features: Float[np.ndarray, "example feature"],
    labels: Bool[np.ndarray, "example column"] | Int[np.ndarray, "example column"],
    train: Bool[np.ndarray, "example column"],
    *,
    n_classes: int,
) -> tuple[FoldedFeatures, Bool[np.ndarray, "column class example"]]:
    """Folded features, and for every class whether a training example belongs to it."""
    if not np.isfinite(features).all():
        example = int(np.flatnonzero(~np.isfinite(features).all(1))[0])
        raise InputError(f"features of example {example} hold NaN or infinity; leave it out")
    if labels.shape != train.shape or len(labels) != len(features):
        raise InputError(
            f"features {features.shape}, labels {labels.shape} and train {train.shape} differ in "
            "examples or columns; labels and train are (examples, columns)"
        )
    belongs = labels.T[:, None] == np.arange(n_classes)[:, None]
    belongs &= train.T[:, None]
    absent = np.argwhere(~belongs.any(2))
    if len(absent):
        column, label = absent[0]
        raise InputError(
            f"column {column} has no training example of class {label}; "
            "stratify the folds or leave the column out"
        )
    strange = np.flatnonzero(belongs.any(1).sum(1) < train.sum(0))
    if len(strange):
        raise InputError(
            f"column {strange[0]} has training labels outside 0 to {n_classes - 1}; "
            "renumber its classes or raise n_classes"
        )
    return fold_features(features, train), belongs


def _solve(
    view: FoldedFeatures,
    belongs: Bool[np.ndarray, "column output example"],
    inverse_penalty: Float[np.ndarray, " column"],
    tolerance: float,
    max_iterations: int,
) -> tuple[
    Float[np.ndarray, "column output feature"],
    Float[np.ndarray, "column output"],
    Bool[np.ndarray, " column"],
]:
    """Weights, intercepts and convergence of every column."""
    if inverse_penalty.shape != belongs.shape[:1] or not (inverse_penalty > 0).all():
        raise InputError(
            f"inverse_penalty must hold one positive number for each of {len(belongs)} columns"
        )
    weights = np.empty((*belongs.shape[:2], view.matrix.shape[1]))
    intercepts, converged = np.empty(belongs.shape[:2]), np.empty(len(belongs), dtype=bool)
    for part in _parts(view):
        preconditioner = Preconditioner(part.matrix)
        n_blocks = -(-part.columns.size * belongs[0].size // BLOCK_SIZE)
        for columns in np.array_split(part.columns, n_blocks):
            folds = view.fold_of_column[columns]
            targets = belongs[columns][..., part.examples]
            size = view.folds[folds].sum(1, dtype=np.float64)
            problems = Problems(
                features=part.matrix,
                targets=targets,
                train=view.folds[folds][:, part.examples],
                size=size,
                frequency=targets.sum(-1) / size[:, None],
                offset=part.offset[folds],
                gain=part.gain[folds],
                penalty=1 / inverse_penalty[columns].astype(np.float64),
            )
            solution = minimize(
                problems, preconditioner, tolerance=tolerance, max_iterations=max_iterations
            )
            found = solution.parameters[..., :-1]
            lifted = found if part.space is None else part.space.lift(found)
            # A constant feature has no gradient, but L-BFGS passes through other values than 0.
            weights[columns] = lifted * (view.gain[folds] > 0)[:, None]
            intercepts[columns] = solution.parameters[..., -1]
            converged[columns] = solution.converged
    return weights, intercepts, converged


def _parts(view: FoldedFeatures) -> Iterator[_Part]:
    """The columns of ordinary folds together, those of others fold by fold."""
    is_wide = view.folds.sum(1) < (view.gain > 0).sum(1)
    is_alone = is_wide | ~view.is_typical
    shared = np.flatnonzero(~is_alone[view.fold_of_column])
    if len(shared):
        yield _Part(
            columns=shared,
            examples=slice(None),
            matrix=view.matrix,
            offset=view.offset,
            gain=view.gain,
            space=None,
        )
    for fold in np.flatnonzero(is_alone):
        examples = np.flatnonzero(view.folds[fold])
        matrix = (view.matrix[examples] - view.offset[fold]) * view.gain[fold]
        space = row_space(matrix) if is_wide[fold] else None
        matrix = matrix if space is None else space.coordinates
        shape = (len(view.folds), matrix.shape[1])
        yield _Part(
            columns=np.flatnonzero(view.fold_of_column == fold),
            examples=examples,
            matrix=matrix,
            offset=np.zeros(shape),
            gain=np.ones(shape),
            space=space,
        )


def _class_means(
    view: FoldedFeatures, belongs: Bool[np.ndarray, "column class example"]
) -> Float[np.ndarray, "column class feature"]:
    """Mean standardised features of every class."""
    counts = belongs.sum(-1, keepdims=True)
    sums = belongs.reshape(-1, belongs.shape[-1]).astype(np.float64) @ view.matrix
    means = sums.reshape(*belongs.shape[:2], -1) / counts
    folds = view.fold_of_column
    return (means - view.offset[folds][:, None]) * view.gain[folds][:, None]
