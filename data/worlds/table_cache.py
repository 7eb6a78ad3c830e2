"""What was read of a large file, kept in a cache until the file changes.

The cache holds one Parquet file for each file that was read. It notes the size, the time of change
and the sha256 of what it was made from: a file of the same size and time is not opened at all, one
that was merely touched or copied back is recognised by its content, any other is read again.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import DamagedError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 8192
STAMP, SHA256 = b"stamp", b"sha256"


def default_cache() -> Path:
    """The user's cache folder: below `$XDG_CACHE_HOME`, or `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "iml-workbench"


def cached_batches(
    source: Path, *, read: Callable[[Path], "pa.Table"], version: str, folder: Path
) -> "Iterator[pa.RecordBatch]":
    """What `read` makes of a file, from the cache where it can be, in batches of rows.

    A cache that cannot be written costs time and is no error. Who needs only the first rows stops
    early, and the rest is not read.

    Args:
        source: The file that is read.
        read: What reads it.
        version: Names `read` and what it does; the cache of another version is not used.
        folder: Where the cache is; made if need be.

    Raises:
        DamagedError: bytes within the cache have changed.
    """
    import pyarrow.parquet as pq

    key = hashlib.sha256(f"{version}\n{source.resolve()}".encode()).hexdigest()
    cached = folder / f"{key[:32]}.parquet"
    stamp = _stamp(source)
    noted = _noted(cached)
    if noted.get(STAMP) != stamp:
        digest = _sha256(source)
        is_same = noted.get(SHA256) == digest
        table = pq.read_table(cached) if is_same else read(source)
        table = table.replace_schema_metadata({STAMP: stamp, SHA256: digest})
        if not _write(table, cached):
            yield from table.to_batches(max_chunksize=BATCH_ROWS)
            return
    try:
        with pq.ParquetFile(cached, page_checksum_verification=True) as file:
            yield from file.iter_batches(batch_size=BATCH_ROWS)
    except OSError as error:
        raise DamagedError(f"the cache {cached} is damaged; delete it and try again") from error


def _stamp(source: Path) -> bytes:
    status = source.stat()
    return f"{status.st_size} bytes, {status.st_mtime_ns} ns".encode()


def _sha256(source: Path) -> bytes:
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().encode()


def _noted(cached: Path) -> dict[bytes, bytes]:
    """What a cache was made from; empty where there is none, or none that can be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(cached).metadata or {}
    except (OSError, pa.ArrowException):
        return {}


def _write(table: "pa.Table", cached: Path) -> bool:
    """Puts a table into the cache, all or nothing, and says whether it could."""
    import pyarrow.parquet as pq

    partial = cached.with_suffix(f".{os.getpid()}.partial")
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        # Small groups, because a group is read whole.
        pq.write_table(table, partial, row_group_size=8 * BATCH_ROWS, write_page_checksum=True)
        partial.replace(cached)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        return False
    return True
