"""What does each of many logistic regressions over one feature matrix minimise?

Each problem p minimises, over weights w (one row per output c) and unpenalised intercepts b,

    penalty_p / 2 |w|^2 + sum over training rows i of loss(y_i, b + w . (x_i - offset_p) gain_p),

with the logistic loss for one output and the softmax loss for several.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, Shaped

LEAST_CURVATURE = 0.03
"""As a share of the curvature at the start."""


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
