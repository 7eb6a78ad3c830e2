"""Cuts a file or folder into parts that can be carried one by one, and puts them together again.

For weights that go to a machine without network over a way that takes only so much at once. The
parts lie in a folder with `parts.json`, which has the size and sha256 of each and of the whole.
Nothing is put together unless all of it is there, whole.

    python scripts/parts.py split models/smollm2-135m carried
    python scripts/parts.py join carried models/smollm2-135m
"""

import argparse
import hashlib
import json
import re
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

MIB = 2**20
MOST_MIB = 59
"""Size of a part unless told otherwise; the ways it is made for take less than 60 MiB."""
CHUNK = MIB
INDEX = "parts.json"
PART_NAME = re.compile(r"part-\d{4,}")
SHA256 = re.compile(r"[0-9a-f]{64}")


class PartsError(Exception):
    """What cannot be split or joined: what is wrong and where, and what to do."""


class PartWriter:
    """A file to write to that is as many files as its content needs."""

    def __init__(self, folder: Path, size: int) -> None:
        """Starts with no part yet; each will have at most `size` bytes."""
        self.folder = folder
        self.size = size
        self.parts: list[dict[str, Any]] = []
        self.whole = hashlib.sha256()
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()
        self._room = 0

    def write(self, content: bytes) -> int:
        """Appends to the last part; starts the next one where it is full."""
        self.whole.update(content)
        rest = memoryview(content)
        while rest:
            if not self._room:
                self.close()
                self._file = (self.folder / f"part-{len(self.parts):04}").open("xb")
                self._digest, self._room = hashlib.sha256(), self.size
            assert self._file is not None
            piece, rest = rest[: self._room], rest[self._room :]
            self._file.write(piece)
            self._digest.update(piece)
            self._room -= len(piece)
        return len(content)

    def close(self) -> None:
        """Ends the part that is being written."""
        if self._file is None:
            return
        self._file.close()
        self.parts.append(
            {
                "name": Path(self._file.name).name,
                "bytes": self.size - self._room,
                "sha256": self._digest.hexdigest(),
            }
        )
        self._file, self._room = None, 0


def split(what: Path, folder: Path, *, mib: int = MOST_MIB) -> int:
    """Cuts a file or folder into parts of so many MiB, in a new folder; returns their number.

    Raises:
        PartsError: there is nothing to split, or the new folder exists.
    """
    if mib < 1:
        raise PartsError(f"--mib is {mib}; use 1 or more")
    if not what.exists():
        raise PartsError(f"there is no {what}; name a file or folder")
    if folder.resolve().is_relative_to(what.resolve()):
        raise PartsError(f"{folder} lies in {what}; name a folder elsewhere")
    with _new(folder) as place:
        place.mkdir()
        writer = PartWriter(place, mib * MIB)
        if what.is_dir():
            stream = cast(IO[bytes], writer)  # which nothing but `write` is called of
            with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
                for path in sorted(what.rglob("*")):
                    archive.add(path.resolve(), path.relative_to(what), recursive=False)
        else:
            with what.open("rb") as file:
                while content := file.read(CHUNK):
                    writer.write(content)
        writer.close()
        index = {
            "is_folder": what.is_dir(),
            "sha256": writer.whole.hexdigest(),
            "parts": writer.parts,
        }
        (place / INDEX).write_text(json.dumps(index, indent=2) + "\n")
    return len(writer.parts)


@dataclass(frozen=True)
class Index:
    """What `parts.json` says."""

    is_folder: bool
    sha256: str
    parts: tuple[tuple[str, int, str], ...]
    """Name, bytes and sha256 of each part, in order."""


def read_index(folder: Path) -> Index:
    """The list of parts of a folder.

    Raises:
        PartsError: there is none, or it is damaged.
    """
    path = folder / INDEX
    try:
        said = json.loads(path.read_bytes())
        parts = tuple((part["name"], part["bytes"], part["sha256"]) for part in said["parts"])
        found = Index(said["is_folder"], said["sha256"], parts)
        if not (
            isinstance(found.is_folder, bool)
            and SHA256.fullmatch(found.sha256)
            and all(PART_NAME.fullmatch(n) and type(b) is int and b > 0 for n, b, _ in parts)
            and all(SHA256.fullmatch(digest) for _, _, digest in parts)
        ):
            raise ValueError
    except OSError:
        raise PartsError(f"there is no {path}; carry it, too") from None
    except (ValueError, KeyError, TypeError):
        raise PartsError(f"{path} is damaged; carry it once more") from None
    return found


def require_whole(folder: Path, index: Index) -> None:
    """Refuses parts that are missing or not what was cut.

    Raises:
        PartsError: says which parts.
    """
    missing = [name for name, _, _ in index.parts if not (folder / name).is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise PartsError(
            f"{folder} lacks {missing[0]}{more} of {len(index.parts)} parts; carry what is missing"
        )
    for name, n_bytes, digest in index.parts:
        with (folder / name).open("rb") as file:
            is_whole = hashlib.file_digest(file, "sha256").hexdigest() == digest
        if not is_whole:
            found = (folder / name).stat().st_size
            raise PartsError(
                f"{folder / name} is damaged ({found:,} bytes, {n_bytes:,} were cut); carry it "
                "once more"
            )


def join(folder: Path, what: Path) -> None:
    """Puts the parts of a folder together as a new file or folder.

    Raises:
        PartsError: a part is missing or damaged, or there is something in that place.
    """
    index = read_index(folder)
    if what.exists():
        raise PartsError(f"{what} exists; name another place")
    require_whole(folder, index)
    with _new(what) as place:
        whole = place.with_name(f"{place.name}.tar") if index.is_folder else place
        digest = hashlib.sha256()
        with whole.open("xb") as file:
            for name, _, _ in index.parts:
                with (folder / name).open("rb") as part:
                    while content := part.read(CHUNK):
                        digest.update(content)
                        file.write(content)
        if digest.hexdigest() != index.sha256:
            raise PartsError(f"{folder / INDEX} is damaged; carry it once more")
        if index.is_folder:
            place.mkdir()
            with tarfile.open(whole) as archive:
                archive.extractall(place, filter="data")


@contextmanager
def _new(place: Path) -> Iterator[Path]:
    """A place to write to that becomes this one when the block ends well, and nothing if not."""
    if place.exists():
        raise PartsError(f"{place} exists; name another place")
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        yield scratch / "new"
        (scratch / "new").rename(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def main(words: list[str] | None = None) -> int:
    """Runs the command; returns the exit code: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    cut = verbs.add_parser("split", help="cut a file or folder into parts")
    cut.add_argument("what", type=Path)
    cut.add_argument("folder", type=Path, help="a new folder for the parts")
    cut.add_argument("--mib", type=int, default=MOST_MIB, help="most MiB of a part (%(default)s)")
    put = verbs.add_parser("join", help="put parts together")
    put.add_argument("folder", type=Path, help="where the parts lie")
    put.add_argument("what", type=Path, help="the new file or folder")
    arguments = parser.parse_args(words)
    try:
        if arguments.verb == "split":
            n_parts = split(arguments.what, arguments.folder, mib=arguments.mib)
            print(f"{arguments.folder}: {n_parts} parts and {INDEX}; carry all of them")
        else:
            join(arguments.folder, arguments.what)
            print(f"{arguments.what}: whole")
    except (PartsError, OSError, tarfile.TarError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
