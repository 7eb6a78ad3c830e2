"""README and the pages of the site, and what stands in them: blocks, links, commands."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README, CONTRIBUTING = ROOT / "README.md", ROOT / "CONTRIBUTING.md"
MADE = ("_build", "generated")
"""Folders that building the site fills."""
PAGES = tuple(
    path for path in sorted(DOCS.rglob("*.md")) if path.relative_to(DOCS).parts[0] not in MADE
)
DOCUMENTS = (README, CONTRIBUTING, *PAGES)
FENCED = re.compile(r"^```(\{?[\w-]*\}?)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def page_name(path: Path) -> str:
    """What a test's name calls a document."""
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a language, or the directives of a name in braces, in order."""
    return [code for name, _, code in FENCED.findall(path.read_text()) if name == language]


def prose(path: Path) -> str:
    """The text without its blocks of code; what directives hold is text."""
    return FENCED.sub(lambda m: m[3] if m[1].startswith("{") else "", path.read_text())


def inline_code(path: Path) -> list[str]:
    """What stands between backticks, on one line each."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(path))]


def block_commands(path: Path) -> Iterator[list[str]]:
    """The words of each command in a document's blocks of shell."""
    for line in "\n".join(blocks(path, "bash")).replace("$(which iml)", "iml").splitlines():
        for part in line.split("&&"):
            if words := shlex.split(part, comments=True):
                yield words


def commands(path: Path, program: str) -> Iterator[list[str]]:
    """The words after a program's name, wherever it is called."""
    named = [shlex.split(code) for code in inline_code(path) if code.startswith(f"{program} ")]
    for words in [*block_commands(path), *named]:
        if program in words:
            yield words[words.index(program) + 1 :]


def whole_text(path: Path) -> str:
    """The prose of a document with what it includes from others in its place.

    Raises:
        AssertionError: a text that an inclusion starts or ends at is not there once.
    """
    text = prose(path)
    for name, place, options in FENCED.findall(path.read_text()):
        if name == "{include}":
            included = prose(path.parent / place.strip())
            for end, mark in re.findall(r'^:(start-after|end-before): "(.*)"$', options, re.M):
                assert included.count(mark) == 1, f"{page_name(path)}: {mark!r}"
                included = included.split(mark)[end == "start-after"]
            text += included
    return text


def anchors(path: Path) -> set[str]:
    """Of each heading, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", whole_text(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}
