"""Files that are either whole or absent, and manifests that tell a damaged one.

Neither safetensors nor `torch.load` notices a flipped bit, so every file's sha256 goes into a
manifest. Folders are written under a hidden name, flushed to disk, given their manifest last, and
renamed; single files are replaced in one rename. Hidden names (`.name`) belong to nobody's results:
locks, and leftovers of an interrupted write.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import pandas as pd

from data.errors import DamagedError, InputError

MANIFEST = "manifest.json"


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces a file in one step; a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        _flush(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _flush(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON; NaN is an error, because it is no JSON."""
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Reads JSON.

    Raises:
        DamagedError: the file is missing or no JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing; restore it from a copy") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise DamagedError(f"{path} is not readable as JSON; restore it from a copy") from None


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Writes a table as Parquet."""
    buffer = BytesIO()
    table.to_parquet(buffer, index=False)
    write_bytes(path, buffer.getvalue())


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill; when the block ends without error it gets a manifest and becomes `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.iterdir():
            _flush(file)
        write_manifest(temporary)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _flush(path.parent)


def wait_for_lock(folder: Path) -> IO[str]:
    """Makes a folder and waits until no other process holds its lock; a killed one counts as gone.

    Returns:
        The lock, held until it is closed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / ".lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def remove_leftovers(folder: Path) -> None:
    """Deletes what an interrupted write left in a folder; only its one writer may call this."""
    for path in folder.glob(".*.*"):
        if not path.suffix[1:].isdecimal():
            continue  # no process number, so not written here
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def write_manifest(folder: Path, files: list[Path] | None = None) -> None:
    """Writes the sha256 of `files` (every visible file directly in the folder, unless given)."""
    chosen = visible_files(folder) if files is None else files
    digests = {str(path.relative_to(folder)): sha256(path) for path in sorted(chosen)}
    write_json(folder / MANIFEST, digests)


def visible_files(folder: Path) -> list[Path]:
    """The files directly in a folder that a manifest lists."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != MANIFEST and not path.name.startswith(".")
    ]


def damage(folder: Path, *, present: list[Path] | None = None) -> list[str]:
    """What is wrong with a folder that has a manifest, one line each; empty if nothing is.

    Args:
        folder: The folder.
        present: The files that its manifest should list; those directly in it, unless given.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return [f"{folder} has no {MANIFEST}: it was not finished, or the file was deleted"]
    try:
        digests = dict(read_json(manifest))
    except (DamagedError, TypeError, ValueError):
        return [f"{manifest} is unreadable"]
    problems = []
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif sha256(path) != digest:
            problems.append(f"{path} does not match its checksum")
    listed = {folder / name for name in digests}
    for path in visible_files(folder) if present is None else present:
        if path not in listed:
            problems.append(f"{path} is not in the manifest")
    return problems


def differs_from_manifest(path: Path) -> bool:
    """Whether a file's content is not what the manifest beside it lists.

    Raises:
        DamagedError: the manifest is unreadable.
    """
    return read_json(path.parent / MANIFEST).get(path.name) != sha256(path)


def require_writable(folder: Path) -> None:
    """Checks, without creating anything, that a folder can be made or written to.

    Raises:
        InputError: it is a file, or it or its nearest existing parent is not writable.
    """
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise InputError(f"{existing} is a file, not a folder; choose another folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"{existing} is not writable; choose another folder or change its mode")


def _flush(path: Path) -> None:
    """Waits until a file or folder entry is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
