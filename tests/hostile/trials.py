"""What a trial of hostile input is, and how files are spoiled.

Every trial says beforehand, by a rule that looks at the input alone, whether a command must accept
it or refuse it; nothing here asks the program.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Check = Callable[[str], None]
"""Is given what a command printed, and asserts that it is right."""
TRUNCATED, EMPTY, NOISE, GONE, FOLDER, LOOP = SPOILERS = (
    "truncated",
    "empty",
    "noise",
    "gone",
    "folder",
    "loop",
)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A command line, made ready, and what must come of it."""

    words: list[str]
    check: Check | None = None
    """Of a valid one; None where the command must refuse."""
    codes: frozenset[int] = frozenset({2, 3})
    """Exit codes of a refusal."""
    may_write: Path | None = None
    """The only folder in which a valid command may change anything."""


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Finished inputs that trials copy and spoil."""

    run: Path
    """A run of the alias toy of two seeds, with a null twin and a table of an analysis."""
    table: Path
    """A table of people, in the shape of the Cross-Verified Database."""
    model: Path
    """The folder of a tiny language model with its tokenizer."""


def spoil(path: Path, how: str, rng: random.Random) -> None:
    """Makes a file unreadable as what it is."""
    content = path.read_bytes()
    match how:
        case "truncated":
            path.write_bytes(content[: rng.randrange(1, max(2, len(content) // 2))])
        case "empty":
            path.write_bytes(b"")
        case "noise":
            path.write_bytes(rng.randbytes(max(16, min(len(content), 4096))))
        case "gone":
            path.unlink()
        case "folder":
            path.unlink()
            path.mkdir()
        case "loop":
            path.unlink()
            path.symlink_to(path.name)
        case _:
            raise ValueError(how)


def spoiled_json(content: Any, required: list[str], rng: random.Random) -> bytes:
    """JSON that is none, or that lacks or mistypes one of the required keys of an object."""
    text = json.dumps(content)
    ways: list[Callable[[], bytes]] = [
        lambda: b"[" * rng.choice([2_000, 200_000]),
        lambda: ("[" * 100_000 + "]" * 100_000).encode(),
        lambda: b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        lambda: b"9" * 6_000,
        lambda: rng.choice([b"[]", b"7", b"null", b'"text"', b"true", b"[[]]", b"{}"]),
        lambda: text.encode("utf-16"),
        lambda: b"\xff\xfe" + text.encode()[1:],
        lambda: text[: len(text) // 2].encode(),
        lambda: text.replace(":", ";").encode(),
        lambda: (
            json.dumps({k: v for k, v in content.items() if k != rng.choice(required)}).encode()
            if len(required) == 1
            else _without(content, rng.choice(required))
        ),
        lambda: _mistyped(content, rng.choice(required), rng),
        lambda: _with_huge_number(content, rng.choice(required)),
    ]
    return rng.choice(ways)()


def _without(content: dict[str, Any], key: str) -> bytes:
    return json.dumps({k: v for k, v in content.items() if k != key}).encode()


def _mistyped(content: dict[str, Any], key: str, rng: random.Random) -> bytes:
    others = [17.5, "text", ["x", None], {"x": [1]}, True, -3]
    right = type(content[key])
    wrong = [v for v in others if type(v) is not right]
    if right is int:
        wrong = [v for v in wrong if not isinstance(v, bool | int)]
    return json.dumps({**content, key: rng.choice(wrong)}).encode()


def _with_huge_number(content: dict[str, Any], key: str) -> bytes:
    marked = json.dumps({**content, key: "MARK"})
    return marked.replace('"MARK"', "9" * 5_000).encode()
