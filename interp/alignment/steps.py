"""Gradient alignment along training: every checkpoint of both stages."""

from dataclasses import replace

import pandas as pd

from data.errors import InputError
from interp.alignment.analysis import AlignmentAnalysis
from interp.grids.grid import run_grid
from interp.grids.selection import GridSelection
from interp.hooked.devices import CPU
from training.executors.executor import Executor, Progress, tell_nobody
from training.executors.local import EXECUTOR as LOCAL
from training.runs.run import Run


def alignment_over_steps(
    run: Run,
    analysis: AlignmentAnalysis,
    *,
    seeds: tuple[int, ...] | None = None,
    stages: tuple[int, ...] | None = None,
    workers: int | None = None,
    executor: Executor = LOCAL,
    device: str = CPU,
    progress: Progress = tell_nobody,
) -> pd.DataFrame:
    """The analysis at every checkpoint that all seeds have; the summary of all of them.

    Args:
        run: Where tables are written, one checkpoint after the other.
        analysis: What to measure; its stage and step are replaced.
        seeds: The seeds to measure; all unless given.
        stages: The stages to measure; all of the run unless given.
        workers: As in `run_grid`.
        executor: As in `run_grid`.
        device: As in `run_grid`.
        progress: What is told of checkpoints done, and of all there are.

    Raises:
        InputError: the seeds have no checkpoint in common.
    """
    chosen = seeds or tuple(run.seeds)
    cells = [
        (int(stage), step)
        for stage in stages or run.config.schedule.stages
        for step in _shared_steps(run, chosen, stage)
    ]
    if not cells:
        raise InputError(f"the seeds of {run.folder} have no checkpoint in common; name one seed")
    summaries = []
    for done, (stage, step) in enumerate(cells, start=1):
        selection = GridSelection(runs=(run,), stage=stage, step=step, seeds=seeds)
        each = replace(analysis, folder=run.folder, stage=stage, step=step)
        filled = run_grid(
            each, selection, workers=workers, executor=executor, device=device, progress=tell_nobody
        )
        summaries.append(filled[1])
        progress(done, len(cells))
    return pd.concat(summaries, ignore_index=True)


def _shared_steps(run: Run, seeds: tuple[int, ...], stage: int) -> list[int]:
    steps = [set(run.steps(seed, stage)) for seed in seeds]
    return sorted(set.intersection(*steps))
