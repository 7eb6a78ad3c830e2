"""Which content a file has: its sha256.

A file is read anew in each process that asks, since its size and time of change can be made those
of another content (`touch -r`). Within a process it is read again when anything about it has
changed, its inode and the time of that change among them, which no program can set.
"""

import hashlib
import os
import time
from pathlib import Path

SETTLED_NS = 2_000_000_000
"""A file that changed less than so long ago may change once more at what its clock calls the same
time."""

_known: dict[Path, tuple[tuple[int, ...], str]] = {}


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes, as `sha256sum` prints it."""
    stamp = _stamp(path)
    known = _known.get(path)
    if known and known[0] == stamp:
        return known[1]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    is_settled = time.time_ns() - path.stat().st_ctime_ns > SETTLED_NS
    if is_settled and _stamp(path) == stamp:
        _known[path] = (stamp, digest)
    return digest


def _stamp(path: Path) -> tuple[int, ...]:
    status: os.stat_result = path.stat()
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
