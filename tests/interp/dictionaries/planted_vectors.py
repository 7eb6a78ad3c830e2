"""Vectors that are sums of few known features, and vectors that are no such sums."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Planted:
    """Vectors, the features that they are sums of, and how much of each they have."""

    vectors: Float[Tensor, "vector width"]
    features: Float[Tensor, "feature width"]
    codes: Float[Tensor, "vector feature"]


def planted(
    seed: int, *, n: int = 12_000, width: int = 32, n_features: int = 48, k: int = 3
) -> Planted:
    """Each vector has `k` of more features than dimensions, and a mean that is not 0."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.nn.functional.normalize(torch.randn(n_features, width, generator=generator))
    places = torch.rand(n, n_features, generator=generator).topk(k, dim=1).indices
    amounts = 0.5 + torch.rand(n, k, generator=generator)
    codes = torch.zeros(n, n_features).scatter(1, places, amounts)
    mean = torch.randn(width, generator=generator)
    return Planted(vectors=codes @ features + mean, features=features, codes=codes)


def gaussian(seed: int, like: Planted) -> Float[Tensor, "vector width"]:
    """Vectors with the mean and covariance of planted ones, of which no feature is left."""
    generator = torch.Generator().manual_seed(seed)
    mean = like.vectors.mean(0)
    covariance = torch.cov(like.vectors.T)
    root = torch.linalg.cholesky(covariance + 1e-6 * torch.eye(len(mean)))
    return mean + torch.randn(like.vectors.shape, generator=generator) @ root.T


def recovery(
    features: Float[Tensor, "feature width"], decoder: Float[Tensor, "row width"]
) -> float:
    """The mean over features of the largest cosine with a row."""
    return float((features @ decoder.T).max(1).values.mean())
