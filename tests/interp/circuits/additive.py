"""Rows whose answers are sums over units, so that every criterion can be worked out by hand."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp.circuits.units import Part, Unit
from interp.interventions.ablation import AblationKind


class AdditiveRows:
    """A row's log-probability is a constant plus the sum of what its units in place are worth."""

    kind = AblationKind.MEAN

    def __init__(
        self,
        worth: Float[Tensor, "row unit"],
        constant: float = -3.0,
        units: Sequence[Part] | None = None,
    ) -> None:
        self.worth, self.constant = worth.double(), constant
        self.n_rows = len(worth)
        self.units = units or [Unit(0, head, "alias") for head in range(worth.shape[1])]

    def answers(self, sets: Bool[Tensor, "set unit"]) -> Float[Tensor, "set row metric"]:
        said = self.constant + (~sets).double() @ self.worth.T
        return torch.stack([(said > -1).double(), said], -1)

    def slopes(self, shares: Float[Tensor, " unit"]) -> Float[Tensor, "row unit"]:
        return -self.worth
