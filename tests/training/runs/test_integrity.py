import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import DamagedError, InputError
from interp.cli import main
from tests.training.runs.harm import add, cut, delete, flip
from training.files import write_json, write_manifest
from training.runs.info import read_info
from training.runs.integrity import run_damage
from training.runs.requests import RunRequest
from training.runs.run import Run, analysis_files
from training.runs.runner import run_seeds


@pytest.fixture(scope="module")
def mini_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of one seed and its null twin, small enough to verify often."""
    from training.recipes import find_recipe
    from training.runs.requests import RunRequest
    from training.runs.runner import run_seeds

    recipe = find_recipe("alias-toy")
    small = {**recipe.smoke, "aliases_per_subset": 20, "epochs_stage1": 1, "epochs_stage2": 1}
    folder = tmp_path_factory.mktemp("mini") / "run"
    request = RunRequest(config=recipe(**small), folder=folder, seeds=(0,))
    run_seeds([request, request.null_twin()], workers=1)
    return folder


@pytest.fixture
def folder(mini_run: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(mini_run, tmp_path / "run"))


def test_untouched_run_has_no_damage(mini_run: Path, capsys: pytest.CaptureFixture) -> None:
    assert run_damage(mini_run) == []
    assert main(["verify", str(mini_run)]) == 0
    assert "every file matches its checksum" in capsys.readouterr().out


MUTATIONS: list[Callable[[Path, random.Random], None]] = [flip, cut, delete, add]


def mutate_and_verify(folder: Path, seed: int) -> int:
    rng = random.Random(seed)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    path = rng.choice(files)
    MUTATIONS[seed % len(MUTATIONS)](path, rng)
    return main(["verify", str(folder)])


def test_verify_reports_every_mutation_of_a_single_file(
    mini_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for seed in range(48):
        folder = Path(shutil.copytree(mini_run, tmp_path / f"run-{seed}"))
        assert mutate_and_verify(folder, seed) == 3, seed
        printed = capsys.readouterr().err.splitlines()
        assert len(printed) == 1, seed
        assert printed[0].startswith("error: "), seed


@pytest.mark.slow
def test_verify_reports_500_of_500_mutations(mini_run: Path, tmp_path: Path) -> None:
    for seed in range(500):
        folder = Path(shutil.copytree(mini_run, tmp_path / "run"))
        assert mutate_and_verify(folder, seed) == 3, seed
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["run.json", "manifest.json", "metrics.parquet", "summary.json"])
@pytest.mark.parametrize("mutation", [flip, cut, delete])
@pytest.mark.parametrize("null", [False, True])
def test_verify_reports_changed_files_of_the_run_itself(
    name: str, mutation: Callable, null: bool, folder: Path
) -> None:
    path = folder / "null" / name if null else folder / name
    mutation(path, random.Random(0))
    assert main(["verify", str(folder)]) == 3


def test_changed_format_version_is_damage_not_a_newer_format(
    folder: Path, capsys: pytest.CaptureFixture
) -> None:
    path = folder / "run.json"
    path.write_text(path.read_text().replace('"format_version": 2', '"format_version": 9'))
    assert main(["verify", str(folder)]) == 3
    assert "run.json does not match its checksum" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["seed-0", "seed-0/stage-2", "seed-0/stage-1/step-0", "null/seed-0/stage-1/step-1"]
)
def test_lost_folder_is_reported_by_name(name: str, folder: Path) -> None:
    shutil.rmtree(folder / name)
    assert any(str(folder / name) in problem for problem in run_damage(folder))


@pytest.mark.parametrize(
    "name",
    ["seed-0/notes.txt", "seed-0/stage-1/notes.txt", "seed-0/stage-1/step-0/sub/x", "seed-7/x"],
)
def test_added_file_is_reported_wherever_it_lies(name: str, folder: Path) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("new")
    (problem,) = run_damage(folder)
    assert str(folder / name) in problem


def test_checkpoint_of_another_step_is_reported(folder: Path) -> None:
    shutil.copytree(folder / "seed-0/stage-1/step-0", folder / "seed-0/stage-1/step-77")
    assert any("step-77" in problem for problem in run_damage(folder))


def test_hidden_files_are_nobodys_results(folder: Path) -> None:
    (folder / ".notes").write_text("mine")
    (folder / "seed-0" / ".notes").write_text("mine")
    assert run_damage(folder) == []


def test_damaged_checkpoint_is_refused_where_it_is_asked_for(folder: Path) -> None:
    flip(folder / "seed-0/stage-2/step-0/model.safetensors", random.Random(0))
    run = Run.load(folder)
    assert run.checkpoint(0, 1).is_dir()
    with pytest.raises(DamagedError, match=r"stage-2/step-0/model\.safetensors does not match"):
        run.checkpoint(0, 2, 0)


# ---- runs of older versions ---------------------------------------------------------------------


def forget_origins(folder: Path) -> None:
    """Makes the manifests of a run what older versions wrote."""
    for path in folder.rglob("manifest.json"):
        manifest = json.loads(path.read_text())
        manifest.pop(".", None)
        write_json(path, manifest)


def test_runs_of_older_versions_open_verify_and_grow(folder: Path) -> None:
    forget_origins(folder)
    run = Run.load(folder)
    assert run_damage(folder) == []
    assert run.checkpoint(0, 2).is_dir()
    run_seeds([RunRequest(config=run.config, folder=folder, seeds=(1,))], workers=1)
    assert run_damage(folder) == []
    assert Run.load(folder).seeds == [0, 1]


# ---- the null twin ------------------------------------------------------------------------------


def test_lost_null_twin_is_told(folder: Path) -> None:
    shutil.rmtree(folder / "null")
    assert run_damage(folder) == [f"{folder}/null is missing"]


def test_lost_null_twin_of_a_run_of_an_older_version_is_told(copied_run: Path) -> None:
    forget_origins(copied_run)  # but the summary has the verdict
    shutil.rmtree(copied_run / "null")
    assert run_damage(copied_run) == [f"{copied_run}/null is missing"]


def test_lost_null_twin_stays_lost_whatever_is_written(folder: Path) -> None:
    run = Run.load(folder)
    shutil.rmtree(folder / "null")
    run_seeds([RunRequest(config=run.config, folder=folder, seeds=(1,))], workers=1)
    assert run_damage(folder) == [f"{folder}/null is missing"]


def test_another_run_in_place_of_the_null_twin_is_told(folder: Path, tmp_path: Path) -> None:
    another = Path(shutil.copytree(folder, tmp_path / "a", ignore=shutil.ignore_patterns("null")))
    write_manifest(another, analysis_files(another))
    shutil.rmtree(folder / "null")
    another.rename(folder / "null")
    (problem,) = run_damage(folder)
    assert problem.startswith(f"{folder}/null is run {Run.load(folder).config.run_id}, not")


def test_files_beside_no_null_twin_are_told(folder: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copytree(folder, tmp_path / "a", ignore=shutil.ignore_patterns("null")))
    forget_origins(alone)
    (alone / "null").mkdir()
    (alone / "null" / "notes.txt").write_text("")
    assert run_damage(alone) == [f"{alone}/null/notes.txt is not in the manifest"]


def test_run_with_an_unfinished_null_twin_is_unfinished_unless_it_is_damaged(folder: Path) -> None:
    null = Run.load(folder / "null")
    RunRequest(config=null.config, folder=null.folder, seeds=(7,)).begin()
    with pytest.raises(InputError, match="null is not finished"):
        run_damage(folder)
    flip(folder / "summary.json", random.Random(0))
    assert run_damage(folder) == [f"{folder}/summary.json does not match its checksum"]


# ---- damage stays damage ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["probes.parquet", "report.html"])
def test_extending_a_run_vouches_for_no_table_of_others(name: str, folder: Path) -> None:
    run = Run.load(folder)
    (folder / name).write_bytes(b"as written")
    write_manifest(folder, analysis_files(folder))
    (folder / name).write_bytes(b"as wr1tten")
    request = RunRequest(config=run.config, folder=folder, seeds=(0, 1))
    with pytest.raises(DamagedError, match=f"{name} does not match its checksum"):
        run_seeds([request], workers=1)
    assert read_info(folder)["seeds"] == [0]


def test_what_is_damaged_while_a_run_grows_is_told_afterwards(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, begin = Run.load(folder), RunRequest.begin
    (folder / "stray.parquet").write_bytes(b"stray")

    def begin_and_damage(request: RunRequest) -> None:
        begin(request)
        flip(folder / "null" / "summary.json", random.Random(0))

    monkeypatch.setattr(RunRequest, "begin", begin_and_damage)
    run_seeds([RunRequest(config=run.config, folder=folder, seeds=(1,))], workers=1)
    assert run_damage(folder) == [
        f"{folder}/stray.parquet is not in the manifest",
        f"{folder}/null/summary.json does not match its checksum",
    ]


def test_run_that_begins_or_grows_is_no_damage(folder: Path) -> None:
    run = Run.load(folder)
    RunRequest(config=run.config, folder=folder, seeds=(5,)).begin()
    with pytest.raises(InputError, match="is not finished; repeat the iml run command"):
        run_damage(folder)
