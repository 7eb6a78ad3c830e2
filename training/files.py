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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import pandas as pd

from data.errors import DamagedError, InputError, reading, writing

MANIFEST = "manifest.json"
ABOUT = "."
"""Key under which a manifest says what the folder itself is; no file has this name."""


def sha256(path: Path) -> str | None:
    """Hexadecimal digest of a file's bytes; None if there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None


def bytes_digest(content: bytes) -> str:
    """Hexadecimal digest of bytes, as `sha256` of a file that holds them."""
    return hashlib.sha256(content).hexdigest()


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces a file in one step; a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path, len(content)):
            temporary.write_bytes(content)
            flush(temporary)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    flush(path.parent)


def json_bytes(value: Any) -> bytes:
    """A value as JSON; NaN is an error, because it is no JSON."""
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON into a file, in one step."""
    write_bytes(path, json_bytes(value))


def read_json(path: Path, *, read: Callable[[Path], bytes] = Path.read_bytes) -> Any:
    """The value of a JSON file.

    Args:
        path: The file.
        read: How its bytes are had.

    Raises:
        DamagedError: the file is missing or no JSON.
    """
    with reading(path, "restore it from a copy", fault="is not readable as JSON"):
        return json.loads(read(path).decode())


def table_bytes(table: pd.DataFrame) -> bytes:
    """The bytes of a table as Parquet."""
    buffer = BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Writes a table as Parquet into a file, in one step."""
    write_bytes(path, table_bytes(table))


@contextmanager
def new_folder(path: Path, *, about: Mapping[str, Any] | None = None) -> Iterator[Path]:
    """A folder to fill; when the block ends without error it gets a manifest and becomes `path`.

    Args:
        path: Where it will be.
        about: What the manifest is to say of the folder itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        with writing(path):
            yield temporary
            for file in temporary.iterdir():
                flush(file)
            write_manifest(temporary, about=about)
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    flush(path.parent)


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


def write_manifest(
    folder: Path, files: Sequence[Path] | None = None, *, about: Mapping[str, Any] | None = None
) -> None:
    """Writes the sha256 of `files` (every visible file directly in the folder, unless given)."""
    chosen = visible_files(folder) if files is None else files
    digests = {str(path.relative_to(folder)): sha256(path) for path in sorted(chosen)}
    write_json(folder / MANIFEST, {**digests, ABOUT: dict(about)} if about else digests)


def parse_manifest(path: Path, content: bytes) -> dict[str, Any]:
    """The entries of a manifest: checksums by file name, and what it says of the folder itself.

    Raises:
        DamagedError: the content is no manifest.
    """
    try:
        manifest = json.loads(content.decode())
        values = [value for name, value in manifest.items() if name != ABOUT]
        if all(isinstance(value, str) for value in values) and isinstance(
            manifest.get(ABOUT, {}), dict
        ):
            return manifest
    except (ValueError, AttributeError, RecursionError):
        pass
    raise DamagedError(f"{path} is unreadable; restore it from a copy")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder that was written at once; see `parse_manifest`.

    Raises:
        DamagedError: the manifest is missing or unreadable.
    """
    path = folder / MANIFEST
    try:
        return parse_manifest(path, path.read_bytes())
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing; restore it from a copy") from None


def visible_files(folder: Path) -> list[Path]:
    """The files directly in a folder that a manifest lists."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != MANIFEST and not path.name.startswith(".")
    ]


def damage(folder: Path, *, present: Sequence[Path] | None = None) -> list[str]:
    """What is wrong with a folder that was written at once, one line each; empty if nothing is.

    Args:
        folder: The folder, with a manifest.
        present: The files that its manifest should list; those directly in it, unless given.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return [f"{folder} has no {MANIFEST}: it was not finished, or the file was deleted"]
    try:
        digests = read_manifest(folder)
    except DamagedError:
        return [f"{manifest} is unreadable"]
    digests.pop(ABOUT, None)
    return mismatches(folder, digests, visible_files(folder) if present is None else present)


def mismatches(
    folder: Path,
    digests: Mapping[str, str],
    present: Sequence[Path],
    *,
    digest: Callable[[Path], str | None] = sha256,
) -> list[str]:
    """Files that are gone or changed, and files that are not listed, one line each.

    Args:
        folder: Where they lie.
        digests: The checksum of each file that should be there.
        present: Files that should be listed.
        digest: The checksum of a file as it is now.
    """
    problems = []
    for name, wanted in digests.items():
        found = digest(folder / name)
        if found is None:
            problems.append(f"{folder / name} is missing")
        elif found != wanted:
            problems.append(f"{folder / name} does not match its checksum")
    listed = {folder / name for name in digests}
    return problems + [f"{path} is not in the manifest" for path in present if path not in listed]


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


def flush(path: Path) -> None:
    """Waits until a file or folder entry is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
