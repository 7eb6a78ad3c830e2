"""The ledger: which seeds were looked at when, and when a hypothesis was frozen.

One file of a person's own (`~/.local/state/iml/ledger.jsonl`; `IML_LEDGER` names another), since a
run can be copied, and made again: what was seen of a recipe's parameters and a seed stays seen. A
line is an entry, and holds the sha256 of the line before, so that no entry can be changed, moved or
taken out without breaking the chain. Lines cut off at the end leave no trace: whoever wants to show
that there are none notes the last line's sha256 elsewhere (`head`).
"""

import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from data.errors import InputError
from training.runs.run import Run

VARIABLE = "IML_LEDGER"
FIRST = "0" * 64
"""What the first line has in the place of the sha256 of a line before."""
READ, FROZEN = "read", "frozen"
KEYS = {
    READ: {"event", "time", "previous", "analysis", "recipe", "run_id", "seeds"},
    FROZEN: {"event", "time", "previous", "name", "sha256", "amendment"},
}


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The entries of a ledger whose chain is whole."""

    path: Path
    entries: Sequence[Mapping[str, Any]]
    head: str
    """The sha256 of the last line."""

    @classmethod
    def load(cls, path: Path | None = None) -> "Ledger":
        """Reads a ledger, an empty one where there is no file.

        Args:
            path: That of `ledger_path` unless given.

        Raises:
            InputError: a line is not what was written, or the file cannot be read.
        """
        path = path or ledger_path()
        if not path.exists():
            return cls(path=path, entries=(), head=FIRST)
        with path.open("rb") as file:
            return cls.of_lines(path, file)

    @classmethod
    def of_lines(cls, path: Path, file: IO[bytes]) -> "Ledger":
        """Checks every line against the one before."""
        entries, head = [], FIRST
        for number, line in enumerate(file, start=1):
            entry = _entry(line)
            if entry is None or entry["previous"] != head:
                raise InputError(
                    f"{path}, line {number}: the chain is broken, so what was frozen and read is "
                    f"not known; restore the file, or name another with {VARIABLE}"
                )
            entries.append(entry)
            head = hashlib.sha256(line).hexdigest()
        return cls(path=path, entries=tuple(entries), head=head)

    def freezes(self, name: str) -> list[Mapping[str, Any]]:
        """When a hypothesis was frozen, the first time first."""
        return [e for e in self.entries if e["event"] == FROZEN and e["name"] == name]

    def seen_before(self, time: str, run_id: str, seeds: Iterable[int]) -> dict[int, list[str]]:
        """Which of a run's seeds were read before a time, and by which analyses."""
        found: dict[int, list[str]] = {}
        for entry in self.entries:
            if entry["event"] == READ and entry["run_id"] == run_id and entry["time"] < time:
                for seed in set(entry["seeds"]) & set(seeds):
                    found.setdefault(seed, []).append(entry["analysis"])
        return {seed: sorted(set(analyses)) for seed, analyses in sorted(found.items())}


def ledger_path() -> Path:
    """Where the ledger is: what `IML_LEDGER` names, or a file in the person's state folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state) / "iml/ledger.jsonl"


def freeze(name: str, sha256: str, *, amendment: str = "", path: Path | None = None) -> Ledger:
    """Writes down that a hypothesis has this text from now on.

    Args:
        name: Of the hypothesis.
        sha256: Of its text.
        amendment: What had been seen when an older text was changed.
        path: Of the ledger.

    Raises:
        InputError: the chain is broken, or the file cannot be written to.
    """
    path = path or ledger_path()
    entry = {"event": FROZEN, "name": name, "sha256": sha256, "amendment": amendment}
    try:
        with _locked(path) as file:
            _append(file, Ledger.of_lines(path, file).head, entry)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written to ({error.strerror}); name another file with {VARIABLE}"
        ) from None
    return Ledger.load(path)


def note_read(run: Run, analysis: str, seeds: Iterable[int]) -> None:
    """Writes down that an analysis has read seeds of a run, unless it says so already.

    An analysis works all the same where no ledger can be written; a line on stderr tells of it.

    Raises:
        InputError: the chain is broken.
    """
    path = ledger_path()
    entry = {
        "event": READ,
        "analysis": analysis,
        "recipe": run.config.recipe,
        "run_id": run.config.run_id,
    }
    try:
        with _locked(path) as file:
            ledger = Ledger.of_lines(path, file)
            noted = [e for e in ledger.entries if entry.items() <= e.items()]
            new = set(seeds) - {seed for each in noted for seed in each["seeds"]}
            if new:
                _append(file, ledger.head, {**entry, "seeds": sorted(new)})
    except OSError as error:
        reason = error.strerror or type(error).__name__
        print(f"note: {path} cannot be written to ({reason}); {VARIABLE} names another file to "
              "note in what was read", file=sys.stderr)  # fmt: skip


def _entry(line: bytes) -> dict[str, Any] | None:
    """What a line says; None if it is none of a ledger's."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or set(entry) != KEYS.get(str(entry.get("event"))):
        return None
    return entry if line.endswith(b"\n") else None


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """The file, made if need be, while nobody else writes to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        yield file


def _append(file: IO[bytes], head: str, entry: Mapping[str, Any]) -> None:
    """Adds an entry behind the last one, whose sha256 is `head`."""
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    line = json.dumps({**entry, "time": now, "previous": head}, sort_keys=True)
    file.write(line.encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())
