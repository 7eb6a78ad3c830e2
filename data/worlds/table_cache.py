"""What was read of a large file, kept in a cache until the file changes.

The cache holds one Parquet file for each file that was read, and notes the sha256 of what it was
made from. Content decides, since size and time of change can be those of another content.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from data.digests import file_sha256
from data.errors import DamagedError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 8192
SHA256 = b"sha256"


def cached_batches(
    path: Path, *, read: Callable[[Path], "pa.Table"], version: str, folder: Path
) -> "Iterator[pa.RecordBatch]":
    """What `read` makes of a file, from the cache where it can be, in batches of rows.

    A cache that cannot be written costs time and is no error. Who needs only the first rows stops
    early, and the rest is not read.

    Args:
        path: The file that is read.
        read: What reads it.
        version: Names `read` and what it does; the cache of another version is not used.
        folder: Where the cache is; made if need be.

    Raises:
        DamagedError: bytes within the cache have changed.
    """
    import pyarrow.parquet as pq

    key = hashlib.sha256(f"{version}\n{path.resolve()}".encode()).hexdigest()
    cached = folder / f"{key[:32]}.parquet"
    digest = file_sha256(path).encode()
    if _noted(cached).get(SHA256) != digest:
        table = read(path).replace_schema_metadata({SHA256: digest})
        if not _write(table, cached):
            yield from table.to_batches(max_chunksize=BATCH_ROWS)
            return
    try:
        with pq.ParquetFile(cached, page_checksum_verification=True) as file:
            yield from file.iter_batches(batch_size=BATCH_ROWS)
    except OSError as error:
        raise DamagedError(f"the cache {cached} is damaged; delete it and try again") from error


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
