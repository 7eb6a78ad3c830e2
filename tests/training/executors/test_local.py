"""Order, progress, errors, dead workers and orphans of the executor `local`, with work of no use.

What a whole command makes of them is in `test_commands.py`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from inspect import getclosurevars
from pathlib import Path

import pytest

from data.errors import DamagedError, DiskFullError, InputError, WorkerDiedError
from training.executors.executor import Cell, Report
from training.executors.local import EXECUTOR as LOCAL
from training.executors.local import available_cores

ROOT = Path(__file__).parents[3]


def cells_of(tasks: list, units: int = 1) -> list[Cell]:
    return [Cell(name=f"runs/r, seed {i}", task=task, units=units) for i, task in enumerate(tasks)]


def children() -> list[int]:
    """Living child processes that multiprocessing spawned."""
    return [pid for pid, parent in processes().items() if parent == os.getpid()]


def processes() -> dict[int, int]:
    """Parents of the workers of this machine that are no zombies, by pid."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            state, parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:2]
            if state != "Z" and b"spawn_main" in (folder / "cmdline").read_bytes():
                found[int(folder.name)] = int(parent)
        except (OSError, IndexError):
            continue
    return found


# ---- results and progress ----------------------------------------------------------------------


def slower_the_earlier(task: int, report: Report) -> tuple[int, int]:
    time.sleep(0.1 * (3 - task))
    report(2)
    report(1)
    return task * task, os.getpid()


@pytest.mark.parametrize("workers", [1, 2, 4, 9])
def test_results_are_in_order_of_the_cells(workers: int) -> None:
    told: list[tuple[int, int]] = []
    found = LOCAL.run(
        slower_the_earlier,
        cells_of([0, 1, 2, 3], units=3),
        workers=workers,
        progress=lambda done, total: told.append((done, total)),
    )
    assert [result for result, _ in found] == [0, 1, 4, 9]
    pids = {pid for _, pid in found}
    assert (os.getpid() in pids) == (workers == 1)
    assert len(pids) <= min(workers, 4)
    assert [total for _, total in told] == [12] * 8
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (12, 12)
    assert not children()


def test_workers_have_cores_for_all_their_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.executors.local.available_cores", lambda: 2)

    def n_processes(threads: int) -> int:
        cells = [replace(cell, threads=threads) for cell in cells_of([2, 2, 2])]
        return len({pid for _, pid in LOCAL.run(slower_the_earlier, cells)})

    assert [n_processes(threads) for threads in (1, 2, 8)] == [2, 1, 1]


def test_one_cell_needs_no_process_and_none_no_work() -> None:
    assert LOCAL.run(slower_the_earlier, cells_of([3]), workers=8) == [(9, os.getpid())]
    assert LOCAL.run(slower_the_earlier, [], workers=8) == []


def large(task: int, report: Report) -> bytes:
    return bytes([task]) * 3_000_000


def test_large_results_pass_through_the_pipes() -> None:
    assert LOCAL.run(large, cells_of([1, 2, 3]), workers=2) == [
        bytes([n]) * 3_000_000 for n in (1, 2, 3)
    ]


def test_cores_are_those_this_process_may_use() -> None:
    assert available_cores() == len(os.sched_getaffinity(0))


# ---- errors ------------------------------------------------------------------------------------


