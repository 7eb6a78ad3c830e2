"""The main directions of a code, of all entities together, and those that stand in for them.

They are the fewest that hold `HELD` of the code's squared length over all entities, and know no
entity: whatever lies in them counts. Their nulls are as many: those of the regression with entities
dealt out anew, directions drawn at random, and those of the other tag's code. Another entity's code
has the same directions and is no null here.
"""

import numpy as np
from jaxtyping import Float

from interp.codes.estimation import Code
from interp.codes.nulls import OTHER_TAG, PERMUTED, RANDOM, TAG
from interp.codes.seed_codes import SeedCodes
from training.seeds import derive_seed

HELD = 0.9
"""Of a code's squared length, what its directions hold."""

Directions = Float[np.ndarray, "direction width"]
"""At right angles, each of length one."""


def directions_of(code: Code, rank: int | None = None) -> Directions:
    """The main directions of a code: as many as hold `HELD` of it, or the rank given.

    >>> directions_of(np.diag([3.0, 0.0, 1.0])).round(6).tolist()
    [[1.0, 0.0, 0.0]]
    """
    _, lengths, directions = np.linalg.svd(code, full_matrices=False)
    held = np.cumsum(lengths**2) / max(float((lengths**2).sum()), np.finfo(float).tiny)
    return directions[: rank or int(np.searchsorted(held, HELD)) + 1]


def tried_directions(codes: SeedCodes, name: str) -> list[tuple[str, Directions]]:
    """The directions of a code by the kind "", then those of its nulls by their kinds."""
    own = directions_of(codes.codes[name])
    rank, width = own.shape
    rng = np.random.default_rng(derive_seed(codes.seed, f"codes/directions/{name}"))
    permuted = codes.nulls[name][PERMUTED]
    drawn = [np.linalg.qr(rng.normal(size=(width, rank)))[0].T for _ in permuted]
    return [
        ("", own),
        *((PERMUTED, directions_of(code, rank)) for code in permuted),
        *((RANDOM, each) for each in drawn),
        (TAG, directions_of(codes.codes[OTHER_TAG[name]], rank)),
    ]
