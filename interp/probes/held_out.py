"""How well are labels read from examples that a probe never saw, and by chance alone?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from data.errors import InputError
from interp.probes.cross_validation import INVERSE_PENALTIES, held_out_accuracy
from interp.probes.divisions import Division, LabelledAliases, divide, exchangeable_units, whole

N_PERMUTATIONS = 199


@dataclass(frozen=True, kw_only=True)
class HeldOutReading:
    """How well labels are read from examples that the probe never saw, and by chance alone."""

    accuracy: float
    null_accuracy: float
    """Mean over label permutations, each through the whole pipeline."""
    p_value: float
    """Share of permutations that reach the accuracy, this labelling counted among them."""
    n_train: int
    """Examples that train the probe of a fold, on average."""
    n_test: int
    """Examples of a test fold, on average."""
    n_folds: int
    n_divisions: int
    """Divisions into folds that the accuracy is a mean over."""
    n_read: int
    """Different examples that are tested."""


def read_held_out(
    features: Float[np.ndarray, "example width"],
    labels: Int[np.ndarray, " example"],
    groups: Int[np.ndarray, " example"],
    *,
    named: Int[np.ndarray, " example"] | None = None,
    probe: str = "logistic",
    n_permutations: int = N_PERMUTATIONS,
    inverse_penalties: Sequence[float] = INVERSE_PENALTIES,
    rng: np.random.Generator,
) -> HeldOutReading:
    """Probes any features for any labels: those of a toy run, or of prompts to any model.

    Args:
        features: Activations of one site at one role.
        labels: Classes 0, 1, ...
        groups: Examples of one group stay in one fold. Where each group has one label,
            permutations exchange labels of groups, else of examples; always within folds.
        named: A second group of each example, of two classes: examples whose groups lie in two
            folds are left out and classes balanced in each fold, see `divisions`.
        probe: `logistic` or `mass_mean`.
        n_permutations: 0 leaves the null accuracy at the largest class's share.
        inverse_penalties: Choices of C.
        rng: Draws folds and permutations.

    Raises:
        InputError: there is one class only, or too few groups.
    """
    if (np.bincount(labels) > 0).sum() < 2:
        raise InputError("the labels have one class only; probe for something that varies")
    alike = np.zeros(len(labels), dtype=int)
    divisions = (
        whole(labels, groups, rng)
        if named is None
        else divide(
            LabelledAliases(labels=labels, own=groups, named=named, strata=alike, kinds=alike), rng
        )
    )
    return read_divisions(
        features,
        labels,
        divisions,
        units=exchangeable_units(labels, groups),
        probe=probe,
        n_permutations=n_permutations,
        inverse_penalties=inverse_penalties,
        rng=rng,
    )


def read_divisions(
    features: Float[np.ndarray, "example width"],
    labels: Int[np.ndarray, " example"],
    divisions: Sequence[Division],
    *,
    units: Int[np.ndarray, " example"],
    probe: str = "logistic",
    n_permutations: int = N_PERMUTATIONS,
    inverse_penalties: Sequence[float] = INVERSE_PENALTIES,
    rng: np.random.Generator,
) -> HeldOutReading:
    """What `read_held_out` reads, with folds that are known.

    Args:
        features: As in `read_held_out`.
        labels: As in `read_held_out`.
        divisions: Who trains and who tests; accuracies are means over all that are tested.
        units: What permutations exchange labels of.
        probe: As in `read_held_out`.
        n_permutations: As in `read_held_out`.
        inverse_penalties: As in `read_held_out`.
        rng: Draws permutations.
    """
    keys = rng.random((int(units.max()) + 1, n_permutations))
    accuracies = np.zeros(1 + n_permutations)
    for division in divisions:
        accuracies += len(division.kept) * held_out_accuracy(
            features[division.kept],
            _with_permuted(labels, division, units, keys),
            division.folds,
            probe=probe,
            n_classes=int(labels.max()) + 1,
            inverse_penalties=inverse_penalties,
            blocks=division.blocks,
        )
    kept = np.concatenate([division.kept for division in divisions])
    accuracies /= len(kept)
    accuracy, null = accuracies[0], accuracies[1:]
    largest = np.bincount(labels[kept]).max() / len(kept)
    return HeldOutReading(
        accuracy=float(accuracy),
        null_accuracy=float(null.mean()) if len(null) else float(largest),
        p_value=float((1 + (null >= accuracy - 1e-9).sum()) / (1 + len(null))),
        n_train=round(float(np.mean([division.n_train for division in divisions]))),
        n_test=round(float(np.mean([division.n_test for division in divisions]))),
        n_folds=divisions[0].n_folds,
        n_divisions=len(divisions),
        n_read=len(set(kept.tolist())),
    )


def _with_permuted(
    labels: Int[np.ndarray, " example"],
    division: Division,
    units: Int[np.ndarray, " example"],
    keys: Float[np.ndarray, "unit permutation"],
) -> Int[np.ndarray, "kept column"]:
    """The labels, and for each permutation labels that say nothing about features.

    Each block has as many of each class as before: exchanged across folds, a class that is frequent
    in a fold would be rare in its training examples, so that the permuted labels would be read
    worse than by chance, and the real ones seem readable. In each block the units in the order of
    their keys take the labels in theirs, so that a unit has much the same label in all divisions.
    """
    own, blocks = labels[division.kept], division.blocks
    names, first, unit = np.unique(units[division.kept], return_index=True, return_inverse=True)
    in_order = own[first][np.lexsort((own[first], blocks[first]))]
    columns = np.empty((len(own), 1 + keys.shape[1]), dtype=labels.dtype)
    columns[:, 0] = own
    for i, key in enumerate(keys[names].T, start=1):
        permuted = np.empty_like(in_order)
        permuted[np.lexsort((key, blocks[first]))] = in_order
        columns[:, i] = permuted[unit]
    return columns
