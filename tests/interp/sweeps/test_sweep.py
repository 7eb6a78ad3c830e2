import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pandas as pd
import pytest

from data.errors import InputError
from interp.cli import main
from interp.figures.places import site_words
from interp.lenses.analysis import LensAnalysis
from interp.probes.analysis import ProbeAnalysis
from interp.report.sweep_page import readable_section
from interp.sweeps.folders import FinishedSweep, require_place_for, sweep_damage
from interp.sweeps.plans import SWEEPS, Sweep, SweepCell
from interp.sweeps.sweep import run_sweep
from tests.interp.sweeps.harm import FOREIGN, HARM, first_cell
from training.runs.publication import published_damage, require_intact
from training.runs.run import Run, read_table

TreeHash = Callable[[Path], dict[str, str]]


def analyses() -> tuple[ProbeAnalysis, LensAnalysis]:
    probes = ProbeAnalysis(quick=True, n_permutations=1, targets=("tag",))
    return probes, LensAnalysis(tuned=False)


SWEEP = Sweep(
    name="two-orders",
    question="Does a sweep join what it should?",
    figures=("4b",),
    varies="word_order",
    claims=("O1", "A3"),
    cells=tuple(
        SweepCell(recipe="alias-toy", arguments={"word_order": order, "epochs_stage2": 1})
        for order in ("tae", "ate")
    ),
    analyses=analyses,
    stage=1,
)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("sweep") / "out"
    return folder, run_sweep(SWEEP, folder, (1000, 1001), smoke=True, workers=1)


def test_every_cell_is_a_run_folder_named_after_its_parameters(swept: tuple[Path, pd.DataFrame]):
    folder, cells = swept
    runs = [Run.load(path) for path in sorted((folder / "cells").iterdir())]

    assert sorted(run.config.run_id for run in runs) == sorted(cells["run_id"])
    assert [run.folder.name for run in runs] == [run.config.run_id for run in runs]
    assert {run.config.parameters["word_order"] for run in runs} == {"tae", "ate"}
    assert [run.seeds for run in runs] == [[1000, 1001]] * 2


@pytest.mark.parametrize("name", ["metrics", "probes", "probes_summary", "lens", "lens_summary"])
def test_joined_tables_hold_the_rows_of_every_cell(swept: tuple[Path, pd.DataFrame], name: str):
    folder, cells = swept
    joined = pd.read_parquet(folder / f"{name}.parquet")
    parts = [
        pd.read_parquet(folder / "cells" / run_id / f"{name}.parquet") for run_id in cells["run_id"]
    ]

    assert len(parts) == 2
    assert min(map(len, parts)) > 0
    pd.testing.assert_frame_equal(joined, pd.concat(parts, ignore_index=True))


def test_cells_tell_their_parameters_and_gaps(swept: tuple[Path, pd.DataFrame]):
    folder, cells = swept
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "cells.parquet"), cells)

    assert cells["word_order"].tolist() == ["tae", "ate"]
    for record in cells.to_dict("records"):
        gap = Run.load(folder / "cells" / record["run_id"]).summary["iml_gap"]["exact_match"]
        assert record["iml_gap_mean"] == gap["mean"]
        assert record["iml_gap_n_seeds"] == 2


def test_a_sweep_says_what_it_is_and_its_page_reads_the_same_gaps(
    swept: tuple[Path, pd.DataFrame],
):
    folder, cells = swept
    sweep = FinishedSweep.load(folder)
    gaps = sweep.gaps()

    assert json.loads((folder / "sweep.json").read_text()) == {
        "name": "two-orders",
        "question": "Does a sweep join what it should?",
        "figures": ["4b"],
        "varies": "word_order",
        "claims": ["O1", "A3"],
        "smoke": True,
        "seeds": [1000, 1001],
        "cells": cells["run_id"].tolist(),
    }
    for prefix, metric in (("iml_gap", "exact_match"), ("iml_gap_nats", "answer_log_prob")):
        rows = gaps.loc[gaps["metric"] == metric]
        assert rows["setting"].tolist() == cells["word_order"].tolist()
        assert rows["mean"].tolist() == cells[f"{prefix}_mean"].tolist()
        assert rows["ci_low"].tolist() == cells[f"{prefix}_ci_low"].tolist()


