import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load, load_file

from data.errors import DamagedError, InputError
from interp.grids.grid import Measured, run_grid
from interp.grids.selection import GridSelection
from interp.report.page import build_report
from tests.interp.grids.weighing import Named, Weighing, read
from training.runs.integrity import run_damage
from training.runs.publication import listed
from training.runs.publication import read as published
from training.runs.run import Run, read_table

TreeHash = Callable[[Path], dict[str, str]]
KilledAt = Callable[[int, Path, Callable[[], object]], bool]


# ---- nothing is left half written ------------------------------------------------------------


def test_an_error_at_the_last_checkpoint_leaves_every_byte(
    runs: tuple[Run, Run], tree_hash: TreeHash
):
    selection = GridSelection(runs=runs)
    run_grid(Weighing(), selection, workers=1)
    before = [tree_hash(run.folder) for run in runs]

    with pytest.raises(InputError, match="this seed cannot be weighed"):
        run_grid(Weighing(factor=2, fails_at_seed=1), selection, workers=1)
    assert [tree_hash(run.folder) for run in runs] == before


@pytest.mark.parametrize("name", ["weighing", "weighing_summary"])
def test_a_damaged_table_of_the_second_run_leaves_the_first_as_it_was(
    runs: tuple[Run, Run], tree_hash: TreeHash, name: str
):
    selection = GridSelection(runs=runs)
    run_grid(Weighing(), selection, workers=1)
    (runs[1].folder / f"{name}.parquet").write_bytes(b"damaged")
    before = [tree_hash(run.folder) for run in runs]

    with pytest.raises(DamagedError, match=f"{name}.parquet does not match its checksum"):
        run_grid(Weighing(factor=2), selection, workers=1)
    assert [tree_hash(run.folder) for run in runs] == before


def test_a_damaged_checkpoint_leaves_every_byte(runs: tuple[Run, Run], tree_hash: TreeHash):
    tae = runs[0]
    weights = tae.folder / f"seed-1/stage-1/step-{tae.steps(1, 1)[-1]}/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    before = tree_hash(tae.folder)

    with pytest.raises(DamagedError, match="does not match its checksum"):
        run_grid(Weighing(), GridSelection(runs=(tae,)), workers=1)
    assert tree_hash(tae.folder) == before


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["summary.json", "metrics.parquet", "run.json", "null.parquet"])
def test_a_damaged_neighbour_is_refused_before_anything_is_measured(
    runs: tuple[Run, Run], name: str, tree_hash: TreeHash
):
    tae = runs[0]
    run_grid(Named(name="null"), GridSelection(runs=(tae,)), workers=1)
    flip(tae.folder / name)
    before = tree_hash(tae.folder)

    def measured() -> None:
        raise AssertionError

    for _ in range(2):
        with pytest.raises(DamagedError, match=f"{name} does not match its checksum"):
            run_grid(Weighing(meanwhile=measured), GridSelection(runs=(tae,)), workers=1)
    assert tree_hash(tae.folder) == before
    assert run_damage(tae.folder)


def test_what_is_damaged_while_a_grid_is_filled_stays_damaged(runs: tuple[Run, Run]):
    tae = runs[0]
    path = tae.folder / "summary.json"
    content = path.read_bytes()
    damaging = Weighing(meanwhile=lambda: path.write_bytes(content.replace(b"mean", b"meen", 1)))
    run_grid(damaging, GridSelection(runs=(tae,)), workers=1)

    assert run_damage(tae.folder) == [f"{path} does not match its checksum"]


def test_a_table_that_is_in_no_manifest_is_not_gone_on_from(runs: tuple[Run, Run]):
    tae = runs[0]
    run_grid(Weighing(), GridSelection(runs=(tae,)), workers=1)
    (tae.folder / "weighing.parquet").rename(tae.folder / "named.parquet")

    with pytest.raises(DamagedError, match=r"named\.parquet is not in the manifest"):
        run_grid(Named(name="named"), GridSelection(runs=(tae,)), workers=1)
    assert len(run_damage(tae.folder)) == 2


# ---- two at once, and killed -----------------------------------------------------------------


def test_two_grids_that_overlap_keep_each_others_rows(runs: tuple[Run, Run]):
    tae = runs[0]
    inner = GridSelection(runs=(tae,), layers=(0,), seeds=(0,))
    outer = GridSelection(runs=(tae,), layers=(1,))

    def meanwhile() -> None:
        run_grid(Weighing(factor=3), inner, workers=1)

    table, summary = run_grid(Weighing(meanwhile=meanwhile), outer, workers=1)
    known = read(tae, "weighing")

    rows = [tuple(row) for row in known[["seed", "site", "layer", "weight"]].to_numpy().tolist()]
    assert sorted(rows) == [
        (0, "resid_post", 0, 24.0),
        (0, "resid_post", 1, 8.0),
        (0, "resid_pre", 0, 24.0),
        (1, "resid_post", 1, 9.0),
    ]
    pd.testing.assert_frame_equal(table, known)
    pd.testing.assert_frame_equal(read(tae, "weighing_summary"), summary)
    assert len(summary) == 3
    assert len(load_file(tae.folder / "weighing_vectors.safetensors")) == 4
    assert run_damage(tae.folder) == []


def test_another_analysis_and_a_report_that_end_meanwhile_are_kept(runs: tuple[Run, Run]):
    tae = runs[0]
    selection = GridSelection(runs=(tae,), layers=(1,))

    def meanwhile() -> None:
        run_grid(Named(), selection, workers=1)
        build_report(Run.load(tae.folder))
        assert run_damage(tae.folder) == []

    run_grid(Weighing(meanwhile=meanwhile), selection, workers=1)
    assert {"other.parquet", "report.html", "weighing.parquet"} <= set(listed(tae.folder) or {})
    assert run_damage(tae.folder) == []


def test_killed_at_any_change_the_tables_are_all_old_or_all_new(
    runs: tuple[Run, Run], tmp_path: Path, killed_at: KilledAt
):
    tae = runs[0]
    selection = GridSelection(runs=(tae,), layers=(1,))
    run_grid(Weighing(), selection, workers=1)
    measured = [  # once, so that each trial only writes
        Measured(
            table=read(tae, "weighing").query("seed == @seed").assign(weight=50.0),
            vectors={f"seed-{seed}/new": np.zeros(2)},
        )
        for seed in (0, 1)
    ]
    seen = []
    n = 0
    for n in count(1):
        folder = Path(shutil.copytree(tae.folder, tmp_path / "copies" / str(n)))

        def fill(folder: Path = folder) -> None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("interp.grids.grid._measure_all", lambda *_: measured)
                run_grid(Weighing(), replace(selection, runs=(Run.load(folder),)), workers=1)

        if not killed_at(n, folder, fill):
            break
        rows, summary = (
            set(read_table(folder / f"weighing{end}.parquet")["weight"]) for end in ("", "_summary")
        )
        has_new = "seed-0/new" in load(published(folder / "weighing_vectors.safetensors"))
        seen.append((rows, summary, has_new))
        assert run_damage(folder) == []
    old, new = ({8.0, 9.0}, {8.5}, False), ({50.0}, {50.0}, True)
    assert n > 15
    assert all(each in (old, new) for each in seen)
    assert (seen[0], seen[-1]) == (old, new)
