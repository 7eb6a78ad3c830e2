"""What a run reads from elsewhere, known by its content and not by its path.

The table, the model's folder and the tokenizer are given as paths, at which something else may lie
tomorrow. The sha256 of what they hold is what they are: the same content at another path is the
same input, another content at the same path is another one.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.catalogue import in_catalogue
from data.digests import file_sha256
from data.errors import InputError
from data.hub import ModelFiles, find_folder, is_hub_name, paths_of


@dataclass(frozen=True, kw_only=True)
class Input:
    """A file, or some of the files of a model's folder."""

    location: str
    """A path, or a model's name on the hub."""
    files: ModelFiles | None = None
    """Which files of a model's folder are read; None for a single file."""

    @property
    def is_local(self) -> bool:
        """Whether the location is a path, and not a name on the hub."""
        return self.files is None or self._path.exists() or not is_hub_name(self.location)

    @property
    def name(self) -> str:
        """What people call the input: of a path, its last part."""
        return self._path.resolve().name if self.is_local else self.location

    def digests(self) -> dict[str, str]:
        """The sha256 of each of the input's files, by name.

        Raises:
            InputError: the input is not there, or not whole.
        """
        return {path.name: file_sha256(path) for path in self._paths()}

    def sha256(self) -> str:
        """The sha256 of a file; of several, that of what `sha256sum` prints of them, by name.

        Raises:
            InputError: the input is not there, or not whole.
        """
        digests = self.digests()
        if self._path.is_file():
            return next(iter(digests.values()))
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def record(self) -> dict[str, Any]:
        """What `run.json` says of the input."""
        known = {"name": self.name, "source": self.location}
        return known | {"sha256": self.sha256(), "files": self.digests()}

    @property
    def is_ambiguous(self) -> bool:
        """Whether the location is a folder here, and may be meant as a name known elsewhere."""
        is_name = is_hub_name(self.location) or in_catalogue(self.location) is not None
        return self.files is not None and self._path.exists() and is_name

    def is_at(self, location: str) -> bool:
        """Whether another way of writing a location means the same place."""
        other = Path(location).expanduser()
        return location == self.location or (
            self.is_local and other.resolve() == self._path.resolve()
        )

    @property
    def _path(self) -> Path:
        return Path(self.location).expanduser()

    def _paths(self) -> list[Path]:
        if self._path.is_file():
            return [self._path]
        if self.files is None:
            raise InputError(f"there is no table {self._path}; give its path, or bring it back")
        return paths_of(find_folder(self.location, self.files), self.files)
