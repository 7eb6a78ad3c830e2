"""One analysis over many checkpoints: runs x seeds at one stage and step, or along training.

Each checkpoint is opened and measured by itself; the summary over seeds is made of the whole grid
at once, several runs included, so that a correction covers everything that was looked at. Tables
are written when all of it is done: `NAME.parquet` (a row for each seed and cell),
`NAME_summary.parquet` (a row for each cell) and, where an analysis keeps vectors,
`NAME_vectors.safetensors`, in the folder of each run, in place of what was known of the same seeds,
checkpoints and cells; the rest stays. A run's tables change together, and what another command
wrote while the grid was measured is kept, too (see `training.runs.publication`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from data.design import Design
from data.tokens import TokenizedRow
from interp.grids.kept import is_kept, keep, load_kept, place_of
from interp.grids.merging import contents, is_at_checkpoints_of, merged
from interp.grids.selection import GridSelection
from interp.grids.settings import placed, settings_of
from interp.hooked.addresses import Site
from interp.hooked.devices import CPU, require_device
from interp.hooked.model import HookedModel, load_hooked
from interp.hooked.sites import choose_sites
from training.budget import BYTES_PER_PROCESS
from training.columns import RUN_COLUMNS, run_columns
from training.executors.executor import Cell, Executor, Progress, Report
from training.executors.local import EXECUTOR as LOCAL
from training.progress import told
from training.runs.info import FORMAT_VERSION
from training.runs.ledger import note_read
from training.runs.publication import Files
from training.runs.run import Run, publish_runs
from training.threads import THREADS, one_thread


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What an analysis found in one checkpoint: rows of its table, and vectors if it keeps any."""

    table: pd.DataFrame
    """Coordinates and measurements, without run columns."""
    vectors: dict[str, np.ndarray] = field(default_factory=dict)
    withdrawn: tuple[dict[str, object], ...] = ()
    """Coordinates at which nothing could be measured this time: what was known there goes."""


@runtime_checkable
class Analysis(Protocol):
    """A way to look at one checkpoint, and at all of them together."""

    @property
    def name(self) -> str:
        """The name of the analysis, with which its tables' file names begin."""
        ...

    @property
    def coordinates(self) -> Sequence[str]:
        """Columns that tell the cells of one checkpoint apart."""
        ...

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Measures one checkpoint, and leaves the model as it was."""
        ...

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """One row for each cell, over seeds, from the rows of every run."""
        ...


@runtime_checkable
class BesideTwin(Protocol):
    """An analysis that also looks at the null twin's checkpoint, where there is one."""

    def beside_twin(
        self,
        measured: Measured,
        rows: Sequence[TokenizedRow],
        twin: HookedModel,
        twin_rows: Sequence[TokenizedRow],
        sites: Sequence[Site],
        *,
        seed: int,
    ) -> Measured:
        """Adds to what was measured of the run; the two share seed, stage, step and sites."""
        ...


@runtime_checkable
class OfDesign(Protocol):
    """An analysis whose settings, where left open, follow from what its runs compare."""

    def of_design(self, design: Design) -> Analysis:
        """The analysis with all that is taken from a design filled in."""
        ...


def for_design(analysis: Analysis, design: Design) -> Analysis:
    """The analysis with what it leaves open taken from a design, where it leaves anything open."""
    return analysis.of_design(design) if isinstance(analysis, OfDesign) else analysis


