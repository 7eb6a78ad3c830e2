"""What any dictionary explains at equal sparsity: principal components."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.dictionaries.dictionary import keep_largest


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Vectors by their principal components, `k` of them for each vector."""

    components: Float[Tensor, "component width"]
    """The largest first."""
    mean: Float[Tensor, " width"]
    k: int
    chooses: bool = False
    """Whether each vector has its own `k`, those of which it has most; else all have the first."""

    def encode(self, vectors: Float[Tensor, "vector width"]) -> Float[Tensor, "vector component"]:
        """The coordinates that are kept; 0 of the others."""
        whole = (vectors - self.mean) @ self.components.T
        k = min(self.k, whole.shape[1])
        if self.chooses:
            return whole * (keep_largest(whole.abs(), k) > 0)
        return whole * (torch.arange(whole.shape[1]) < k)

    def decode(self, codes: Float[Tensor, "vector component"]) -> Float[Tensor, "vector width"]:
        """The vectors of these coordinates."""
        return codes @ self.components + self.mean


def principal_components(
    vectors: Float[Tensor, "vector width"], k: int, *, chooses: bool = False
) -> Principal:
    """The components of vectors, to rebuild others from `k` of them."""
    mean = vectors.mean(0)
    centred = (vectors - mean).double()
    _, directions = torch.linalg.eigh(centred.T @ centred)
    return Principal(components=directions.flip(1).T.float(), mean=mean, k=k, chooses=chooses)
