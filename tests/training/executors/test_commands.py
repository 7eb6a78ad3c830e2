"""What a killed worker, a killed parent and signals make of whole commands with two workers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from training.runs.checkpoints import find_checkpoint
from training.runs.requests import RunRequest
from training.runs.runner import run_seeds

ROOT = Path(__file__).parents[3]
TreeHash = Callable[[Path], dict[str, str]]

# `iml`, whose workers do something else at a certain point: they import this file, too.
COMMAND = """
import os, signal, sys, time
from pathlib import Path
import training.pipeline
from interp.lenses.analysis import LensAnalysis

HERE = Path(__file__).parent
MISHAP = os.environ.get("MISHAP")
save, measure = training.pipeline.save_checkpoint, LensAnalysis.measure

def mishap(seed):
    if MISHAP == "killed" and seed == 1001:
        os.kill(os.getpid(), signal.SIGKILL)
    if MISHAP == "waits":
        (HERE / f"pid-{os.getpid()}").touch()
        time.sleep(600)

def save_or_not(folder, *given, **named):
    if "stage-2" in str(folder):
        mishap(1001 if "seed-1001" in str(folder) else 1000)
    save(folder, *given, **named)

def measure_or_not(analysis, model, rows, sites, *, seed):
    mishap(seed)
    found = measure(analysis, model, rows, sites, seed=seed)
    (HERE / f"measured-{seed}").touch()
    return found

training.pipeline.save_checkpoint, LensAnalysis.measure = save_or_not, measure_or_not
if __name__ == "__main__":
    from interp.cli import main
    os.sched_getaffinity = lambda pid: {0, 1}
    sys.exit(main(sys.argv[1:]))
"""


class Commands:
    """Starts `iml` with a mishap."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "command.py"
        self.script.write_text(COMMAND)
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *words: str, mishap: str = "none") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(self.script), *words],
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MISHAP": mishap},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *words: str, mishap: str = "none") -> tuple[int, list[str]]:
        """Exit code and what was said on stderr, progress aside."""
        process = self.start(*words, mishap=mishap)
        _, errors = process.communicate(timeout=300)
        lines = [line for line in errors.splitlines() if " s left" not in line]
        return process.returncode, lines

    def workers_that_wait(self, n: int) -> list[int]:
        """The pids of workers, once so many of them are in the midst of their work."""
        while len(found := list(self.folder.glob("pid-*"))) < n:
            assert self.started[-1].poll() is None
            time.sleep(0.05)
        return [int(path.name.removeprefix("pid-")) for path in found]


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    made = Commands(tmp_path)
    yield made
    for process in made.started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def all_gone(pids: list[int], within: float) -> bool:
    end = time.monotonic() + within
    while any(map(is_alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    left = [pid for pid in pids if is_alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return not left


def test_killed_worker_costs_its_seed_and_a_second_call_trains_that_alone(
    commands: Commands, mini, mini_settings: list[str], tmp_path: Path, results
) -> None:
    folder, seeds = tmp_path / "run", (1000, 1001, 1002)
    words = ["run", "alias-toy", "--seeds", "3", *mini_settings, "--out", str(folder)]
    code, errors = commands.run(*words, mishap="killed")
    assert (code, len(errors)) == (1, 1)
    assert errors[0].startswith(
        f"error: {folder}, seed 1001: its process was killed by signal 9 (Killed), mostly for want "
        "of memory; repeat the command, with --workers 1"
    )
    ends = [find_checkpoint(folder / f"seed-{seed}/stage-2") for seed in (1000, 1002)]
    finished = {path: path.stat().st_mtime_ns for end in ends for path in end.parent.rglob("*")}

    run_seeds([RunRequest(config=mini(), folder=folder, seeds=seeds)], workers=1)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    whole = tmp_path / "whole"
    run_seeds([RunRequest(config=mini(), folder=whole, seeds=seeds)], workers=1)
    assert [end.name for end in ends] == [
        find_checkpoint(whole / f"seed-{seed}/stage-2").name for seed in (1000, 1002)
    ]
    assert results(folder) == results(whole)


@pytest.mark.slow
def test_killed_worker_of_a_grid_costs_its_checkpoint_and_no_table_is_touched(
    commands: Commands, copied_run: Path, tree_hash: TreeHash
) -> None:
    before = tree_hash(copied_run)
    code, errors = commands.run("lens", str(copied_run), mishap="killed")
    assert (code, len(errors)) == (1, 1)
    assert errors[0].startswith(
        f"error: lens of {copied_run}, seed 1001: its process was killed by signal 9 (Killed), "
    )
    assert (commands.folder / "measured-1000").exists()
    assert tree_hash(copied_run) == before
    assert commands.run("lens", str(copied_run)) == (0, [])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lens", "run"])
def test_workers_of_a_killed_command_end_within_5_s(
    kind: str, commands: Commands, copied_run: Path, mini_settings: list[str], tmp_path: Path
) -> None:
    words = {
        "lens": ["lens", str(copied_run)],
        "run": ["run", "alias-toy", "--seeds", "2", *mini_settings, "--out", str(tmp_path / "r")],
    }[kind]
    process = commands.start(*words, mishap="waits")
    workers = commands.workers_that_wait(2)
    assert process.pid not in workers
    process.kill()
    assert all_gone(workers, within=5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_signal_ends_a_grid_in_one_line(
    number: signal.Signals,
    code: int,
    word: str,
    commands: Commands,
    copied_run: Path,
    tree_hash: TreeHash,
) -> None:
    before = tree_hash(copied_run)
    process = commands.start("lens", str(copied_run), mishap="waits")
    workers = commands.workers_that_wait(2)
    begin = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - begin < 15
    assert (process.returncode, errors) == (code, f"error: {word}; repeat the command to go on\n")
    assert all_gone(workers, within=1)
    assert tree_hash(copied_run) == before
