"""Trains the seeds of a run side by side on the cores there are, and writes the run's tables.

Asking for more seeds extends a run; asking again finishes what is missing and repeats nothing.
"""

import fcntl
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pandas as pd

from data.errors import InputError
from training.distributed import Team
from training.files import json_bytes, table_bytes
from training.pipeline import SeedResult, SeedTask, total_steps, train_seed
from training.publication import Files, publish
from training.requests import RunRequest, check_together, now
from training.run_info import RUN_FILE
from training.runs import METRICS_FILE, SUMMARY_FILE, Run, publish_runs, read_table
from training.summary import summarize

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


def run_seeds(
    requests: Iterable[RunRequest],
    *,
    workers: int | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Run]:
    """Trains every missing seed of the requests in one pool and writes each run's tables.

    Args:
        requests: Runs, for instance one and its null twin.
        workers: Processes; as many as cores unless given. The bytes do not depend on it.
        progress: Told of steps done.

    Raises:
        InputError: a request cannot be run; nothing is written then.
    """
    requests = list(requests)
    check_together(requests)
    team = Team.of_launch()
    folders = [request.folder for request in requests]
    with _sole_runner(folders) if team.is_main else nullcontext():
        unfinished = [request for request in requests if request.missing_seeds()]
        tasks = [
            SeedTask(folder=request.folder, config=request.trained, seed=seed)
            for request in unfinished
            for seed in request.missing_seeds()
        ]
        team.wait()  # until all have seen what is missing
        if team.is_main:
            for request in unfinished:
                request.begin()
            for request in unfinished:
                request.config.model.prepare()
        team.wait()
        results = _train_all(tasks, workers or available_cores(), progress)
        for request in unfinished:
            done = {
                task.seed: result
                for task, result in zip(tasks, results, strict=True)
                if task.folder == request.folder
            }
            if team.is_main:
                _write_tables(request, done)
        team.wait()
    return [Run.load(request.folder) for request in requests]


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _write_tables(request: RunRequest, results: dict[int, SeedResult]) -> None:
    """Joins the seeds' metrics with those already there, and writes every file of the run."""

    def make() -> dict[Path, Files]:
        info = request.info()
        tables = [result.metrics for result in results.values()]
        if not set(info["seeds"]) <= set(results):
            earlier = read_table(request.folder / METRICS_FILE)
            tables.append(earlier.loc[~earlier["seed"].isin(list(results))])
        order = ["seed", "stage", "stage2_seed", "step", "subset", "question", "metric"]
        metrics = pd.concat(tables).sort_values(order, ignore_index=True)
        digests = info["data_sha256"] | {str(s): r.data_sha256 for s, r in results.items()}
        info["data_sha256"] = {str(seed): digests[str(seed)] for seed in info["seeds"]}
        info["finished"] = now()
        files = {
            METRICS_FILE: table_bytes(metrics),
            SUMMARY_FILE: json_bytes(summarize(metrics, request.config.schedule)),
            RUN_FILE: json_bytes(info),
        }
        return {request.folder: files}

    publish_runs([request.folder], make)


def _train_all(tasks: list[SeedTask], workers: int, progress: Progress) -> list[SeedResult]:
    """Trains tasks in processes of their own, or here if there is but one worker or task.

    A team trains one seed after the other.
    """
    team = Team.of_launch()
    counter = _Counter(tasks, progress if team.is_main else lambda done, total: None)
    if team.size > 1 or min(workers, len(tasks)) <= 1:
        return [train_seed(task, counter.add) for task in tasks]
    context = multiprocessing.get_context("spawn")
    reports, stop = context.SimpleQueue(), context.Event()
    pool = ProcessPoolExecutor(
        min(workers, len(tasks)),
        context,
        initializer=_start_worker,
        initargs=(reports, stop, os.getpid()),
    )
    listener = threading.Thread(target=_pass_on, args=(reports, counter.add), daemon=True)
    listener.start()
    try:
        with _sigint_blocked():
            futures = [pool.submit(_train_in_worker, task) for task in tasks]
        for future in as_completed(futures):
            future.result()
        return [future.result() for future in futures]
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
        reports.put(None)
        listener.join()


class _Counter:
    """Adds up the steps of all processes."""

    def __init__(self, tasks: list[SeedTask], progress: Progress) -> None:
        self.done = 0
        # Every seed of a config has equally many rows, so one seed of each run stands for all.
        by_run = {task.folder: task for task in tasks}
        steps = {folder: total_steps(t.config, t.seed) for folder, t in by_run.items()}
        self.total = sum(steps[task.folder] for task in tasks)
        self.progress = progress

    def add(self, steps: int) -> None:
        self.done += steps
        self.progress(self.done, self.total)


def _pass_on(reports: "SimpleQueue[int | None]", add: Callable[[int], None]) -> None:
    while (steps := reports.get()) is not None:
        add(steps)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Processes started in the block never see SIGINT, not even while they import torch.

    Ctrl-C reaches the whole process group; only the parent answers it, through `stop`.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True)
class _Worker:
    """What a worker process was started with."""

    reports: Any
    stop: Event
    parent: int


_worker: _Worker | None = None


class _StoppedError(Exception):
    """The parent is gone or wants the worker to end; what is on disk can be resumed."""


def _start_worker(reports: "SimpleQueue[int | None]", stop: Event, parent: int) -> None:
    global _worker
    _worker = _Worker(reports, stop, parent)


def _train_in_worker(task: SeedTask) -> SeedResult:
    worker = _worker
    assert worker is not None

    def report(steps: int) -> None:
        if worker.stop.is_set() or os.getppid() != worker.parent:
            raise _StoppedError
        worker.reports.put(steps)

    return train_seed(task, report)


@contextmanager
def _sole_runner(folders: list[Path]) -> Iterator[None]:
    """Keeps a second `iml run` out of the folders; a killed one counts as gone."""
    with ExitStack() as stack:
        for folder in folders:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context((folder / ".lock").open("w"))
            except OSError as error:
                raise InputError(
                    f"{folder} cannot be written to ({error.strerror}); choose another folder"
                ) from None
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"another iml run is writing to {folder}; wait for it or stop it"
                ) from None
        publish(folders, dict)  # nothing, but what a killed one left is finished or deleted
        yield
