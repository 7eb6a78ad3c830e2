"""Changes to the folder of a run or a sweep: each whole, one after another, in no reader's way.

A command makes its files without a lock, for minutes if need be, and then publishes them:

1. It locks the folder (`.publishing`; the kernel frees the lock of a killed process). If another
   publication came between what it read and the lock, it makes its files again from what is there
   now, so that nothing is lost: publications have an order, each is made of what the one before
   left.
2. It writes the files, and the manifest as it will be, into `.staging/`, and flushes them.
3. It renames `.staging/` to `.journal/` and flushes the folder. This one step publishes: before it
   nothing has happened, after it everything has.
4. It moves the journal's files to their places, the manifest last, and deletes the journal.

Killed, or out of space, before step 3: the next writer deletes `.staging/`. After it: the next
writer finishes step 4, which can be begun again anywhere. Readers wait for nobody and write
nothing: of each file they take the journal's copy, else the one in its place. A file moves from the
former to the latter in one rename, so that this order always finds what was published.

A manifest is changed entry by entry: a command vouches for the bytes that it wrote and for no
others. A damaged file is refused where it is read, and stays known as damaged whatever is written
beside it.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import IO, Any, TypeAlias, TypeVar

from data.errors import DamagedError, DiskFullError, InputError, writing
from training.files import (
    ABOUT,
    MANIFEST,
    bytes_digest,
    flush,
    json_bytes,
    mismatches,
    parse_manifest,
    remove_leftovers,
    require_writable,
    sha256,
    visible_files,
)

STAGING, JOURNAL, LOCK = ".staging", ".journal", ".publishing"
TRIES = 3
"""Tries after which files are made under the lock, lest quicker publications come between."""

Files: TypeAlias = Mapping[str, bytes]
"""Content by name; all lie in their folder, or in one folder of it (`hypotheses/strength.json`)."""
Found = TypeVar("Found")


def publish(
    folders: Sequence[Path],
    make: Callable[[], Mapping[Path, Files]],
    *,
    about: Callable[[Path], Mapping[str, Any]] = lambda folder: {},
) -> None:
    """Changes files of folders, those of one folder together; several folders one by one.

    Args:
        folders: What `make` reads and writes; made if need be.
        make: The new files of each folder, none where nothing changes. It must read them with
            `read`, and is called again if they changed before it was done.
        about: What a folder's manifest is to say of the folder itself, beside what it says.

    Raises:
        InputError: a folder cannot be written to.
    """
    places = sorted({folder.resolve(): folder for folder in folders}.items())
    for tries in count(1):
        with ExitStack() as stack:
            if tries > TRIES:
                _lock(places, stack)
            before = [_stamp(folder) for _, folder in places]
            made = make()
            if tries <= TRIES:
                _lock(places, stack)
            if before == [_stamp(folder) for _, folder in places]:
                for _, folder in places:
                    if made.get(folder):
                        _replace(folder, made[folder], about(folder))
                return


def exists(path: Path) -> bool:
    """Whether there is such a file in a folder that is published to."""
    return _journaled(path).is_file() or path.is_file()


def is_published(path: Path) -> bool:
    """Whether a command has written such a file, which another is to go on from.

    Raises:
        DamagedError: there is one, but the manifest beside it does not list it.
    """

    def is_stray() -> bool:
        return exists(path) and path.name not in (listed(path.parent) or {path.name: ""})

    if settled([path.parent], is_stray):
        raise DamagedError(f"{path} is not in the manifest, so no command wrote it; move it away")
    return exists(path)


def read(path: Path) -> bytes:
    """The content of a file in a folder that is published to, compared with its checksum, if any.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedError: the file is not what was written.
    """
    content = b""

    def is_damaged() -> bool:
        nonlocal content
        content = read_unchecked(path)
        return (listed(path.parent) or {}).get(path.name) not in (None, bytes_digest(content))

    if settled([path.parent], is_damaged):
        raise DamagedError(
            f"{path} does not match its checksum; delete it and repeat the command that made it"
        )
    return content


def read_unchecked(path: Path) -> bytes:
    """The content of a file in a folder that is published to, whatever its manifest says."""
    try:
        return _journaled(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return path.read_bytes()


def listed(folder: Path) -> dict[str, str] | None:
    """The checksums that a folder's manifest lists; None if there is none.

    Raises:
        DamagedError: the manifest is unreadable.
    """
    manifest = _manifest(folder)
    return None if manifest is None else {k: v for k, v in manifest.items() if k != ABOUT}


def told_about(folder: Path) -> dict[str, Any]:
    """What a folder's manifest says of the folder itself; nothing if it is of an older version."""
    return dict((_manifest(folder) or {}).get(ABOUT, {}))


