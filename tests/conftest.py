import fcntl
import hashlib
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from training.runs.run import Run

os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch.set_num_threads(1)

MEMORY, ENOUGH = Path("/dev/shm"), 4 * 2**30
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH:
    # Each file of a run is flushed to disk, which takes milliseconds. What tests write is thrown
    # away, so it is kept in memory where there is room.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.fixture(scope="session", autouse=True)
def _own_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests read is noted in no person's ledger; each process has one of its own."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IML_LEDGER", str(path))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_process() -> Iterator[None]:
    """Commands work in this process where no number of workers is named.

    Else each core would get a process, which takes seconds to import what it needs.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.executors.local.available_cores", lambda: 1)
        yield


@pytest.fixture(scope="session")
def made_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, Callable[[Path], object]], Path]:
    """Makes a folder by its name, once for all processes of a session; never to be changed."""
    folders = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folders = folders.parent

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder, begun = folders / f"once-{name}", folders / f"once-{name}-begun"
        with (folders / f"once-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed
            if not folder.exists():
                shutil.rmtree(begun, ignore_errors=True)
                make(begun)
                begun.rename(folder)
        return folder

    return once


@pytest.fixture(scope="session")
def tiny_run(made_once: Callable[[str, Callable[[Path], object]], Path]) -> "Run":
    """What `iml run alias-toy --smoke --with-null` makes; shared by all tests, so never changed."""
    from training.recipes import find_recipe
    from training.runs.requests import RunRequest
    from training.runs.run import Run, write_null_verdict
    from training.runs.runner import run_seeds

    def train(folder: Path) -> None:
        recipe = find_recipe("alias-toy")
        config = recipe(**recipe.smoke)
        request = RunRequest(config=config, folder=folder / "run", seeds=(1000, 1001))
        run_seeds([request, request.null_twin()], workers=1)
        write_null_verdict(Run.load(folder / "run"))

    return Run.load(made_once("tiny", train) / "run")


@pytest.fixture
def copied_run(tiny_run: "Run", tmp_path: Path) -> Path:
    """The folder of a copy of `tiny_run` that a test may change."""
    return Path(shutil.copytree(tiny_run.folder, tmp_path / "run"))


@pytest.fixture(scope="session")
def tree_hash() -> Callable[[Path], dict[str, str]]:
    """A function from a folder to the sha256 of each file in it by relative path, hidden ones too.

    Folders count as well; `""` is their content.
    """

    def listing(folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            if path.is_file()
            else ""
            for path in sorted(folder.rglob("*"))
        }

    return listing


DIED = 9


@pytest.fixture(scope="session")
def killed_at() -> Callable[[int, Path, Callable[[], object]], bool]:
    """Makes a forked process act, and die just before its n-th change below a folder.

    Changes are files opened for writing, renamed or deleted, folders made or deleted, and flushes
    to disk. Returns whether the process died; False means that it had come to its end before.
    """

    def act_and_die(n: int, folder: Path, act: Callable[[], object]) -> bool:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _die_before_change(n, str(folder))
                act()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, DIED)
        return code == DIED

    return act_and_die


def _die_before_change(n: int, folder: str) -> None:
    left, flush = n, os.fsync

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(DIED)

    def counted_flush(descriptor: int) -> None:
        count()
        flush(descriptor)

    def hook(event: str, arguments: tuple) -> None:
        if event == "open":
            is_change = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
        else:
            is_change = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir")
        if is_change and str(arguments[0]).startswith(folder):
            count()

    os.fsync = counted_flush
    sys.addaudithook(hook)
