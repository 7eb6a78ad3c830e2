"""How well do a few features explain vectors, and does the model still do with them what it did?

The metrics are SAEBench's (Karvonen et al. 2025):

    l0                   features that a vector has, on average
    explained_variance   1 - sum |x - x'|^2 / sum |x - mean x|^2: sums over all vectors first, then
                         the quotient, with the mean of each dimension (older code took the mean of
                         quotients)
    loss_recovered       (loss of 0 - loss of x') / (loss of 0 - loss as it is), where the vectors
                         are replaced by 0 or by x'
    kl_recovered         1 - KL of x' / KL of 0, each from the predictions as they are
    share_alive          features that fire for at least one vector
    l2_ratio             mean of |x'| / |x|
    shrinkage            sum |x'|^2 / sum x x': below 1 where x' is too short (SAEBench's relative
                         reconstruction bias)
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from interp.dictionaries.dictionary import CHUNK
from interp.dictionaries.readings import Reading, Rebuild, score_replaced
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel

QUALITIES = (
    *("l0", "explained_variance", "loss_recovered", "kl_recovered"),
    *("share_alive", "l2_ratio", "shrinkage"),
)
ZERO = "zero"


@runtime_checkable
class Coder(Protocol):
    """What writes vectors as codes: a `Dictionary`, or `baselines.Principal`."""

    def encode(self, vectors: Float[Tensor, "vector width"]) -> Float[Tensor, "vector feature"]:
        """How much of each feature is in each vector."""
        ...

    def decode(self, codes: Float[Tensor, "vector feature"]) -> Float[Tensor, "vector width"]:
        """The vectors that codes stand for."""
        ...


def measure_quality(
    model: HookedModel,
    reading: Reading,
    site: Site,
    vectors: Float[Tensor, "vector width"],
    coders: Mapping[str, Coder],
) -> dict[str, dict[str, float]]:
    """All qualities by coder, on vectors and texts that none of them was trained on.

    Args:
        model: Read only.
        reading: Where the vectors are from.
        site: Of the vectors.
        vectors: What `collect` reads there.
        coders: By name.
    """
    rebuilds = {name: _rebuilding(coder) for name, coder in coders.items()}
    scores = score_replaced(model, reading, site, {ZERO: torch.zeros_like, **rebuilds})
    as_it_is, (of_zero, kl_of_zero) = scores[""][0], scores[ZERO]
    found = {}
    for name, coder in coders.items():
        loss, kl = scores[name]
        found[name] = vector_quality(vectors, coder) | {
            "loss_recovered": _quotient(of_zero - loss, of_zero - as_it_is),
            "kl_recovered": 1 - _quotient(kl, kl_of_zero),
        }
    return found


def vector_quality(vectors: Float[Tensor, "vector width"], coder: Coder) -> dict[str, float]:
    """The qualities that need no model."""
    mean = vectors.double().mean(0)
    n_active, alive = 0.0, None
    missed = total = ratios = squares = products = 0.0
    for part in vectors.split(CHUNK):
        codes = coder.encode(part)
        old, new = part.double(), coder.decode(codes).double()
        fires = codes != 0
        alive = fires.any(0) if alive is None else alive | fires.any(0)
        n_active += float(fires.sum())
        missed += float((old - new).square().sum())
        total += float((old - mean).square().sum())
        ratios += float((new.norm(dim=1) / old.norm(dim=1).clamp_min(1e-12)).sum())
        squares += float(new.square().sum())
        products += float((old * new).sum())
    assert alive is not None
    return {
        "l0": n_active / len(vectors),
        "explained_variance": 1 - _quotient(missed, total),
        "share_alive": float(alive.double().mean()),
        "l2_ratio": ratios / len(vectors),
        "shrinkage": _quotient(squares, products),
    }


def _rebuilding(coder: Coder) -> Rebuild:
    return lambda vectors: coder.decode(coder.encode(vectors))


def _quotient(above: float, below: float) -> float:
    """NaN where nothing is there to be explained or recovered."""
    return above / below if abs(below) > 1e-12 else float("nan")
