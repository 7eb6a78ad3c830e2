"""What gradients are taken of, how exactly, and how finely their inner products are split."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from data.vocabulary import LossPolicy


class Granularity(StrEnum):
    """How finely an inner product of gradients is split: into which components."""

    WHOLE = "whole"
    """One component, `all`."""
    LAYER = "layer"
    """`blocks.<layer>` for each block, and the modules outside the blocks."""
    MODULE = "module"
    """Every module that has parameters, and the crossed products of tied embeddings."""
    HEAD = "head"
    """As `MODULE`, with attention split into `blocks.<layer>.head.<head>.W_Q` and so on."""


@dataclass(frozen=True, kw_only=True)
class GradientOptions:
    """How gradients are measured."""

    policy: LossPolicy
    """Which tokens the loss of an example is the mean over."""
    end_token: int = 0
    """Ends and pads a text; see `training.examples.make_examples`."""
    block_size: int = 0
    """Length that the policy `all` pads to."""
    granularity: Granularity = Granularity.WHOLE
    precision: Literal["model", "bf16"] = "model"
    """`bf16` rounds what goes into the products to bfloat16; sums stay in single precision."""
    memory: int = 2 << 30
    """Bytes that records of examples may take; more examples are measured in blocks."""
    batch_tokens: int | None = None
    """Tokens of a forward pass; by the device unless given."""
    allow_materialise: bool = False
    """Form the gradients of parameters that the closed forms do not cover, one by one."""
