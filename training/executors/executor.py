"""What an executor promises, and where executors are found.

A cell is a piece of work that needs no other: a seed to be trained, a checkpoint to be measured. An
executor is a file of this folder, by whose name `--executor` knows it and whose `EXECUTOR` it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from data.errors import InputError, unknown_name

Task = TypeVar("Task")
Result = TypeVar("Result")

Report = Callable[[int], None]
"""What the work on a cell calls with the units (steps, say) done since it last called."""
Progress = Callable[[int, int], None]
"""What an executor calls with the units that are done, and with those there are in all."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many cells stand where."""

    done: int
    running: int
    failed: int
    """Cells that failed as often as they may be begun again."""
    cells: int
    """How many there are in all."""


Watch = Callable[[Tally], None]
"""What an executor calls whenever a cell begins or ends."""


def tell_nobody(done: int, total: int) -> None:
    """Shows nothing: the `Progress` of work that nobody watches."""


def watch_nothing(tally: Tally) -> None:
    """Shows nothing: the `Watch` of cells that nobody watches."""


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
    memory: int = 0
    """Bytes that its process needs, as far as that is known; 0 if it is not."""


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
        retries: int | None = None,
        watch: Watch = watch_nothing,
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
            retries: How often a cell that fails is begun again, while the others go on. Unless
                given, the first error that work raises ends all.
            watch: Told of the cells whenever one begins or ends, in the caller's process.

        Raises:
            InputError: there is no room for so many workers, or what carries out cells is not
                there; nothing was begun then.
            WorkerDiedError: what a cell ran in was killed; all other cells are finished by then.
            CellsFailedError: the same with `retries`, also of cells whose work raised errors.
            Exception: what the work raised, of its own type; the other cells were stopped.
        """
        ...


def largest(cells: Sequence[Cell[Any]]) -> int:
    """Bytes that the process of the largest cell needs, as far as that is known."""
    return max((cell.memory for cell in cells), default=0)


@runtime_checkable
class Elsewhere(Protocol):
    """An executor that needs something which may not be there, such as a cluster."""

    def require_there(self) -> None:
        """Refuses what could not be carried out; begins nothing.

        Raises:
            InputError: what carries out cells is not there.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Persistent:
    """An executor that begins failed cells again, and has somebody watch all of them."""

    executor: Executor
    retries: int
    watch: Watch = watch_nothing

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
        """As `Executor.run`; `retries` and `watch` are its own."""
        return self.executor.run(
            work,
            cells,
            workers=workers,
            progress=progress,
            retries=self.retries,
            watch=self.watch,
        )


def executor_names() -> list[str]:
    """The names that `--executor` takes."""
    files = Path(__file__).parent.glob("*.py")
    return sorted(file.stem for file in files if file.stem not in ("__init__", Path(__file__).stem))


def find_executor(name: str, **options: Any) -> Executor:
    """The executor of a name.

    Args:
        name: Of its file.
        options: Fields of the executor, by name; None where nothing was said.

    Raises:
        InputError: there is no executor of this name, it has no such option, or what it needs is
            not there.
    """
    if name not in executor_names():
        raise unknown_name("executor", name, executor_names())
    executor = import_module(f"training.executors.{name}").EXECUTOR
    given = {option: value for option, value in options.items() if value is not None}
    known = [each.name for each in fields(executor)] if given else []
    for option in given:
        if option not in known:
            flag = f"--{option.replace('_', '-')}"
            raise InputError(f"the executor {name} has no {flag}; leave it out")
    executor = replace(executor, **given) if given else executor
    if isinstance(executor, Elsewhere):
        executor.require_there()
    return executor


def optional_package(name: str) -> Any:
    """A package that an executor is made with, and that not everybody has.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise InputError(
            f"the package {name} is not installed; pip install 'iml-workbench[{EXTRAS[name]}]'"
        ) from None


EXTRAS = {"ray": "ray", "submitit": "slurm"}
"""The extra of the project that a package comes with."""
