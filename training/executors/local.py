"""The executor `local`: processes of this machine, as many as it has cores.

Each worker has a pipe of its own, so that one that is killed, even in the middle of a word, costs
the cell that it was at and nothing else.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import NoReturn

from training.budget import machine_memory, require_room
from training.carried import Done, Failed, packed, portable, unpacked
from training.cell_book import Book
from training.executors.executor import (
    Cell,
    Progress,
    Report,
    Result,
    Task,
    Watch,
    largest,
    tell_nobody,
    watch_nothing,
)

STOPS_WITHIN_S = 5.0
"""So long a worker may take to leave its work in order before it is killed."""
LOOKS_FOR_PARENT_EVERY_S = 1.0


@dataclass(frozen=True)
class Local:
    """Processes of this machine; this process alone where there is but one worker or cell."""

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
        """Carries out cells as `Executor.run` says; at once, unless given, as cores suffice for."""
        n_workers = min(workers or _room(cells), len(cells))
        require_room(n_workers, largest(cells), machine_memory(), "this machine")
        book = Book[Task, Result](cells, progress=progress, retries=retries, watch=watch)
        if n_workers <= 1:
            _run_here(work, book)
        else:
            _run_in_processes(work, book, n_workers)
        return book.results


EXECUTOR = Local()


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _room(cells: Sequence[Cell[Task]]) -> int:
    """Cells for which there are cores and memory."""
    by_cores = available_cores() // max((cell.threads for cell in cells), default=1)
    each = largest(cells)
    by_memory = machine_memory() // each if each else by_cores
    return max(1, min(by_cores, by_memory))


# ---- in the process that was asked -----------------------------------------------------------


def _run_here(work: Callable[[Task, Report], Result], book: Book[Task, Result]) -> None:
    """Carries out one cell after another in this process."""
    while book.waiting:
        index = book.take()
        try:
            result = work(book.cells[index].task, partial(book.add, index))
        except Exception as error:
            book.fail(index, error)
        else:
            book.finish(index, result)


def _run_in_processes(
    work: Callable[[Task, Report], Result], book: Book[Task, Result], n_workers: int
) -> None:
    """Gives every worker a cell, and the next one when it is done; replaces those that die."""
    crew: list[_Worker] = []

    def start_worker() -> None:
        with _signals_held():
            crew.append(_Worker())
        give_next(crew[-1])

    def give_next(worker: _Worker) -> None:
        worker.at = book.take()
        worker.give(work, book.cells[worker.at].task)

    try:
        for _ in range(n_workers):
            start_worker()
        while busy := {worker.pipe: worker for worker in crew if worker.at is not None}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # pyright: ignore[reportArgumentType]
                index, said = worker.at, worker.hear()
                assert index is not None
                if isinstance(said, int):
                    book.add(index, said)
                    continue
                worker.at = None
                if isinstance(said, Done):
                    book.finish(index, said.result)
                elif isinstance(said, Failed):
                    book.fail(index, said.error)
                else:
                    book.lose(index, _ending(said.exit_code))
                if book.waiting and not isinstance(said, _Died):
                    give_next(worker)
                elif book.waiting:
                    start_worker()
    finally:
        _stop(crew)


@dataclass(frozen=True)
class _Died:
    """What is left of a worker whose process ended before it could send anything."""

    exit_code: int
    """Minus the number of the signal that killed it, if one did."""


class _Worker:
    """A process, the near end of its pipe, and the cell that it is at."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.at: int | None = None
        self.pipe, far_end = context.Pipe()
        self.process = context.Process(target=_serve, args=(far_end,))
        self.process.start()
        far_end.close()  # the worker's is the only one now: where it dies, the pipe ends

    def give(self, work: Callable[[Task, Report], Result], task: Task) -> None:
        """Sends a cell; that the worker is dead shows in what is heard of it."""
        with suppress(ConnectionError):
            self.pipe.send((work, task))

    def hear(self) -> int | Done | Failed | _Died:
        """The next word, which may be units done; that it is dead if the pipe ended."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(STOPS_WITHIN_S)
            self.process.kill()
            self.process.join()
            assert self.process.exitcode is not None
            return _Died(self.process.exitcode)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Puts SIGINT and SIGTERM off to the end of the block, so that no worker is started unknown.

    A process that is started in it never sees SIGINT, not even while it imports: Ctrl-C reaches the
    whole process group, and only this process answers it.
    """
    resource_tracker.ensure_running()  # which would let the signals through when it is started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(crew: Sequence[_Worker]) -> None:
    """Ends workers: those at a cell leave it in order if they can in time."""
    try:
        for worker in crew:
            worker.process.terminate()
        deadline = time.monotonic() + STOPS_WITHIN_S
        for worker in crew:
            worker.process.join(max(0.0, deadline - time.monotonic()))
    finally:
        for worker in crew:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()


def _ending(exit_code: int) -> str:
    if exit_code >= 0:
        return f"its process ended with exit code {exit_code}"
    killed = f"its process was killed by signal {-exit_code} ({signal.strsignal(-exit_code)})"
    return f"{killed}, mostly for want of memory" if -exit_code == signal.SIGKILL else killed


# ---- in a worker -----------------------------------------------------------------------------


class _StoppedError(BaseException):
    """The parent is gone or wants the worker to end; raised in the midst of the work."""


def _serve(pipe: Connection) -> None:
    """Carries out what comes through the pipe, until somebody ends the process."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    with suppress(EOFError, ConnectionError):  # the parent is gone
        while True:
            pipe.send_bytes(_carry_out(pipe.recv_bytes(), pipe))


def _end_with_parent() -> None:
    """Ends a process whose parent was killed; whatever is on disk can be resumed."""
    parent = multiprocessing.parent_process()
    while parent is not None and os.getppid() == parent.pid:
        time.sleep(LOOKS_FOR_PARENT_EVERY_S)
    os._exit(1)


def _carry_out(order: bytes, pipe: Connection) -> bytes:
    """Does a cell's work and puts its result, or the error, into bytes."""

    def report(units: int) -> None:
        try:
            pipe.send(units)
        except ConnectionError:
            raise _StoppedError from None

    try:
        work, task = unpacked(order)
        with _stopped_by_sigterm():
            result = work(task, report)
        return packed(Done(result))
    except _StoppedError:
        signal.raise_signal(signal.SIGTERM)  # which ends the process now
        raise
    except BaseException as error:
        return packed(Failed(portable(error)))


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as an error does, so that its work cleans up; before, the process."""

    def stop(*_: object) -> NoReturn:
        raise _StoppedError

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