def run_grid(
    analysis: Analysis,
    selection: GridSelection,
    *,
    workers: int | None = None,
    executor: Executor = LOCAL,
    device: str = CPU,
    progress: Progress | None = None,
    kept: Path | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fills a grid, writes its tables into the runs' folders and returns rows and summary.

    Args:
        analysis: What to do at each checkpoint.
        selection: Where.
        workers: Most checkpoints at once, on which no number depends; else the executor chooses.
        executor: What measures them.
        device: `cpu`, `cuda`, `cuda:N` or `mps`; not on the CPU, it has one worker unless told.
        progress: Told of checkpoints done; shown unless given, see `training.progress.told`.
        kept: A folder where each checkpoint's numbers are kept as soon as they are measured, and
            where those are that need not be measured again; see `interp.grids.kept`.

    Raises:
        InputError: the grid cannot be filled; no table is touched then.
        WorkerDiedError: what measured a checkpoint was killed; no table is touched then either.
    """
    analysis = for_design(analysis, selection.runs[0].design)
    require_device(device)
    cells = _checkpoints(analysis, selection, device, kept)
    measured = _measure_all(cells, workers, executor, progress)
    new = pd.concat([m.table for m in measured], ignore_index=True)
    settings = settings_of(analysis, selection, device)
    withdrawn = [each for m in measured for each in m.withdrawn]
    vectors: dict[Path, list[dict[str, np.ndarray]]] = {run.folder: [] for run in selection.runs}
    for cell, each in zip(cells, measured, strict=True):
        vectors[cell.folder].append(each.vectors)
    looked_at = summary = new

    def make() -> dict[Path, Files]:
        nonlocal looked_at, summary
        name, columns = analysis.name, analysis.coordinates
        each = (merged(run, name, columns, new, settings, withdrawn) for run in selection.runs)
        tables, entries = zip(*each, strict=True)
        # The summary is of all that was ever looked at in these runs at these checkpoints, so that
        # looking seed by seed, or target by target, corrects for no less.
        looked_at = pd.concat(
            [t.loc[is_at_checkpoints_of(t, new)] for t in tables], ignore_index=True
        )
        summary = analysis.summarize(looked_at)
        return {
            run.folder: contents(run, analysis.name, (table, summary), of_run, vectors[run.folder])
            for run, table, of_run in zip(selection.runs, tables, entries, strict=True)
        }

    publish_runs([run.folder for run in selection.runs], make)
    _note_read(analysis, selection)
    return looked_at, summary


def measure_grid(
    analysis: Analysis,
    selection: GridSelection,
    *,
    workers: int | None = None,
    device: str = CPU,
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fills a grid as `run_grid` does and returns rows and summary, but touches no file.

    Raises:
        InputError: the grid cannot be filled.
    """
    analysis = for_design(analysis, selection.runs[0].design)
    require_device(device)
    cells = _checkpoints(analysis, selection, device)
    measured = _measure_all(cells, workers, LOCAL, progress)
    table = pd.concat([m.table for m in measured], ignore_index=True)
    _note_read(analysis, selection)
    return table, analysis.summarize(table)


def _note_read(analysis: Analysis, selection: GridSelection) -> None:
    """Writes into the ledger what was looked at: no hypothesis is confirmed by it any more."""
    for run in selection.runs:
        note_read(run, analysis.name, selection.seeds_of(run))


@dataclass(frozen=True, kw_only=True)
class _Checkpoint:
    """One point of the grid, as a worker process gets it."""

    analysis: Analysis
    selection: GridSelection
    folder: Path
    seed: int
    device: str
    kept: Path | None
    """Where its numbers are kept, if they are."""

    @property
    def name(self) -> str:
        """What people are told that it is."""
        at = f", stage {self.selection.stage} step {self.selection.step}"
        at = "" if self.selection.step is None else at
        return f"{self.analysis.name} of {self.folder}, seed {self.seed}{at}"


def _checkpoints(
    analysis: Analysis, selection: GridSelection, device: str, kept: Path | None = None
) -> list[_Checkpoint]:
    selection.check()
    found = [
        _Checkpoint(
            analysis=placed(analysis, stage, step) if selection.along else analysis,
            selection=selection.at(stage, step),
            folder=run.folder,
            seed=seed,
            device=device,
            kept=None,
        )
        for run in selection.runs
        for stage, step in selection.places(run)
        for seed in selection.seeds_of(run)
    ]
    return found if kept is None else [replace(c, kept=place_of(kept, _basis(c))) for c in found]


def _basis(cell: _Checkpoint) -> dict[str, object]:
    """All that the numbers of a checkpoint follow from."""
    run, at = Run.load(cell.folder), cell.selection
    step = run.steps(cell.seed, at.stage)[-1] if at.step is None else at.step
    twin = _twin_of(run, cell.seed, at.stage, step)
    settings = settings_of(cell.analysis, replace(at, runs=()), cell.device)
    return {
        **settings,
        "name": cell.analysis.name,
        "format": FORMAT_VERSION,
        "run": run.config.run_id,
        "twin": None if twin is None else twin.config.run_id,
        "place": [cell.seed, at.stage, step],
    }


def _measure_all(
    cells: list[_Checkpoint], workers: int | None, executor: Executor, progress: Progress | None
) -> list[Measured]:
    missing = [cell for cell in cells if cell.kept is None or not is_kept(cell.kept)]
    named = [Cell(name=cell.name, task=cell, memory=BYTES_PER_PROCESS) for cell in missing]
    if any(cell.device != CPU for cell in cells):
        workers = workers or 1  # who else would share one device
    with told(progress, cells[0].analysis.name, unit="checkpoint") as tell:
        new = executor.run(_measure, named, workers=workers, progress=tell)
    if cells[0].kept is None:
        return new
    parts = [load_kept(cell.kept) for cell in cells if cell.kept is not None]
    return [Measured(table=t, vectors=v, withdrawn=w) for t, v, w in parts]


def _measure(cell: _Checkpoint, report: Report) -> Measured:
    """Opens a checkpoint, measures it on one thread, and adds the run columns."""
    run, selection = Run.load(cell.folder), cell.selection
    step = run.steps(cell.seed, selection.stage)[-1] if selection.step is None else selection.step
    with threadpool_limits(THREADS), one_thread():
        model = load_hooked(run, cell.seed, selection.stage, step, device=cell.device)
        sites = choose_sites(model, selection.sites, selection.layers)
        rows = run.tokenized_rows(cell.seed)
        measured = cell.analysis.measure(model, rows, sites, seed=cell.seed)
        twin = _twin_of(run, cell.seed, selection.stage, step)
        if twin is not None and isinstance(cell.analysis, BesideTwin):
            twin_model = load_hooked(twin, cell.seed, selection.stage, step, device=cell.device)
            twin_rows = twin.tokenized_rows(cell.seed)
            measured = cell.analysis.beside_twin(
                measured, rows, twin_model, twin_rows, sites, seed=cell.seed
            )
    columns = {**run_columns(run.config), "seed": cell.seed, "stage": selection.stage, "step": step}
    table = measured.table.copy()
    for place, name in enumerate(RUN_COLUMNS):
        table.insert(place, name, columns[name])
    prefix = f"seed-{cell.seed}/stage-{selection.stage}/step-{step}"
    vectors = {f"{prefix}/{name}": vector for name, vector in measured.vectors.items()}
    withdrawn = tuple({**columns, **each} for each in measured.withdrawn)
    if cell.kept is not None:
        keep(cell.kept, table, vectors, withdrawn)
    report(1)
    return Measured(table=table, vectors=vectors, withdrawn=withdrawn)


def _twin_of(run: Run, seed: int, stage: int, step: int) -> Run | None:
    """The null twin in the run's folder, if it has the same checkpoint."""
    twin = run.finished_null
    if twin is None or seed not in twin.seeds:
        return None
    return twin if step in twin.steps(seed, stage) else None
