"""What hypotheses leave in a run's folder: tables that rows read, and a file for each result."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from data.errors import DamagedError
from interp.alignment.analysis import AlignmentAnalysis
from interp.grids.grid import Analysis, for_design, run_grid
from interp.grids.known_tables import known_or_measured
from interp.grids.selection import GridSelection
from interp.hypotheses.alias_changes import FEWEST_ENTITIES, defined_aliases, shared_entities
from interp.hypotheses.change_analysis import ChangeAnalysis
from interp.hypotheses.freezing import HypothesisText
from interp.hypotheses.results import Result
from training.executors.executor import Executor
from training.executors.local import EXECUTOR as LOCAL
from training.files import json_bytes, read_json
from training.runs.publication import Files, read_unchecked
from training.runs.run import Run, publish_runs, read_table

FOLDER = "hypotheses"


def make_missing(
    run: Run,
    texts: Sequence[HypothesisText],
    *,
    workers: int | None = None,
    executor: Executor = LOCAL,
    device: str = "cpu",
) -> None:
    """Measures what the hypotheses' rows read and the run has no table of, if that is cheap.

    Args:
        run: Finished.
        texts: Whose rows.
        workers: As for `run_grid`.
        executor: As for `run_grid`.
        device: As for `run_grid`.
    """
    for analysis, stage in _cheap(run, texts):
        if seeds := _seeds_without(run, analysis.name, stage):
            selection = GridSelection(runs=(run,), stage=stage, seeds=tuple(seeds))
            run_grid(analysis, selection, workers=workers, executor=executor, device=device)


def with_missing(
    run: Run, texts: Sequence[HypothesisText], tables: Mapping[str, pd.DataFrame] | None = None
) -> Run:
    """The run with the tables that `make_missing` would make; its folder stays as it is.

    Args:
        run: Finished.
        texts: Whose rows.
        tables: By analysis what counts in place of the tables that the folder happens to have, if
            given; what is cheap is then as if measured now.
    """
    if tables is None:
        tables = {path.stem: read_table(path) for path in sorted(run.folder.glob("*.parquet"))}
    found = dict(tables)
    for analysis, stage in _cheap(run, texts):
        if _seeds_without(replace(run, given_tables=found), analysis.name, stage):
            selection = GridSelection(runs=(run,), stage=stage)
            found[analysis.name], _ = known_or_measured(for_design(analysis, run.design), selection)
    return replace(run, given_tables=found)


def _cheap(run: Run, texts: Sequence[HypothesisText]) -> Iterator[tuple[Analysis, int]]:
    """The analyses that hypotheses ask for, with their stages, if a run can have them and soon."""
    asked = {name for text in texts for p in text.hypothesis.predictions for name in p.row.tables}
    branches_at = run.config.schedule.branches_at
    if branches_at is None or run.config.model.is_encoder_decoder:
        return
    known: list[tuple[Analysis, int]] = [(ChangeAnalysis(folder=run.folder), int(branches_at))]
    if branches_at > 1:
        alignment = AlignmentAnalysis(folder=run.folder, stage=int(branches_at) - 1)
        known.append((alignment, alignment.stage))
    for analysis, stage in known:
        if analysis.name in asked and _is_measurable(run, analysis):
            yield analysis, stage


def _is_measurable(run: Run, analysis: Analysis) -> bool:
    """Whether the run's data have what a cheap analysis needs."""
    sides = defined_aliases(run.tokenized_rows(run.seeds[0]), run.design.main)
    if isinstance(analysis, ChangeAnalysis):
        return len(shared_entities(sides)) >= FEWEST_ENTITIES
    return bool(sides)  # gradients of long aliases and texts take their time


def _seeds_without(run: Run, analysis: str, stage: int) -> list[int]:
    """The seeds of a run that a table has no rows of at the end of a stage."""
    table = run.table(analysis)
    if table is None:
        return run.seeds
    there = set(table.loc[table["stage"] == stage, "seed"])
    return [seed for seed in run.seeds if seed not in there]


def save_results(run: Run, results: Sequence[Result]) -> None:
    """Writes `hypotheses/<name>.json` for each result; others stay as they are."""

    def make() -> dict[Path, Files]:
        files = {f"{FOLDER}/{each.name}.json": json_bytes(each.to_json()) for each in results}
        return {run.folder: files}

    publish_runs([run.folder], make)


def load_results(run: Run) -> list[Result]:
    """The results that lie in a run's folder, in order of their names.

    Raises:
        DamagedError: a file is none that `save_results` wrote.
    """
    found = []
    for path in sorted((run.folder / FOLDER).glob("*.json")):
        content: Any = read_json(path, read=read_unchecked)
        try:
            found.append(Result.from_json(content))
        except (KeyError, TypeError, ValueError):
            raise DamagedError(
                f"{path} is no result of a hypothesis; delete it and repeat iml hypothesis"
            ) from None
    return found
