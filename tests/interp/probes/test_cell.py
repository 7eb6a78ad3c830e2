"""What probes of one cell find in features that were made up."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from data.errors import InputError
from interp.probes.analysis import probe_cell
from interp.probes.divisions import LabelledAliases, whole
from interp.probes.held_out import read_held_out
from interp.probes.kinds import PROBES
from interp.probes.planted import CellViews
from interp.probes.targets import ProbeTask
from tests.interp.probes.quick_probes import FIXED_C, QUICK


def task_of(n_aliases: int, n_questions: int = 4) -> ProbeTask:
    """A balanced task of aliases that nobody asks for their rows."""
    labels, groups = np.arange(n_aliases) % 2, np.arange(n_aliases)
    return ProbeTask(
        target="tag",
        rows=[],
        design=LabelledAliases(
            labels=labels, own=groups, named=groups, strata=0 * groups, kinds=0 * groups
        ),
        divisions=whole(labels, groups, np.random.default_rng(0)),
        balanced=groups,
        n_classes=2,
        all_rows=[],
        all_aliases=np.repeat(np.arange(n_aliases), n_questions),
        all_questions=np.tile(np.arange(n_questions), n_aliases),
    )


def repeated(task: ProbeTask, aliases: np.ndarray, rng: np.random.Generator) -> CellViews:
    """The same vector for every question about an alias, up to a little noise."""
    rows = aliases[task.all_aliases]
    return CellViews(
        untrained=aliases + 0.01 * rng.normal(size=aliases.shape),
        all=rows + 0.01 * rng.normal(size=rows.shape),
    )


# ---- what a probe may and may not see --------------------------------------------------------


@pytest.mark.parametrize("place", range(len(PROBES)), ids=PROBES)
def test_features_that_name_the_alias_are_read_on_seen_aliases_only(place: int):
    task = task_of(60)
    views = repeated(task, np.eye(60), np.random.default_rng(0))
    cell = pd.DataFrame(probe_cell(task, views, QUICK, 0)).iloc[place]

    assert cell["probe"] == PROBES[place]
    assert cell["accuracy"] == pytest.approx(0.5, abs=0.2)  # 3 deviations of 60 coins
    assert cell["p_value"] > 0.05
    assert cell["seen_accuracy"] >= 0.98
    assert cell["control_accuracy"] >= 0.98
    assert cell["selectivity"] == pytest.approx(0, abs=0.02)


def test_a_direction_shared_by_aliases_is_read_on_unseen_ones_and_is_selective():
    task, rng = task_of(100), np.random.default_rng(1)
    aliases = rng.normal(size=(100, 5))
    aliases[:, 0] += 8 * task.labels
    logistic = pd.DataFrame(probe_cell(task, repeated(task, aliases, rng), QUICK, 0)).iloc[0]

    assert logistic["accuracy"] == 1
    assert logistic["p_value"] == 1 / 20
    assert logistic["seen_accuracy"] == 1
    assert logistic["control_accuracy"] == pytest.approx(0.5, abs=0.2)
    assert logistic["selectivity"] == pytest.approx(1 - logistic["control_accuracy"])


def test_a_cell_tells_its_sizes_and_chance():
    task = task_of(50)
    views = repeated(task, np.random.default_rng(0).normal(size=(50, 7)), np.random.default_rng(1))
    for cell in probe_cell(task, views, QUICK, 0):
        assert (cell["n_train"], cell["n_test"], cell["width"]) == (40, 10, 7)
        assert cell["chance"] == 0.5
        assert cell["null_accuracy"] == pytest.approx(0.5, abs=0.05)


def test_a_cell_depends_on_the_seed_alone():
    task = task_of(40)
    views = repeated(task, np.random.default_rng(0).normal(size=(40, 6)), np.random.default_rng(1))

    assert probe_cell(task, views, QUICK, 3) == probe_cell(task, views, QUICK, 3)
    assert probe_cell(task, views, QUICK, 3) != probe_cell(task, views, QUICK, 4)


# ---- permutation inference -------------------------------------------------------------------


def null_readings(
    make_features: Callable[[np.random.Generator, np.ndarray], np.ndarray],
    *,
    n_examples: int,
    group_size: int,
    by_group: bool,
    n_simulations: int,
    probe: str = "logistic",
) -> tuple[np.ndarray, np.ndarray]:
    """P values, and accuracies minus their nulls', of labels drawn apart from the features."""
    p_values, above = [], []
    groups = np.arange(n_examples) // group_size
    for seed in range(n_simulations):
        rng = np.random.default_rng(seed)
        size = n_examples // group_size if by_group else n_examples
        labels = rng.permutation(np.arange(size) % 2)
        reading = read_held_out(
            make_features(rng, groups),
            labels[groups] if by_group else labels,
            groups,
            probe=probe,
            n_permutations=19,
            inverse_penalties=FIXED_C,
            rng=rng,
        )
        p_values.append(reading.p_value)
        above.append(reading.accuracy - reading.null_accuracy)
    return np.array(p_values), np.array(above)


