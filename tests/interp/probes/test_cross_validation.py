import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from data.errors import InputError
from interp.probes.cross_validation import INVERSE_PENALTIES, grouped_folds, held_out_accuracy


def slow_accuracy(features: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> float:
    """scikit-learn's probe fold by fold, C chosen on the other folds, each in turn held out."""

    def hits(test: int, unseen: set[int], penalty: float) -> int:
        train = ~np.isin(folds, list(unseen))
        solver = LogisticRegression(C=penalty, tol=1e-8, max_iter=10_000)
        probe = make_pipeline(StandardScaler(), solver).fit(features[train], labels[train])
        return int((probe.predict(features[folds == test]) == labels[folds == test]).sum())

    right = 0
    for fold in set(folds.tolist()):
        scores = [
            sum(hits(g, {fold, g}, penalty) for g in set(folds.tolist()) - {fold})
            for penalty in INVERSE_PENALTIES
        ]
        right += hits(fold, {fold}, INVERSE_PENALTIES[int(np.argmax(scores))])
    return right / len(labels)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_it_is_what_scikit_learn_reads_with_the_same_folds_and_choices(n_classes: int):
    differences = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        labels = np.arange(90) % n_classes
        features = rng.normal(size=(90, 8)) * np.arange(1, 9) + 5
        features[:, 0] += labels
        folds = grouped_folds(np.arange(90), labels, rng=rng)
        read = held_out_accuracy(
            features, labels[:, None], folds, probe="logistic", n_classes=n_classes
        )
        differences.append(abs(read[0] - slow_accuracy(features, labels, folds)))

    assert np.mean(differences) <= 0.001


def test_mass_mean_is_the_nearest_of_standardised_means():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    features = rng.normal(size=(60, 5)) * 3
    features[:, 1] += labels * 3
    folds = grouped_folds(np.arange(60), labels, rng=rng)
    right = []
    for fold in range(5):
        train = folds != fold
        scaled = (features - features[train].mean(0)) / features[train].std(0)
        means = [scaled[train & (labels == label)].mean(0) for label in (0, 1)]
        distances = np.stack([np.square(scaled - mean).sum(1) for mean in means])
        right += (distances.argmin(0) == labels)[~train].tolist()

    read = held_out_accuracy(features, labels[:, None], folds, probe="mass_mean", n_classes=2)
    assert read[0] == pytest.approx(np.mean(right))


@pytest.mark.parametrize("probe", ["logistic", "mass_mean"])
def test_columns_do_not_influence_each_other(probe: str):
    rng = np.random.default_rng(1)
    features = rng.normal(size=(50, 6))
    labels = np.stack([rng.permutation(np.arange(50) % 2) for _ in range(23)], axis=1)
    folds = np.arange(50) % 5
    together = held_out_accuracy(features, labels, folds, probe=probe, n_classes=2)
    alone = [
        held_out_accuracy(features, labels[:, [i]], folds, probe=probe, n_classes=2)[0]
        for i in range(23)
    ]

    assert together == pytest.approx(np.array(alone))


def test_an_example_is_read_by_probes_that_never_saw_it():
    rng = np.random.default_rng(2)
    labels = np.arange(40) % 2
    features = np.eye(40)  # each example can be learned by heart, and tells nothing of the others
    folds = grouped_folds(np.arange(40), labels, rng=rng)

    for probe in ("logistic", "mass_mean"):
        read = held_out_accuracy(features, labels[:, None], folds, probe=probe, n_classes=2)
        assert read[0] == pytest.approx(0.5, abs=0.1)


def test_an_unknown_probe_is_refused():
    with pytest.raises(InputError, match="no probe 'svm'; choose one of logistic, mass_mean"):
        held_out_accuracy(
            np.eye(10), np.arange(10)[:, None] % 2, np.arange(10) % 5, probe="svm", n_classes=2
        )


def test_a_group_is_never_divided():
    rng = np.random.default_rng(3)
    groups = rng.integers(12, size=100)
    folds = grouped_folds(groups, rng.integers(2, size=100), rng=rng)

    for group in range(12):
        assert len(set(folds[groups == group])) == 1


@pytest.mark.parametrize("n_classes", [2, 3])
def test_folds_of_single_examples_are_even_in_size_and_labels(n_classes: int):
    labels = np.arange(10 * n_classes * 5) % n_classes
    folds = grouped_folds(np.arange(len(labels)), labels, rng=np.random.default_rng(4))

    for fold in range(5):
        assert np.bincount(labels[folds == fold]).tolist() == [10] * n_classes


def test_a_frequent_group_does_not_crowd_a_fold():
    groups = np.array([0] * 20 + list(range(1, 81)))
    folds = grouped_folds(groups, np.arange(100) % 2, rng=np.random.default_rng(5))

    assert np.bincount(folds).tolist() == [20] * 5


def test_folds_depend_on_the_generator_alone():
    labels = np.arange(50) % 2
    one, same, other = (
        grouped_folds(np.arange(50), labels, rng=np.random.default_rng(seed)).tolist()
        for seed in (6, 6, 7)
    )

    assert one == same
    assert one != other


def test_fewer_groups_than_folds_are_refused():
    with pytest.raises(InputError, match="4 groups of rows cannot be divided into 5 folds"):
        grouped_folds(np.arange(20) % 4, np.arange(20) % 2, rng=np.random.default_rng(0))
