"""What can go wrong, told apart by cause; the command line turns each into an exit code."""

import errno
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches

LONGEST_REASON = 200  # characters
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where there is no room for a file."""
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "File too large")
"""The same in the messages of libraries that write by themselves, such as safetensors."""


class InputError(ValueError):
    """Bad input or usage (exit code 2).

    The message is one line: what is wrong and where, a semicolon, what to do.
    """


class DamagedError(RuntimeError):
    """A file on disk is not what was written there (exit code 3)."""


class DiskFullError(OSError):
    """There is no room for a file (exit code 1); what was there before is as it was."""


class WorkerDiedError(RuntimeError):
    """The process that a cell ran in was killed (exit code 1); the other cells are finished."""


class CellsFailedError(RuntimeError):
    """Cells failed as often as they may be begun again (exit code 1); all others are finished."""

    def __init__(self, failures: Mapping[str, str], n_cells: int, tries: int) -> None:
        """Names what failed, and why.

        Args:
            failures: The last error of each cell that failed, by the cell's name.
            n_cells: How many cells there were.
            tries: How often each was tried.
        """
        name, reason = next(iter(failures.items()))
        times = "once" if tries == 1 else f"{tries} times each"
        super().__init__(
            f"{len(failures)} of {n_cells} cells failed, tried {times} (first {name}: {reason}); "
            "repeat the command: no finished cell is run again"
        )
        self.failures = dict(failures)
        self.tries = tries
        self.n_cells = n_cells

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """How it travels between processes."""
        return type(self), (self.failures, self.n_cells, self.tries)


def printable(value: object) -> str:
    r"""A text in one line that controls no terminal: what is not printable is an escape.

    >>> print(printable("red\x1b[31m and\ntwo lines"))
    red\x1b[31m and\ntwo lines
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in str(value)
    )


def reason_of(error: BaseException) -> str:
    """Why something failed, in a few words of one line."""
    lines = str(error).strip().splitlines()
    return printable(lines[0][:LONGEST_REASON]) if lines else type(error).__name__


@contextmanager
def reading(
    what: object,
    remedy: str,
    error: type[InputError | DamagedError] = DamagedError,
    *,
    fault: str = "cannot be read",
) -> Iterator[None]:
    """The boundary to files: whatever their content makes a reader raise becomes one line.

    Readers are many (JSON, Arrow, safetensors, tokenizers, transformers' configs) and so is what
    they raise, down to `RecursionError` and `MemoryError`; so nothing is listed here.

    Args:
        what: The file or folder that is read.
        remedy: What to do about it.
        error: What is raised: `InputError` for files that people bring.
        fault: What is wrong with it, before the reason.
    """
    try:
        yield
    except (InputError, DamagedError):
        raise
    except FileNotFoundError:
        raise error(f"{what} is missing; {remedy}") from None
    except Exception as problem:
        raise error(f"{what} {fault} ({reason_of(problem)}); {remedy}") from problem


@contextmanager
def writing(what: object, n_bytes: int | None = None) -> Iterator[None]:
    """The boundary to the disk: that it is full becomes one line, whoever wrote.

    Args:
        what: The file or folder that is written.
        n_bytes: Its size, where that is known beforehand.

    Raises:
        DiskFullError: the disk is full.
    """
    try:
        yield
    except Exception as problem:
        is_full = isinstance(problem, OSError) and problem.errno in _FULL
        if not is_full and not any(words in str(problem) for words in _FULL_WORDS):
            raise
        size = "" if n_bytes is None else f"{n_bytes:,} bytes of "
        raise DiskFullError(
            f"the disk is full: {size}{what} could not be written; free some space and repeat the "
            "command, which goes on from what is there"
        ) from problem


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error of an unknown name, with the nearest known one, or else with all of them.

    >>> print(unknown_name("subset", "d5", ["D5_CONS", "QA3"]))
    no subset 'd5'; did you mean D5_CONS?
    >>> print(unknown_name("subset", "all", ["D5_CONS", "QA3"]))
    no subset 'all'; choose one of D5_CONS, QA3
    """
    names = list(known)
    by_lower = {each.lower(): each for each in reversed(names)}
    wanted = name.lower()
    begun = [each for each in by_lower if wanted and each.startswith(wanted)]
    near = begun or get_close_matches(wanted, by_lower, n=1)
    near = near or [each for each in by_lower if len(wanted) > 1 and wanted in each]
    shown = " or ".join(sorted(by_lower[each] for each in near[:3]))
    hint = f"did you mean {shown}?" if near else f"choose one of {', '.join(names)}"
    return InputError(f"no {kind} {name!r}; {hint}")
