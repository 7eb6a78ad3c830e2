from collections.abc import Callable, Sequence

import numpy as np
import pytest
import scipy.linalg
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.addresses import Site, TokenRole
from interp.hooked import HookedModel
from interp.interventions.base import Hook, answer_table, read_at
from interp.interventions.erasure import Eraser, Erasure, Whitening, fit_leace

StateOf = Callable[[HookedModel], tuple[object, ...]]


def planted(n: int = 300, width: int = 6, *, shift: float = 2.0, seed: int = 0):
    """Correlated features in which the label moves the mean, as it must not be seen any more."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    features = rng.normal(size=(n, width)) @ rng.normal(size=(width, width)) + 3
    return features + shift * np.outer(labels, rng.normal(size=width)), labels


def one_hot(labels: np.ndarray) -> np.ndarray:
    return (labels[:, None] == np.unique(labels)).astype(float)


def covariance(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    centred = features - features.mean(0)
    return centred.T @ (one_hot(labels) - one_hot(labels).mean(0)) / len(labels)


def read_accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    """Of a hardly regularised logistic regression, on the examples that it was fitted to."""
    model = LogisticRegression(C=1e6, max_iter=5000).fit(features, labels)
    return float(model.score(features, labels))


def slow_leace(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Erased features, written out as in the paper: square roots and pseudo-inverses."""
    centred = features - features.mean(0)
    root = np.real(scipy.linalg.sqrtm(np.cov(centred.T, bias=True)))
    whitener = np.linalg.pinv(root, rcond=1e-8)
    white = whitener @ covariance(features, labels)
    onto = white @ np.linalg.pinv(white, rcond=1e-8)
    return features - centred @ (np.linalg.pinv(whitener, rcond=1e-8) @ onto @ whitener).T


def test_a_square_is_erased_by_hand():
    """X has variances 4 and 1, and the label covaries with the first axis: that axis goes."""
    features = np.array([[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]])
    features += np.array([5, 7])

    eraser = fit_leace(features, np.array([1, 1, 0, 0]))

    np.testing.assert_allclose(eraser.projection, [[0, 0], [0, 1]], atol=1e-12)
    np.testing.assert_allclose(eraser(features), [[5, 8], [5, 6], [5, 8], [5, 6]], atol=1e-12)


def test_of_correlated_axes_the_oblique_projection_is_taken():
    """By hand: Cov(X) = [[2, 1], [1, 1]], and Cov(X, z) has the direction c = (2, 1).

    LEACE's P has the kernel c and is self-adjoint for Cov(X)^-1. As Cov(X)^-1 c = (1, 0) and
    c' Cov(X)^-1 c = 2, P = I - c (1, 0) / 2 = [[0, 0], [-1/2, 1]].
    """
    first = np.array([1.0, 1.0, -1.0, -1.0]) * np.sqrt(2)
    second = np.array([1.0, -1.0, 1.0, -1.0]) * np.sqrt(0.5)
    features = np.stack([first, first / 2 + second], axis=1)
    np.testing.assert_allclose(np.cov(features.T, bias=True), [[2, 1], [1, 1]], atol=1e-12)

    eraser = fit_leace(features, np.array([1, 1, 0, 0]))

    np.testing.assert_allclose(eraser.projection, [[0, 0], [-0.5, 1]], atol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_no_covariance_with_the_label_is_left(n_classes: int):
    features, _ = planted()
    labels = np.random.default_rng(1).integers(n_classes, size=300)
    features = features + one_hot(labels) @ np.random.default_rng(2).normal(size=(n_classes, 6))
    assert np.abs(covariance(features, labels)).max() > 0.1

    eraser = fit_leace(features, labels)

    assert np.abs(covariance(eraser(features), labels)).max() < 1e-10
    assert eraser.rank == n_classes - 1


def test_it_is_the_papers_formula_and_moves_less_than_an_orthogonal_projection():
    features, labels = planted()
    erased = fit_leace(features, labels)(features)

    np.testing.assert_allclose(erased, slow_leace(features, labels), atol=1e-6)
    direction = covariance(features, labels)[:, 0]
    direction /= np.linalg.norm(direction)
    orthogonal = features - np.outer((features - features.mean(0)) @ direction, direction)
    assert np.abs(covariance(orthogonal, labels)).max() < 1e-10
    moved, moved_orthogonally = (((e - features) ** 2).sum(1).mean() for e in (erased, orthogonal))
    assert moved < moved_orthogonally


def test_the_mean_stays_and_a_second_erasure_does_nothing():
    features, labels = planted()
    eraser = fit_leace(features, labels)
    erased = eraser(features)

    np.testing.assert_allclose(erased.mean(0), features.mean(0), atol=1e-10)
    np.testing.assert_allclose(eraser(erased), erased, atol=1e-10)


def test_features_that_vary_in_a_plane_only_are_erased_within_it():
    flat, labels = planted(width=2)
    features = flat @ np.random.default_rng(0).normal(size=(2, 8))
    assert np.linalg.matrix_rank(features - features.mean(0)) == 2

    for precision in (np.float64, np.float32):
        given = features.astype(precision)
        erased = fit_leace(given, labels)(given)
        assert np.abs(covariance(erased, labels)).max() < (
            1e-10 if precision is np.float64 else 1e-5
        )
        basis = np.linalg.svd(features - features.mean(0))[2][2:]
        np.testing.assert_allclose((erased - given) @ basis.T, 0, atol=1e-5)
        assert np.abs(erased).max() < 2 * np.abs(features).max()


def test_a_label_is_read_before_and_not_after_erasing_it_but_after_a_random_erasure():
    features, labels = planted(width=40)
    majority = max(labels.mean(), 1 - labels.mean())
    rng = np.random.default_rng(0)
    whitening = Whitening.of(features)

    assert read_accuracy(features, labels) > 0.9
    assert read_accuracy(fit_leace(features, labels)(features), labels) <= majority + 1e-9
    for _ in range(5):
        random = whitening.random_eraser(1, rng)
        assert random.rank == 1
        assert read_accuracy(random(features), labels) > 0.85


def test_nothing_is_erased_where_nothing_covaries():
    features = np.tile(np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]), (2, 1))
    labels = np.repeat([0, 1], 4)

    eraser = fit_leace(features, labels)

    assert eraser.rank == 0
    np.testing.assert_array_equal(eraser(features), features)
    constant = fit_leace(np.ones((8, 3)), labels)
    assert constant.rank == 0


