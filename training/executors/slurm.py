"""The executor `slurm`: jobs of a SLURM cluster, sent by submitit in arrays.

The command waits where it was started, a login node say, and everything passes through a folder
that all nodes see. A job that is preempted, or reaches its time limit, is queued again and goes on
from what is on disk. While the command lives it writes a counter into the folder; a job that sees
it stand still ends itself, so that no job outlives a command that was killed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from data.errors import InputError
from training.carried import Done, Failed, Grouped, attempt
from training.cell_book import Book
from training.executors.executor import (
    Cell,
    Progress,
    Report,
    Result,
    Task,
    Watch,
    largest,
    optional_package,
    tell_nobody,
    watch_nothing,
)
from training.executors.local import available_cores

MOST_TIMEOUTS = 1000
"""How often a job may reach its time limit and be queued again."""
LOOKS_EVERY_S = 1.0
ASKS_EVERY_S = 10.0
"""SLURM is asked no more often which jobs it still has."""
BEATS_EVERY_S = 2.0
STANDS_STILL_S = 60.0
"""A job ends itself if the command's counter has not moved for so long."""
LOSSES = 3
"""How often a cell is begun again whose job ended without a result, as with its node."""
LEAST_MEMORY_GB = 2.0
BEAT = "beat"


@dataclass(frozen=True, kw_only=True)
class Slurm:
    """A SLURM cluster whose commands are found on this machine."""

    minutes: int = 60
    """Time limit of a job, after which it is queued again."""
    partition: str = ""
    account: str = ""
    gpus: float = 0.0
    """GPUs for each job, whole ones."""
    jobs: Path = Path("iml-jobs")
    """Where jobs leave their results and logs until the call ends."""
    cluster: str = "slurm"
    """`local` has submitit start processes of this machine, to try what jobs do."""

    def run(
        self,
        work: Callable[[Task, Report], Result],
        cells: Sequence[Cell[Task]],
        *,
        workers: int | None = None,
        progress: Progress = tell_nobody,
        retries: int | None = None,
        watch: Watch = watch_nothing,
    ) -> list[Result]:
        """Carries out cells as `Executor.run` says; all are queued at once, `workers` may run."""
        book = Book[Task, Result](
            cells, progress=progress, retries=retries, watch=watch, losses=LOSSES
        )
        if cells:
            self.require_there()
            submitit = optional_package("submitit")
            with _folder(self.jobs) as folder, _beating(folder), _own_path():
                queue = self._queue(submitit, folder, cells, workers)
                _carry_out_all(queue, work, book, folder, self._most_queued(workers))
        return book.results

    def require_there(self) -> None:
        """See `training.executors.executor.Elsewhere`."""
        if find_spec("submitit") is None:
            optional_package("submitit")
        if self.minutes < 1:
            raise InputError(f"--minutes {self.minutes} is no time for a job; use 1 or more")
        if self.gpus != int(self.gpus):
            raise InputError(
                f"--gpus {self.gpus:g} is no whole number, and SLURM shares none; use 1, or "
                "--executor ray"
            )
        if self.cluster == "slurm" and not all(map(shutil.which, ("sbatch", "srun", "squeue"))):
            raise InputError(
                "there is no SLURM on this machine (sbatch, srun and squeue are not found); start "
                "on a node of the cluster, or use --executor local"
            )

    def _most_queued(self, workers: int | None) -> int:
        """Jobs that are sent at once: SLURM queues them, processes of this machine nobody does."""
        return sys.maxsize if self.cluster == "slurm" else workers or available_cores()

    def _queue(
        self, submitit: Any, folder: Path, cells: Sequence[Cell], workers: int | None
    ) -> Any:
        """What jobs are sent through."""
        own = {f"{self.cluster}_max_num_timeout": MOST_TIMEOUTS}
        queue = submitit.AutoExecutor(folder=folder / "%j", cluster=self.cluster, **own)
        given = {"slurm_partition": self.partition, "slurm_account": self.account}
        queue.update_parameters(
            name="iml",
            timeout_min=self.minutes,
            cpus_per_task=max(cell.threads for cell in cells),
            mem_gb=max(LEAST_MEMORY_GB, largest(cells) / 1e9),
            gpus_per_node=int(self.gpus),
            slurm_array_parallelism=workers or len(cells),
            **{name: value for name, value in given.items() if value},
        )
        return queue


EXECUTOR = Slurm()


# ---- in the process that was asked -----------------------------------------------------------


