"""What remains if nothing linear about a label can be read any more?

LEACE (Belrose et al. 2023, arXiv 2306.03819) is the affine map that removes all covariance with a
label and moves the activations least. With W = Cov(X)^(-1/2), U an orthonormal basis of the columns
of W Cov(X, Z), and Z the one-hot label:

    erased(x) = x - W^+ U U' W (x - mean)

Afterwards every class has the same mean, so that no linear classifier fitted to these examples
beats a constant. Of a label of k classes it removes at most k - 1 directions. Two controls:

    same rank       U drawn at random: what LEACE does for a label that means nothing
    same distance   each activation is moved as far as LEACE moves it, along random directions
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.hooked.addresses import Site
from interp.interventions.base import Hook, Place, editing, spots_of

_CORRELATION = 1e-9
"""A label that covaries less than this with the whitened activations does not covary at all."""
_NARROW = 1e-6
"""Axes of less than this share of the widest's deviation, features in units of their own."""
_RESOLVED = 1e-8
"""Deviations, in such units, from which on a direction is looked at after erasing."""
_READABLE = 1e-6
"""So much of a class's variance may be left by rounding."""


@dataclass(frozen=True, kw_only=True)
class Eraser:
    """The map `x - write @ (read @ (x - mean))`, in float64."""

    mean: Float[np.ndarray, " width"]
    read: Float[np.ndarray, "rank width"]
    write: Float[np.ndarray, "width rank"]

    @property
    def rank(self) -> int:
        """The number of directions that the eraser removes."""
        return len(self.read)

    @property
    def projection(self) -> Float[np.ndarray, "width width"]:
        """P, so that `erased(x) = mean + P (x - mean)`."""
        return np.eye(len(self.mean)) - self.write @ self.read

    def __call__(
        self, features: Float[np.ndarray, "example width"]
    ) -> Float[np.ndarray, "example width"]:
        """The features with the directions that tell the label removed."""
        return features - (features - self.mean) @ self.read.T @ self.write.T

    def elsewhere(self, rng: np.random.Generator) -> "Eraser":
        """A control: moves each activation as far, along directions that are drawn at random."""
        basis, lengths = np.linalg.qr(self.write)
        other, _ = np.linalg.qr(rng.normal(size=basis.shape))
        return replace(self, write=other @ lengths)


@dataclass(frozen=True, kw_only=True)
class Whitening:
    """A map to axes along which some activations have unit variance and do not covary, and back."""

    mean: Float[np.ndarray, " width"]
    white: Float[np.ndarray, "axis width"]
    """W: `white @ (x - mean)`. Axes along which nothing varies are left out."""
    back: Float[np.ndarray, "width axis"]
    """W^+, the pseudo-inverse of `white`, which leads back to the features."""

    @classmethod
    def of(cls, features: Float[np.ndarray, "example width"]) -> "Whitening":
        """The whitening of features in any units: no large mean or wide feature hides another.

        Axes that hardly vary (`_NARROW`) count as if they varied so much. LEACE then still removes
        all covariance with a label, and rounding errors along them are not blown up.

        Raises:
            InputError: there are no features, or some are not finite.
        """
        mean, scales, scaled = _scaled(features)
        _, lengths, axes = np.linalg.svd(scaled, full_matrices=False)
        widest = lengths.max(initial=0.0)
        kept = lengths > widest * max(features.shape) * np.finfo(np.float64).eps
        deviations = np.maximum(lengths[kept], widest * _NARROW) / np.sqrt(len(features))
        return cls(
            mean=mean,
            white=axes[kept] / deviations[:, None] / scales,
            back=(axes[kept] * deviations[:, None] * scales).T,
        )

    def eraser(self, directions: Float[np.ndarray, "axis rank"]) -> Eraser:
        """The eraser that removes orthonormal directions of the whitened space."""
        return Eraser(mean=self.mean, read=directions.T @ self.white, write=self.back @ directions)

    def random_eraser(self, rank: int, rng: np.random.Generator) -> Eraser:
        """Erases as many directions as a label of `rank + 1` classes has, drawn at random."""
        directions, _ = np.linalg.qr(rng.normal(size=(len(self.white), rank)))
        return self.eraser(directions)


