import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from interp.grids.grid import run_grid
from interp.grids.selection import GridSelection
from interp.lenses.analysis import LensAnalysis
from interp.probes.analysis import ProbeAnalysis
from tests.interp.grids.weighing import Weighing, read
from training.columns import RUN_COLUMNS
from training.runs.integrity import run_damage
from training.runs.run import Run

TreeHash = Callable[[Path], dict[str, str]]
KilledAt = Callable[[int, Path, Callable[[], object]], bool]
PROBES = ProbeAnalysis(quick=True, n_permutations=2, targets=("tag",))


def test_rows_begin_with_the_run_columns(runs: tuple[Run, Run]):
    tae, ate = runs
    run_grid(Weighing(), GridSelection(runs=runs, layers=(1,)), workers=1)
    last = tae.steps(0, 1)[-1]

    assert list(read(tae, "weighing").columns) == [*RUN_COLUMNS, "site", "layer", "weight"]
    assert RUN_COLUMNS == ["recipe", "run_id", "model", "seed", "word_order", "stage", "step"]
    for run, order in ((tae, "tae"), (ate, "ate")):
        head = ["alias-toy", run.config.run_id, "gpt_neox-L2-d8-h1-tied"]
        assert read(run, "weighing").to_numpy().tolist() == [
            [*head, seed, order, 1, last, "resid_post", 1, 8.0 + seed] for seed in (0, 1)
        ]


def test_what_can_no_longer_be_measured_is_withdrawn_there_and_nowhere_else(runs: tuple[Run, Run]):
    selection = GridSelection(runs=runs)
    run_grid(Weighing(), selection, workers=1)
    run_grid(Weighing(withdraws_at_seed=1), selection, workers=1)

    for run in runs:
        known = read(run, "weighing")
        cells = {(r["seed"], r["site"], r["layer"]) for r in known.to_dict("records")}
        assert cells == {
            (0, "resid_pre", 0),
            (0, "resid_post", 0),
            (0, "resid_post", 1),
            (1, "resid_pre", 0),
            (1, "resid_post", 0),
        }


def test_tables_are_those_of_every_run_together(runs: tuple[Run, Run]):
    table, summary = run_grid(Weighing(), GridSelection(runs=runs), workers=1)

    assert len(table) == 2 * 2 * 3
    assert len(summary) == 2 * 3
    for run in runs:
        of_run = table.loc[table["run_id"] == run.config.run_id].reset_index(drop=True)
        pd.testing.assert_frame_equal(read(run, "weighing"), of_run)
        of_summary = summary.loc[summary["run_id"] == run.config.run_id].reset_index(drop=True)
        pd.testing.assert_frame_equal(read(run, "weighing_summary"), of_summary)
        assert read(run, "weighing_summary")["weight"].tolist() == [8.5] * 3


def test_probes_have_the_columns_of_the_contract(runs: tuple[Run, Run]):
    run_grid(PROBES, GridSelection(runs=runs[:1], layers=(1,)), workers=1)
    row, summary = read(runs[0], "probes"), read(runs[0], "probes_summary")

    assert list(row.columns[:12]) == [*RUN_COLUMNS, "target", "site", "layer", "role", "probe"]
    assert {"accuracy", "control_accuracy", "selectivity", "p_value", "n_train", "n_test"} <= set(
        row.columns
    )
    assert list(summary.columns[:11]) == [
        *(name for name in RUN_COLUMNS if name != "seed"),
        *("target", "site", "layer", "role", "probe"),
    ]
    assert {"accuracy", "selectivity", "ci_low", "ci_high", "p_value", "p_corrected"} <= set(
        summary.columns
    )
    assert {"min_detectable", "n_seeds"} <= set(summary.columns)
    assert bool(row["twin_accuracy"].isna().all())  # no null twin was run
    assert not row.drop(columns="twin_accuracy").isna().any(axis=None)


def test_lenses_have_the_columns_of_the_contract(runs: tuple[Run, Run]):
    lens = LensAnalysis(tuned=False)
    run_grid(lens, GridSelection(runs=runs[:1], layers=(1,)), workers=1)

    where = ["subset", "lens", "site", "layer", "role", "quantity"]
    assert list(read(runs[0], "lens").columns) == [*RUN_COLUMNS, *where, "rank", "log_prob", "n"]
    assert {*where, "rank", "log_prob", "ci_low", "ci_high", "n_seeds"} <= set(
        read(runs[0], "lens_summary").columns
    )


