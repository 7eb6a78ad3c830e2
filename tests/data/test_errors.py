"""The two boundaries to the disk: whatever reading raises, and a disk without room, in one line."""

import errno
import json
from collections.abc import Callable

import pytest

from data.errors import DamagedError, DiskFullError, InputError, printable, reading, writing


def deep() -> object:
    return json.loads("[" * 200_000)


def huge() -> object:
    return json.loads("9" * 5_000)


def raising(error: BaseException) -> Callable[[], object]:
    def read() -> object:
        raise error

    return read


READERS: dict[str, Callable[[], object]] = {
    "deep JSON": deep,
    "a number of 5,000 digits": huge,
    "bytes in no encoding": lambda: b"\xff\xfe\x00".decode(),
    "no memory": raising(MemoryError()),
    "a folder": raising(IsADirectoryError(errno.EISDIR, "Is a directory")),
    "an error of several lines": raising(RuntimeError("first\nsecond\n")),
    "an error without words": raising(AssertionError()),
    "a terminal's codes": raising(ValueError("\x1b[2J")),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", [InputError, DamagedError])
def test_whatever_a_reader_raises_is_one_line(name: str, kind: type[InputError | DamagedError]):
    with pytest.raises(kind) as raised, reading("a.json", "restore it", kind):
        READERS[name]()
    line = str(raised.value)
    assert line.startswith("a.json cannot be read (")
    assert line.endswith("); restore it")
    assert line.isprintable()


def test_what_is_said_already_passes_and_what_is_missing_is_said():
    with pytest.raises(InputError, match=r"^as it is$"), reading("a.json", "restore it"):
        raise InputError("as it is")
    with (
        pytest.raises(DamagedError, match=r"a\.json is missing; restore"),
        reading("a.json", "restore"),
    ):
        raise FileNotFoundError
    with pytest.raises(KeyboardInterrupt), reading("a.json", "restore it"):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EFBIG, "File too large"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_told_with_path_and_bytes_whoever_writes(error: Exception):
    with pytest.raises(DiskFullError) as raised, writing("run/metrics.parquet", 12_345):
        raise error
    assert "disk is full: 12,345 bytes of run/metrics.parquet" in str(raised.value)
    with pytest.raises(ZeroDivisionError), writing("run/metrics.parquet"):
        raise ZeroDivisionError


def test_nothing_printable_controls_a_terminal():
    assert printable("two\nlines\x1b[2J\x07\u202e") == r"two\nlines\x1b[2J\x07\u202e"
    assert printable("José, 北京 ±") == "José, 北京 ±"
