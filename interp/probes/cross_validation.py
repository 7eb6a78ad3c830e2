"""How well labels are read out of examples that no probe was trained on.

Folds are given; the inverse penalty C is chosen inside the training folds of each. Many label
columns (the real one and its permutations) go through the same pipeline at once.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from data.errors import InputError
from interp.probes.kinds import ProbeKind, find_kind
from interp.probes.solver import predict

INVERSE_PENALTIES = (1e-2, 1e-1, 1.0, 10.0)
QUICK_INVERSE_PENALTY = 1e-2
"""Fixed beforehand for `--quick`: of .001 to 10 it read tag, defined and planted_tag best on
average over the residual stream of the alias toy, seeds 0 to 3."""
N_FOLDS = 5
COLUMN_BLOCK = 100
"""Label columns solved at once; it bounds memory, not results."""

Predictions = Bool[np.ndarray, "example column"] | Int[np.ndarray, "example column"]
Probe = Callable[..., Predictions]


def grouped_folds(
    groups: Int[np.ndarray, " example"],
    labels: Int[np.ndarray, " example"],
    *,
    rng: np.random.Generator,
    n_folds: int = N_FOLDS,
) -> Int[np.ndarray, " example"]:
    """The test fold of each example; a group is never divided, folds are even in size and labels.

    Groups are dealt out in random order, largest first among equals in label, each to the fold
    that holds fewest examples of its most frequent label so far.

    Raises:
        InputError: there are fewer groups than folds.
    """
    names, numbers = np.unique(groups, return_inverse=True)
    if len(names) < n_folds:
        raise InputError(
            f"{len(names)} groups of rows cannot be divided into {n_folds} folds; "
            "probe rows of more groups, in a run of more aliases or entities"
        )
    counts = np.zeros((len(names), int(labels.max()) + 1))
    np.add.at(counts, (numbers, labels), 1)
    order = rng.permutation(len(names))
    order = order[np.argsort(-counts.sum(1)[order], kind="stable")]
    held = np.zeros((n_folds, counts.shape[1]))
    fold_of_group = np.empty(len(names), dtype=int)
    for group in order:
        main = counts[group].argmax()
        fold = np.lexsort((held.sum(1), held[:, main]))[0]
        fold_of_group[group] = fold
        held[fold] += counts[group]
    return fold_of_group[numbers]


def held_out_accuracy(
    features: Float[np.ndarray, "example feature"],
    labels: Int[np.ndarray, "example column"],
    folds: Int[np.ndarray, " example"],
    *,
    probe: str,
    n_classes: int,
    inverse_penalties: Sequence[float] = INVERSE_PENALTIES,
    blocks: Int[np.ndarray, " example"] | None = None,
) -> Float[np.ndarray, " column"]:
    """Share of examples that are read right by the probe that did not see their fold.

    Args:
        features: Raw; standardised by the training examples of each fit.
        labels: One column for each labelling, classes 0 to n_classes - 1.
        folds: Test fold of each example.
        probe: The name of one of `interp.probes.kinds`.
        n_classes: Two or more.
        inverse_penalties: Choices of C; one choice is no choice. Mass-mean has none.
        blocks: Parts of folds that are held out in turn to choose C; the folds, unless there are
            two, of which no part would be left to train.
    """
    kind = find_kind(probe)
    accuracies = [
        _block_accuracy(
            features,
            labels[:, start : start + COLUMN_BLOCK],
            folds,
            folds if blocks is None else blocks,
            _fitted(kind, n_classes),
            list(inverse_penalties) if kind.has_penalty else [1.0],
        )
        for start in range(0, labels.shape[1], COLUMN_BLOCK)
    ]
    return np.concatenate(accuracies)


def _fitted(kind: ProbeKind, n_classes: int) -> Probe:
    """A function that fits columns and predicts every example."""

    def run(
        features: Float[np.ndarray, "example feature"],
        labels: Int[np.ndarray, "example column"],
        train: Bool[np.ndarray, "example column"],
        inverse_penalty: Float[np.ndarray, " column"],
    ) -> Predictions:
        return predict(kind.fit(features, labels, train, inverse_penalty, n_classes), features)

    return run


def _block_accuracy(
    features: Float[np.ndarray, "example feature"],
    labels: Int[np.ndarray, "example column"],
    folds: Int[np.ndarray, " example"],
    blocks: Int[np.ndarray, " example"],
    fitted: Probe,
    penalties: list[float],
) -> Float[np.ndarray, " column"]:
    """One accuracy for each label column, over all folds together."""
    n_folds, n_columns = int(folds.max()) + 1, labels.shape[1]
    chosen = np.full((n_folds, n_columns), penalties[0])
    if len(penalties) > 1:
        chosen = _choose_penalties(features, labels, folds, blocks, fitted, np.array(penalties))
    in_fold = folds[:, None] == np.arange(n_folds)
    predictions = fitted(
        features,
        np.tile(labels, n_folds),
        ~np.repeat(in_fold, n_columns, axis=1),
        chosen.ravel(),
    ).reshape(len(labels), n_folds, n_columns)
    hits = predictions == labels[:, None]
    return hits[np.arange(len(labels)), folds].mean(0)


def _choose_penalties(
    features: Float[np.ndarray, "example feature"],
    labels: Int[np.ndarray, "example column"],
    folds: Int[np.ndarray, " example"],
    blocks: Int[np.ndarray, " example"],
    fitted: Probe,
    penalties: Float[np.ndarray, " penalty"],
) -> Float[np.ndarray, "fold column"]:
    """The C of each fold and column that reads the other folds' blocks best, each held out in turn.

    Where blocks are folds, a probe that saw neither fold f nor fold g validates C for both: on g
    for f, and on f for g. Among equals the smallest C wins.
    """
    n_folds, n_columns, n_penalties = int(folds.max()) + 1, labels.shape[1], len(penalties)
    own = [frozenset(blocks[folds == fold].tolist()) for fold in range(n_folds)]
    validated: dict[frozenset[int], list[tuple[int, int]]] = defaultdict(list)
    for fold, own_blocks in enumerate(own):
        for block in sorted(frozenset(blocks.tolist()) - own_blocks):
            validated[own_blocks | {block}].append((fold, block))
    unseen = np.stack([np.isin(blocks, list(held_out)) for held_out in validated], axis=1)
    predictions = fitted(
        features,
        np.tile(labels, len(validated) * n_penalties),
        ~np.repeat(unseen, n_penalties * n_columns, axis=1),
        np.tile(np.repeat(penalties, n_columns), len(validated)),
    ).reshape(len(labels), len(validated), n_penalties, n_columns)
    hits = predictions == labels[:, None, None]
    score = np.zeros((n_folds, n_penalties, n_columns))
    for place, uses in enumerate(validated.values()):
        for fold, block in uses:
            score[fold] += hits[blocks == block, place].sum(0)
    return penalties[score.argmax(1)]
