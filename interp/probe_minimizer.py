"""How are hundreds of logistic regressions over one feature matrix solved together?

Each problem p minimises, over weights w (one row per output c) and unpenalised intercepts b,

    penalty_p / 2 |w|^2 + sum over training rows i of loss(y_i, b + w . (x_i - offset_p) gain_p),

with the logistic loss for one output and the softmax loss for several. The problems share the
product with the feature matrix, which is nearly all of the work; everything else is per problem,
so that no solution depends on the problems solved beside it.

The method is L-BFGS around the inverse of curvature (R + penalty / curvature I), where R is the
features' correlation matrix, shared by all problems, and curvature that of the loss, summed over
examples. Steps are taken in float32, where the gradient is right to a few times 1e-8 per example;
only a tolerance or a gain that brings this to light makes a problem go on in float64.
"""

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.linalg import get_lapack_funcs

HISTORY = 10
"""Pairs of step and gradient change that L-BFGS remembers."""
LEVEL = 2
"""Ridges within a factor of 2**LEVEL share one factorisation."""
LEAST_RIDGE = 0.03
LEAST_CURVATURE = 0.03
"""As a share of the curvature at the start."""
SEARCH_TRIALS = 8
FLOAT32_ITERATIONS = 100
FLOAT32_FLOOR = 3e-6
"""Mean gradient below which steps in float32 make little headway."""
FLOAT32_ROUNDING = 3e-7
"""Bound on the error of a mean gradient in float32, where the gain is 1."""
FLOAT32_SHARE = 0.9
"""Share of the tolerance that is met in float32; the rest is left to its rounding."""
_FACTORIZE, _SOLVE = get_lapack_funcs(("potrf", "potrs"), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Problems:
    """Regressions over one matrix; all other fields have one row per problem."""

    features: Float[np.ndarray, "example feature"]
    targets: Shaped[np.ndarray, "problem output example"]
    """1 for the example's own class, else 0; with one output, 1 for the positive class."""
    train: Shaped[np.ndarray, "problem example"]
    """1 for a training example, else 0."""
    size: Float[np.ndarray, " problem"]
    """Number of training examples."""
    frequency: Float[np.ndarray, "problem output"]
    """Share of each target among the training examples."""
    offset: Float[np.ndarray, "problem feature"]
    gain: Float[np.ndarray, "problem feature"]
    penalty: Float[np.ndarray, " problem"]

    def take(self, kept: Bool[np.ndarray, " problem"] | slice) -> "Problems":
        """Only the chosen problems."""
        rows = {f.name: getattr(self, f.name)[kept] for f in fields(self) if f.name != "features"}
        return replace(self, **rows)

    def cast(self, features: Float[np.ndarray, "example feature"]) -> "Problems":
        """The same problems over another matrix, in its precision."""
        rows = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "features"}
        rows = {name: value.astype(features.dtype, copy=False) for name, value in rows.items()}
        return Problems(features=features, **rows)

    def logits(
        self, parameters: Float[np.ndarray, "problem output parameter"]
    ) -> Float[np.ndarray, "problem output example"]:
        """Linear in the parameters, of which the last is the intercept."""
        if not parameters[..., :-1].any():  # the start; spares a product
            return np.repeat(parameters[..., -1:], len(self.features), axis=-1)
        weights = parameters[..., :-1] * self.gain[:, None]
        shift = parameters[..., -1] - np.einsum("pcd,pd->pc", weights, self.offset)
        flat = weights.reshape(-1, weights.shape[-1]) @ self.features.T
        logits = flat.reshape(*weights.shape[:2], -1)
        logits += shift[..., None]
        return logits

    def residuals(
        self, logits: Float[np.ndarray, "problem output example"]
    ) -> Float[np.ndarray, "problem output example"]:
        """Derivative of the loss by each logit; 0 outside the training examples."""
        residuals = _probabilities(logits)
        residuals -= self.targets
        residuals *= self.train[:, None]
        return residuals

    def curvature(
        self, residuals: Float[np.ndarray, "problem output example"]
    ) -> Float[np.ndarray, "problem output"]:
        """Summed second derivative of the loss by each logit, kept from vanishing."""
        # |r| (1 - |r|) is p (1 - p), whether the residual r is p or p - 1.
        now = np.abs(residuals).sum(-1) - np.einsum("pce,pce->pc", residuals, residuals)
        # Where all probabilities are near 0 or 1, a step by the derivative alone would leap.
        start = self.frequency * (1 - self.frequency) * self.size[:, None]
        return np.maximum(now, LEAST_CURVATURE * start)

    def gradient(
        self,
        residuals: Float[np.ndarray, "problem output example"],
        parameters: Float[np.ndarray, "problem output parameter"],
    ) -> Float[np.ndarray, "problem output parameter"]:
        """Gradient of the summed loss and the penalty."""
        totals = residuals.sum(-1)
        sums = residuals.reshape(-1, residuals.shape[-1]) @ self.features
        gradient = np.empty_like(parameters)
        inner = sums.reshape(*totals.shape, -1) - self.offset[:, None] * totals[..., None]
        gradient[..., :-1] = inner * self.gain[:, None]
        gradient[..., :-1] += self.penalty[:, None, None] * parameters[..., :-1]
        gradient[..., -1] = totals
        return gradient


