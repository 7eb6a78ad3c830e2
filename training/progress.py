"""The progress of long work: a bar with the time left where somebody watches, else plain lines.

Somebody watches on a terminal and in a notebook. The environment variable `TQDM_DISABLE`, which
tqdm's own bars heed, or `show_nothing` in place of `show_progress`, switches it off.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, runtime_checkable

from data.errors import InputError
from training.executors.executor import Tally, Watch, watch_nothing

PLAIN_LINES = 10
"""Number of lines over the whole work where nobody watches a bar."""


def launched_processes() -> int:
    """How many processes `accelerate launch` or `torchrun` started; 1 where there was neither.

    Raises:
        InputError: `WORLD_SIZE` is no number of processes.
    """
    text = os.environ.get("WORLD_SIZE", "").strip() or "1"
    if not text.isdecimal() or int(text) < 1:
        raise InputError(
            f"the environment has WORLD_SIZE={text}, which is no number of processes; unset it, or "
            "start with accelerate launch"
        )
    return int(text)


def is_spokesman() -> bool:
    """Whether this process is the one that says what all of `accelerate launch` have done."""
    return os.environ.get("RANK", "").strip() in ("", "0")


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython: Any = sys.modules.get("IPython")  # which nobody else needs
    shell = ipython and ipython.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config


@runtime_checkable
class Show(Protocol):
    """What long work of several parts is told by: `show_progress`, or `show_nothing`."""

    def __call__(
        self, label: str, *, unit: str = "step"
    ) -> AbstractContextManager[Callable[[int, int], None]]:
        """Yields a function to be told of units done and in all."""
        ...


@contextmanager
def show_nothing(label: str, *, unit: str = "step") -> Iterator[Callable[[int, int], None]]:
    """A `Show` for work that nobody watches: what is yielded drops what it is told."""
    yield lambda done, total: None


@contextmanager
def show_progress(label: str, *, unit: str = "step") -> Iterator[Callable[[int, int], None]]:
    """Yields a function to be told of units (steps, say) done and in all; writes to stderr."""
    if not is_spokesman() or os.environ.get("TQDM_DISABLE", "") not in ("", "0"):
        with show_nothing(label, unit=unit) as silent:
            yield silent
        return
    if sys.stderr.isatty() or is_notebook():
        from tqdm.auto import tqdm

        with tqdm(desc=label, unit=unit, smoothing=0.05) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield show
        return
    start = time.monotonic()
    shown = 0

    def write(done: int, total: int) -> None:
        nonlocal shown
        tenth = done * PLAIN_LINES // max(total, 1)
        if tenth > shown:
            shown = tenth
            seconds = time.monotonic() - start
            left = seconds / done * (total - done)
            line = f"{label}: {done}/{total} {unit}s, {seconds:.0f} s, {left:.0f} s left"
            print(line, file=sys.stderr, flush=True)

    yield write


@runtime_checkable
class ShowCells(Protocol):
    """What is told how many cells stand where: `show_cells`, or `show_no_cells`."""

    def __call__(self) -> AbstractContextManager[Watch]:
        """Yields a function to be told whenever a cell begins or ends."""
        ...


@contextmanager
def show_no_cells() -> Iterator[Watch]:
    """A `ShowCells` for work that nobody watches."""
    yield watch_nothing


@contextmanager
def show_cells() -> Iterator[Watch]:
    """Shows how many cells are done, running and failed, with the time left; writes to stderr."""
    if not is_spokesman() or os.environ.get("TQDM_DISABLE", "") not in ("", "0"):
        yield watch_nothing
        return
    if sys.stderr.isatty() or is_notebook():
        from tqdm.auto import tqdm

        with tqdm(desc="cells", unit="cell", position=1, leave=False) as bar:

            def show(tally: Tally) -> None:
                bar.total = tally.cells
                bar.set_postfix_str(f"{tally.running} running, {tally.failed} failed", False)
                bar.update(tally.done - bar.n)
                bar.refresh()

            yield show
        return
    start, shown = time.monotonic(), (0, 0)

    def write(tally: Tally) -> None:
        nonlocal shown
        now = (tally.done * PLAIN_LINES // max(tally.cells, 1), tally.failed)
        if now != shown:
            shown = now
            seconds = time.monotonic() - start
            left = seconds / max(tally.done, 1) * (tally.cells - tally.done - tally.failed)
            line = (
                f"{tally.done}/{tally.cells} cells done, {tally.running} running, {tally.failed} "
                f"failed, {seconds:.0f} s, {left:.0f} s left"
            )
            print(line, file=sys.stderr, flush=True)

    yield write


@contextmanager
def told(
    progress: Callable[[int, int], None] | None, label: str, *, unit: str = "step"
) -> Iterator[Callable[[int, int], None]]:
    """What a caller wants to be told by; unless it says, progress is shown.

    Args:
        progress: The caller's; `training.executors.executor.tell_nobody` shows nothing.
        label: See `Show`.
        unit: See `Show`.
    """
    if progress is not None:
        yield progress
        return
    with show_progress(label, unit=unit) as show:
        yield show
