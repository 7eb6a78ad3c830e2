"""What heads gather equals attention written out in float64, for few and for many scores."""

import pytest
import torch
from torch import Tensor

from interp.patching.unrolled_weights import FEW_SCORES, AttentionWeights

N_HEADS, D_HEAD, SCALE = 4, 8, 0.3


def slowly(q: Tensor, k: Tensor, v: Tensor, window: int | None) -> Tensor:
    """One row, query and head at a time."""
    z = torch.zeros_like(q)
    n_queries, n_keys, repeats = q.shape[1], k.shape[1], q.shape[2] // k.shape[2]
    for row, query, head in torch.cartesian_prod(*map(torch.arange, q.shape[:3])).tolist():
        at = n_keys - n_queries + query
        seen = range(max(0, at - (window or n_keys) + 1), at + 1)
        scores = [SCALE * q[row, query, head] @ k[row, key, head // repeats] for key in seen]
        weights = torch.stack(scores).softmax(0)
        for key, weight in zip(seen, weights, strict=True):
            z[row, query, head] += weight * v[row, key, head // repeats]
    return z


@pytest.mark.parametrize("n_kv_heads", [4, 2])
@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize(("n_queries", "n_keys"), [(1, 3), (2, 3), (5, 6), (6, 6), (1, 33)])
def test_heads_gather_what_attention_in_float64_gathers(
    n_queries: int, n_keys: int, window: int | None, n_kv_heads: int
):
    generator = torch.Generator().manual_seed(0)
    shapes = [(n_queries, N_HEADS), (n_keys, n_kv_heads), (n_keys, n_kv_heads)]
    q, k, v = (torch.randn(2, *shape, D_HEAD, generator=generator) for shape in shapes)
    weights = AttentionWeights(
        W_QKV=torch.empty(0, 0), b_QKV=torch.empty(0), W_O=torch.empty(0, 0, 0), b_O=torch.empty(0),
        n_heads=N_HEADS, n_kv_heads=n_kv_heads, scale=SCALE, window=window,
    )  # fmt: skip
    expected = slowly(q.double(), k.double(), v.double(), window)
    torch.testing.assert_close(weights.gather(q, k, v).double(), expected, rtol=0, atol=1e-6)


def test_both_ways_are_tested():
    assert 5 * 6 <= FEW_SCORES < 33
