import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import DamagedError
from interp.cli import main
from training.integrity import run_damage
from training.runs import Run


@pytest.fixture(scope="module")
def mini_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of one seed and its null twin, small enough to verify often."""
    from training.registry import find_recipe
    from training.requests import RunRequest
    from training.runner import run_seeds

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


def flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def cut(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))])


def delete(path: Path, rng: random.Random) -> None:
    path.unlink()


def add(path: Path, rng: random.Random) -> None:
    path.with_name(rng.choice(["pytorch_model.bin", "notes.txt", "step-5"])).write_text("new")


MUTATIONS: list[Callable[[Path, random.Random], None]] = [flip, cut, delete, add]


def mutate_and_verify(folder: Path, seed: int) -> int:
    rng = random.Random(seed)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    path = rng.choice(files)
    MUTATIONS[seed % len(MUTATIONS)](path, rng)
    return main(["verify", str(folder)])


@pytest.mark.parametrize("seed", range(48))
def test_verify_reports_every_mutation_of_a_single_file(
    seed: int, folder: Path, capsys: pytest.CaptureFixture
) -> None:
    assert mutate_and_verify(folder, seed) == 3
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 1
    assert printed[0].startswith("error: ")


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