def noise(rng: np.random.Generator, groups: np.ndarray) -> np.ndarray:
    return rng.normal(size=(len(groups), 6))


def noise_of_groups(rng: np.random.Generator, groups: np.ndarray) -> np.ndarray:
    return rng.normal(size=(groups.max() + 1, 6))[groups] + 0.3 * noise(rng, groups)


@pytest.mark.parametrize("n_simulations", [200, pytest.param(800, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("make_features", "n_examples", "group_size", "by_group"),
    [
        pytest.param(noise, 24, 1, False, id="few aliases"),
        pytest.param(noise, 60, 1, False, id="more aliases"),
        pytest.param(noise_of_groups, 60, 3, False, id="aliases of one entity look alike"),
        pytest.param(noise_of_groups, 60, 3, True, id="and share their label"),
    ],
)
def test_nothing_is_found_in_noise_more_often_than_by_chance(
    make_features: Callable[[np.random.Generator, np.ndarray], np.ndarray],
    n_examples: int,
    group_size: int,
    by_group: bool,
    n_simulations: int,
):
    p_values, above = null_readings(
        make_features,
        n_examples=n_examples,
        group_size=group_size,
        by_group=by_group,
        n_simulations=n_simulations,
    )

    for level in (0.05, 0.1, 0.2, 0.5):
        deviation = np.sqrt(level * (1 - level) / len(p_values))
        assert (p_values <= level + 1e-9).mean() <= level + 3 * deviation
    assert (p_values <= 0.05).mean() <= 0.08
    assert abs(above.mean()) <= 3 * above.std() / np.sqrt(len(above))


def test_permutations_keep_how_often_each_fold_holds_each_class():
    # A constant feature leaves only the intercept. Labels exchanged across folds would make the
    # rarer class of the training folds the more frequent one of the test fold, always read wrong.
    labels = np.arange(25) % 2
    reading = read_held_out(
        np.ones((25, 1)),
        labels,
        np.arange(25),
        n_permutations=30,
        inverse_penalties=FIXED_C,
        rng=np.random.default_rng(0),
    )

    assert reading.null_accuracy == pytest.approx(reading.accuracy)
    assert reading.p_value == 1


def test_p_is_the_share_of_labellings_that_reach_the_accuracy():
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    features = labels[:, None] * 10 + rng.normal(size=(40, 2))
    readings = [
        read_held_out(
            features,
            labels,
            np.arange(40),
            n_permutations=n,
            inverse_penalties=FIXED_C,
            rng=np.random.default_rng(1),
        )
        for n in (0, 9, 39)
    ]

    assert [reading.accuracy for reading in readings] == [1, 1, 1]
    assert [reading.p_value for reading in readings] == [1, 1 / 10, 1 / 40]
    assert readings[0].null_accuracy == 0.5


def test_labels_of_one_class_are_refused():
    with pytest.raises(InputError, match="the labels have one class only"):
        read_held_out(np.eye(10), np.ones(10, int), np.arange(10), rng=np.random.default_rng(0))


def test_fewer_groups_than_folds_are_refused():
    with pytest.raises(InputError, match="2 groups of rows cannot be divided into 5 folds"):
        read_held_out(
            np.eye(10), np.arange(10) % 2, np.arange(10) % 2, rng=np.random.default_rng(0)
        )


def test_features_that_are_not_finite_are_refused():
    features = np.ones((10, 2))
    features[3, 1] = np.nan

    with pytest.raises(InputError, match="features of example 3 hold NaN"):
        read_held_out(features, np.arange(10) % 2, np.arange(10), rng=np.random.default_rng(0))


def test_several_classes_are_read_against_their_own_chance():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    features = rng.normal(size=(90, 4))
    features[:, :3] += 5 * np.eye(3)[labels]
    reading = read_held_out(
        features, labels, np.arange(90), n_permutations=19, inverse_penalties=FIXED_C, rng=rng
    )

    assert reading.accuracy > 0.95
    assert reading.null_accuracy == pytest.approx(1 / 3, abs=0.05)
    assert reading.p_value == 1 / 20
