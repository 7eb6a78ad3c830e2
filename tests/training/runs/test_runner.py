import fcntl
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import InputError
from training.config import RunConfig
from training.runs.requests import RunRequest
from training.runs.run import Run, write_null_verdict
from training.runs.runner import run_seeds

Results = Callable[[Path], dict[str, str]]


def request_of(config: RunConfig, folder: Path, *seeds: int) -> RunRequest:
    return RunRequest(config=config, folder=folder, seeds=seeds)


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_second_call_repeats_nothing(tiny_run: Run) -> None:
    request = RunRequest(config=tiny_run.config, folder=tiny_run.folder, seeds=(1000, 1001))
    before = times(tiny_run.folder)
    (again,) = run_seeds([request], workers=1)
    changed = {path.name for path, time in times(tiny_run.folder).items() if before[path] != time}
    assert changed <= {".lock"}
    assert again.info == tiny_run.info


@pytest.fixture(scope="module")
def three_seeds(tmp_path_factory: pytest.TempPathFactory, mini) -> Path:
    """The folder of a tiny run of seeds 0, 1 and 2, made at once; never changed."""
    folder = tmp_path_factory.mktemp("three") / "run"
    run_seeds([request_of(mini(), folder, 0, 1, 2)], workers=1)
    return folder


def test_more_seeds_extend_a_run_and_leave_the_old_ones_alone(
    mini, three_seeds: Path, tmp_path: Path, results: Results
) -> None:
    run_seeds([request_of(mini(), tmp_path, 0, 1)], workers=1)
    before = times(tmp_path)
    (grown,) = run_seeds([request_of(mini(), tmp_path, 2)], workers=1)
    assert grown.seeds == [0, 1, 2]
    after = times(tmp_path)
    checkpoints = [path for path in before if path.parent.name.startswith("step-")]
    assert checkpoints
    assert all(after[path] == before[path] for path in checkpoints)
    assert results(tmp_path) == results(three_seeds)


def test_two_workers_give_the_bytes_of_one(tiny_run: Run, tmp_path: Path, results: Results) -> None:
    shares = []
    request = RunRequest(config=tiny_run.config, folder=tmp_path / "run", seeds=(1000, 1001))
    run_seeds([request], workers=2, progress=lambda done, total: shares.append(done / total))
    expected = {n: d for n, d in results(tiny_run.folder).items() if not n.startswith("null")}
    found = results(tmp_path / "run")
    del expected["summary.json"], found["summary.json"]  # there it holds the null twin's verdict
    assert found == expected
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_lost_seed_is_trained_again_to_the_same_bytes(
    mini, three_seeds: Path, tmp_path: Path, results: Results
) -> None:
    folder = Path(shutil.copytree(three_seeds, tmp_path / "run"))
    shutil.rmtree(folder / "seed-1")
    run_seeds([request_of(mini(), folder, 0)], workers=1)
    assert results(folder) == results(three_seeds)


@pytest.mark.parametrize("name", ["manifest.json", "metrics.parquet", "summary.json"])
def test_lost_table_is_made_anew_without_training(
    name: str, mini, three_seeds: Path, tmp_path: Path, results: Results
) -> None:
    folder = Path(shutil.copytree(three_seeds, tmp_path / "run"))
    (folder / name).unlink()
    before = times(folder)
    run_seeds([request_of(mini(), folder, 0)], workers=1)
    assert results(folder) == results(three_seeds)
    after = times(folder)
    assert all(after[path] == before[path] for path in before if "step-" in str(path))


def test_leftovers_of_a_killed_run_are_gone_after_the_next(mini, tmp_path: Path) -> None:
    (tmp_path / ".run.json.4711").write_text("half")
    stage = tmp_path / "seed-0" / "stage-1" / ".step-3.4711"
    (tmp_path / ".lock").write_text("")
    request = request_of(mini(), tmp_path, 0)
    request.check()
    request.begin()
    stage.mkdir(parents=True)
    run_seeds([request], workers=1)
    assert sorted(p.name for p in tmp_path.rglob(".*")) == [".lock", ".lock"]


def test_stage_2_seeds_are_nested_in_the_summary(mini, tmp_path: Path) -> None:
    (run,) = run_seeds([request_of(mini(seeds_stage2=2), tmp_path, 0, 1, 2)], workers=1)
    assert run.checkpoint(1, 2, stage2_seed=1).parent.name == "stage-2.1"
    second = run.metrics.query("stage == 2 and question == 'all' and metric == 'exact_match'")
    assert set(second["stage2_seed"]) == {0, 1}
    last = second[second["step"] == second["step"].max()]
    value = last.set_index(["subset", "seed", "stage2_seed"])["value"]
    gaps = [
        sum(value["D5_CONS", s, k] - value["D6_CONS", s, k] for k in (0, 1)) / 2 for s in range(3)
    ]
    found = run.summary["iml_gap"]["exact_match"]
    assert found["n_seeds"] == 3
    assert list(found["per_seed"].values()) == pytest.approx(gaps)


def test_one_seed_has_a_mean_and_no_interval(mini, tmp_path: Path) -> None:
    (run,) = run_seeds([request_of(mini(), tmp_path, 0)], workers=1)
    found = json.loads((tmp_path / "summary.json").read_text())["iml_gap"]["exact_match"]
    assert (found["ci_low"], found["ci_high"], found["p_value"]) == (None, None, 1.0)
    assert run.info["finished"] is not None


def test_null_twin_of_one_seed_has_a_verdict_without_interval(mini, tmp_path: Path) -> None:
    request = request_of(mini(), tmp_path, 0)
    (run, _) = run_seeds([request, request.null_twin()], workers=1)
    write_null_verdict(run)
    verdict = run.summary["null_equivalence"]
    assert (verdict["ci_low"], verdict["ci_high"], verdict["passed"]) == (None, None, False)


def test_folder_that_another_run_is_writing_to_is_refused(mini, tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another iml run is writing to"):
            run_seeds([request_of(mini(), tmp_path, 0)], workers=1)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_folder_that_cannot_be_made_is_refused(mini) -> None:
    with pytest.raises(InputError, match=r"/proc/runs cannot be written to \(.*\); choose another"):
        run_seeds([request_of(mini(), Path("/proc/runs"), 0)], workers=1)


def test_failed_seed_leaves_an_unfinished_run(mini, tmp_path: Path) -> None:
    config = mini(learning_rate_stage1=1e30)
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        run_seeds([request_of(config, tmp_path, 0)], workers=1)
    assert not Run.load(tmp_path).is_finished
