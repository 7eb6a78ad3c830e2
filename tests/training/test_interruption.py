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

from training.config import RunConfig
from training.runs.requests import RunRequest
from training.runs.run import write_null_verdict
from training.runs.runner import run_seeds

Results = Callable[[Path], dict[str, str]]
ROOT = Path(__file__).parents[2]

# Imports torch once and then forks for each command, which saves seconds a command. A child runs
# the real command line on one core. It can be sent a signal, after so many seconds or just before
# its n-th change in the run folder.
SERVER = """
import json, os, signal, sys, time
import interp.cli, training.runs.runner

def die_at(left, folder, number):
    def hook(event, arguments):
        nonlocal left
        if event not in ("os.rename", "os.remove", "os.mkdir"):
            return
        path = str(arguments[0])
        if path.startswith(folder) and os.path.exists(path) == (event != "os.mkdir"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), number)
    sys.addaudithook(hook)

for line in sys.stdin:
    request = json.loads(line)
    child = os.fork()
    if child == 0:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})
        out = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        if request["die_at"]:
            number = request["signal"] or signal.SIGKILL
            die_at(request["die_at"], request["folder"], number)
        code = interp.cli.main(request["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if request["signal"] and not request["die_at"]:
        time.sleep(request["after"])
        os.kill(child, request["signal"])  # not waited for yet, so the number is still its own
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Commands:
    """Runs `iml run` one time after another in processes of their own."""

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

    def run(
        self,
        arguments: list[str],
        folder: Path,
        *,
        die_at: int = 0,
        number: int = 0,
        after: float = 0,
    ) -> int:
        """The exit code of `iml run ARGUMENTS --out FOLDER`; negative, the signal that killed it.

        Args:
            arguments: What to run.
            folder: Where.
            die_at: Send the signal, by default to kill, just before this change on disk.
            number: Signal to send.
            after: Seconds after which to send it where no change is named.
        """
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        request = {
            "arguments": ["run", *arguments, "--out", str(folder)],
            "folder": str(folder),
            "log": str(self.log),
            "die_at": die_at,
            "signal": number,
            "after": after,
        }
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """A server that has torch imported."""
    made = Commands(tmp_path_factory.mktemp("log") / "output")
    yield made
    made.server.kill()
    made.server.communicate()


@pytest.fixture(scope="module")
def command(mini_settings: list[str]) -> list[str]:
    """A tiny run of one seed and its null twin."""
    return ["alias-toy", "--seeds", "1", "--with-null", *mini_settings]


@pytest.fixture(scope="module")
def expected(
    tmp_path_factory: pytest.TempPathFactory, mini: Callable[[], RunConfig], results: Results
) -> dict[str, str]:
    """What it gives in this process, where nothing interrupts it."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    request = RunRequest(config=mini(), folder=folder, seeds=(1000,))
    write_null_verdict(run_seeds([request, request.null_twin()], workers=1)[0])
    return results(folder)


def kill_at_random_times(
    commands: Commands, command: list[str], folder: Path, rng: random.Random, n: int
) -> int:
    """Kills a run up to `n` times, resumes it and lets it finish; returns the kills."""
    kills = 0
    for _ in range(n):
        after = rng.uniform(0, 1)
        code = commands.run(command, folder, number=signal.SIGKILL, after=after)
        kills += code == -signal.SIGKILL
    assert commands.run(command, folder) == 0, commands.log.read_text()
    return kills


def test_run_killed_twice_at_random_ends_with_the_same_bytes(
    commands: Commands, command: list[str], expected: dict, tmp_path: Path, results: Results
) -> None:
    kills = kill_at_random_times(commands, command, tmp_path / "run", random.Random(0), 2)
    assert kills > 0
    assert results(tmp_path / "run") == expected


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 41))
def test_run_killed_many_times_ends_with_the_same_bytes(
    seed: int,
    commands: Commands,
    command: list[str],
    expected: dict,
    tmp_path: Path,
    results: Results,
) -> None:
    kill_at_random_times(commands, command, tmp_path / "run", random.Random(seed), 5)
    assert results(tmp_path / "run") == expected


def test_run_killed_at_every_41st_change_on_disk_ends_with_the_same_bytes(
    commands: Commands, command: list[str], expected: dict, tmp_path: Path, results: Results
) -> None:
    folder, kills = tmp_path / "run", 0
    while (code := commands.run(command, folder, die_at=41)) != 0:
        assert code == -signal.SIGKILL, commands.log.read_text()
        kills += 1
        assert kills < 100
    assert kills > 2
    assert results(folder) == expected


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_run_killed_at_each_single_change_on_disk_ends_with_the_same_bytes(
    commands: Commands, command: list[str], expected: dict, tmp_path: Path, results: Results
) -> None:
    change, code = 0, 1
    while code != 0:
        change += 1
        folder = tmp_path / f"run-{change}"
        code = commands.run(command, folder, die_at=change)
        assert commands.run(command, folder) == 0, commands.log.read_text()
        assert results(folder) == expected, change
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
    command: list[str],
    expected: dict,
    tmp_path: Path,
    results: Results,
) -> None:
    folder = tmp_path / "run"
    first = folder / "seed-1000" / "stage-1" / "step-0"
    assert commands.run(command, folder, die_at=28, number=number) == code
    assert first.is_dir()
    errors = [line for line in commands.log.read_text().splitlines() if "steps, " not in line]
    assert errors == [f"error: {word}; repeat the command to go on"]
    assert not [path for path in folder.rglob(".*") if path.name != ".lock"]
    assert commands.run(command, folder) == 0
    assert results(folder) == expected


@pytest.mark.slow
def test_ctrl_c_stops_the_workers_too_and_the_run_can_be_resumed(
    command: list[str], expected: dict, tmp_path: Path, results: Results
) -> None:
    folder = tmp_path / "run"
    words = [sys.executable, "-m", "interp.cli", "run", *command, "--out", str(folder)]
    process = subprocess.Popen(
        words, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not (folder / "run.json").exists():
        time.sleep(0.01)
    time.sleep(0.5)  # the workers are importing torch
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    lines = [line for line in errors.splitlines() if "steps, " not in line]
    assert lines == ["error: interrupted; repeat the command to go on"]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    assert results(folder) == expected
