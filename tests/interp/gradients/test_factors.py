"""The cheaper of two exact forms is taken, and both are right; blocks hold every pair once."""

import pytest
import torch
from torch import Tensor

from interp.gradients.factor_kinds import EmbeddingFactors
from interp.gradients.factors import LinearFactors
from interp.gradients.own_pairs import pair_blocks
from interp.gradients.products import products


def linear(n: int, rows: int, d_in: int, d_out: int, *, seed: int, bias: bool) -> LinearFactors:
    generator = torch.Generator().manual_seed(seed)
    return LinearFactors(
        inputs=torch.randn(n, rows, d_in, generator=generator, dtype=torch.float64),
        gradients=torch.randn(n, rows, d_out, generator=generator, dtype=torch.float64),
        weight="weight",
        bias="bias" if bias else None,
    )


def formed(factors: LinearFactors) -> Tensor:
    """Every example's gradient, flattened."""
    weights = torch.einsum("nti,nto->noi", factors.inputs, factors.gradients).flatten(1)
    return torch.cat([weights, factors.gradients.sum(1)], dim=1) if factors.bias else weights


# Few rows of wide layers, for which the rows' products are cheaper, and many rows of narrow ones.
@pytest.mark.parametrize(
    ("rows", "d_in", "d_out"), [(2, 30, 40), (2, 40, 30), (9, 3, 2), (9, 2, 3)]
)
@pytest.mark.parametrize("bias", [False, True])
def test_both_forms_give_the_inner_products(
    rows: int, d_in: int, d_out: int, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ghosts: list[str] = []
    for name in ("row_products", "row_dots"):
        usual = getattr(LinearFactors, name)
        monkeypatch.setattr(
            LinearFactors, name, lambda a, b, f=usual, n=name: ghosts.append(n) or f(a, b)
        )
    monkeypatch.setattr("interp.gradients.factors.tile_elements", lambda device: 40)
    monkeypatch.setattr("interp.gradients.factors.formed_columns", lambda device, n: 4)
    left = linear(5, rows, d_in, d_out, seed=1, bias=bias)
    right = linear(15, rows + 1, d_in, d_out, seed=2, bias=bias)
    exact = formed(left) @ formed(right).T
    torch.testing.assert_close(left.dots(right), exact)
    own = exact.view(5, 5, 3)[torch.arange(5), torch.arange(5)]
    torch.testing.assert_close(left.group_dots(right), own)
    assert set(ghosts) == ({"row_products", "row_dots"} if d_in >= 30 else set())


@pytest.mark.parametrize("is_transposed", [False, True])
@pytest.mark.parametrize(("d_in", "d_out"), [(3, 5), (5, 3)])
def test_total_is_laid_out_as_the_parameter(is_transposed: bool, d_in: int, d_out: int) -> None:
    factors = linear(4, 6, d_in, d_out, seed=0, bias=True)
    vectors = formed(factors)
    if is_transposed:
        factors = LinearFactors(
            inputs=factors.inputs,
            gradients=factors.gradients,
            weight="weight",
            bias="bias",
            is_transposed=True,
        )
    total = factors.total()
    weight = total["weight"].T if is_transposed else total["weight"]
    whole = torch.cat([weight.flatten(), total["bias"]])
    torch.testing.assert_close(whole, vectors.sum(0))
    torch.testing.assert_close(factors.dots_with(total), vectors @ vectors.sum(0))


def test_joined_examples_keep_their_inner_products() -> None:
    parts = [linear(n, rows, 3, 4, seed=n, bias=True) for n, rows in ((2, 5), (3, 2))]
    vectors = torch.cat([formed(part) for part in parts])
    joined = LinearFactors.join(parts)
    torch.testing.assert_close(joined.dots(joined), vectors @ vectors.T)


def test_embedding_rows_meet_only_themselves() -> None:
    # Row 1 gets 2 + 3 from the left, 7 from the right; row 0 and row 2 are of one side each.
    left = EmbeddingFactors(
        indices=torch.tensor([[1, 1]]),
        gradients=torch.tensor([[[2.0], [3.0]]]),
        weight="weight",
        n_indices=3,
    )
    right = EmbeddingFactors(
        indices=torch.tensor([[0, 1], [2, 0]]),
        gradients=torch.tensor([[[5.0], [7.0]], [[1.0], [1.0]]]),
        weight="weight",
        n_indices=3,
    )
    assert left.dots(right).tolist() == [[35.0, 0.0]]
    assert left.total()["weight"].tolist() == [[0.0], [5.0], [0.0]]


def test_half_precision_products_are_summed_in_single_precision() -> None:
    # 2 ** 16 + 1 is no bfloat16, nor is any sum on the way from 2 ** 16 to 2 ** 16 + 512.
    left = torch.ones(1, 2**16 + 512, dtype=torch.bfloat16)
    found = products(left, left)
    assert found.dtype == torch.float32
    assert found.item() == 2**16 + 512
    generator = torch.Generator().manual_seed(0)
    random = torch.randn(7, 9000, generator=generator).bfloat16()
    exact = random.double() @ random.double().T
    assert (products(random, random) - exact).abs().max().item() < 2**-8 * exact.max().item()


def test_blocks_hold_every_pair_and_every_example_once() -> None:
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randint(0, 30, (80, 2), generator=generator)
    pairs[:20, 0] = 3  # more partners than one group holds
    n_examples, batch_size = 33, 10
    found, new = [], []
    for block in pair_blocks(pairs, n_examples, batch_size):
        assert len(block.examples) <= batch_size
        assert len(set(block.examples.tolist())) == len(block.examples)
        new += [e for e, n in zip(block.examples.tolist(), block.is_new, strict=True) if n]
        for left, partners, numbers in zip(block.left, block.right, block.pair, strict=True):
            for partner, number in zip(partners, numbers, strict=True):
                if number >= 0:
                    found.append(int(number))
                    ends = [int(block.examples[left]), int(block.examples[partner])]
                    assert ends == pairs[number].tolist()
    assert sorted(found) == list(range(80))
    assert sorted(new) == list(range(n_examples))