def test_its_page_shows_where_each_target_is_best_read(swept: tuple[Path, pd.DataFrame]):
    sweep = FinishedSweep.load(swept[0])
    section = readable_section(sweep)
    assert section is not None
    probes = read_table(swept[0] / "probes_summary.parquet")
    probes = probes.loc[probes["probe"] == "logistic"]
    for run in sweep.runs:
        cells = probes.loc[
            (probes["run_id"] == run.config.run_id)
            & (probes["target"] == "tag")
            & (probes["role"] == "alias_last")
        ]
        best = cells.loc[cells["accuracy"].idxmax()]
        assert f"{best['accuracy']:.2f} [" in section
        assert f"], {site_words(best['site'], int(best['layer']))}<" in section
    assert "planted" not in section
    assert "nan" not in section  # what two seeds could have found is nothing, which is said
    assert "With so few seeds nothing, however strong, could be found." in section
    assert "<b>" not in section  # p of two seeds is .5 at least


def test_a_sweep_without_probes_has_no_such_section(
    swept: tuple[Path, pd.DataFrame], tmp_path: Path
):
    folder = shutil.copytree(swept[0], tmp_path / "sweep")
    (folder / "probes_summary.parquet").unlink()
    assert readable_section(FinishedSweep.load(folder)) is None


