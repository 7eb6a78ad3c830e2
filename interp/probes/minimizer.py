"""How are hundreds of logistic regressions over one feature matrix solved together?

`problems` says what each minimises. They share the product with the feature matrix, which is
most of the work; everything else is per problem, so that no solution depends on the problems
solved beside it.

The method is L-BFGS around the inverse of curvature (R + penalty / curvature I), where R is the
features' correlation matrix, shared by all problems, and curvature that of the loss, summed over
examples. Steps are taken in float32, where the gradient is right to a few times 1e-8 per example;
only a tolerance or a gain that brings this to light makes a problem go on in float64.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import get_lapack_funcs

from interp.probes.problems import Problems

HISTORY = 10
"""Pairs of step and gradient change that L-BFGS remembers."""
LEVEL = 2
"""Ridges within a factor of 2**LEVEL share one factorisation."""
LEAST_RIDGE = 2.0**-4
"""With one output; a whole level, so that rounding does not divide the problems that reach it."""
SEARCH_TRIALS = 8
FLOAT32_ITERATIONS = 100
FLOAT32_FLOOR = 3e-6
"""Mean gradient below which steps in float32 make little headway."""
FLOAT32_ROUNDING = 3e-7
"""Bound on the error of a mean gradient in float32, where the gain is 1."""
FLOAT32_SHARE = 0.9
"""Share of the tolerance that is met in float32; the rest is left to its rounding."""
_FACTORIZE, _SOLVE = get_lapack_funcs(("potrf", "potrs"), dtype=np.float32)


class Solution(NamedTuple):
    """The parameters that minimise each problem, of which the last is the intercept."""

    parameters: Float[np.ndarray, "problem output parameter"]
    converged: Bool[np.ndarray, " problem"]
    n_iterations: int


class _Step(NamedTuple):
    """A step of L-BFGS, with the change of the gradient that it brought."""

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
            solved, _ = _SOLVE(self._factor(int(level)), weights.T, lower=0, overwrite_b=1)
            scaled[rows, :-1] = solved.T
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
    if problems.frequency.shape[1] == 1:
        start[..., -1] -= np.log1p(-problems.frequency)
    rough_tolerance = max(FLOAT32_SHARE * tolerance, FLOAT32_FLOOR)
    rough = _descend(
        problems.cast(preconditioner.rough_features),
        start.astype(np.float32),
        preconditioner,
        tolerance=rough_tolerance,
        max_iterations=min(max_iterations, FLOAT32_ITERATIONS),
    )
    parameters = rough.parameters.astype(np.float64)
    rounding = FLOAT32_ROUNDING * problems.gain.max(1)
    left = ~rough.converged | (rough_tolerance + rounding > tolerance)
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
        moved = length[:, None, None] * change
        moved += logits
        residuals = problems.residuals(moved)
        slope = _dot(residuals, change) + linear + length * quadratic
        fine = np.abs(slope) <= 0.3 * np.abs(slope_start)
        trial += 1
        if fine.all() or trial == SEARCH_TRIALS:
            return length, moved, residuals
        secant = length * slope_start / np.minimum(slope_start - slope, -1e-30)
        length = np.where(fine, length, np.clip(secant, 0.1 * length, 4 * length))


def _dot(left: np.ndarray, right: np.ndarray) -> Float[np.ndarray, " problem"]:
    return np.einsum("pcd,pcd->p", left, right)
