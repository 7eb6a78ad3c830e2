from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression

from data.errors import InputError
from interp.hooked.model import HookedModel
from interp.interventions.erasure import Whitening, fit_leace, fit_whitened, readable_share

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


def explained(features: np.ndarray, labels: np.ndarray, like: np.ndarray) -> float:
    """Largest R^2 of scikit-learn's least squares, in units of the features before erasing."""
    scales = like.astype(np.float64).std(0)
    known = scales > 1e-12 * np.abs(like.astype(np.float64)).max(0)
    scaled = (features.astype(np.float64) - like.mean(0, dtype=np.float64))[:, known]
    # Rounding is no direction: singular values of 1e-9 of an ordinary feature's do not count.
    left, lengths, _ = np.linalg.svd(scaled / scales[known], full_matrices=False)
    axes = (left * lengths)[:, lengths > 1e-9 * np.sqrt(len(labels))]
    indicators = one_hot(labels)
    if not axes.size:
        return 0.0
    fit = LinearRegression().fit(axes, indicators)
    left_over = ((indicators - fit.predict(axes)) ** 2).sum(0)
    return float((1 - left_over / ((indicators - indicators.mean(0)) ** 2).sum(0)).max())


def extreme(case: str) -> tuple[np.ndarray, np.ndarray]:
    """Features from which labels are read, and in which something dwarfs them."""
    rng = np.random.default_rng(7)
    n, width, n_classes = {"fewer examples": (24, 64, 2), "many classes": (600, 48, 40)}.get(
        case, (5000 if case == "offset" else 400, 32, 2)
    )
    labels = np.arange(n) % n_classes
    features = rng.normal(size=(n, width)) + one_hot(labels) @ rng.normal(size=(n_classes, width))
    match case:
        case "offset":
            features *= 0.02
            features[:, 3] += 3000
        case "half with an offset":
            features[:, 3] += 500
            return features.astype(np.float16), labels
        case "bfloat16":
            features[:, 3] = features[:, 3] * 100 + 3000
            rounded = torch.from_numpy(features).bfloat16().float()
            return rounded.numpy(), labels
        case "massive":
            features[:, 3] *= 1e4
            features[:, 5] *= 1e3
        case "tiny":
            features[:, 3:6] *= 1e-9
        case "copies and constants":
            features[:, 3], features[:, 4], features[:, 5] = features[:, 2], 0.1, -7e5
        case "nearly a copy":
            features[:, 3] = features[:, 2] + 1e-5 * (labels + rng.normal(size=n))
    return features.astype(np.float32), labels


CASES = ["offset", "half with an offset", "bfloat16", "massive", "tiny", "copies and constants",
         "nearly a copy", "fewer examples", "many classes"]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_nothing_linear_is_left_whatever_the_features_ranges(case: str):
    features, labels = extreme(case)
    majority = np.bincount(labels).max() / len(labels)
    assert explained(features, labels, features) > 0.3

    erased = fit_leace(features, labels)(features)

    assert explained(erased, labels, features) < 1e-9
    scales = np.where(features.std(0, dtype=np.float64) > 0, features.std(0, dtype=np.float64), 1)
    if case not in ("many classes", "offset"):  # where fitting takes long
        assert read_accuracy((erased - erased.mean(0)) / scales, labels) <= majority + 1e-9


@pytest.mark.parametrize("case", ["offset", "massive", "many classes"])
def test_extreme_ranges_do_not_change_the_formula(case: str):
    """P is the paper's, computed where each feature is brought to unit variance and zero mean."""
    features, labels = extreme(case)
    precise = features.astype(np.float64)
    mean, scales = precise.mean(0), precise.std(0)

    erased = fit_leace(features, labels)(features)

    expected = slow_leace((precise - mean) / scales, labels)
    np.testing.assert_allclose((erased - mean) / scales, expected, atol=1e-6)


def test_the_directions_erased_do_not_depend_on_units_or_on_how_often_examples_are_there():
    features, labels = planted()
    erased = fit_leace(features, labels)(features)
    units = 10.0 ** np.arange(-3, 3)

    twice = fit_leace(np.tile(features, (40, 1)), np.tile(labels, 40))(features)
    other_units = fit_leace(features * units + 1e3, labels)(features * units + 1e3)

    np.testing.assert_allclose(twice, erased, atol=1e-9)
    np.testing.assert_allclose((other_units - 1e3) / units, erased, atol=1e-6)


def test_of_more_classes_than_features_everything_goes():
    features, _ = planted(width=5)
    labels = np.arange(len(features)) % 10

    features = features + one_hot(labels)[:, :5]
    erased = fit_leace(features, labels)(features)

    assert explained(erased, labels, features) == 0
    np.testing.assert_allclose(erased - features.mean(0), 0, atol=1e-9)


def test_an_erasure_that_leaves_something_is_not_claimed():
    """As with axes that a noise floor had left out: here all but the first."""
    features, labels = planted()
    whole = Whitening.of(features)
    short = Whitening(mean=whole.mean, white=whole.white[:1], back=whole.back[:, :1])

    with pytest.raises(InputError, match=r"the labels are not erased: .* still explains 0"):
        fit_whitened(short, features, labels)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(bad: float):
    features, labels = planted()
    features[3, 2] = bad
    with pytest.raises(InputError, match="not finite"):
        fit_leace(features, labels)


def test_the_readable_share_is_that_of_least_squares_and_1_of_what_is_separable():
    features, labels = planted()
    assert readable_share(features, labels) == pytest.approx(
        explained(features, labels, features), abs=1e-9
    )
    assert readable_share(labels[:, None] * 1e-3 + 3e3, labels) == pytest.approx(1)
    assert readable_share(np.ones((4, 2)), np.array([0, 1, 0, 1])) == 0
