"""Which cells wait, run, are done or failed: what all executors keep in the same way."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Generic

from data.errors import (
    CellsFailedError,
    DamagedError,
    DiskFullError,
    InputError,
    WorkerDiedError,
    reason_of,
)
from training.executors.executor import (
    Cell,
    Progress,
    Result,
    Tally,
    Task,
    Watch,
    tell_nobody,
    watch_nothing,
)

FINAL = (InputError, DamagedError, DiskFullError)
"""Errors that a second try would meet again: they end the work on all cells."""
MOST_NAMED = 3  # cells in an error


class Book(Generic[Task, Result]):
    """The cells of one call of an executor."""

    def __init__(
        self,
        cells: Sequence[Cell[Task]],
        *,
        progress: Progress = tell_nobody,
        retries: int | None = None,
        watch: Watch = watch_nothing,
        losses: int = 0,
    ) -> None:
        """Begins with all cells waiting.

        Args:
            cells: See `Executor.run`.
            progress: See there.
            retries: See there.
            watch: See there.
            losses: How often a cell whose process died is begun again where `retries` are not
                given.
        """
        self.cells = cells
        self.waiting = deque(range(len(cells)))
        self.running: set[int] = set()
        self._results: dict[int, Result] = {}
        self._failures: dict[int, str] = {}
        self._tries = [0] * len(cells)
        self._units = [0] * len(cells)
        self._progress, self._watch = progress, watch
        self._retries, self._losses = retries, losses

    def take(self) -> int:
        """The number of the next waiting cell, which runs from now on."""
        index = self.waiting.popleft()
        self._tries[index] += 1
        self._units[index] = 0
        self.running.add(index)
        self._tell()
        return index

    def add(self, index: int, units: int) -> None:
        """Counts units of a running cell: `progress` hears the sum over all cells."""
        self._units[index] += units
        self._progress(sum(self._units), sum(cell.units for cell in self.cells))

    def finish(self, index: int, result: Result) -> None:
        """A cell has its result, and all its units, whatever reports of it are still on the way."""
        self._results[index] = result
        missing = self.cells[index].units - self._units[index]
        if missing > 0:
            self.add(index, missing)
        self._end(index)

    def fail(self, index: int, error: BaseException) -> None:
        """The work on a cell raised an error.

        Raises:
            BaseException: the error, if it ends the work on all cells.
        """
        if self._retries is None or isinstance(error, FINAL) or not isinstance(error, Exception):
            raise error
        self._again(index, f"{type(error).__name__}: {reason_of(error)}", self._retries)

    def lose(self, index: int, reason: str) -> None:
        """What a cell ran in was killed, for a reason in words."""
        self._again(index, reason, self._losses if self._retries is None else self._retries)

    @property
    def results(self) -> list[Result]:
        """The results in the order of the cells, when none waits or runs.

        Raises:
            WorkerDiedError: see `Executor.run`.
            CellsFailedError: see there.
        """
        if self._failures:
            named = {self.cells[i].name: self._failures[i] for i in sorted(self._failures)}
            if self._retries is None:
                raise WorkerDiedError(_last_words(named))
            raise CellsFailedError(named, len(self.cells), self._retries + 1)
        return [self._results[index] for index in range(len(self.cells))]

    def _again(self, index: int, reason: str, most: int) -> None:
        if self._tries[index] <= most:
            self.waiting.append(index)
        else:
            self._failures[index] = reason
        self._end(index)

    def _end(self, index: int) -> None:
        self.running.discard(index)
        self._tell()

    def _tell(self) -> None:
        done, failed = len(self._results), len(self._failures)
        running, cells = len(self.running), len(self.cells)
        self._watch(Tally(done=done, running=running, failed=failed, cells=cells))


def _last_words(reasons: Mapping[str, str]) -> str:
    """The line on cells whose processes died, by name."""
    named = [f"{name}: {reason}" for name, reason in list(reasons.items())[:MOST_NAMED]]
    more = len(reasons) - len(named)
    listed = ", ".join([*named, *([f"and {more} more"] if more else [])])
    return (
        f"{listed}; repeat the command, with --workers 1 if memory is short: no finished seed is "
        "trained again"
    )