@contextmanager
def _folder(jobs: Path) -> Iterator[Path]:
    """A folder of the call's own, which goes with it; the one above it, too, if it is empty."""
    try:
        jobs.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=jobs)).resolve()
    except OSError as error:
        raise InputError(
            f"{jobs.resolve()} cannot be written to ({error.strerror}); start from another folder"
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not any(jobs.iterdir()):
            jobs.rmdir()


@contextmanager
def _beating(folder: Path) -> Iterator[None]:
    """Moves the counter by which jobs know that they are waited for."""
    ended = threading.Event()

    def beat() -> None:
        count = 0
        while not ended.wait(BEATS_EVERY_S):
            count += 1
            (folder / BEAT).write_text(str(count))

    (folder / BEAT).write_text("0")
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _own_path() -> Iterator[None]:
    """Has jobs find the modules that this process finds."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(os.path.abspath(place) for place in sys.path)
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


def _carry_out_all(
    queue: Any,
    work: Callable[[Task, Report], Result],
    book: Book[Task, Result],
    folder: Path,
    most: int,
) -> None:
    """Sends cells until none is left, and enters what comes back."""
    running: dict[int, Any] = {}
    known: dict[int, int] = {}
    alive = _Alive(queue.cluster)
    try:
        while book.waiting or running:
            taken = [book.take() for _ in range(min(len(book.waiting), most - len(running)))]
            if taken:
                with queue.batch():  # which makes an array of them
                    jobs = [
                        queue.submit(_Order(work, book.cells[i].task, folder, i)) for i in taken
                    ]
                running |= dict(zip(taken, jobs, strict=True))
            time.sleep(LOOKS_EVERY_S)
            for index, job in list(running.items()):
                units = _units(folder, index)
                book.add(index, units - known.get(index, 0))
                known[index] = units
                if job.paths.result_pickle.exists() or not alive.has(job, running.values()):
                    del running[index], known[index]
                    _enter(book, index, job)
    finally:
        for job in running.values():
            job.cancel(check=False)
        alive.wait_until_gone(list(running.values()))


def _enter(book: Book[Any, Any], index: int, job: Any) -> None:
    """Puts what became of a cell into the book."""
    if not job.paths.result_pickle.exists():
        return book.lose(index, "its job ended without a result, by its node or for want of memory")
    said = job.result()
    if isinstance(said, Failed):
        return book.fail(index, said.error)
    return book.finish(index, said.result)


@dataclass
class _Alive:
    """Which jobs are queued or run; SLURM is asked now and then, for all at once."""

    cluster: str
    _asked: float = 0.0
    _found: set[str] = field(default_factory=set)

    def has(self, job: Any, among: Any) -> bool:
        """Whether a job has not ended, as far as is known."""
        if self.cluster != "slurm":
            return not job.done()
        if time.monotonic() - self._asked > ASKS_EVERY_S:
            self._ask(among)
        return job.job_id in self._found

    def wait_until_gone(self, jobs: Sequence[Any]) -> None:
        """Waits for jobs that were cancelled, for a while."""
        end = time.monotonic() + STANDS_STILL_S
        while jobs and time.monotonic() < end:
            self._asked = 0.0
            if not any(self.has(job, jobs) for job in jobs):
                return
            time.sleep(LOOKS_EVERY_S)

    def _ask(self, jobs: Any) -> None:
        """Asks SLURM; where it does not answer, what was known stays."""
        command = ["squeue", "--noheader", "--array", "--format=%i"]
        ids = ",".join(sorted({job.job_id.split("_")[0] for job in jobs}))
        answer = subprocess.run([*command, "--jobs", ids], capture_output=True, text=True)
        if answer.returncode == 0 or "Invalid job id" in answer.stderr:
            self._found = set(answer.stdout.split())
        else:
            self._found = {job.job_id for job in jobs}
        self._asked = time.monotonic()


def _units(folder: Path, index: int) -> int:
    """Units that the job of a cell has reported."""
    try:
        return sum(map(int, _reports(folder, index).read_text().split()))
    except (OSError, ValueError):  # not begun, or read in the midst of a line
        return 0


def _reports(folder: Path, index: int) -> Path:
    return folder / f"units-{index}"


# ---- in a job --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Order:
    """What a job does."""

    work: Callable[[Any, Report], Any]
    task: Any
    folder: Path
    index: int

    def __call__(self) -> Done | Failed:
        """Does a cell's work; what it raises is a result, too, so that its type and text stay."""
        threading.Thread(target=self._end_with_command, daemon=True).start()
        path = _reports(self.folder, self.index)
        path.write_text("")

        def tell(units: int) -> None:
            with path.open("a") as file:
                file.write(f"{units}\n")

        return attempt(self.work, self.task, Grouped(tell))

    def checkpoint(self) -> Any:
        """What submitit sends again when the job is preempted or out of time: the same."""
        return optional_package("submitit").helpers.DelayedSubmission(self)

    def _end_with_command(self) -> None:
        """Ends a job that nobody waits for; whatever is on disk can be resumed."""
        last, since = "", time.monotonic()
        while time.monotonic() - since < STANDS_STILL_S:
            time.sleep(BEATS_EVERY_S)
            try:
                beat = (self.folder / BEAT).read_text()
            except FileNotFoundError:
                break  # the call has ended
            if beat != last:
                last, since = beat, time.monotonic()
        os._exit(1)