class Solution(NamedTuple):
    """Minimisers; the last parameter is the intercept."""

    parameters: Float[np.ndarray, "problem output parameter"]
    converged: Bool[np.ndarray, " problem"]
    n_iterations: int


class _Step(NamedTuple):
    """One pair of L-BFGS."""

    step: np.ndarray
    change: np.ndarray
    inverse_product: np.ndarray


class Preconditioner:
    """Inverse of curvature (R + ridge I), with one factorisation for all ridges of a level."""

    def __init__(self, features: Float[np.ndarray, "example feature"]) -> None:
        """Multiply the features with themselves, in float32: a preconditioner may be rough."""
        self.rough_features = features.astype(np.float32)
        self.correlation = self.rough_features.T @ self.rough_features / np.float32(len(features))
        # Below, rounding in float32 could make the matrix indefinite.
        self.smallest_ridge = 2e-7 * float(np.trace(self.correlation))
        self.factors: dict[int, np.ndarray] = {}

    def apply(
        self,
        gradient: Float[np.ndarray, "problem output parameter"],
        penalty: Float[np.ndarray, " problem"],
        curvature: Float[np.ndarray, "problem output"],
    ) -> Float[np.ndarray, "problem output parameter"]:
        """The gradient times the inverse; intercepts by their own curvature."""
        # Labels that are easily told apart are solved sooner where less is whitened.
        least = max(self.smallest_ridge, LEAST_RIDGE if curvature.shape[1] == 1 else 1.0)
        ridge = np.maximum(penalty[:, None] / curvature, least)
        levels = np.round(np.log2(ridge) / LEVEL).astype(int)
        scaled = gradient / curvature[..., None]
        for level in np.unique(levels):
            rows = levels == level
            weights = scaled[rows, :-1].astype(np.float32)
            scaled[rows, :-1] = _SOLVE(self._factor(int(level)), weights.T, lower=0)[0].T
        return scaled

    def _factor(self, level: int) -> Float[np.ndarray, "feature feature"]:
        if level not in self.factors:
            matrix = self.correlation.copy()
            matrix[np.diag_indices_from(matrix)] += max(2.0 ** (LEVEL * level), self.smallest_ridge)
            # The upper factor of the transpose takes LAPACK less than half as long as the lower.
            factor, failed = _FACTORIZE(matrix.T, lower=0, overwrite_a=1)
            assert not failed, "a correlation matrix with a ridge is positive definite"
            self.factors[level] = factor
        return self.factors[level]