class TwoWordsError(Exception):
    """An error that comes out of no pickle."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def fails_or_waits(task: BaseException | Path, report: Report) -> None:
    """Raises the task; or waits for an hour, and writes into a file when it is interrupted."""
    if isinstance(task, BaseException):
        raise task
    try:
        task.with_name("begun").touch()
        time.sleep(3600)
    finally:
        task.write_text("put in order")


@pytest.mark.parametrize(
    "error",
    [
        InputError("this cannot be; do that"),
        DamagedError("it is damaged; repeat"),
        DiskFullError("the disk is full; free some"),
        FileNotFoundError(2, "No such file or directory", "x"),
    ],
)
def test_errors_keep_their_type_and_stop_the_rest_in_order(
    error: Exception, tmp_path: Path
) -> None:
    def begun() -> bool:
        return (tmp_path / "begun").exists()

    begin = time.monotonic()
    cells = cells_of([tmp_path / "waits", error, error])
    with pytest.raises(type(error)) as caught:
        LOCAL.run(fails_or_waits, cells, workers=2)
    assert str(caught.value) == str(error)
    assert "fails_or_waits" in caught.value.__notes__[0]  # for --debug
    assert time.monotonic() - begin < 60
    assert (tmp_path / "waits").exists() == begun()
    assert not children()


def raises_two_words(task: int, report: Report) -> Callable[[], None]:
    if task:
        raise TwoWordsError("two", "words")
    return lambda: None


@pytest.mark.parametrize(
    ("tasks", "message"), [([1, 1], "TwoWordsError: two words"), ([0, 0], "pickle")]
)
def test_what_no_pipe_takes_is_an_error_that_says_so(tasks: list[int], message: str) -> None:
    with pytest.raises(Exception, match=message):
        LOCAL.run(raises_two_words, cells_of(tasks), workers=2)
    assert not children()


# ---- dead workers ------------------------------------------------------------------------------


def dies(task: tuple[Path, int | None], report: Report) -> int:
    """Kills itself in the middle of a report, leaves, or works for a moment."""
    folder, how = task
    report(1)
    if how is not None and how < 0:
        os.kill(os.getpid(), -how)
    if how is not None:
        os._exit(how)
    time.sleep(0.3)
    (folder / f"{os.getpid()}-{time.monotonic_ns()}").touch()
    return os.getpid()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            -signal.SIGKILL,
            (
                r"runs/r, seed 1: .* killed by signal 9 \(Killed\), mostly for want of memory; "
                r"repeat .*--workers 1 .*: no finished seed is trained again$"
            ),
        ),
        (-signal.SIGSEGV, r"runs/r, seed 1: .* signal 11 \(Segmentation fault\); repeat"),
        (-signal.SIGTERM, r"runs/r, seed 1: .* signal 15 \(Terminated\); repeat"),
        (0, r"runs/r, seed 1: its process ended with exit code 0; repeat"),
    ],
)
def test_killed_worker_costs_its_cell_and_nothing_else(
    how: int, message: str, tmp_path: Path
) -> None:
    cells = cells_of([(tmp_path, how if i == 1 else None) for i in range(5)])
    with pytest.raises(WorkerDiedError, match=f"^{message}") as caught:
        LOCAL.run(dies, cells, workers=2)
    assert len(list(tmp_path.iterdir())) == 4
    assert str(caught.value).count("\n") == 0
    assert not children()


def test_every_dead_worker_is_named_up_to_three(tmp_path: Path) -> None:
    cells = cells_of([(tmp_path, 7)] * 5)
    with pytest.raises(WorkerDiedError) as caught:
        LOCAL.run(dies, cells, workers=2)
    died = ", ".join(f"runs/r, seed {i}: its process ended with exit code 7" for i in range(3))
    assert str(caught.value).startswith(f"{died}, and 2 more; repeat the command")


def half_a_word(task: int, report: Report) -> bytes:
    """One is killed when it has sent the length of a message and half of it."""
    if task == 1:
        pipe = getclosurevars(report).nonlocals["pipe"]
        os.write(pipe.fileno(), (1000).to_bytes(4, "big") + bytes(500))
        os.kill(os.getpid(), signal.SIGKILL)
    return b"whole" * 100_000


def test_worker_killed_while_it_writes_harms_nobody() -> None:
    with pytest.raises(WorkerDiedError, match="runs/r, seed 1"):
        LOCAL.run(half_a_word, cells_of([0, 1, 2, 3]), workers=2)


# ---- orphans and signals -----------------------------------------------------------------------

ASKS = """
import sys, time
from training.executors.executor import Cell
from training.executors.local import EXECUTOR

def sleeps(task, report):
    print("begun", flush=True)
    time.sleep(600)

def is_stubborn(task, report):
    print("begun", flush=True)
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass

if __name__ == "__main__":
    work = {"sleeps": sleeps, "is_stubborn": is_stubborn}[sys.argv[1]]
    EXECUTOR.run(work, [Cell(name=str(i), task=i) for i in range(4)], workers=2)
"""


@pytest.fixture
def asked(tmp_path: Path):
    """Starts a script that has two workers busy, in a process group of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(work: str) -> tuple[subprocess.Popen[str], list[int]]:
        script = tmp_path / "asks.py"
        script.write_text(ASKS)
        process = subprocess.Popen(
            [sys.executable, str(script), work],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["begun\n"] * 2
        workers = [pid for pid, parent in processes().items() if parent == process.pid]
        assert len(workers) == 2
        return process, workers

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def seconds_until_gone(pids: list[int], most: float = 20) -> float:
    begin = time.monotonic()
    while set(pids) & set(processes()) and time.monotonic() - begin < most:
        time.sleep(0.05)
    return time.monotonic() - begin


@pytest.mark.parametrize("work", ["sleeps", "is_stubborn"])
def test_orphans_end_within_seconds(asked, work: str) -> None:
    process, workers = asked(work)
    process.kill()
    assert seconds_until_gone(workers) < 5
    assert process.stderr.read() == ""


def test_ctrl_c_reaches_the_parent_alone_and_ends_all(asked) -> None:
    process, workers = asked("sleeps")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert errors.count("Traceback") == 1
    assert errors.endswith("KeyboardInterrupt\n")
    assert seconds_until_gone(workers) < 5


@pytest.mark.slow
def test_worker_that_will_not_stop_is_killed(asked) -> None:
    process, workers = asked("is_stubborn")
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert seconds_until_gone(workers) < 5
