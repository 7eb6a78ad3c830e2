"""What jobs do and become, with submitit's local executor in the place of SLURM.

A real SLURM of one node is started by `tests/one_node_slurm.sh`, by hand.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.errors import CellsFailedError, InputError, WorkerDiedError
from training.executors import slurm
from training.executors.executor import Cell, Tally
from training.executors.slurm import Slurm

pytest.importorskip("submitit")
ROOT = Path(__file__).parents[3]


def cells(tasks: list[Any], **sizes: int) -> list[Cell[Any]]:
    return [Cell(name=f"cell {i}", task=task, **sizes) for i, task in enumerate(tasks)]


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    monkeypatch.setattr(slurm, "LOOKS_EVERY_S", 0.1)
    return Slurm(cluster="local", jobs=tmp_path / "jobs")


def work_of_all_kinds(task: tuple[str, Path], report: Callable[[int], None]) -> Any:
    """Squares a number; fails; dies once or always; is preempted in the middle, once."""
    kind, place = task
    with (place / kind).open("a") as file:
        file.write("begun\n")
    n_begun = (place / kind).read_text().count("begun")
    report(1)
    if kind == "fails":
        raise ValueError("no such cell")
    if kind == "dies" or (kind == "dies once" and n_begun == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "preempted" and n_begun == 1:
        os.kill(os.getpid(), signal.SIGUSR2)
        time.sleep(30)
    return kind, n_begun, os.getpid()


@pytest.mark.slow
def test_jobs_are_carried_out_elsewhere_and_leave_nothing(jobs: Slurm, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    tallies: list[Tally] = []
    kinds = ["a", "dies once", "preempted"]
    found = jobs.run(
        work_of_all_kinds,
        cells([(kind, tmp_path) for kind in kinds], units=2),
        workers=2,
        progress=lambda *both: told.append(both),
        watch=tallies.append,
    )
    assert [(kind, n) for kind, n, _ in found] == [("a", 1), ("dies once", 2), ("preempted", 2)]
    assert os.getpid() not in {pid for _, _, pid in found}
    assert told[-1] == (6, 6)
    assert max(tally.running for tally in tallies) == 2
    assert not (tmp_path / "jobs").exists()


@pytest.mark.slow
def test_errors_come_back_as_they_were_and_the_dead_are_named(jobs: Slurm, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such cell"):
        jobs.run(work_of_all_kinds, cells([("fails", tmp_path)]))
    with pytest.raises(WorkerDiedError, match="cell 0: its job ended without a result"):
        jobs.run(work_of_all_kinds, cells([("dies", tmp_path)]))
    with pytest.raises(CellsFailedError, match="1 of 2 cells failed, tried 2 times each") as found:
        jobs.run(
            work_of_all_kinds, cells([("fails", tmp_path), ("a", tmp_path)]), retries=1, workers=1
        )
    assert found.value.failures == {"cell 0": "ValueError: no such cell"}


def test_what_no_job_could_be_started_with_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"--gpus 0.5 is no whole number, and SLURM shares none"):
        Slurm(gpus=0.5).run(work_of_all_kinds, cells([("a", tmp_path)]))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="there is no SLURM on this machine"):
        Slurm().run(work_of_all_kinds, cells([("a", tmp_path)]))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file cannot be written to"):
        Slurm(cluster="local", jobs=tmp_path / "file").run(
            work_of_all_kinds, cells([("a", tmp_path)])
        )


ORPHANED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from training.executors import slurm
from training.executors.executor import Cell
slurm.STANDS_STILL_S, slurm.BEATS_EVERY_S = 1.5, 0.2

def wait(place, report):
    slurm.STANDS_STILL_S, slurm.BEATS_EVERY_S = 1.5, 0.2
    (Path(place) / "begun").touch()
    time.sleep(8)
    (Path(place) / "ended").touch()

if __name__ == "__main__":
    here = sys.argv[1]
    import command
    cell = Cell(name="a", task=here)
    slurm.Slurm(cluster="local", jobs=Path(here) / "jobs").run(command.wait, [cell])
"""


@pytest.mark.slow
def test_a_job_ends_itself_when_its_command_is_killed(tmp_path: Path) -> None:
    (tmp_path / "command.py").write_text(ORPHANED.format(root=str(ROOT)))
    process = subprocess.Popen([sys.executable, "command.py", str(tmp_path)], cwd=tmp_path)
    try:
        while not (tmp_path / "begun").exists():
            assert process.poll() is None
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    time.sleep(9)
    assert not (tmp_path / "ended").exists()
