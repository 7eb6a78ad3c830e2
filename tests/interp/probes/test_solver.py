import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.preprocessing import StandardScaler

from interp.probes.folds import fold_features, standardize
from interp.probes.solver import BinaryFit, decision, fit_logistic, predict
from tests.interp.probes.scikit_learn_models import reference

N_COLUMNS = 6


def problem(n_examples: int, n_features: int, *, seed: int = 0, positive: float = 0.5):
    """Correlated features, labels that follow one direction weakly, two folds, C from .01 to 10."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(n_features, n_features)) * np.arange(1, n_features + 1) ** -0.5
    features = rng.normal(size=(n_examples, n_features)) @ mixing.T + rng.normal(size=n_features)
    scores = features[:, :1] / features[:, 0].std() + 2 * rng.normal(size=(n_examples, N_COLUMNS))
    labels = scores > np.quantile(scores, 1 - positive, axis=0)
    fold = rng.permutation(n_examples) % 3
    train = np.stack([fold != column % 2 for column in range(N_COLUMNS)], axis=1)
    return features, labels, train, np.array([0.01, 0.1, 1.0, 10.0, 0.01, 1.0])


SHAPES = [
    pytest.param(300, 12, 0.5, id="tall"),
    pytest.param(300, 12, 0.06, id="unbalanced"),
    pytest.param(90, 75, 0.5, id="nearly-square"),
    pytest.param(45, 120, 0.5, id="wide"),
]


@pytest.mark.parametrize(("n_examples", "n_features", "positive"), SHAPES)
def test_the_gradient_of_the_objective_vanishes_at_the_solution(n_examples, n_features, positive):
    features, labels, train, inverse_penalty = problem(n_examples, n_features, positive=positive)
    fit = fit_logistic(
        features, labels, train=train, inverse_penalty=inverse_penalty, tolerance=1e-9
    )
    assert fit.converged.all()
    for column, penalty in enumerate(inverse_penalty):
        rows = train[:, column]
        scaled = (features - features[rows].mean(0))[rows] / features[rows].std(0)
        probabilities = np.asarray(expit(scaled @ fit.weights[column] + fit.intercepts[column]))
        residual = probabilities - labels[rows, column]
        gradient = scaled.T @ residual + fit.weights[column] / penalty
        assert np.abs(gradient).max() / rows.sum() < 2e-9
        assert abs(residual.mean()) < 2e-9


@pytest.mark.parametrize(("n_examples", "n_features", "positive"), SHAPES)
def test_weights_and_predictions_are_those_of_scikit_learn(n_examples, n_features, positive):
    features, labels, train, inverse_penalty = problem(n_examples, n_features, positive=positive)
    fit = fit_logistic(
        features, labels, train=train, inverse_penalty=inverse_penalty, tolerance=1e-8
    )
    predicted = predict(fit, features)
    models = reference(features, labels, train, inverse_penalty)
    for column, (model, scaled) in enumerate(models):
        error = np.linalg.norm(fit.weights[column] - model.coef_[0])
        assert error < 1e-4 * np.linalg.norm(model.coef_)
        assert fit.intercepts[column] == pytest.approx(
            float(np.ravel(model.intercept_)[0]), rel=1e-4, abs=1e-5
        )
        np.testing.assert_array_equal(predicted[:, column], model.predict(scaled))


def test_the_default_tolerance_gives_the_accuracy_of_scikit_learns_tightest():
    features, labels, train, inverse_penalty = problem(600, 60)
    predicted = predict(
        fit_logistic(features, labels, train=train, inverse_penalty=inverse_penalty), features
    )
    differences = [
        abs(
            (predicted[~train[:, column], column] == labels[~train[:, column], column]).mean()
            - model.score(scaled[~train[:, column]], labels[~train[:, column], column])
        )
        for column, (model, scaled) in enumerate(
            reference(features, labels, train, inverse_penalty)
        )
    ]
    assert np.mean(differences) <= 0.001


@pytest.mark.parametrize("outlier", [0.0, 1e2, 1e3, 1e9], ids=["none", "small", "large", "huge"])
@pytest.mark.parametrize("positive", [0.5, 0.06], ids=["balanced", "unbalanced"])
def test_what_is_called_converged_meets_the_default_tolerance_in_float64(positive, outlier):
    features, labels, train, inverse_penalty = problem(2000, 30, positive=positive)
    # The fold that leaves it out sees a feature that varies far less than the whole.
    features[np.flatnonzero(~train[:, 0])[0], 3] += outlier * features[:, 3].std()
    fit = fit_logistic(features, labels, train=train, inverse_penalty=inverse_penalty)
    assert fit.converged.all()
    for column, penalty in enumerate(inverse_penalty):
        rows = train[:, column]
        scaled = (features[rows] - fit.mean[column]) / fit.scale[column]
        probabilities = np.asarray(expit(scaled @ fit.weights[column] + fit.intercepts[column]))
        residual = probabilities - labels[rows, column]
        gradient = scaled.T @ residual + fit.weights[column] / penalty
        assert max(np.abs(gradient).max(), abs(residual.sum())) / rows.sum() <= 5e-5


def test_one_feature_meets_the_root_of_its_scalar_equation():
    feature = np.array([-1.0, 1.0, -1.0, 1.0])
    labels = np.array([[False], [True], [False], [True]])
    fit = fit_logistic(
        feature[:, None],
        labels,
        train=np.ones((4, 1), dtype=bool),
        inverse_penalty=np.array([0.5]),
        tolerance=1e-12,
    )
    # By symmetry b = 0, and the derivative of w^2 / 2 + C * 4 * log(1 + exp(-w)) is w - 2 s(-w).
    root = brentq(lambda weight: weight - 2 * expit(-weight), 0, 5, xtol=1e-14)
    assert fit.weights[0, 0] == pytest.approx(root, abs=1e-10)
    assert fit.intercepts[0] == pytest.approx(0, abs=1e-10)


def test_the_intercept_is_not_penalised():
    labels = np.zeros((100, 1), dtype=bool)
    labels[:3] = True
    fit = fit_logistic(
        np.random.default_rng(0).normal(size=(100, 4)),
        labels,
        train=np.ones((100, 1), dtype=bool),
        inverse_penalty=np.array([1e-9]),
        tolerance=1e-10,
    )
    assert fit.intercepts[0] == pytest.approx(np.log(3 / 97), abs=1e-6)
    np.testing.assert_allclose(fit.weights, 0, atol=1e-6)


@pytest.mark.parametrize("n_features", [12, 220], ids=["tall", "wide"])
def test_a_column_does_not_depend_on_the_columns_beside_it(n_features):
    features, labels, train, inverse_penalty = problem(300, n_features)
    together = fit_logistic(
        features, labels, train=train, inverse_penalty=inverse_penalty, tolerance=1e-12
    )
    for column in range(N_COLUMNS):
        only = slice(column, column + 1)
        alone = fit_logistic(
            features,
            labels[:, only],
            train=train[:, only],
            inverse_penalty=inverse_penalty[only],
            tolerance=1e-12,
        )
        np.testing.assert_allclose(alone.weights[0], together.weights[column], atol=1e-8)


def test_blocks_of_columns_change_nothing(monkeypatch):
    features, labels, train, inverse_penalty = problem(300, 12)
    arguments = {"train": train, "inverse_penalty": inverse_penalty, "tolerance": 1e-12}
    whole = fit_logistic(features, labels, **arguments)
    monkeypatch.setattr("interp.probes.solver.BLOCK_SIZE", 700)
    blocks = fit_logistic(features, labels, **arguments)
    np.testing.assert_allclose(blocks.weights, whole.weights, atol=1e-9)


@pytest.mark.parametrize("n_features", [12, 220], ids=["tall", "wide"])
def test_a_test_example_never_touches_the_fit(n_features):
    features, labels, train, inverse_penalty = problem(300, n_features)
    held_out = np.flatnonzero(~train[:, 0])[0]
    spoilt, spoilt_labels = features.copy(), labels.copy()
    spoilt[held_out, 3] = 1e6
    spoilt[held_out, 5] = -1e9
    spoilt_labels[held_out] = ~spoilt_labels[held_out]
    fits = [
        fit_logistic(
            values,
            truth[:, :1],
            train=train[:, :1],
            inverse_penalty=inverse_penalty[:1],
            tolerance=1e-11,
        )
        for values, truth in ((features, labels), (spoilt, spoilt_labels))
    ]
    assert fits[1].converged.all()
    np.testing.assert_allclose(fits[0].weights, fits[1].weights, atol=1e-7)
    np.testing.assert_allclose(fits[0].scale, fits[1].scale, rtol=1e-6)
    np.testing.assert_allclose(decision(fits[0], features), decision(fits[1], features), atol=1e-6)


def test_every_fold_is_standardised_as_scikit_learn_would():
    features, _, train, _ = problem(300, 12)
    features[:, 2] = 7.0
    features[train[:, 0], 4] = 0.1
    features[np.flatnonzero(~train[:, 1])[0], 6] = 1e7
    view = fold_features(features, train)
    for column in range(N_COLUMNS):
        rows = train[:, column]
        scaler = StandardScaler().fit(features[rows])
        fold = view.fold_of_column[column]
        np.testing.assert_allclose(view.mean[fold], np.asarray(scaler.mean_), rtol=1e-7)
        np.testing.assert_allclose(view.scale[fold], np.asarray(scaler.scale_), rtol=1e-7)
        mean, scale = standardize(features, rows)
        np.testing.assert_allclose(mean, np.asarray(scaler.mean_), rtol=1e-7)
        np.testing.assert_allclose(scale, np.asarray(scaler.scale_), rtol=1e-7)


@pytest.mark.parametrize("n_features", [12, 220], ids=["tall", "wide"])
def test_a_feature_constant_in_training_gets_no_weight(n_features):
    features, labels, train, inverse_penalty = problem(300, n_features)
    features[:, 2] = 0.1
    features[train[:, 0], 4] = 0.3
    fit = fit_logistic(features, labels, train=train, inverse_penalty=inverse_penalty)
    np.testing.assert_array_equal(fit.weights[:, 2], 0)
    np.testing.assert_array_equal(fit.weights[0, 4], 0)
    assert abs(fit.weights[1, 4]) > 1e-6
    assert fit.converged.all()


@pytest.mark.parametrize(("n_examples", "n_features"), [(60, 5), (8, 30)], ids=["tall", "wide"])
def test_features_that_say_nothing_leave_only_the_intercept(n_examples, n_features):
    labels = np.zeros((n_examples, 1), dtype=bool)
    labels[: n_examples // 4] = True
    fit = fit_logistic(
        np.full((n_examples, n_features), 3.7),
        labels,
        train=np.ones((n_examples, 1), dtype=bool),
        inverse_penalty=np.array([1.0]),
    )
    np.testing.assert_array_equal(fit.weights, 0)
    assert fit.intercepts[0] == pytest.approx(np.log(1 / 3))


@pytest.mark.parametrize("n_features", [3, 80], ids=["tall", "wide"])
def test_separable_labels_converge_at_a_large_penalty_constant(n_features):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, n_features))
    labels = features[:, :1] > 0
    features[:, 0] += np.where(labels[:, 0], 1.0, -1.0)
    fit = fit_logistic(
        features,
        labels,
        train=np.ones((60, 1), dtype=bool),
        inverse_penalty=np.array([1e4]),
    )
    assert fit.converged.all()
    np.testing.assert_array_equal(predict(fit, features), labels)


def test_repeated_examples_in_few_dimensions_are_solved():
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(10, 100)), 4, axis=0)
    labels = rng.random((40, 1)) < 0.5
    train = np.ones((40, 1), dtype=bool)
    fit = fit_logistic(
        features, labels, train=train, inverse_penalty=np.array([0.3]), tolerance=1e-9
    )
    ((model, _),) = reference(features, labels, train, [0.3])
    np.testing.assert_allclose(fit.weights[0], model.coef_[0], atol=1e-5)


def test_permuted_labels_are_read_at_chance_and_planted_ones_are_not():
    rng = np.random.default_rng(0)
    truth = rng.random(1000) < 0.5
    features = rng.normal(size=(1000, 20))
    features[:, 7] += 3.0 * truth
    labels = np.stack([truth, *(rng.permutation(truth) for _ in range(40))], axis=1)
    train = np.repeat((np.arange(1000) % 2 == 0)[:, None], 41, axis=1)
    fit = fit_logistic(features, labels, train=train, inverse_penalty=np.full(41, 0.01))
    accuracy = ((predict(fit, features) == labels) & ~train).sum(0) / 500
    assert accuracy[0] > 0.9
    assert np.abs(fit.weights[0]).argmax() == 7
    assert abs(accuracy[1:].mean() - 0.5) < 0.02


def test_decisions_are_logits_of_the_standardised_features():
    fit = BinaryFit(
        weights=np.array([[2.0, -1.0]]),
        intercepts=np.array([0.5]),
        mean=np.array([[10.0, 0.0]]),
        scale=np.array([[5.0, 2.0]]),
        converged=np.array([True]),
    )
    # 2 * (20 - 10) / 5 - 1 * (6 - 0) / 2 + 0.5
    np.testing.assert_allclose(decision(fit, np.array([[20.0, 6.0]])), [[1.5]])


def test_float32_features_are_solved_in_float64():
    features, labels, train, inverse_penalty = problem(300, 12)
    rounded = features.astype(np.float32)
    arguments = {"train": train, "inverse_penalty": inverse_penalty, "tolerance": 1e-10}
    single = fit_logistic(rounded, labels, **arguments)
    double = fit_logistic(rounded.astype(np.float64), labels, **arguments)
    np.testing.assert_array_equal(single.weights, double.weights)
    assert single.weights.dtype == np.float64


def test_the_same_call_gives_the_same_bytes():
    features, labels, train, inverse_penalty = problem(300, 12)
    fits = [
        fit_logistic(features, labels, train=train, inverse_penalty=inverse_penalty)
        for _ in range(2)
    ]
    assert fits[0].weights.tobytes() == fits[1].weights.tobytes()


def test_arguments_are_left_as_they_were():
    features, labels, train, inverse_penalty = problem(300, 12)
    before = [array.copy() for array in (features, labels, train, inverse_penalty)]
    fit_logistic(features, labels, train=train, inverse_penalty=inverse_penalty)
    for array, copy in zip((features, labels, train, inverse_penalty), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_too_few_iterations_are_reported_as_not_converged():
    features, labels, train, inverse_penalty = problem(300, 12)
    fit = fit_logistic(
        features, labels, train=train, inverse_penalty=inverse_penalty, max_iterations=1
    )
    assert not fit.converged.any()


def test_a_column_with_one_class_is_named():
    features, labels, train, inverse_penalty = problem(60, 5)
    labels[train[:, 4], 4] = True
    with pytest.raises(ValueError, match="column 4 has no training example of class 0"):
        fit_logistic(features, labels, train=train, inverse_penalty=inverse_penalty)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_numbers_are_refused(value):
    features, labels, train, inverse_penalty = problem(60, 5)
    features[17, 2] = value
    with pytest.raises(ValueError, match="example 17 hold NaN or infinity"):
        fit_logistic(features, labels, train=train, inverse_penalty=inverse_penalty)


def test_a_penalty_constant_of_zero_is_refused():
    features, labels, train, inverse_penalty = problem(60, 5)
    inverse_penalty[1] = 0
    with pytest.raises(ValueError, match="inverse_penalty must hold one positive number"):
        fit_logistic(features, labels, train=train, inverse_penalty=inverse_penalty)
