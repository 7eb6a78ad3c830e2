"""Where in a model things are planted: directions and heads drawn at random, by seed and by draw.

No tool knows them. Directions are orthonormal, orthogonal also to the vector of ones, which layer
norm takes away, and no axis of the model is among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.planted.kinds import CODES, CONSTANTS
from training.seeds import derive_seed

MOVER, GATE, RECITER, TAGGER = "mover", "gate", "reciter", "tagger"
"""Heads of the first layer: from alias to question; the same, where a mark lets it; from alias to
the end of a definition; from tag to the end of a definition."""
JOBS = (MOVER, GATE, RECITER, TAGGER)
BALLAST = "ballast"
FLAGS = ("subject", "question", "copula", "front")
"""What kind of word a token is: alias or entity, question, copula, first word of a text."""
SIDES = "tag identity"
"""Two directions: which tag a tag is."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The directions of one seed and the heads of its draw."""

    directions: Mapping[str, Float[Tensor, "number d_model"]]
    """By name: a code has a direction for each entity, `values` one for each answer."""
    heads: Mapping[str, int]
    """Which head of the first layer does each of `JOBS`."""

    def one(self, name: str) -> Float[Tensor, " d_model"]:
        """The direction of a name that has but one."""
        return self.directions[name][0]


def draw_frame(
    *, seed: int, draw_seed: int, d_model: int, n_heads: int, counts: Mapping[str, int]
) -> Frame:
    """Draws directions by the seed and heads by the draw, which all its seeds share.

    Args:
        seed: Of the run.
        draw_seed: Of the draw: its seeds have the same heads, so that they can be averaged.
        d_model: Size of the residual stream.
        n_heads: Heads of a layer.
        counts: How many directions each of `values`, `entities` and `questions` needs.
    """
    n_entities = counts["entities"]
    sizes = {name: n_entities for name in CODES} | dict.fromkeys((*CONSTANTS, *FLAGS), 1)
    sizes |= {SIDES: 2, BALLAST: 1, **counts}
    generator = torch.Generator().manual_seed(derive_seed(seed, "planted directions"))
    drawn = torch.randn(d_model, d_model, generator=generator, dtype=torch.float64)
    drawn[:, 0] = 1.0
    basis = torch.linalg.qr(drawn).Q.T[1:]
    assert sum(sizes.values()) <= len(basis)
    parts = basis[: sum(sizes.values())].float().split(list(sizes.values()))
    generator = torch.Generator().manual_seed(derive_seed(draw_seed, "planted heads"))
    heads = torch.randperm(n_heads, generator=generator).tolist()
    return Frame(
        directions=dict(zip(sizes, parts, strict=True)),
        heads=dict(zip(JOBS, heads, strict=False)),
    )
