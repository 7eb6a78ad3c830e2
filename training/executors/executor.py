"""What an executor promises, and where executors are found.

A cell is a piece of work that needs no other: a seed to be trained, a checkpoint to be measured. An
executor is a file of this folder, by whose name `--executor` knows it and whose `EXECUTOR` it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Generic, Protocol, TypeVar, runtime_checkable

from data.errors import unknown_name

Task = TypeVar("Task")
Result = TypeVar("Result")

Report = Callable[[int], None]
"""What the work on a cell calls with the units (steps, say) done since it last called."""
Progress = Callable[[int, int], None]
"""What an executor calls with the units that are done, and with those there are in all."""


def tell_nobody(done: int, total: int) -> None:
    """Shows nothing: the `Progress` of work that nobody watches."""


@dataclass(frozen=True, kw_only=True)
class Cell(Generic[Task]):
    """One piece of work for an executor: a seed to train, say, or a checkpoint to measure."""

    name: str
    """What people are told that it is, such as `runs/alias-toy, seed 1003`."""
    task: Task
    """What the work is given; it is pickled where the cell is carried out elsewhere."""
    units: int = 1
    """The number of units that its work reports until it is finished."""
    threads: int = 1
    """Threads that its work computes on."""


@runtime_checkable
class Executor(Protocol):
    """Carries out cells, here or elsewhere, and waits for them."""

    def run(
        self,
        work: Callable[[Task, Report], Result],
        cells: Sequence[Cell[Task]],
        *,
        workers: int | None = None,
        progress: Progress = tell_nobody,
    ) -> list[Result]:
        """Carries out every cell; the results are in the order of the cells.

        No process that it started outlives the call, also where the caller is interrupted or killed
        (on machines that it can reach). Work must survive being killed at any time.

        Args:
            work: A function of a module, from a cell's task to its result. It reports its units.
            cells: What to do; no two write to the same place.
            workers: Most cells at once; as many as there is room for unless given. The results do
                not depend on it.
            progress: Told of the units of all cells together, in the caller's process.

        Raises:
            WorkerDiedError: what a cell ran in was killed; all other cells are finished by then.
            Exception: what the work raised, of its own type; the other cells were stopped.
        """
        ...


def counted(cells: Sequence[Cell[Task]], progress: Progress) -> Report:
    """Adds up the units of all cells: what it is told of any of them, `progress` hears as a sum."""
    done, total = 0, sum(cell.units for cell in cells)

    def add(units: int) -> None:
        nonlocal done
        done += units
        progress(done, total)

    return add


def executor_names() -> list[str]:
    """The names that `--executor` takes."""
    files = Path(__file__).parent.glob("*.py")
    return sorted(file.stem for file in files if file.stem not in ("__init__", Path(__file__).stem))


def find_executor(name: str) -> Executor:
    """The executor of a name.

    Raises:
        InputError: there is no executor of this name.
    """
    if name not in executor_names():
        raise unknown_name("executor", name, executor_names())
    return import_module(f"training.executors.{name}").EXECUTOR
