"""Factors of everything but linear layers: embeddings, tied embeddings, and short gradients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.gradients.factors import Chosen, Factors, LinearFactors, grouped, join_rows, single
from interp.gradients.products import batched_products, products


@dataclass(frozen=True, kw_only=True)
class EmbeddingFactors(Factors["EmbeddingFactors"]):
    """An embedding, of tokens or of positions: `d_t` in the row of the index at t."""

    indices: Int[Tensor, "example row"]
    gradients: Float[Tensor, "example row d_model"]
    weight: str
    n_indices: int

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.indices)

    def take(self, chosen: Chosen) -> "EmbeddingFactors":
        """See `Factors`."""
        return replace(self, indices=self.indices[chosen], gradients=self.gradients[chosen])

    @classmethod
    def join(cls, parts: Sequence["EmbeddingFactors"]) -> "EmbeddingFactors":
        """See `Factors`."""
        return replace(
            parts[0],
            indices=join_rows([part.indices for part in parts]),
            gradients=join_rows([part.gradients for part in parts]),
        )

    def nbytes(self) -> int:
        """See `Factors`."""
        return self.indices.nbytes + self.gradients.nbytes

    def row_products(self, other: "EmbeddingFactors") -> Float[Tensor, "left_row right_row"]:
        """See `Factors`."""
        same = self.indices.reshape(-1, 1) == other.indices.reshape(1, -1)
        return products(self.gradients.flatten(0, 1), other.gradients.flatten(0, 1)).mul_(same)

    def row_dots(self, other: "EmbeddingFactors") -> Float[Tensor, "left row group_row"]:
        """See `Factors`."""
        same = self.indices[:, :, None] == other.indices.reshape(len(self), 1, -1)
        dots = batched_products(self.gradients, grouped(other.gradients, len(self)))
        return dots.mul_(same)

    def total(self) -> dict[str, Tensor]:
        """See `Factors`."""
        gradients = single(self.gradients).flatten(0, 1)
        total = gradients.new_zeros(self.n_indices, gradients.shape[1])
        return {self.weight: total.index_add_(0, self.indices.flatten(), gradients)}

    def dots_with(self, total: Mapping[str, Tensor]) -> Float[Tensor, " left"]:
        """See `Factors`."""
        return (total[self.weight][self.indices] * self.gradients).sum((1, 2))


@dataclass(frozen=True, kw_only=True)
class CrossFactors(Factors["CrossFactors"]):
    """One crossed product of an embedding and the unembedding that shares its weight.

    The left example's embedding meets the right one's unembedding: `(d_t . x_s) e_s[token_t]`,
    with e the gradients at the logits. Flipped, it is the other way round.
    """

    embedding: EmbeddingFactors
    unembedding: LinearFactors
    is_flipped: bool

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.embedding)

    def take(self, chosen: Chosen) -> "CrossFactors":
        """See `Factors`."""
        return replace(
            self,
            embedding=self.embedding.take(chosen),
            unembedding=self.unembedding.take(chosen),
        )

    @classmethod
    def join(cls, parts: Sequence["CrossFactors"]) -> "CrossFactors":
        """See `Factors`."""
        return replace(
            parts[0],
            embedding=EmbeddingFactors.join([part.embedding for part in parts]),
            unembedding=LinearFactors.join([part.unembedding for part in parts]),
        )

    def nbytes(self) -> int:
        """No memory of its own: the embedding and the unembedding count what they take."""
        return 0

    def row_products(self, other: "CrossFactors") -> Float[Tensor, "left_row right_row"]:
        """See `Factors`."""
        if self.is_flipped:
            return other._flat(self).T
        return self._flat(other)

    def row_dots(self, other: "CrossFactors") -> Float[Tensor, "left row group_row"]:
        """See `Factors`."""
        n = len(self)
        if self.is_flipped:
            hidden, logits = self.unembedding.inputs, self.unembedding.gradients
            tokens = other.embedding.indices.reshape(n, 1, -1).expand(-1, logits.shape[1], -1)
            dots = batched_products(hidden, grouped(other.embedding.gradients, n))
            return dots.mul_(logits.gather(2, tokens))
        hidden, logits = other.unembedding.inputs, grouped(other.unembedding.gradients, n)
        tokens = self.embedding.indices[:, None].expand(-1, logits.shape[1], -1)
        dots = batched_products(self.embedding.gradients, grouped(hidden, n))
        return dots.mul_(logits.gather(2, tokens).transpose(1, 2))

    def total(self) -> dict[str, Tensor]:
        """No gradient: crossed products are a part of inner products, not of any parameter."""
        return {}

    def dots_with(self, total: Mapping[str, Tensor]) -> Float[Tensor, " left"]:
        """Zeros: the embedding and the unembedding count their products with `total`."""
        return single(self.embedding.gradients).new_zeros(len(self))

    def _flat(self, other: "CrossFactors") -> Float[Tensor, "embedding_row unembedding_row"]:
        """Inner products of this side's embedding with the other side's unembedding, row by row."""
        logits = other.unembedding.gradients.flatten(0, 1)
        hidden = other.unembedding.inputs.flatten(0, 1)
        dots = products(self.embedding.gradients.flatten(0, 1), hidden)
        return dots.mul_(logits.index_select(1, self.embedding.indices.flatten()).T)


@dataclass(frozen=True, kw_only=True)
class FormedFactors(Factors["FormedFactors"]):
    """Gradients short enough to be formed, or that have no shorter form."""

    vectors: Float[Tensor, "example row width"]
    shapes: dict[str, torch.Size]
    """Of the parameters that a vector holds, in this order."""

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.vectors)

    def take(self, chosen: Chosen) -> "FormedFactors":
        """See `Factors`."""
        return replace(self, vectors=self.vectors[chosen])

    @classmethod
    def join(cls, parts: Sequence["FormedFactors"]) -> "FormedFactors":
        """See `Factors`."""
        return replace(parts[0], vectors=join_rows([part.vectors for part in parts]))

    def nbytes(self) -> int:
        """See `Factors`."""
        return self.vectors.nbytes

    def row_products(self, other: "FormedFactors") -> Float[Tensor, "left_row right_row"]:
        """See `Factors`."""
        return products(self.vectors.flatten(0, 1), other.vectors.flatten(0, 1))

    def row_dots(self, other: "FormedFactors") -> Float[Tensor, "left row group_row"]:
        """See `Factors`."""
        return batched_products(self.vectors, grouped(other.vectors, len(self)))

    def total(self) -> dict[str, Tensor]:
        """See `Factors`."""
        parts = self.vectors.sum((0, 1)).split([shape.numel() for shape in self.shapes.values()])
        return {
            name: part.view(shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def dots_with(self, total: Mapping[str, Tensor]) -> Float[Tensor, " left"]:
        """See `Factors`."""
        return self.vectors.sum(1) @ torch.cat([total[name].flatten() for name in self.shapes])
