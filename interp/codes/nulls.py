"""Vectors that take the place of a code in a control, as long as the code entity by entity.

    other       the code of another entity, entities moved round within the seed
    permuted    what the same regression gives where entities are dealt out to aliases anew
    random      draws with the covariance of what Stage 1 changed in its aliases' vectors
    tag         the code of the other tag

The first three are drawn many times and are the null distribution; `tag` is one and told apart: it
is no code of chance, but the direction in which the other tag writes.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from interp.codes.aliases import Alias, CodedAliases
from interp.codes.estimation import (
    QUESTION,
    RELIABLE,
    UNRELIABLE,
    Code,
    Vectors,
    centred,
    estimate_codes,
)

OTHER, PERMUTED, RANDOM, TAG = "other", "permuted", "random", "tag"
DRAWN = (OTHER, PERMUTED, RANDOM)
NULLS = (*DRAWN, TAG)
N_DRAWS = 4
"""Of each kind that is drawn."""
OTHER_TAG = {RELIABLE: UNRELIABLE, UNRELIABLE: RELIABLE, QUESTION: UNRELIABLE}


def null_codes(
    aliases: CodedAliases,
    vectors: Vectors,
    codes: Mapping[str, Code],
    grown: Float[np.ndarray, "alias width"],
    rng: np.random.Generator,
) -> dict[str, dict[str, list[Code]]]:
    """By name of a code and kind of null the vectors that stand in for the code.

    Args:
        aliases: Of the seed.
        vectors: Those that the codes were estimated on.
        codes: What they stand in for.
        grown: What Stage 1 changed in the vectors of its aliases.
        rng: Draws them.
    """
    draws: dict[str, dict[str, list[Code]]] = {name: {kind: [] for kind in NULLS} for name in codes}
    spread = grown - grown.mean(0)
    for _ in range(N_DRAWS):
        moved = moved_round(len(vectors.entities), rng)
        permuted = estimate_codes(with_permuted_entities(aliases, rng), vectors)
        n = len(vectors.entities)
        drawn = centred(rng.normal(size=(n, len(spread))) @ spread)
        for name, code in codes.items():
            found = {OTHER: code[moved], PERMUTED: permuted[name], RANDOM: drawn}
            for kind, vector in found.items():
                draws[name][kind].append(as_long_as(vector, code))
    for name, code in codes.items():
        draws[name][TAG].append(as_long_as(codes[OTHER_TAG[name]], code))
    return draws


def as_long_as(vectors: Code, code: Code) -> Code:
    """The vectors, each with the length of the code's of the same entity."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors * np.linalg.norm(code, axis=1, keepdims=True) / np.where(lengths, lengths, 1.0)


def moved_round(n: int, rng: np.random.Generator) -> np.ndarray:
    """Another place for each of n, so that none keeps its own: one random circle of all."""
    circle = rng.permutation(n)
    moved = np.empty(n, dtype=int)
    moved[circle] = np.roll(circle, 1)
    return moved


def with_permuted_entities(aliases: CodedAliases, rng: np.random.Generator) -> CodedAliases:
    """The aliases of the first part, entities dealt out to them anew within each group."""
    return replace(
        aliases,
        reliable=_permuted(aliases.reliable, rng),
        unreliable=_permuted(aliases.unreliable, rng),
        undefined=_permuted(aliases.undefined, rng),
    )


def _permuted(group: list[Alias], rng: np.random.Generator) -> list[Alias]:
    order = rng.permutation(len(group))
    return [
        replace(alias, defined=group[i].defined, asked=group[i].asked)
        for alias, i in zip(group, order, strict=True)
    ]