def test_directions_are_named_by_checkpoint_and_cell(runs: tuple[Run, Run]):
    tae = runs[0]
    run_grid(PROBES, GridSelection(runs=(tae,), layers=(1,)), workers=1)
    last = tae.steps(0, 1)[-1]
    vectors = load_file(tae.folder / "probes_vectors.safetensors")

    assert sorted(vectors) == [
        f"seed-{seed}/stage-1/step-{last}/tag/resid_post.1/{role}/logistic"
        for seed in (0, 1)
        for role in ("alias_last", "question_last")
    ]


def test_the_numbers_do_not_depend_on_the_number_of_workers(
    trained: dict[str, Run], tmp_path: Path, tree_hash: TreeHash
):
    folders = [
        Path(shutil.copytree(trained["tae"].folder, tmp_path / name)) for name in ("one", "two")
    ]
    for workers, folder in enumerate(folders, 1):
        selection = GridSelection(runs=(Run.load(folder),), layers=(1,))
        run_grid(PROBES, selection, workers=workers)

    assert tree_hash(folders[0]) == tree_hash(folders[1])


def test_progress_counts_checkpoints(runs: tuple[Run, Run]):
    seen: list[tuple[int, int]] = []
    run_grid(
        Weighing(),
        GridSelection(runs=runs),
        workers=1,
        progress=lambda done, total: seen.append((done, total)),
    )

    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


# ---- a second call ---------------------------------------------------------------------------


def test_asking_again_replaces_rows_and_vectors(runs: tuple[Run, Run]):
    tae = runs[0]
    selection = GridSelection(runs=(tae,))
    run_grid(Weighing(), selection, workers=1)
    run_grid(Weighing(factor=2), selection, workers=1)

    assert sorted(read(tae, "weighing")["weight"]) == [16.0] * 3 + [17.0] * 3
    assert read(tae, "weighing_summary")["weight"].tolist() == [16.5] * 3
    vectors = load_file(tae.folder / "weighing_vectors.safetensors")
    assert {tuple(vector) for vector in vectors.values()} == {(2.0, 2.0)}
    assert len(vectors) == 6


def test_asking_again_for_the_same_writes_the_same_bytes(
    runs: tuple[Run, Run], tree_hash: TreeHash
):
    selection = GridSelection(runs=(runs[0],))
    run_grid(Weighing(), selection, workers=1)
    before = tree_hash(runs[0].folder)
    run_grid(Weighing(), selection, workers=1)

    assert tree_hash(runs[0].folder) == before


@pytest.mark.parametrize("other", [{"stage": 2}, {"step": 0}], ids=["stage", "step"])
def test_rows_and_vectors_of_other_checkpoints_stay(runs: tuple[Run, Run], other: dict[str, int]):
    tae = runs[0]
    selection = GridSelection(runs=(tae,))
    run_grid(Weighing(), selection, workers=1)
    rows, vectors = read(tae, "weighing"), load_file(tae.folder / "weighing_vectors.safetensors")
    run_grid(Weighing(factor=2), replace(selection, **other), workers=1)  # pyright: ignore[reportArgumentType]
    again = read(tae, "weighing")
    last = tae.steps(0, 1)[-1]
    is_old = (again["stage"] == 1) & (again["step"] == last)

    pd.testing.assert_frame_equal(again.loc[is_old].reset_index(drop=True), rows)
    assert sorted(again.loc[~is_old, "weight"]) == [16.0] * 3 + [17.0] * 3
    assert len(read(tae, "weighing_summary")) == 6
    now = load_file(tae.folder / "weighing_vectors.safetensors")
    assert len(now) == 12
    assert all(np.array_equal(now[name], vector) for name, vector in vectors.items())


def test_rows_and_vectors_of_other_seeds_stay_and_the_summary_covers_them(runs: tuple[Run, Run]):
    tae = runs[0]
    for seed, factor in ((0, 1.0), (1, 2.0)):
        run_grid(Weighing(factor=factor), GridSelection(runs=(tae,), seeds=(seed,)), workers=1)

    assert sorted(read(tae, "weighing")["weight"]) == [8.0] * 3 + [17.0] * 3
    assert read(tae, "weighing_summary")["weight"].tolist() == [12.5] * 3
    vectors = load_file(tae.folder / "weighing_vectors.safetensors")
    assert sorted(vector[0] for vector in vectors.values()) == [1.0] * 3 + [2.0] * 3


def test_what_was_written_is_in_the_manifest(runs: tuple[Run, Run]):
    run_grid(Weighing(), GridSelection(runs=runs), workers=1)

    assert [run_damage(run.folder) for run in runs] == [[], []]
    assert (runs[0].folder / "weighing_vectors.safetensors").is_file()
