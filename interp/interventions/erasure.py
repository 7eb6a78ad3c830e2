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
from interp.addresses import Site
from interp.interventions.base import Hook, Place, editing, spots_of

_CORRELATION = 1e-9
"""A label that covaries less than this with the whitened activations does not covary at all."""


@dataclass(frozen=True, kw_only=True)
class Eraser:
    """The map `x - write @ (read @ (x - mean))`, in float64."""

    mean: Float[np.ndarray, " width"]
    read: Float[np.ndarray, "rank width"]
    write: Float[np.ndarray, "width rank"]

    @property
    def rank(self) -> int:
        """How many directions are erased."""
        return len(self.read)

    @property
    def projection(self) -> Float[np.ndarray, "width width"]:
        """P, so that `erased(x) = mean + P (x - mean)`."""
        return np.eye(len(self.mean)) - self.write @ self.read

    def __call__(
        self, features: Float[np.ndarray, "example width"]
    ) -> Float[np.ndarray, "example width"]:
        """The features without the label."""
        return features - (features - self.mean) @ self.read.T @ self.write.T

    def elsewhere(self, rng: np.random.Generator) -> "Eraser":
        """The same distance for each activation, along directions that are drawn at random."""
        basis, lengths = np.linalg.qr(self.write)
        other, _ = np.linalg.qr(rng.normal(size=basis.shape))
        return replace(self, write=other @ lengths)


@dataclass(frozen=True, kw_only=True)
class Whitening:
    """Mean and principal axes of some activations; axes along which nothing varies are left out."""

    mean: Float[np.ndarray, " width"]
    axes: Float[np.ndarray, "axis width"]
    deviations: Float[np.ndarray, " axis"]

    @classmethod
    def of(cls, features: Float[np.ndarray, "example width"]) -> "Whitening":
        """Of features whose rounding errors, by their precision, do not count as variation."""
        precise = features.astype(np.float64)
        mean = precise.mean(0)
        _, lengths, axes = np.linalg.svd(precise - mean, full_matrices=False)
        noise = np.finfo(features.dtype).eps * max(features.shape) * np.abs(precise).max()
        kept = lengths > noise
        deviations = lengths[kept] / np.sqrt(len(features))
        return cls(mean=mean, axes=axes[kept], deviations=deviations)

    def eraser(self, directions: Float[np.ndarray, "axis rank"]) -> Eraser:
        """Erases orthonormal directions of the whitened space."""
        return Eraser(
            mean=self.mean,
            read=directions.T / self.deviations @ self.axes,
            write=(directions.T * self.deviations @ self.axes).T,
        )

    def random_eraser(self, rank: int, rng: np.random.Generator) -> Eraser:
        """Erases as many directions as a label of `rank + 1` classes has, drawn at random."""
        directions, _ = np.linalg.qr(rng.normal(size=(len(self.deviations), rank)))
        return self.eraser(directions)


def fit_leace(
    features: Float[np.ndarray, "example width"], labels: Int[np.ndarray, " example"]
) -> Eraser:
    """The least change after which nothing linear about the labels is left in these features.

    Args:
        features: Activations; directions in which they do not vary are left alone.
        labels: Classes, any integers.

    Raises:
        InputError: there is one class only.
    """
    return fit_whitened(Whitening.of(features), features, labels)


def fit_whitened(
    whitening: Whitening,
    features: Float[np.ndarray, "example width"],
    labels: Int[np.ndarray, " example"],
) -> Eraser:
    """`fit_leace`, given the features' whitening, to share it with random erasers."""
    classes = np.unique(labels)
    if len(classes) < 2:
        raise InputError("the labels have one class only; erase something that varies")
    one_hot = (labels[:, None] == classes).astype(np.float64)
    one_hot -= one_hot.mean(0)
    white = (features - whitening.mean) @ (whitening.axes.T / whitening.deviations)
    directions, strengths, _ = np.linalg.svd(white.T @ one_hot / len(labels), full_matrices=False)
    return whitening.eraser(directions[:, strengths > _CORRELATION])


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
