"""Blocks, spectrum and directions against numbers by hand, planted ones and none."""

import math

import numpy as np
import pytest
import torch

from data.design import WeightBlock
from data.tokens import word_tokenizer
from interp.one_layer.measures import (
    FROBENIUS,
    NUCLEAR,
    block_means,
    block_of,
    direction_auc,
    spectrum,
)
from training.models.own import OneLayer, OwnModel


def test_block_means_by_hand() -> None:
    matrix = torch.arange(12.0).reshape(3, 4)  # row i, column j holds 4 i + j
    found = block_means(
        matrix, torch.tensor([0, 3]), torch.tensor([2, 1]), own=torch.tensor([1, 0])
    )
    # columns 0 and 3 of rows 2 and 1: own are (row 1, column 0) = 4 and (row 2, column 3) = 11
    assert found == {"own": 7.5, "other": (8 + 7) / 2}


def model_of(kind: str, **settings: int) -> OneLayer:
    provider = OwnModel(model_type=kind, settings=settings, about="")
    model = provider.make(word_tokenizer(("x", "y", "gx", "gy")), seed=0, max_length=3)
    assert isinstance(model, OneLayer)
    return model


TOKENS = {"x": 3, "y": 4, "gx": 5, "gy": 6}
OWN = {"x": "gx", "y": "gy"}


@pytest.mark.parametrize("is_planted", [True, False])
def test_a_block_of_what_is_said_is_found_where_it_was_planted(is_planted: bool) -> None:
    model = model_of("truth_encoder", max_position_embeddings=3)
    matrix = model.value_matrix().detach()
    if is_planted:
        matrix[7 + 3 + 5, 3] = matrix[7 + 3 + 6, 4] = 2.0  # u of gx and gy, from e of x and y
    said = WeightBlock(source="subjects", target="attributes", own=OWN)
    read = WeightBlock(source="subjects", target="attributes", own=OWN, is_said=False)
    assert block_of(model, said, TOKENS) == {"own": 2.0 * is_planted, "other": 0.0}
    assert block_of(model, read, TOKENS) == {"own": 0.0, "other": 0.0}


def test_of_a_factorised_matrix_the_product_is_read() -> None:
    model = model_of("linear_retrieval", is_factorised=True, head_size=1)
    weights = dict(model.named_parameters())  # pyright: ignore[reportAttributeAccessIssue]
    with torch.no_grad():
        for name in ("W_O", "W_V"):
            weights[name].zero_()
        weights["W_V"][0, 3], weights["W_V"][0, 4] = 3.0, 1.0
        weights["W_O"][5, 0], weights["W_O"][6, 0] = 2.0, -1.0
    block = WeightBlock(source="subjects", target="answers", own=OWN)
    # rows gx, gy by columns x, y: [[6, 2], [-3, -1]]
    assert block_of(model, block, TOKENS) == {"own": (6 - 1) / 2, "other": (2 - 3) / 2}


def test_spectrum_by_hand() -> None:
    rotation = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    found = spectrum(rotation @ torch.diag(torch.tensor([3.0, 4.0], dtype=torch.float64)))
    assert found["singular values"] == pytest.approx([4.0, 3.0])
    assert found[NUCLEAR] == pytest.approx([7.0])
    assert found[FROBENIUS] == pytest.approx([5.0])


def test_norms_are_those_of_a_slow_reference() -> None:
    matrix = torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    eigenvalues = torch.linalg.eigvalsh(matrix.T @ matrix).clamp(min=0)
    found = spectrum(matrix)
    assert found[NUCLEAR] == pytest.approx([float(eigenvalues.sqrt().sum())])
    assert found[FROBENIUS] == pytest.approx([math.sqrt(float((matrix**2).sum()))])


def texts(n: int, signal: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    is_higher = np.arange(n) % 2 == 0
    states = rng.normal(size=(n, 5))
    states[:, 2] += signal * is_higher
    return states, is_higher


def test_a_planted_direction_is_found_and_none_is_not() -> None:
    assert direction_auc(*texts(400, 8.0)) > 0.999
    assert abs(direction_auc(*texts(2000, 0.0)) - 0.5) < 0.05


def test_a_direction_that_tells_only_the_texts_it_was_fitted_on_is_none() -> None:
    states, is_higher = texts(200, 0.0)
    many = np.random.default_rng(1).normal(size=(200, 300))  # enough to fit anything
    assert abs(direction_auc(np.hstack([states, many]), is_higher) - 0.5) < 0.15


def test_the_scale_of_states_does_not_matter() -> None:
    states, is_higher = texts(100, 1.0)
    assert direction_auc(states * 1e-3, is_higher) == direction_auc(states, is_higher)


def test_texts_of_the_same_place_are_on_the_same_side() -> None:
    """Twins that differ in their kind alone: what identifies a twin must not leak."""
    who = np.repeat(np.eye(20), 2, axis=0)
    is_higher = np.tile([True, False], 20)
    assert direction_auc(who, is_higher) == pytest.approx(0.5)
