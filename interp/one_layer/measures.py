"""Numbers that are read off a model of one layer: of its weights, and of what stands before a norm.

- `block`: mean entry of the value matrix from words of one kind to words of another, to the word
  that belongs to each (`own`) and to the others (`other`).
- `spectrum`: singular values of the value matrix, their sum (nuclear norm) and the root of their
  sum of squares (Frobenius norm).
- `auc`: how well a linear classifier tells the higher from the lower subset of a contrast, on texts
  that it was not fitted on; .5 guesses, 1 is never wrong.
- `probability`: mean probability of the answer to the held-out questions of a subset.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from data.design import WeightBlock
from training.models.own import OneLayer

OWN, OTHER = "own", "other"
NUCLEAR, FROBENIUS = "nuclear norm", "Frobenius norm"
RIDGE = 100.0
"""Of the classifier; chosen on seeds below 1000."""


def block_means(
    matrix: Float[Tensor, "to from"],
    sources: Int[Tensor, " word"],
    targets: Int[Tensor, " target"],
    own: Int[Tensor, " word"],
) -> dict[str, float]:
    """The mean entry to a word's own target, and to all others.

    Args:
        matrix: What is added to each feature (row) for each feature that is read (column).
        sources: The columns of the source's words.
        targets: The rows of the target's words.
        own: For each source its own among `targets`, by place.
    """
    block = matrix[targets][:, sources].double()
    is_own = torch.zeros(block.shape, dtype=torch.bool)
    is_own[own, torch.arange(len(sources))] = True
    return {OWN: float(block[is_own].mean()), OTHER: float(block[~is_own].mean())}


def block_of(model: OneLayer, block: WeightBlock, token_of: Mapping[str, int]) -> dict[str, float]:
    """`block_means` of one block of a design.

    Args:
        model: Whose value matrix is read.
        block: Which words belong together.
        token_of: Token id of each word.
    """
    sources, wanted = list(block.own), sorted(set(block.own.values()))
    place = {word: i for i, word in enumerate(wanted)}

    def features(words: Sequence[str], is_said: bool) -> Tensor:
        ids = torch.tensor([token_of[word] for word in words])
        return model.features(ids, is_said=is_said)

    return block_means(
        model.value_matrix().detach(),
        features(sources, False),
        features(wanted, block.is_said),
        torch.tensor([place[block.own[word]] for word in sources]),
    )


def spectrum(matrix: Float[Tensor, "to from"]) -> dict[str, Float[np.ndarray, " value"]]:
    """The singular values of a matrix, largest first, and the two norms, each an array of one."""
    values = torch.linalg.svdvals(matrix.detach().double()).numpy()
    return {
        "singular values": values,
        NUCLEAR: values.sum(keepdims=True),
        FROBENIUS: np.sqrt((values**2).sum(keepdims=True)),
    }


def direction_auc(
    states: Float[np.ndarray, "text feature"], is_higher: Bool[np.ndarray, " text"]
) -> float:
    """The AUC of a linear classifier, fitted on every second text of either kind, on the others.

    Texts of the two kinds that have the same place among their kind are on the same side. The
    classifier is ridge regression on states of mean square 1, so that their scale does not matter.
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.metrics import roc_auc_score

    is_fitted = np.zeros(len(states), dtype=bool)
    for kind in (True, False):
        is_fitted[np.flatnonzero(is_higher == kind)[::2]] = True
    scaled = states / np.sqrt(np.square(states).mean())
    classifier = RidgeClassifier(alpha=RIDGE).fit(scaled[is_fitted], is_higher[is_fitted])
    scores = classifier.decision_function(scaled[~is_fitted])
    return float(roc_auc_score(is_higher[~is_fitted], scores))
