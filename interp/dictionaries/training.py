"""A sparse autoencoder is trained on vectors: the decoder's rows become the features.

The loss is the share of the vectors' variance that is not explained, as in Gao et al. (2024). A
feature that has not fired for a while is dead; an auxiliary loss lets the dead ones that fire most
explain what the living ones leave over, which revives them. With nested sizes (Matryoshka, Bussmann
et al. 2025) the first features must explain the vectors alone, too, so that they stay general.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from data.errors import InputError
from interp.dictionaries.dictionary import Dictionary, Sparsity, keep_largest
from training.budget import in_bytes, machine_memory
from training.seeds import derive_seed

BYTES_PER_WEIGHT = 16
"""A float32 weight, its gradient, and Adam's two moments."""
BYTES_PER_CODE = 24
"""What training holds for each vector of a batch and feature: the float32 before and after the
choice and their gradients, and the same of the dead features' loss."""
AUXILIARY = 1 / 32
"""Weight of the loss that revives dead features."""
NESTED = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Shares of the features that must explain the vectors alone, where sizes are nested."""
MATRYOSHKA = "_matryoshka"
"""The end of the name of a kind whose sizes are nested."""
RATE = 0.16
"""The learning rate of one feature; of more it falls with the root of their number."""
FEW = 16_384
"""Vectors of which the threshold of `batch_topk` is found."""


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How an autoencoder is trained."""

    n_features: int
    k: int
    """Features that a vector is made of; with `batch_topk`, on average."""
    sparsity: Sparsity = Sparsity.TOPK
    is_nested: bool = False
    """Whether the first features must explain the vectors without the others, too (Matryoshka)."""
    n_steps: int = 600
    batch_size: int = 256
    learning_rate: float | None = None
    """Adam's; less with more features unless given."""
    dead_after: int = 100
    """Steps without firing after which a feature is dead."""
    learns_decoder: bool = True
    """Without, the features stay the random directions that they begin as: the control."""

    @property
    def kind(self) -> str:
        """What tables call it."""
        return f"{self.sparsity}{MATRYOSHKA if self.is_nested else ''}"

    @property
    def rate(self) -> float:
        """The learning rate."""
        return self.learning_rate or RATE / self.n_features**0.5


def fit_dictionary(
    vectors: Float[Tensor, "vector width"], settings: FitSettings, *, seed: int
) -> Dictionary:
    """Trains an autoencoder; the same vectors, settings and seed give the same one.

    Args:
        vectors: To be explained, all of equal weight.
        settings: See `FitSettings`.
        seed: Draws the first features and the batches.

    Raises:
        InputError: the settings do not fit the vectors, or this machine's memory.
    """
    width = vectors.shape[1]
    require_fitting(settings, width=width, n_vectors=len(vectors))
    mean = vectors.mean(0)
    scale = (vectors - mean).square().mean().sqrt().clamp_min(1e-12)
    generator = torch.Generator().manual_seed(derive_seed(seed, "dictionary"))
    weights = _Weights.drawn(settings, width, generator)
    optimizer = torch.optim.Adam(weights.trained(), lr=settings.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rates(settings.n_steps))
    idle = torch.zeros(settings.n_features, dtype=torch.long)
    with torch.enable_grad():
        for _ in range(settings.n_steps):
            batch = torch.randint(len(vectors), (settings.batch_size,), generator=generator)
            loss, fired = _loss((vectors[batch] - mean) / scale, weights, settings, idle)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            weights.normalize()
            idle = torch.where(fired, 0, idle + 1)
    return _finished(weights, settings, vectors, mean, float(scale))


def require_fitting(settings: FitSettings, *, width: int, n_vectors: int) -> None:
    """Refuses an autoencoder that these vectors, or this machine, cannot train.

    Raises:
        InputError: see above; of too little memory with the arithmetic.
    """
    n_features, k = settings.n_features, settings.k
    if not 1 <= k <= n_features:
        raise InputError(
            f"{k} features a vector of {n_features}; choose a k from 1 to {n_features}, or more "
            "features"
        )
    if n_vectors < 2:
        raise InputError(f"{n_vectors} vectors to train on; choose other rows or another role")
    weights = 2 * n_features * width * BYTES_PER_WEIGHT
    codes = settings.batch_size * n_features * BYTES_PER_CODE
    memory = machine_memory()
    if weights + codes > memory:
        raise InputError(
            f"an autoencoder of {n_features:,} features needs {in_bytes(weights + codes)} "
            f"(2 x {n_features:,} x {width:,} weights of {BYTES_PER_WEIGHT} bytes make "
            f"{in_bytes(weights)}, {settings.batch_size:,} x {n_features:,} codes of "
            f"{BYTES_PER_CODE} bytes {in_bytes(codes)}), this machine has {in_bytes(memory)}; ask "
            "for fewer features"
        )


