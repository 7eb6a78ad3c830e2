"""A dictionary of features: a vector is written as a bias and a few of many directions.

A *feature* is a row of the decoder, of length 1; a vector's *code* says how much of each feature it
has. `encode` finds it, `decode` makes a vector of it again, `contributions` tells what one feature
adds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from data.errors import InputError, unknown_name

CHUNK = 8192
"""Vectors that are encoded at once, so that codes of many vectors are never all in memory."""
PARTS = ("encoder", "encoder_bias", "decoder", "bias")


class Sparsity(StrEnum):
    """How the features of a vector are chosen."""

    TOPK = "topk"
    """The `k` largest of each vector."""
    BATCH_TOPK = "batch_topk"
    """The largest of a whole batch, `k` a vector on average: some vectors need more than others.
    Once trained, those above one threshold."""

    @classmethod
    def parse(cls, text: str) -> "Sparsity":
        """The kind of this name.

        Raises:
            InputError: there is no kind of this name.
        """
        if text not in set(cls):
            raise unknown_name("kind of autoencoder", text, list(cls))
        return cls(text)


@dataclass(frozen=True, kw_only=True)
class Dictionary:
    """A trained sparse autoencoder; nothing of it changes."""

    encoder: Float[Tensor, "feature width"]
    encoder_bias: Float[Tensor, " feature"]
    decoder: Float[Tensor, "feature width"]
    """Rows of length 1."""
    bias: Float[Tensor, " width"]
    """The vector without any feature."""
    k: int
    """Features that a vector has, on average at least."""
    threshold: float | None = None
    """What a feature must exceed; without one, the `k` largest of each vector are taken."""

    @property
    def n_features(self) -> int:
        """How many features there are."""
        return len(self.decoder)

    def encode(self, vectors: Float[Tensor, "vector width"]) -> Float[Tensor, "vector feature"]:
        """How much of each feature is in each vector: 0 of most, else more than 0."""
        before = torch.relu((vectors - self.bias) @ self.encoder.T + self.encoder_bias)
        if self.threshold is not None:
            return before * (before > self.threshold)
        return keep_largest(before, self.k)

    def decode(self, codes: Float[Tensor, "vector feature"]) -> Float[Tensor, "vector width"]:
        """The vectors that codes stand for."""
        return codes @ self.decoder + self.bias

    def reconstruct(self, vectors: Float[Tensor, "vector width"]) -> Float[Tensor, "vector width"]:
        """What is left of vectors that went through the dictionary."""
        return torch.cat([self.decode(codes) for _, codes in self.in_chunks(vectors)])

    def in_chunks(
        self, vectors: Float[Tensor, "vector width"]
    ) -> Iterator[tuple[Float[Tensor, "part width"], Float[Tensor, "part feature"]]]:
        """Some vectors at a time, with their codes."""
        for part in vectors.split(CHUNK):
            yield part, self.encode(part)

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` makes the same dictionary of."""
        found = {name: getattr(self, name).numpy() for name in PARTS}
        threshold = np.nan if self.threshold is None else self.threshold
        return found | {"k_and_threshold": np.array([self.k, threshold])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Dictionary":
        """The dictionary whose `arrays` these are.

        Raises:
            InputError: one of them is missing.
        """
        missing = [name for name in (*PARTS, "k_and_threshold") if name not in arrays]
        if missing:
            raise InputError(f"a dictionary without {missing[0]}; train it anew with iml sae")
        k, threshold = arrays["k_and_threshold"].tolist()
        parts = {name: torch.from_numpy(np.array(arrays[name])) for name in PARTS}
        return cls(**parts, k=int(k), threshold=None if np.isnan(threshold) else threshold)


def keep_largest(
    values: Float[Tensor, "vector feature"], k: int
) -> Float[Tensor, "vector feature"]:
    """The `k` largest values of each row, 0 in place of all others.

    >>> keep_largest(torch.tensor([[3.0, 1.0, 2.0]]), 2).tolist()
    [[3.0, 0.0, 2.0]]
    """
    largest, places = values.topk(k, dim=-1, sorted=False)
    return torch.zeros_like(values).scatter(-1, places, largest)
