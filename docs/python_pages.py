"""Pages of the Python reference: one for each room, with all of its modules, from their docstrings.

Docstrings are in Google's style, with Markdown's marks: what stands between backticks is code, and
so is an indented block. `to_rst` says the same in Sphinx's marks.
"""

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils.nodes import Element
from sphinx import addnodes
from sphinx.ext.napoleon import Config, GoogleDocstring

PACKAGES = ("interp", "training", "data")
SECTION = re.compile(r"^(Args|Returns|Yields|Raises|Example|Examples):$")
CODE = re.compile(r"(`(?:[^`\n]|\n(?!\n))+`)")
MARKS = re.compile(r"([*|\\])|_(?!\w)")
LONGEST_VALUE = 100
ARRAY_LIKE = re.compile(r"[~\w.]*_Buffer \| .*?\](?=[,)])")


def rooms(root: Path) -> dict[str, list[Path]]:
    """The files of each package, by its dotted name."""
    found = {}
    for package in PACKAGES:
        for init in sorted((root / package).rglob("__init__.py")):
            name = ".".join(init.parent.relative_to(root).parts)
            found[name] = sorted(init.parent.glob("*.py"))
    return found


def write_pages(root: Path, folder: Path) -> None:
    """Writes a page for each package into a folder, and deletes those of packages that are gone."""
    pages = {f"{room}.rst": page_of(room, files) for room, files in rooms(root).items()}
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.rst"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:  # else Sphinx would read it again
            path.write_text(text)


def page_of(room: str, files: list[Path]) -> str:
    """A package's docstring and own names, then a section for each of its modules.

    What `interp` exports is imported when it is asked for, so it is asked for by name. What other
    packages export is documented in the module that it is from.
    """
    parts = [f"{room}\n{'=' * len(room)}", f".. automodule:: {room}\n   :ignore-module-all:"]
    if room == "interp":
        exported = import_module(room).__all__
        parts += [f".. autofunction:: {room}.{name}" for name in exported]
    for path in files:
        if path.stem != "__init__" and ast.get_docstring(ast.parse(path.read_text())):
            name = f"{room}.{path.stem}"
            parts += [f"{name}\n{'-' * len(name)}", f".. automodule:: {name}"]
    return "\n\n".join(parts) + "\n"


def to_rst(_app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turns a docstring's lines into reStructuredText, where they are."""
    text = _marked(lines)
    if what not in ("attribute", "data", "property"):  # whose first colon would be taken for a type
        text = GoogleDocstring(text, Config(), None, what, name, obj, options).lines()
    lines[:] = text


def short_signature(_app: Any, _what: str, _name: str, *rest: Any) -> tuple[str | None, str | None]:
    """A signature in which numpy's union of all that can become an array is `ArrayLike`."""
    signature, returned = rest[-2:]
    return signature and ARRAY_LIKE.sub("ArrayLike", signature), returned


def shorten_value(_app: Any, _domain: str, _kind: str, content: Element) -> None:
    """Leaves out the value of a constant that is long, as of a table of all recipes."""
    for value in content.parent.findall(addnodes.desc_annotation):
        text = value.astext()
        if text.startswith(" = ") and len(text) > LONGEST_VALUE:
            value.children = [addnodes.desc_sig_space(), addnodes.desc_sig_punctuation("", "= ...")]


def _marked(lines: list[str]) -> list[str]:
    """The lines with code as literals, indented blocks as literal blocks, and no other marks."""
    done: list[str] = []
    prose: list[str] = []
    in_section = in_block = in_doctest = False
    for line in lines:
        is_indented, is_first = line.startswith("    "), not (prose or done or [""])[-1].strip()
        in_section = in_section or bool(SECTION.match(line))
        in_doctest = bool(line.strip()) and (in_doctest or line.lstrip().startswith(">>>"))
        begins = is_indented and is_first and not in_block and not in_section and not in_doctest
        if line.strip():
            in_block = is_indented and (begins or in_block) and not in_section
        if in_doctest or in_block:
            done += [*_escaped(prose), *(["::", ""] if begins else []), line]
            prose = []
        else:
            prose.append(line)
    return [*done, *_escaped(prose)]


def _escaped(lines: list[str]) -> list[str]:
    """Lines with their code as literals and without marks that only reStructuredText has."""
    parts = CODE.split("\n".join(lines))
    marked = (
        f"`{each}`" if CODE.fullmatch(each) else MARKS.sub(r"\\\g<0>", each) for each in parts
    )
    return "".join(marked).split("\n") if lines else []