@dataclass(kw_only=True)
class _Weights:
    """What is trained, for vectors of mean 0 and mean square 1."""

    encoder: Tensor
    encoder_bias: Tensor
    decoder: Tensor
    bias: Tensor

    @classmethod
    def drawn(cls, settings: FitSettings, width: int, generator: torch.Generator) -> "_Weights":
        """Random directions; the encoder begins as the same."""
        rows = torch.randn(settings.n_features, width, generator=generator)
        rows = nn.functional.normalize(rows)
        return cls(
            encoder=rows.clone().requires_grad_(),
            encoder_bias=torch.zeros(settings.n_features, requires_grad=True),
            decoder=rows.clone().requires_grad_(settings.learns_decoder),
            bias=torch.zeros(width, requires_grad=True),
        )

    def trained(self) -> list[Tensor]:
        """Those that training changes."""
        all_of_them = (self.encoder, self.encoder_bias, self.decoder, self.bias)
        return [each for each in all_of_them if each.requires_grad]

    @torch.no_grad()
    def normalize(self) -> None:
        """Gives the features length 1 again."""
        if self.decoder.requires_grad:
            self.decoder.div_(self.decoder.norm(dim=1, keepdim=True).clamp_min(1e-8))


def _loss(
    batch: Float[Tensor, "vector width"],
    weights: _Weights,
    settings: FitSettings,
    idle: Tensor,
) -> tuple[Float[Tensor, ""], Bool[Tensor, " feature"]]:
    """The loss of a batch, and which features fired in it."""
    before = torch.relu((batch - weights.bias) @ weights.encoder.T + weights.encoder_bias)
    if settings.sparsity is Sparsity.TOPK:
        codes = keep_largest(before, settings.k)
    else:
        codes = keep_largest(before.flatten()[None], settings.k * len(batch)).view_as(before)
    total = (batch - batch.mean(0)).square().sum().clamp_min(1e-12)
    rebuilt, loss = weights.bias.expand_as(batch), batch.new_zeros(())
    edges = [0, *_sizes(settings)]
    for start, end in pairwise(edges):
        rebuilt = rebuilt + codes[:, start:end] @ weights.decoder[start:end]
        loss = loss + (batch - rebuilt).square().sum() / total / (len(edges) - 1)
    is_dead = idle >= settings.dead_after
    if is_dead.any():
        loss = loss + AUXILIARY * _auxiliary(before, (batch - rebuilt).detach(), weights, is_dead)
    return loss, (codes > 0).any(0)


def _auxiliary(
    before: Float[Tensor, "vector feature"],
    error: Float[Tensor, "vector width"],
    weights: _Weights,
    is_dead: Bool[Tensor, " feature"],
) -> Float[Tensor, ""]:
    """How far the dead features that fire most are from explaining what is left over."""
    n_dead, most = int(is_dead.sum()), max(1, error.shape[1] // 2)
    codes = keep_largest(before[:, is_dead], min(n_dead, most))
    missed = (error - codes @ weights.decoder[is_dead]).square().sum()
    return min(n_dead / most, 1.0) * missed / error.square().sum().clamp_min(1e-12)


def _sizes(settings: FitSettings) -> list[int]:
    """Of how many first features the vectors are rebuilt; all unless sizes are nested."""
    shares = NESTED if settings.is_nested else (1.0,)
    return sorted({max(1, ceil(share * settings.n_features)) for share in shares})


def rates(n_steps: int) -> Callable[[int], float]:
    """The learning rate by step: up in the first twentieth, down to 0 in the last third."""
    up, down = max(1, n_steps // 20), max(1, n_steps // 3)
    return lambda step: min(1.0, (step + 1) / up, (n_steps - step) / down)


@torch.no_grad()
def _finished(
    weights: _Weights,
    settings: FitSettings,
    vectors: Float[Tensor, "vector width"],
    mean: Float[Tensor, " width"],
    scale: float,
) -> Dictionary:
    """The dictionary for vectors as they are, with the threshold that leaves `k` of each."""
    found = Dictionary(
        encoder=weights.encoder.detach(),
        encoder_bias=weights.encoder_bias.detach() * scale,
        decoder=weights.decoder.detach(),
        bias=weights.bias.detach() * scale + mean,
        k=settings.k,
    )
    if settings.sparsity is Sparsity.TOPK:
        return found
    some = vectors[:: ceil(len(vectors) / FEW)]
    before = torch.relu((some - found.bias) @ found.encoder.T + found.encoder_bias).flatten()
    n_kept = settings.k * len(some)
    least = before.kthvalue(len(before) - n_kept).values if n_kept < len(before) else before.min()
    return replace(found, threshold=float(least))