def test_a_random_erasure_is_leace_for_a_label_that_means_nothing():
    """It removes one direction that carries a unit of variance in the whitened space."""
    features, _ = planted()
    eraser = Whitening.of(features).random_eraser(2, np.random.default_rng(0))

    white = (features - eraser.mean) @ eraser.read.T
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(2), atol=1e-10)
    assert np.linalg.matrix_rank(eraser.projection) == 4
    np.testing.assert_allclose(eraser.projection @ eraser.projection, eraser.projection, atol=1e-10)


def test_elsewhere_moves_every_example_as_far_in_another_direction():
    features, labels = planted()
    eraser = fit_leace(features, labels)
    other = eraser.elsewhere(np.random.default_rng(0))

    moved, moved_elsewhere = eraser(features) - features, other(features) - features
    distances = [np.linalg.norm(step, axis=1) for step in (moved, moved_elsewhere)]
    np.testing.assert_allclose(*distances, atol=1e-10)
    assert np.abs(np.sum(moved * moved_elsewhere, 1)).max() < 0.99 * (distances[0] ** 2).max()


def test_a_label_of_one_class_cannot_be_erased():
    with pytest.raises(InputError, match="one class only"):
        fit_leace(np.ones((4, 2)), np.zeros(4, dtype=int))


@pytest.mark.parametrize(
    "site", [Site("resid_post", 0), Site("z", 1), Site("z", 0, 2), Site("mlp_out", 1)], ids=str
)
def test_an_erasure_acts_on_the_model_as_on_features(
    any_model: HookedModel, word_prompts: list[TokenizedRow], site: Site
):
    role = TokenRole.PROMPT_LAST
    features = read_at(any_model, word_prompts, site, role)
    labels = np.arange(len(word_prompts)) % 2
    eraser = fit_leace(features, labels)
    erasure = Erasure(eraser=eraser, site=site, places=(role,))

    found = read_at(any_model, word_prompts, site, role, [erasure])
    first = read_at(any_model, word_prompts, site, TokenRole.ALIAS_FIRST, [erasure])

    np.testing.assert_allclose(found, eraser(features), atol=1e-5)
    assert np.abs(found - features).max() > 1e-3
    untouched = read_at(any_model, word_prompts, site, TokenRole.ALIAS_FIRST)
    np.testing.assert_array_equal(first, untouched)


def test_nothing_is_left_behind_by_an_erasure_or_an_interrupt(
    any_model: HookedModel, word_prompts: list[TokenizedRow], state_of: StateOf
):
    class Interrupting:
        def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
            def fail(activation: Tensor, hook: nn.Module) -> None:
                raise KeyboardInterrupt

            return [(Site("resid_post", 1).hook, fail)]

    site, width = Site("resid_post", 0), any_model.d_model
    eraser = Eraser(mean=np.zeros(width), read=np.eye(1, width), write=np.eye(width, 1))
    erasure = Erasure(eraser=eraser, site=site, places=(TokenRole.PROMPT_LAST,))
    before = state_of(any_model)
    answer_table(any_model, word_prompts, [erasure])
    with pytest.raises(KeyboardInterrupt):
        answer_table(any_model, word_prompts, [erasure, Interrupting()])

    assert state_of(any_model) == before
