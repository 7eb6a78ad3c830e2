"""Which token of one example meets which token of another in their gradients' inner product?

A gradient is a sum over token positions, in every module, of the piece that the module's output at
that position contributes. The inner product of two gradients therefore is a sum over pairs of
positions. Position t stands for what is computed there: the prediction of token t + 1 is made at t.
"""

import torch
from einops import reduce
from jaxtyping import Float, Int
from torch import Tensor

from data.errors import InputError
from interp.gradients.example_gradients import ExampleGradients
from interp.gradients.own_pairs import as_slice, pair_blocks


def token_dots(
    gradients: ExampleGradients, pairs: Int[Tensor, "pair 2"]
) -> dict[str, Float[Tensor, "pair pos_a pos_b"]]:
    """Inner products of chosen pairs, by component, split by the positions of both.

    Positions behind an example's last target hold zeros.

    Raises:
        InputError: gradients of some parameters are only to be had as a whole.
    """
    if gradients.coverage.formed:
        raise InputError(
            f"the gradient of {gradients.coverage.formed[0]} cannot be split by token; use another"
            " model"
        )
    n_positions = gradients.examples.tokens.shape[1]
    maps: dict[str, Tensor] = {}
    for block in pair_blocks(pairs, len(gradients), gradients.batch_size):
        if not len(block.left):
            break
        factors, _, used = gradients.batch(block.examples, keep_rows=True)
        is_pair = block.pair >= 0
        for name, factor in gradients.components(factors):
            left = factor.take(as_slice(block.left))
            right = factor.take(as_slice(block.right.flatten()))
            # A module that is called several times has its calls one after the other.
            by_position = reduce(
                left.row_dots(right).double().cpu(),
                "group (call_a pos_a) (k call_b pos_b) -> group k pos_a pos_b",
                "sum",
                pos_a=used,
                pos_b=used,
                k=block.right.shape[1],
            )
            whole = maps.setdefault(
                name, torch.zeros(len(pairs), n_positions, n_positions, dtype=torch.float64)
            )
            whole[block.pair[is_pair], :used, :used] += by_position[is_pair]
    return maps
