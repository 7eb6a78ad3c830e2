"""What comes back from where a cell was carried out: a result, or the error of its work."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from typing import Any

from data.errors import reason_of

REPORTS_EVERY_S = 0.5
"""Reports that follow each other faster are sent as one."""


@dataclass(frozen=True)
class Done:
    """A cell is finished."""

    result: Any


@dataclass(frozen=True)
class Failed:
    """The work on a cell raised an error."""

    error: BaseException


@dataclass
class Grouped:
    """A report of units that passes them on now and then, where each message costs something."""

    send: Callable[[int], object]
    _kept: int = 0
    _sent_at: float = 0.0

    def __call__(self, units: int) -> None:
        """Counts units; sends all that are not sent if the last message is a while ago."""
        self._kept += units
        if time.monotonic() - self._sent_at >= REPORTS_EVERY_S:
            self.send(self._kept)
            self._kept, self._sent_at = 0, time.monotonic()


def attempt(
    work: Callable[[Any, Callable[[int], None]], Any], task: Any, report: Callable[[int], None]
) -> Done | Failed:
    """Does a cell's work; a signal or the end of the process goes through."""
    try:
        return Done(work(task, report))
    except Exception as error:
        return Failed(portable(error))


def portable(error: BaseException) -> BaseException:
    """An error that can be sent, with its traceback as a note; one of its text if it cannot."""
    note = "".join(["In a worker:\n", *traceback.format_exception(error)])
    try:
        unpacked(packed(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {reason_of(error)}")
    error.add_note(note)
    return error


def packed(value: object) -> bytes:
    """A message to a process of one's own: functions and classes by name, all else by content."""
    return bytes(ForkingPickler.dumps(value))


def unpacked(message: bytes) -> Any:
    """The object that a message from a process of one's own holds."""
    return ForkingPickler.loads(message)  # pyright: ignore[reportAttributeAccessIssue]