def published_damage(folder: Path, *, present: Sequence[Path] | None = None) -> list[str]:
    """What is wrong with a folder that is published to; see `training.files.damage`."""

    def look() -> list[str]:
        try:
            digests = listed(folder)
        except DamagedError as error:
            return [str(error).split(";", maxsplit=1)[0]]
        if digests is None:
            return [f"{folder} has no {MANIFEST}: it was not finished, or the file was deleted"]
        chosen = visible_files(folder) if present is None else present
        return mismatches(folder, digests, chosen, digest=_digest)

    return settled([folder], look)


def require_intact(folder: Path, *, replacing: Sequence[str] = ()) -> None:
    """Refuses to write into a folder beside damaged files, before any work is done.

    A file that was deleted is no reason: the command that made it would be refused, too.

    Args:
        folder: Where a command will publish.
        replacing: Names of files that it will make anew without reading them.

    Raises:
        InputError: the folder cannot be written to.
        DamagedError: a file is not what was written.
    """
    require_writable(folder)

    def look() -> list[str]:
        digests = listed(folder) or {}
        found = {n: d for n, d in digests.items() if n not in replacing and exists(folder / n)}
        return mismatches(folder, found, (), digest=_digest)

    problems = settled([folder], look)
    if problems:
        raise DamagedError(f"{problems[0]}; delete it and repeat the command that made it")


def settled(folders: Sequence[Path], look: Callable[[], Found]) -> Found:
    """Looks for what is wrong until it finds nothing, or until nobody published meanwhile."""
    while True:
        before = [_stamp(folder) for folder in folders]
        found = look()
        if not found or before == [_stamp(folder) for folder in folders]:
            return found


def _journaled(path: Path) -> Path:
    """Where a file is while its journal is worked off, in its folder's or that of the one above."""
    above = path.parent.parent / JOURNAL / path.parent.name / path.name
    return above if above.is_file() else path.parent / JOURNAL / path.name


def _manifest(folder: Path) -> dict[str, Any] | None:
    path = folder / MANIFEST
    try:
        return parse_manifest(path, read_unchecked(path))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _digest(path: Path) -> str | None:
    return sha256(_journaled(path)) or sha256(path)


def _stamp(folder: Path) -> tuple[int, int, bytes] | None:
    """What every publication changes and moving a journal's files does not: the manifest file."""
    for path in (_journaled(folder / MANIFEST), folder / MANIFEST):
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                return status.st_ino, status.st_mtime_ns, file.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
    return None


def _lock(places: Sequence[tuple[Path, Path]], stack: ExitStack) -> None:
    """Locks folders, always in the same order, and tidies up what killed writers left."""
    for _, folder in places:
        stack.enter_context(_alone(folder))
        _finish(folder)
        remove_leftovers(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits until no other process publishes to a folder; a killed one counts as gone."""
    path = folder / LOCK
    try:
        with writing(path):
            folder.mkdir(parents=True, exist_ok=True)
            while True:
                lock = path.open("w")
                fcntl.flock(lock, fcntl.LOCK_EX)
                if _is_still(lock, path):
                    break
                lock.close()
    except DiskFullError:
        raise
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written to ({error.strerror}); change its mode"
        ) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.close()


def _is_still(lock: IO[str], path: Path) -> bool:
    """Whether the file that was locked is the one that others lock: its last holder deleted it."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _replace(folder: Path, files: Files, about: Mapping[str, Any]) -> None:
    """Replaces files of a folder by steps 2 to 4 of the head of this module, under the lock."""
    manifest = _manifest(folder) or {}
    facts = {**manifest.pop(ABOUT, {}), **about}
    entries = manifest | {name: bytes_digest(content) for name, content in files.items()}
    entries = dict(sorted(entries.items()))
    text = json_bytes({**entries, ABOUT: facts} if facts else entries)
    staging = folder / STAGING
    n_bytes = sum(map(len, [*files.values(), text]))
    try:
        with writing(folder, n_bytes):
            staging.mkdir()
            for name, content in {**files, MANIFEST: text}.items():
                (staging / name).parent.mkdir(exist_ok=True)
                (staging / name).write_bytes(content)
                flush(staging / name)
            flush(staging)
            staging.rename(folder / JOURNAL)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    flush(folder)
    _finish(folder)


def _finish(folder: Path) -> None:
    """Deletes what was not published, and puts what was into its place; under the lock."""
    shutil.rmtree(folder / STAGING, ignore_errors=True)
    journal = folder / JOURNAL
    if not journal.is_dir():
        return
    names = [str(path.relative_to(journal)) for path in journal.rglob("*") if path.is_file()]
    for name in sorted(names, key=lambda name: (name == MANIFEST, name)):
        (folder / name).parent.mkdir(exist_ok=True)
        (journal / name).replace(folder / name)
        if (folder / name).parent != folder:
            flush((folder / name).parent)
    flush(folder)
    shutil.rmtree(journal)
