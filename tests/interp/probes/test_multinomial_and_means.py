import numpy as np
import pytest
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

from interp.probes.solver import decision, fit_mass_mean, fit_multinomial, fit_nearest_mean, predict
from tests.interp.probes.scikit_learn_models import reference


def classes(n_examples: int, n_features: int, n_classes: int):
    """Gaussian clusters of different sizes, three columns with two folds."""
    rng = np.random.default_rng(1)
    labels = rng.choice(
        n_classes,
        size=(n_examples, 3),
        p=np.arange(1, n_classes + 1) / (n_classes * (n_classes + 1) / 2),
    )
    labels[:n_classes] = labels[n_classes : 2 * n_classes] = np.arange(n_classes)[:, None]
    features = rng.normal(size=(n_examples, n_features)) * 2
    features += rng.normal(size=(n_classes, n_features))[labels[:, 0]]
    train = np.ones((n_examples, 3), dtype=bool)
    train[2 * n_classes :: 5, 1] = False
    train[2 * n_classes + 1 :: 5, 2] = False
    return features, labels, train


@pytest.mark.parametrize(
    ("n_examples", "n_features", "n_classes"),
    [(300, 10, 3), (400, 30, 20), (50, 90, 4)],
    ids=["three", "twenty", "wide"],
)
def test_softmax_weights_and_predictions_are_those_of_scikit_learn(
    n_examples, n_features, n_classes
):
    features, labels, train = classes(n_examples, n_features, n_classes)
    inverse_penalty = np.array([0.01, 0.3, 3.0])
    fit = fit_multinomial(
        features,
        labels,
        train=train,
        inverse_penalty=inverse_penalty,
        n_classes=n_classes,
        tolerance=1e-8,
    )
    assert fit.converged.all()
    predicted = predict(fit, features)
    models = reference(features, labels, train, inverse_penalty)
    for column, (model, scaled) in enumerate(models):
        error = np.linalg.norm(fit.weights[column] - model.coef_)
        assert error < 1e-4 * np.linalg.norm(model.coef_)
        np.testing.assert_allclose(fit.intercepts[column], model.intercept_, atol=1e-4)
        np.testing.assert_array_equal(predicted[:, column], model.predict(scaled))


def test_mass_mean_points_from_one_mean_to_the_other():
    features = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 4.0], [4.0, 4.0], [100.0, -100.0]])
    labels = np.array([[False], [False], [True], [True], [True]])
    fit = fit_mass_mean(features, labels, train=np.array([[True]] * 4 + [[False]]))
    # Means (1, 0) and (3, 4) about (2, 2); deviations sqrt(2) and 2.
    np.testing.assert_allclose(fit.weights, [[np.sqrt(2), 2.0]])
    np.testing.assert_allclose(fit.intercepts, [0.0], atol=1e-12)
    # w . z = (x - 2) + (y - 2).
    np.testing.assert_allclose(
        decision(fit, np.array([[2.0, 2.0], [3.0, 4.0], [0.0, 0.0]]))[:, 0],
        [0.0, 3.0, -4.0],
        atol=1e-12,
    )


def test_mass_mean_is_midway_whatever_the_class_sizes():
    features = np.array([[0.0], [0.0], [0.0], [4.0]])
    labels = np.array([[False], [False], [False], [True]])
    fit = fit_mass_mean(features, labels, train=np.ones((4, 1), dtype=bool))
    np.testing.assert_allclose(decision(fit, np.array([[2.0]])), 0, atol=1e-12)


def test_nearest_mean_is_the_nearest_centroid():
    features, labels, train = classes(200, 6, 5)
    fit = fit_nearest_mean(features, labels, train=train, n_classes=5)
    for column in range(3):
        rows = train[:, column]
        scaled = StandardScaler().fit(features[rows]).transform(features)
        model = NearestCentroid().fit(scaled[rows], labels[rows, column])
        np.testing.assert_array_equal(predict(fit, features)[:, column], model.predict(scaled))


def test_labels_beyond_the_classes_are_refused():
    features, labels, train = classes(100, 4, 3)
    labels[50, 1] = 7
    train[50, 1] = True
    with pytest.raises(ValueError, match="column 1 has training labels outside 0 to 2"):
        fit_nearest_mean(features, labels, train=train, n_classes=3)
