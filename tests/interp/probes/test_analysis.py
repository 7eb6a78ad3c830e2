from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr, ndtri

from data.errors import InputError
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import TokenizedRow
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from interp.hooked.sites import choose_sites
from interp.probes.analysis import (
    ProbeAnalysis,
    probe_cell,
    probe_checkpoint,
    probe_direction,
)
from interp.probes.divisions import LabelledAliases, whole
from interp.probes.held_out import read_held_out
from interp.probes.kinds import PROBES
from interp.probes.planted import CellViews
from interp.probes.summary import DESIGN, summarize_probes
from interp.probes.targets import ProbeTask, make_task

ToyRows = Callable[..., list[TokenizedRow]]
QUICK = ProbeAnalysis(quick=True, n_permutations=19)
FIXED_C = (1e-2,)
ENOUGH = SubsetSizes(defined=40, undefined=8, stage2=6)
"""Aliases, some of which can be held out with both of their entities."""


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
    with pytest.raises(InputError, match="2 groups of aliases cannot be divided into 5 folds"):
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


# ---- a checkpoint ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hooked_toy(toy_rows: ToyRows) -> HookedModel:
    from training.models.scratch import ModelConfig, build_model

    rows = toy_rows(sizes=ENOUGH)
    config = ModelConfig(
        n_layers=2, d_model=16, n_heads=2, d_mlp=32, tied_embeddings=False, rotary_pct=0.5
    )
    size = 1 + max(max(row.input_ids) for row in rows)
    return HookedModel.from_hf(
        build_model(config, vocabulary_size=size, max_length=8, end_token=1, seed=0)
    )


@pytest.fixture(scope="module")
def measured(hooked_toy: HookedModel, toy_rows: ToyRows):
    sites = choose_sites(hooked_toy)
    targets = ("tag", "entity")
    probing = replace(QUICK, targets=targets, n_permutations=4)
    rows = toy_rows(n_entities=5, sizes=ENOUGH)
    return probe_checkpoint(hooked_toy, rows, sites, probing, seed=0)


def test_every_cell_has_a_row_and_the_planted_control_stands_at_the_last(measured: object):
    table: pd.DataFrame = measured.table  # pyright: ignore[reportAttributeAccessIssue]
    keys = ["target", "site", "layer", "role", "probe"]
    sites = [("resid_pre", 0), ("resid_post", 0), ("resid_post", 1)]
    roles = ["alias_last", "question_last"]
    expected = {
        (target, site, layer, role, probe)
        for target, (site, layer), role, probe in product(("tag", "entity"), sites, roles, PROBES)
    } | {("planted_tag", "resid_post", 1, "question_last", probe) for probe in PROBES}

    assert set(table[keys].itertuples(index=False, name=None)) == expected
    assert len(table) == len(expected)


def test_directions_are_named_by_target_site_and_role(measured: object):
    vectors: dict[str, np.ndarray] = measured.vectors  # pyright: ignore[reportAttributeAccessIssue]

    assert len(vectors) == 2 * 3 * 2
    assert vectors["tag/resid_post.1/alias_last/logistic"].shape == (16,)
    assert vectors["entity/resid_pre.0/question_last/logistic"].shape == (5, 16)


def test_the_null_twin_is_read_with_the_labels_and_folds_of_the_run(
    hooked_toy: HookedModel, toy_rows: ToyRows
):
    rows, twin_rows = (toy_rows(sizes=ENOUGH, shuffle_tags=shuffled) for shuffled in (False, True))
    sites = [Site("resid_post", 0)]
    probing = replace(QUICK, targets=("tag",), n_permutations=1)
    of_run = probe_checkpoint(hooked_toy, rows, sites, probing, seed=0)
    # The same model twice: then, and only with the same labels and folds, both read the same.
    both = probing.beside_twin(of_run, rows, hooked_toy, twin_rows, sites, seed=0).table
    is_tag = both["target"] == "tag"

    assert bool(of_run.table["twin_accuracy"].isna().all())
    assert both.loc[is_tag, "twin_accuracy"].tolist() == both.loc[is_tag, "accuracy"].tolist()
    assert both.loc[~is_tag, "twin_accuracy"].isna().all()
    assert both.drop(columns="twin_accuracy").equals(of_run.table.drop(columns="twin_accuracy"))


def test_a_direction_is_that_of_the_raw_activations():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    features = rng.normal(size=(400, 3)) * [1, 10, 100]
    features[:, 1] += 20 * labels
    direction = probe_direction(features, labels, 2)
    read = features @ direction

    assert abs(direction[1]) > 20 * abs(direction[2])
    assert read[labels == 1].mean() > read[labels == 0].mean()


def test_probing_changes_nothing_of_the_model(
    hooked_toy: HookedModel,
    toy_rows: ToyRows,
    state_of: Callable[[HookedModel], tuple[object, ...]],
):
    before = state_of(hooked_toy)
    probing = replace(QUICK, targets=("tag",), n_permutations=1)
    probe_checkpoint(hooked_toy, toy_rows(), [Site("resid_post", 0)], probing, seed=0)

    assert state_of(hooked_toy) == before


def test_a_role_that_questions_lack_is_refused(hooked_toy: HookedModel, toy_rows: ToyRows):
    probing = replace(QUICK, roles=(TokenRole.TAG,))

    with pytest.raises(InputError, match="has no tag; choose other rows or another role"):
        probe_checkpoint(hooked_toy, toy_rows(), [Site("resid_post", 0)], probing, seed=0)


def test_quick_fixes_the_penalty():
    assert len(ProbeAnalysis(quick=True).inverse_penalties) == 1
    assert len(ProbeAnalysis().inverse_penalties) > 1
    assert ProbeAnalysis().n_permutations == 199


