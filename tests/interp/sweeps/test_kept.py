"""What a second call of a sweep does anew: what is missing, damaged or failed, and nothing else."""

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from data.errors import InputError
from interp.cli import main
from interp.grids.grid import Measured
from interp.lenses.analysis import LensAnalysis
from interp.sweeps.plans import SWEEPS
from interp.sweeps.sweep import MEASURED, run_sweep
from tests.interp.sweeps.harm import flip
from tests.interp.sweeps.logged_sweep import SWEEP, LoggedLens

TreeHash = Callable[[Path], dict[str, str]]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep") / "out"
    run_sweep(SWEEP, folder, (1000,), smoke=True, workers=1)
    return folder


def test_what_was_kept_and_is_damaged_is_measured_again(swept: Path, tree_hash: TreeHash):
    folder = swept
    before = tree_hash(folder)
    flip(min((folder / MEASURED).glob("*/table.parquet")))
    told: list[int] = []

    @contextmanager
    def show(label: str, *, unit: str = "step") -> Iterator[Callable[[int, int], None]]:
        yield lambda done, total: told.append(done) if unit == "checkpoint" else None

    run_sweep(SWEEP, folder, (1000,), smoke=True, workers=1, show=show)
    assert told == [1]
    assert tree_hash(folder) == before


def test_a_second_sweep_in_one_folder_is_refused(swept: Path):
    with (swept / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=r"another iml run is writing to .*; wait for it or"):
            run_sweep(SWEEP, swept, (1000,), smoke=True, workers=1)


def test_failed_cells_are_listed_with_their_errors_and_a_second_call_does_them_alone(
    swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    copy = Path(shutil.copytree(swept, tmp_path / "sweep"))
    kept = {path.name for path in (copy / MEASURED).iterdir()}
    plan = replace(SWEEP, analyses=lambda: (LoggedLens(), FailingLens(tuned=False)))
    monkeypatch.setitem(SWEEPS, SWEEP.name, plan)
    words = ["sweep", SWEEP.name, "--smoke", "--seeds", "1", "--retries", "1", "--out", str(copy)]
    assert main(words) == 1
    errors = capsys.readouterr().err.splitlines()
    failed = [line for line in errors if line.startswith("failed: ")]
    assert len(failed) == 2
    assert all(line.endswith("seed 1000: RuntimeError: out of luck") for line in failed)
    assert errors[-1].startswith("error: 2 of 2 cells failed, tried 2 times each (first failing of")
    assert len({path.name for path in (copy / MEASURED).iterdir()} - kept) == 0

    monkeypatch.setattr(FailingLens, "unlucky", -1)
    assert main(words) == 0
    assert len({path.name for path in (copy / MEASURED).iterdir()} - kept) == 2


@dataclass(frozen=True, kw_only=True)
class FailingLens(LensAnalysis):
    """Fails at one seed."""

    unlucky: ClassVar[int] = 1000

    @property
    def name(self) -> str:
        return "failing"

    def measure(self, *given: Any, seed: int) -> Measured:
        if seed == self.unlucky:
            raise RuntimeError("out of luck")
        return super().measure(*given, seed=seed)