def minimize(
    problems: Problems, preconditioner: Preconditioner, *, tolerance: float, max_iterations: int
) -> Solution:
    """Solve every problem.

    Args:
        problems: In float64, but for targets and train, which may be truth values.
        preconditioner: Made from the problems' features.
        tolerance: Largest component of the gradient, divided by the number of training examples
            as in scikit-learn, at which a problem is solved.
        max_iterations: Limit in each precision.
    """
    start = np.zeros((*problems.frequency.shape, problems.features.shape[1] + 1))
    start[..., -1] = np.log(problems.frequency)
    if start.shape[1] == 1:
        start[..., -1] -= np.log1p(-problems.frequency)
    rough = _descend(
        problems.cast(preconditioner.rough_features),
        start.astype(np.float32),
        preconditioner,
        tolerance=max(FLOAT32_SHARE * tolerance, FLOAT32_FLOOR),
        max_iterations=min(max_iterations, FLOAT32_ITERATIONS),
    )
    parameters = rough.parameters.astype(np.float64)
    left = _still_unsolved(problems, rough, tolerance)
    if not left.any():
        return rough._replace(parameters=parameters)
    unsolved = problems.take(left)
    exact = _descend(
        unsolved.cast(unsolved.features),
        parameters[left],
        preconditioner,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
    parameters[left], converged = exact.parameters, ~left
    converged[left] = exact.converged
    return Solution(parameters, converged, rough.n_iterations + exact.n_iterations)


def _still_unsolved(
    problems: Problems, rough: Solution, tolerance: float
) -> Bool[np.ndarray, " problem"]:
    """Problems whose gradient in float32 does not prove that they are solved."""
    limit = max(FLOAT32_SHARE * tolerance, FLOAT32_FLOOR)
    rounding = FLOAT32_ROUNDING * problems.gain.max(1)
    return ~rough.converged | (limit + rounding > tolerance)


def _descend(
    problems: Problems,
    start: Float[np.ndarray, "problem output parameter"],
    preconditioner: Preconditioner,
    *,
    tolerance: float,
    max_iterations: int,
) -> Solution:
    """L-BFGS in the precision of the features; solved problems leave the batch at once."""
    solution, parameters = start.copy(), start
    active = np.arange(len(start))
    history: list[_Step] = []
    logits = problems.logits(parameters)
    residuals = problems.residuals(logits)
    gradient = problems.gradient(residuals, parameters)
    iteration = 0
    while True:
        unsolved = np.abs(gradient).max((1, 2)) > tolerance * problems.size
        solution[active] = parameters
        if not unsolved.all():
            active, problems = active[unsolved], problems.take(unsolved)
            parameters, logits = parameters[unsolved], logits[unsolved]
            gradient, residuals = gradient[unsolved], residuals[unsolved]
            history = [_Step(*(part[unsolved] for part in step)) for step in history]
        if len(active) == 0 or iteration == max_iterations:
            break
        curvature = problems.curvature(residuals)
        direction = _direction(problems, gradient, history, preconditioner, curvature)
        length, logits, residuals = _search(problems, logits, parameters, direction, gradient)
        step = length[:, None, None] * direction
        parameters = parameters + step
        previous, gradient = gradient, problems.gradient(residuals, parameters)
        change = gradient - previous
        product = np.maximum(_dot(step, change), np.finfo(step.dtype).tiny)
        history.append(_Step(step, change, 1 / product))
        del history[:-HISTORY]
        iteration += 1
    converged = np.ones(len(start), dtype=bool)
    converged[active] = False
    return Solution(solution, converged, iteration)


def _direction(
    problems: Problems,
    gradient: Float[np.ndarray, "problem output parameter"],
    history: list[_Step],
    preconditioner: Preconditioner,
    curvature: Float[np.ndarray, "problem output"],
) -> Float[np.ndarray, "problem output parameter"]:
    """The two loops of L-BFGS around the preconditioner."""
    remaining = gradient.copy()
    factors = []
    for step in reversed(history):
        factor = (step.inverse_product * _dot(step.step, remaining))[:, None, None]
        remaining -= factor * step.change
        factors.append(factor)
    result = preconditioner.apply(remaining, problems.penalty, curvature)
    for step, factor in zip(history, reversed(factors), strict=True):
        back = (step.inverse_product * _dot(step.change, result))[:, None, None]
        result += (factor - back) * step.step
    return -result


def _search(
    problems: Problems,
    logits: Float[np.ndarray, "problem output example"],
    parameters: Float[np.ndarray, "problem output parameter"],
    direction: Float[np.ndarray, "problem output parameter"],
    gradient: Float[np.ndarray, "problem output parameter"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Step lengths at which the slope has fallen to a third, with the logits and residuals.

    The objective is convex, so its slope along the direction only grows, and a secant finds
    where it vanishes; the product with the features is not repeated.
    """
    change = problems.logits(direction)
    slope_start = _dot(gradient, direction)
    linear = problems.penalty * _dot(parameters[..., :-1], direction[..., :-1])
    quadratic = problems.penalty * _dot(direction[..., :-1], direction[..., :-1])
    length = np.ones_like(slope_start)
    trial = 0
    while True:
        moved = logits + length[:, None, None] * change
        residuals = problems.residuals(moved)
        slope = _dot(residuals, change) + linear + length * quadratic
        fine = np.abs(slope) <= 0.3 * np.abs(slope_start)
        trial += 1
        if fine.all() or trial == SEARCH_TRIALS:
            return length, moved, residuals
        secant = length * slope_start / np.minimum(slope_start - slope, -1e-30)
        length = np.where(fine, length, np.clip(secant, 0.1 * length, 4 * length))


def _probabilities(logits: np.ndarray) -> Float[np.ndarray, "problem output example"]:
    if logits.shape[1] == 1:
        probabilities = np.multiply(logits, 0.5)
        np.tanh(probabilities, out=probabilities)
        probabilities += 1
        probabilities *= 0.5
        return probabilities
    powers = np.exp(logits - logits.max(1, keepdims=True))
    powers /= powers.sum(1, keepdims=True)
    return powers


def _dot(left: np.ndarray, right: np.ndarray) -> Float[np.ndarray, " problem"]:
    return np.einsum("pcd,pcd->p", left, right)
