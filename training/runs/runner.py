"""Trains the seeds of a run side by side, on what the executor has, and writes the run's tables.

Asking for more seeds extends a run; asking again finishes what is missing and repeats nothing.
"""

import fcntl
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import pandas as pd

from data.errors import InputError
from training.budget import process_bytes
from training.distributed import Team
from training.executors.executor import Cell, Executor, Progress, tell_nobody
from training.executors.local import EXECUTOR as LOCAL
from training.files import json_bytes, table_bytes
from training.pipeline import SeedResult, SeedTask, total_steps, train_seed
from training.progress import told
from training.runs.info import RUN_FILE
from training.runs.publication import Files, publish
from training.runs.requests import RunRequest, check_together, now
from training.runs.run import METRICS_FILE, SUMMARY_FILE, Run, publish_runs, read_table
from training.summary import summarize


def run_seeds(
    requests: Iterable[RunRequest],
    *,
    workers: int | None = None,
    executor: Executor = LOCAL,
    progress: Progress | None = None,
) -> list[Run]:
    """Trains every missing seed of the requests at once and writes each run's tables.

    Args:
        requests: Runs, for instance one and its null twin.
        workers: Most seeds at once; the executor chooses unless given. The bytes do not depend on
            it.
        executor: What trains the seeds.
        progress: Told of steps done; shown unless given, see `training.progress.told`.

    Raises:
        InputError: a request cannot be run; nothing is written then.
        WorkerDiedError: what trained a seed was killed. Every other seed is trained to its end; the
            tables are written when a second call has trained the one that is missing.
    """
    requests = list(requests)
    check_together(requests)
    team = Team.of_launch()
    folders = [request.folder for request in requests]
    with sole_runner(folders) if team.is_main else nullcontext():
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
        results = _train_all(tasks, workers, executor, progress)
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
            SUMMARY_FILE: json_bytes(
                summarize(metrics, request.config.design, request.config.schedule)
            ),
            RUN_FILE: json_bytes(info),
        }
        return {request.folder: files}

    publish_runs([request.folder], make)


def _train_all(
    tasks: list[SeedTask], workers: int | None, executor: Executor, progress: Progress | None
) -> list[SeedResult]:
    """Trains tasks side by side; a team trains one after the other, in all its processes."""
    team = Team.of_launch()
    # Every seed of a config has equally many rows, so one seed of each run stands for all.
    by_run = {task.folder: task for task in tasks}
    steps = {folder: total_steps(task.config, task.seed) for folder, task in by_run.items()}
    cells = [
        Cell(
            name=f"{task.folder}, seed {task.seed}",
            task=task,
            units=steps[task.folder],
            threads=task.config.threads,
            memory=process_bytes(task.config),
        )
        for task in tasks
    ]
    label = ", ".join(dict.fromkeys(task.config.recipe for task in tasks))
    with told(progress if team.is_main else tell_nobody, label) as tell:
        return executor.run(
            train_seed, cells, workers=1 if team.size > 1 else workers, progress=tell
        )


@contextmanager
def sole_runner(folders: list[Path]) -> Iterator[None]:
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
