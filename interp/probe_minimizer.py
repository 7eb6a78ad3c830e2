"""How are hundreds of logistic regressions over one feature matrix solved together?

Each problem p minimises, over weights w (one row per output c) and unpenalised intercepts b,

    penalty_p / 2 |w|^2 + sum over training rows i of loss(y_i, b + w . (x_i - offset_p) gain_p),

with the logistic loss for one output and the softmax loss for several. The problems share the
product with the feature matrix, which is nearly all of the work; everything else is per problem,
so that no solution depends on the problems solved beside it.

The method is L-BFGS around the inverse of curvature (R + penalty / curvature I), where R is the
features' correlation matrix, shared by all problems, and curvature that of the loss, summed over
examples. Steps are taken in float32 until the gradient is small, then in float64, and only a
float64 gradient decides that a problem is solved.
"""

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import get_lapack_funcs

HISTORY = 10
"""Pairs of step and gradient change that L-BFGS remembers."""
LEVEL = 4
"""Ridges within a factor of 2**LEVEL share one factorisation."""
LEAST_RIDGE = 0.03
LEAST_CURVATURE = 0.03
"""As a share of the curvature at the start."""
SEARCH_TRIALS = 8
FLOAT32_ITERATIONS = 100
FLOAT32_FLOOR = 3e-6
"""Mean gradient below which float32 rounding begins to show."""
_FACTORIZE, _SOLVE = get_lapack_funcs(("potrf", "potrs"), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Problems:
    """Regressions over one matrix; all other fields have one row per problem."""

    features: Float[np.ndarray, "example feature"]
    targets: Float[np.ndarray, "problem output example"]
    """1 for the example's own class, else 0; with one output, 1 for the positive class."""
    train: Float[np.ndarray, "problem example"]
    """1 for a training example, else 0."""
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

    @property
    def frequencies(self) -> Float[np.ndarray, "problem output"]:
        """Share of each target among the training examples."""
        counts = np.einsum("pcn,pn->pc", self.targets, self.train)
        return counts / self.train.sum(1)[:, None]

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

    def curvature(
        self, probabilities: Float[np.ndarray, "problem output example"]
    ) -> Float[np.ndarray, "problem output"]:
        """Summed second derivative of the loss by each logit, kept from vanishing."""
        # Where all probabilities are near 0 or 1, a step by the derivative alone would leap.
        now = np.einsum("pce,pe->pc", probabilities * (1 - probabilities), self.train)
        frequencies = self.frequencies
        start = frequencies * (1 - frequencies) * self.train.sum(1)[:, None]
        return np.maximum(now, LEAST_CURVATURE * start)

    def gradient(
        self,
        probabilities: Float[np.ndarray, "problem output example"],
        parameters: Float[np.ndarray, "problem output parameter"],
    ) -> Float[np.ndarray, "problem output parameter"]:
        """Gradient of the summed loss and the penalty."""
        residuals = (probabilities - self.targets) * self.train[:, None]
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
            scaled[rows, :-1] = _SOLVE(self._factor(int(level)), weights.T, lower=1)[0].T
        return scaled

    def _factor(self, level: int) -> Float[np.ndarray, "feature feature"]:
        if level not in self.factors:
            matrix = self.correlation.copy()
            matrix[np.diag_indices_from(matrix)] += max(2.0 ** (LEVEL * level), self.smallest_ridge)
            factor, failed = _FACTORIZE(matrix.T, lower=1, overwrite_a=1)
            assert not failed, "a correlation matrix with a ridge is positive definite"
            self.factors[level] = factor
        return self.factors[level]


def minimize(
    problems: Problems, preconditioner: Preconditioner, *, tolerance: float, max_iterations: int
) -> Solution:
    """Solve every problem.

    Args:
        problems: In float64.
        preconditioner: Made from the problems' features.
        tolerance: Largest component of the gradient, divided by the number of training examples
            as in scikit-learn, at which a problem is solved.
        max_iterations: Limit in the final precision.
    """
    frequencies = problems.frequencies
    start = np.zeros((*frequencies.shape, problems.features.shape[1] + 1))
    start[..., -1] = np.log(frequencies)
    if frequencies.shape[1] == 1:
        start[..., -1] -= np.log1p(-frequencies)
    rough = _descend(
        problems.cast(preconditioner.rough_features),
        start.astype(np.float32),
        preconditioner,
        tolerance=max(0.9 * tolerance, FLOAT32_FLOOR),
        max_iterations=min(max_iterations, FLOAT32_ITERATIONS),
    )
    exact = _descend(
        problems,
        rough.parameters.astype(np.float64),
        preconditioner,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
    return exact._replace(n_iterations=rough.n_iterations + exact.n_iterations)


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
    probabilities = _probabilities(logits)
    gradient = problems.gradient(probabilities, parameters)
    iteration = 0
    while True:
        unsolved = np.abs(gradient).max((1, 2)) / problems.train.sum(1) > tolerance
        solution[active] = parameters
        if not unsolved.all():
            active, problems = active[unsolved], problems.take(unsolved)
            parameters, logits = parameters[unsolved], logits[unsolved]
            gradient, probabilities = gradient[unsolved], probabilities[unsolved]
            history = [_Step(*(part[unsolved] for part in step)) for step in history]
        if len(active) == 0 or iteration == max_iterations:
            break
        curvature = problems.curvature(probabilities)
        direction = _direction(problems, gradient, history, preconditioner, curvature)
        length, logits, probabilities = _search(problems, logits, parameters, direction, gradient)
        step = length[:, None, None] * direction
        parameters = parameters + step
        previous, gradient = gradient, problems.gradient(probabilities, parameters)
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
    """Step lengths at which the slope has fallen to a third, with the logits and probabilities.

    The objective is convex, so its slope along the direction only grows, and a secant finds
    where it vanishes; the product with the features is not repeated.
    """
    change = problems.logits(direction)
    seen = change * problems.train[:, None]
    slope_start = _dot(gradient, direction)
    linear = problems.penalty * _dot(parameters[..., :-1], direction[..., :-1])
    quadratic = problems.penalty * _dot(direction[..., :-1], direction[..., :-1])
    length = np.ones_like(slope_start)
    trial = 0
    while True:
        moved = logits + length[:, None, None] * change
        probabilities = _probabilities(moved)
        slope = _dot(probabilities - problems.targets, seen) + linear + length * quadratic
        fine = np.abs(slope) <= 0.3 * np.abs(slope_start)
        trial += 1
        if fine.all() or trial == SEARCH_TRIALS:
            return length, moved, probabilities
        secant = length * slope_start / np.minimum(slope_start - slope, -1e-30)
        length = np.where(fine, length, np.clip(secant, 0.1 * length, 4 * length))


def _probabilities(logits: np.ndarray) -> Float[np.ndarray, "problem output example"]:
    if logits.shape[1] == 1:
        return 0.5 + 0.5 * np.tanh(0.5 * logits)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _dot(left: np.ndarray, right: np.ndarray) -> Float[np.ndarray, " problem"]:
    return np.einsum("pcd,pcd->p", left, right)
