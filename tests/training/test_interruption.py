"""Kills and signals: whatever interrupts `iml run`, the same command ends with the same bytes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from training.runs import Run

Results = Callable[[Path], dict[str, str]]
ROOT = Path(__file__).parents[2]

# Imports torch once and then forks for each command, which saves seconds a command. A child runs
# the real command line on one core; `die_at` kills it just before its n-th change in the folder.
SERVER = """
import json, os, signal, sys
import interp.cli, training.runner

def die_at(left, folder):
    def hook(event, arguments):
        nonlocal left
        if event not in ("os.rename", "os.remove", "os.mkdir"):
            return
        path = str(arguments[0])
        if path.startswith(folder) and os.path.exists(path) == (event != "os.mkdir"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

for line in sys.stdin:
    request = json.loads(line)
    child = os.fork()
    if child == 0:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        out = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        if request["die_at"]:
            die_at(request["die_at"], request["folder"])
        code = interp.cli.main(request["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Commands:
    """Runs `iml` commands one after another in processes of their own."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, arguments: list[str], folder: Path, *, die_at: int = 0) -> int:
        """Starts `iml run ARGUMENTS --out FOLDER`; returns its process id."""
        assert self.server.stdin is not None
        request = {
            "arguments": ["run", *arguments, "--out", str(folder)],
            "folder": str(folder),
            "log": str(self.log),
            "die_at": die_at,
        }
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        return self._number()

    def wait(self) -> int:
        """The exit code of what was started; the negative signal of what was killed."""
        return self._number()

    def run(self, arguments: list[str], folder: Path, *, die_at: int = 0) -> int:
        """Starts and waits."""
        self.start(arguments, folder, die_at=die_at)
        return self.wait()

    def _number(self) -> int:
        assert self.server.stdout is not None
        return int(self.server.stdout.readline())


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """A server that has torch imported."""
    made = Commands(tmp_path_factory.mktemp("log") / "output")
    yield made
    made.server.kill()
    made.server.wait()


SMOKE = ["alias-toy", "--smoke", "--with-null"]


def wait_for(path: Path) -> None:
    """Waits until another process has made it."""
    for _ in range(6000):
        if path.exists():
            return
        time.sleep(0.005)
    raise TimeoutError(path)


def kill_at_random_times(commands: Commands, folder: Path, rng: random.Random, n: int) -> int:
    """Kills a smoke run up to `n` times, resumes it and lets it finish; returns the kills."""
    kills = 0
    for _ in range(n):
        process = commands.start(SMOKE, folder)
        time.sleep(rng.uniform(0, 2.0))
        os.kill(process, signal.SIGKILL)  # not yet waited for, so the id is still its own
        kills += commands.wait() == -signal.SIGKILL
    assert commands.run(SMOKE, folder) == 0, commands.log.read_text()
    return kills


def test_run_killed_twice_at_random_ends_with_the_same_bytes(
    commands: Commands, tiny_run: Run, tmp_path: Path, results: Results
) -> None:
    kills = kill_at_random_times(commands, tmp_path / "run", random.Random(0), 2)
    assert kills > 0
    assert results(tmp_path / "run") == results(tiny_run.folder)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 41))
def test_run_killed_many_times_ends_with_the_same_bytes(
    seed: int, commands: Commands, tiny_run: Run, tmp_path: Path, results: Results
) -> None:
    kill_at_random_times(commands, tmp_path / "run", random.Random(seed), 5)
    assert results(tmp_path / "run") == results(tiny_run.folder)


def mini_command(mini_settings: list[str]) -> list[str]:
    return ["alias-toy", "--seeds", "1", "--with-null", *mini_settings]


@pytest.fixture(scope="module")
def uninterrupted(
    commands: Commands, tmp_path_factory: pytest.TempPathFactory, mini_settings: list[str]
) -> Path:
    """A run of one tiny seed and its null twin that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert commands.run(mini_command(mini_settings), folder) == 0, commands.log.read_text()
    return folder


def test_run_killed_at_every_23rd_change_on_disk_ends_with_the_same_bytes(
    commands: Commands,
    uninterrupted: Path,
    mini_settings: list[str],
    tmp_path: Path,
    results: Results,
) -> None:
    folder, kills = tmp_path / "run", 0
    while (code := commands.run(mini_command(mini_settings), folder, die_at=23)) != 0:
        assert code == -signal.SIGKILL, commands.log.read_text()
        kills += 1
        assert kills < 100
    assert kills > 5
    assert results(folder) == results(uninterrupted)
    assert commands.run(mini_command(mini_settings), folder) == 0
    assert results(folder) == results(uninterrupted)


@pytest.mark.slow
def test_run_killed_at_each_single_change_on_disk_ends_with_the_same_bytes(
    commands: Commands,
    uninterrupted: Path,
    mini_settings: list[str],
    tmp_path: Path,
    results: Results,
) -> None:
    expected = results(uninterrupted)
    for change in range(1, 1000):
        folder = tmp_path / f"run-{change}"
        code = commands.run(mini_command(mini_settings), folder, die_at=change)
        assert commands.run(mini_command(mini_settings), folder) == 0, commands.log.read_text()
        assert results(folder) == expected, change
        if code == 0:
            break
    assert change > 100


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_signal_ends_a_run_in_one_line_and_it_can_be_resumed(
    number: signal.Signals,
    code: int,
    word: str,
    commands: Commands,
    tiny_run: Run,
    tmp_path: Path,
    results: Results,
) -> None:
    folder = tmp_path / "run"
    process = commands.start(SMOKE, folder)
    wait_for(folder / "seed-1000" / "stage-1" / f"step-{tiny_run.steps(1000, 1)[1]}")
    os.kill(process, number)
    assert commands.wait() == code
    errors = [line for line in commands.log.read_text().splitlines() if "steps, " not in line]
    assert errors == [f"error: {word}; repeat the command to go on"]
    assert not [path for path in folder.rglob(".*") if path.name != ".lock"]
    assert commands.run(SMOKE, folder) == 0
    assert results(folder) == results(tiny_run.folder)


@pytest.mark.slow
def test_ctrl_c_stops_the_workers_too_and_the_run_can_be_resumed(
    tiny_run: Run, tmp_path: Path, results: Results
) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "interp.cli", "run", *SMOKE, "--out", str(folder)]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for(folder / "run.json")
    time.sleep(0.5)  # the workers are importing torch
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    lines = [line for line in errors.splitlines() if "steps, " not in line]
    assert lines == ["error: interrupted; repeat the command to go on"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert results(folder) == results(tiny_run.folder)
