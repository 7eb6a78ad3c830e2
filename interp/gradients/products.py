"""Products of rows with rows, exact for the inputs given, accumulated in single precision or more.

Everything a Gram matrix of gradients costs is spent here.
"""

import torch
from jaxtyping import Float
from torch import Tensor

BF16_BLOCK = 4096
"""Columns that a half-precision product on a CPU sums before its result is rounded to 8 bits."""


def products(
    left: Float[Tensor, "left width"], right: Float[Tensor, "right width"]
) -> Float[Tensor, "left right"]:
    """`left @ right.T`.

    Of half-precision inputs the result is single precision. A CPU kernel that would return it is
    not to be had, so there sums over blocks of columns are rounded once each, and added exactly.
    """
    if left.dtype in (torch.bfloat16, torch.float16):
        if left.is_cuda:
            return torch.mm(left, right.T, out_dtype=torch.float32)
        total = left.new_zeros(len(left), len(right), dtype=torch.float32)
        for first in range(0, left.shape[1], BF16_BLOCK):
            columns = slice(first, first + BF16_BLOCK)
            total += left[:, columns] @ right[:, columns].T
        return total
    if left.dtype == torch.float32 and not left.is_cuda and torch.backends.mkldnn.is_available():
        # The same product by oneDNN: twice as fast as MKL's on processors that are not Intel's.
        return torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
    return left @ right.T


def batched_products(
    left: Float[Tensor, "batch left width"], right: Float[Tensor, "batch right width"]
) -> Float[Tensor, "batch left right"]:
    """`left @ right.T` for each of a batch."""
    if left.dtype in (torch.bfloat16, torch.float16):
        if left.is_cuda:
            return torch.bmm(left, right.transpose(1, 2), out_dtype=torch.float32)
        left, right = left.float(), right.float()
    return torch.bmm(left, right.transpose(1, 2))


def tile_elements(device: torch.device) -> int:
    """Numbers of an intermediate result that stay in a core's cache, or keep a GPU busy."""
    return 1 << 28 if device.type == "cuda" else 1 << 18


def formed_columns(device: torch.device, n_examples: int) -> int:
    """Columns of formed gradients to hold at a time, for the same reason."""
    return max(1, (1 << 29) // n_examples) if device.type == "cuda" else BF16_BLOCK