# ---- planted, and not planted ----------------------------------------------------------------


def planted_features(
    labels: np.ndarray, width: int, bayes_accuracy: float, rng: np.random.Generator
) -> np.ndarray:
    """Isotropic normal but for one direction, along which the classes are two deviates apart."""
    direction = rng.normal(size=width)
    direction /= np.linalg.norm(direction)
    signal = (2 * labels - 1) * ndtri(bayes_accuracy)
    return rng.normal(size=(len(labels), width)) + np.outer(signal, direction)


def test_the_planted_features_have_the_bayes_accuracy_that_they_are_said_to():
    rng = np.random.default_rng(0)
    labels = np.arange(20_000) % 2
    features = planted_features(labels, 3, 0.9, rng)
    means = [features[labels == label].mean(0) for label in (0, 1)]
    read = features @ (means[1] - means[0]) > 0

    assert (read == labels).mean() == pytest.approx(0.9, abs=0.01)
    assert ndtr(ndtri(0.9)) == pytest.approx(0.9)


def run_columns(seed: int) -> dict[str, object]:
    return {"recipe": "toy", "run_id": "run", "model": "none", "seed": seed} | {
        "word_order": "tae",
        "stage": 1,
        "step": 0,
    }


def simulated_run(
    number: int,
    *,
    n_aliases: int,
    width: int,
    cells: Sequence[tuple[int, str]],
    planted: tuple[int, str] | None,
    n_permutations: int,
) -> pd.DataFrame:
    """The summary of a run of 8 seeds whose activations are noise, but for a planted cell."""
    labels = np.arange(n_aliases) % 2
    records = []
    for seed in range(8):
        for layer, role in cells:
            rng = np.random.default_rng([number, seed, layer, int(role[-1])])
            accuracy = 0.9 if (layer, role) == planted else 0.5
            reading = read_held_out(
                planted_features(labels, width, accuracy, rng),
                labels,
                np.arange(n_aliases),
                n_permutations=n_permutations,
                inverse_penalties=FIXED_C,
                rng=np.random.default_rng([number, seed]),
            )
            where = {"target": "tag", "site": "resid_post", "layer": layer, "role": role}
            measured = {
                "probe": "logistic",
                "accuracy": reading.accuracy,
                "null_accuracy": reading.null_accuracy,
                "p_value": reading.p_value,
                **{name: getattr(reading, name) for name in DESIGN},
                "twin_accuracy": float("nan"),
                "width": width,
                "chance": 0.4,  # of no balanced target, for which min_detectable would be simulated
            }
            unused = dict.fromkeys(("seen_accuracy", "control_accuracy", "selectivity"), 0.0)
            records.append(run_columns(seed) | where | measured | unused)
    return summarize_probes(pd.DataFrame(records))


def found_cells(summary: pd.DataFrame) -> set[tuple[int, str]]:
    found = summary[summary["p_corrected"] <= 0.05]
    return set(zip(found["layer"], found["role"], strict=True))


def check_planted(n_runs: int, n_cells: int, allowed_elsewhere: float) -> tuple[float, float]:
    cells = [(layer, f"role{role}") for layer in range(n_cells) for role in range(n_cells)]
    planted = cells[n_cells + 1]
    summaries = [
        found_cells(
            simulated_run(
                run, n_aliases=400, width=16, cells=cells, planted=planted, n_permutations=4
            )
        )
        for run in range(n_runs)
    ]
    there = float(np.mean([planted in found for found in summaries]))
    elsewhere = float(np.mean([bool(found - {planted}) for found in summaries]))
    assert there >= 0.95
    assert elsewhere <= allowed_elsewhere
    return there, elsewhere


def test_a_planted_direction_is_found_after_correction_and_only_there():
    check_planted(n_runs=3, n_cells=2, allowed_elsewhere=0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_planted_direction_is_found_in_nearly_all_of_many_runs():
    rates = check_planted(n_runs=200, n_cells=4, allowed_elsewhere=0.07)
    print(f"found {rates[0]:.3f}, elsewhere {rates[1]:.3f}")


def share_of_grids_with_a_find(n_grids: int) -> float:
    cells = [(layer, f"role{role}") for layer in range(4) for role in range(4)]
    finds = [
        bool(
            found_cells(
                simulated_run(
                    grid, n_aliases=24, width=4, cells=cells, planted=None, n_permutations=4
                )
            )
        )
        for grid in range(1000, 1000 + n_grids)
    ]
    return float(np.mean(finds))


def test_a_few_phantom_grids_are_empty():
    assert share_of_grids_with_a_find(5) <= 1 / 5


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_phantom_tag_is_found_in_few_of_a_thousand_grids():
    share = share_of_grids_with_a_find(1000)
    print(f"some cell found in {share:.3f} of 1000 grids")

    assert share <= 0.07


def test_the_planted_control_of_a_checkpoint_can_be_found(
    hooked_toy: HookedModel, toy_rows: ToyRows
):
    rows = toy_rows(sizes=SubsetSizes(defined=100, undefined=5, stage2=5))
    assert len(make_task(rows, "planted_tag", seed=0).rows) == 200
    small = {row.row.row_id for row in rows if max(row.input_ids) < hooked_toy.d_vocab}
    kept = [row for row in rows if row.row.row_id in small]
    probing = replace(QUICK, targets=("phantom_tag",))
    table = probe_checkpoint(hooked_toy, kept, [Site("resid_post", 1)], probing, seed=0).table
    planted = table[table["target"] == "planted_tag"]

    assert min(planted["accuracy"].tolist()) > 0.7
    assert set(planted["p_value"]) == {1 / 20}