def fit_leace(
    features: Float[np.ndarray, "example width"], labels: Int[np.ndarray, " example"]
) -> Eraser:
    """The least change after which nothing linear about the labels is left in these features.

    Args:
        features: Activations; directions in which they do not vary are left alone.
        labels: Classes, any integers.

    Raises:
        InputError: there is one class only, features are not finite, or something linear about
            the labels can still be read from the erased features (`readable_share`).
    """
    return fit_whitened(Whitening.of(features), features, labels)


def fit_whitened(
    whitening: Whitening,
    features: Float[np.ndarray, "example width"],
    labels: Int[np.ndarray, " example"],
) -> Eraser:
    """`fit_leace`, given the features' whitening, to share it with random erasers."""
    indicators = _indicators(labels)
    white = (features - whitening.mean) @ whitening.white.T
    directions, strengths, _ = np.linalg.svd(
        white.T @ indicators / len(labels), full_matrices=False
    )
    eraser = whitening.eraser(directions[:, strengths > _CORRELATION])
    share = readable_share(features, labels, eraser)
    if share > _READABLE:
        raise InputError(
            f"the labels are not erased: a linear map of the erased features still explains "
            f"{share:.2g} of a class; give features of less extreme ranges, or fewer of them"
        )
    return eraser


def readable_share(
    features: Float[np.ndarray, "example width"],
    labels: Int[np.ndarray, " example"],
    eraser: Eraser | None = None,
) -> float:
    """The largest share of a class's variance that least squares explain, 1 if it is separable.

    Of the erased features, or of the features themselves without an eraser; on these examples. It
    is 0 exactly where no linear classifier does better than a constant. Directions narrower than
    float64 resolves beside the features' own ranges do not count.
    """
    _, scales, scaled = _scaled(features)
    if eraser is not None:
        scaled = (eraser(features.astype(np.float64)) - eraser.mean) / scales
        scaled -= scaled.mean(0)
    left, lengths, _ = np.linalg.svd(scaled, full_matrices=False)
    left = left[:, lengths > _RESOLVED * np.sqrt(len(features))]
    indicators = _indicators(labels)
    explained = np.square(left.T @ indicators).sum(0)
    return float((explained / np.square(indicators).sum(0)).max())


def _scaled(
    features: Float[np.ndarray, "example width"],
) -> tuple[
    Float[np.ndarray, " width"], Float[np.ndarray, " width"], Float[np.ndarray, "example width"]
]:
    """Means and standard deviations in float64, and the features without either.

    Of a feature that is constant but for rounding, the deviation is 1 and all values are 0.
    """
    precise = features.astype(np.float64)
    if not (len(precise) and np.isfinite(precise).all()):
        raise InputError("the features are empty or not finite; give finite activations")
    mean = precise.mean(0)
    centred = precise - mean
    # The first mean is off by the rounding of large sums, which a second one sees.
    mean, centred = mean + centred.mean(0), centred - centred.mean(0)
    scales = np.sqrt(np.square(centred).mean(0))
    varies = scales > 4 * np.finfo(np.float64).eps * np.abs(precise).max(0)
    scales = np.where(varies, scales, 1.0)
    return mean, scales, np.where(varies, centred / scales, 0.0)


def _indicators(labels: Int[np.ndarray, " example"]) -> Float[np.ndarray, "example class"]:
    """One-hot labels without their means."""
    classes = np.unique(labels)
    if len(classes) < 2:
        raise InputError("the labels have one class only; erase something that varies")
    one_hot = (labels[:, None] == classes).astype(np.float64)
    return one_hot - one_hot.mean(0)


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """An eraser at a site and some places; an `interp.interventions.base.Intervention`."""

    eraser: Eraser
    """Of the site's width, heads side by side unless the site has a head."""
    site: Site
    places: tuple[Place, ...]

    def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
        """See `Intervention`."""
        mean, read, write = map(
            torch.from_numpy, (self.eraser.mean, self.eraser.read, self.eraser.write)
        )

        def erase(vectors: Tensor, spots: Tensor) -> Tensor:
            flat = vectors.flatten(1).double().cpu()
            erased = flat - (flat - mean) @ read.T @ write.T
            return erased.to(vectors).reshape(vectors.shape)

        return [editing(self.site, spots_of(rows, self.places), erase)]