def test_the_command_prints_gaps_and_claims_at_its_end(
    swept: tuple[Path, pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setitem(SWEEPS, SWEEP.name, SWEEP)

    assert main(["sweep", SWEEP.name, "--smoke", "--workers", "1", "--out", str(swept[0])]) == 0
    printed = capsys.readouterr().out
    assert main(["summary", str(swept[0])]) == 0
    assert capsys.readouterr().out == printed
    assert printed.startswith("two-orders: Does a sweep join what it should?")
    assert "\nclaims\n" in printed
    assert "\nA3  " in printed


def test_probes_of_all_cells_are_corrected_together(swept: tuple[Path, pd.DataFrame]):
    folder, _ = swept
    summary = pd.read_parquet(folder / "probes_summary.parquet")
    # Two seeds: every flip of both signs gives the same |t|, so nothing is below .5.
    assert min(summary["p_corrected"].tolist()) >= 0.5
    assert summary.groupby("word_order").size().tolist() == [14, 14]


def test_the_manifest_covers_what_lies_at_the_top(swept: tuple[Path, pd.DataFrame]):
    assert published_damage(swept[0]) == []


def test_a_sweep_is_verified_with_its_cells(
    swept: tuple[Path, pd.DataFrame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = shutil.copytree(swept[0], tmp_path / "sweep")
    assert main(["report", str(folder)]) == 0
    assert main(["verify", str(folder)]) == 0
    assert capsys.readouterr().out.endswith(f"{folder}: every file matches its checksum\n")

    weights = sorted(folder.glob("cells/*/seed-1001/**/model.safetensors"))[-1]
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert main(["verify", str(folder)]) == 3
    assert f"{weights} does not match its checksum" in capsys.readouterr().err


@pytest.fixture
def copy(swept: tuple[Path, pd.DataFrame], tmp_path: Path) -> Path:
    """The folder of a copy of the sweep that a test may change."""
    return Path(shutil.copytree(swept[0], tmp_path / "sweep"))


@pytest.mark.parametrize("harm", HARM)
def test_every_harm_to_a_sweep_is_damage(harm: str, copy: Path, capsys: pytest.CaptureFixture[str]):
    do, says = HARM[harm]
    do(copy)
    assert main(["verify", str(copy)]) == 3
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "harm", ["a changed sweep.json", "a changed joined table", "a changed table of a cell"]
)
def test_no_writer_vouches_for_what_is_damaged_in_a_sweep(
    harm: str, copy: Path, monkeypatch: pytest.MonkeyPatch, tree_hash: TreeHash
):
    monkeypatch.setitem(SWEEPS, SWEEP.name, SWEEP)
    HARM[harm][0](copy)
    before = tree_hash(copy)
    assert main(["report", str(copy)]) == 3
    assert main(["sweep", SWEEP.name, "--smoke", "--workers", "1", "--out", str(copy)]) == 3
    assert tree_hash(copy) == before


def test_a_lost_cell_is_damage_to_every_reader(copy: Path, capsys: pytest.CaptureFixture[str]):
    shutil.rmtree(first_cell(copy))
    for command in ("summary", "report"):
        assert main([command, str(copy)]) == 3
        assert "is missing; repeat the iml sweep command" in capsys.readouterr().err


def test_a_table_that_no_command_wrote_is_not_joined(copy: Path):
    (first_cell(copy) / "stray.parquet").write_bytes((copy / "lens.parquet").read_bytes())
    run_sweep(replace(SWEEP, analyses=tuple), copy, (1000, 1001), smoke=True, workers=1)
    assert not (copy / "stray.parquet").exists()
    assert [f"{first_cell(copy)}/stray.parquet is not in the manifest"] == sweep_damage(copy)


@pytest.mark.slow
def test_killed_at_any_change_the_joined_tables_are_all_old_or_all_new(
    copy: Path, tmp_path: Path, killed_at: Callable[[int, Path, Callable[[], object]], bool]
):
    plan = replace(SWEEP, analyses=tuple, question="Another?")
    seen = []
    n = 0
    for n in count(1):
        folder = Path(shutil.copytree(copy, tmp_path / "copies" / str(n)))

        def again(folder: Path = folder) -> None:
            run_sweep(plan, folder, (1000, 1001), smoke=True, workers=1)

        if not killed_at(n, folder, again):
            break
        assert published_damage(folder) == []
        require_intact(folder)
        seen.append(FinishedSweep.load(folder).info["question"])
    assert n > 15
    assert seen == sorted(seen, key=lambda question: question == "Another?")
    assert set(seen) == {SWEEP.question, "Another?"}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_sweep_into_a_foreign_folder_is_refused_and_nothing_is_written(
    kind: str,
    swept: tuple[Path, pd.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tree_hash: TreeHash,
    capsys: pytest.CaptureFixture[str],
):
    make, says = FOREIGN[kind]
    monkeypatch.setitem(SWEEPS, SWEEP.name, SWEEP)
    (tmp_path / "home").mkdir()
    folder = tmp_path / "home" / "out"
    make(folder, swept[0])
    before = tree_hash(tmp_path)
    assert main(["sweep", SWEEP.name, "--smoke", "--seeds", "1", "--out", str(folder)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    with pytest.raises(InputError, match=says):
        run_sweep(SWEEP, folder, (1000,), smoke=True)
    assert tree_hash(tmp_path) == before


def test_a_full_sweep_does_not_go_on_from_a_smoke_one(swept: tuple[Path, pd.DataFrame]):
    with pytest.raises(InputError, match="is no cell of two-orders without --smoke"):
        require_place_for(SWEEP, swept[0], smoke=False)


def test_a_sweep_that_was_killed_early_or_has_new_cells_goes_on(
    swept: tuple[Path, pd.DataFrame], tmp_path: Path
):
    cell = first_cell(swept[0])
    (tmp_path / "cells" / cell.name).mkdir(parents=True)
    (tmp_path / "cells" / cell.name / ".lock").write_text("")
    require_place_for(SWEEP, tmp_path, smoke=True)
    more = SweepCell(recipe="alias-toy", arguments={"word_order": "eat"})
    require_place_for(replace(SWEEP, cells=(*SWEEP.cells, more)), swept[0], smoke=True)


def test_asking_again_trains_nothing_and_changes_no_table(
    swept: tuple[Path, pd.DataFrame], tree_hash: TreeHash
):
    folder, _ = swept
    before = tree_hash(folder)
    told: list[tuple[str, str, int]] = []

    @contextmanager
    def show(label: str, *, unit: str = "step") -> Iterator[Callable[[int, int], None]]:
        yield lambda done, total: told.append((label, unit, done))

    run_sweep(SWEEP, folder, (1000, 1001), smoke=True, workers=1, show=show)

    assert tree_hash(folder) == before
    assert [each for each in told if each[1] == "step" and each[2]] == []
    assert {label for label, unit, _ in told if unit == "checkpoint"} == {"probes", "lens"}


def test_a_sweep_into_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file, not a folder"):
        run_sweep(SWEEP, tmp_path / "file", (0,), smoke=True)
