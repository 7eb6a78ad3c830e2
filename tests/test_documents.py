"""What the documents say can be done: commands parse, links and pages are there, words agree."""

import argparse
import fnmatch
import pkgutil
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

import training.recipes  # noqa: F401  (fills the registry)
from data.tasks.iml import SUBSETS, iml_design
from data.vocabulary import Part
from interp.cli import build_parser
from interp.commands.seeds import read_seeds
from interp.probes.targets import find_target
from interp.sweeps.plans import find_sweep
from tests.documents import (
    DOCS,
    DOCUMENTS,
    PAGES,
    README,
    ROOT,
    anchors,
    block_commands,
    blocks,
    commands,
    inline_code,
    page_name,
    prose,
    whole_text,
)
from training.designs import known_designs, recipe_design
from training.recipes import find_recipe
from training.runs.run import Run

LONGEST_README = 200
ALL_SUBSETS = {name for design in known_designs() for name in design.names}
PROGRAMS = {"accelerate", "iml", "make", "source"}

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=page_name)
each_page = pytest.mark.parametrize("path", PAGES, ids=page_name)


def known_commands(parser: argparse.ArgumentParser) -> set[str]:
    """The words that may follow `iml`."""
    return {name for action in parser._actions for name in action.choices or ()}


def check_names(arguments: argparse.Namespace, command: str, model: Path) -> None:
    """Raises if a recipe, parameter, sweep, target or subset is none, or a seed is no number."""
    given = vars(arguments)
    if command == "run":
        recipe = find_recipe(given["recipe"])
        settings = recipe.parse_arguments(given["set"])
        if "model" in recipe.parameters:  # of which the shape is read
            settings["model"] = str(model)
        recipe(**{**(recipe.smoke if given["smoke"] else {}), **settings})
    if command == "recipes" and given["name"]:
        find_recipe(given["name"])
    if command == "sweep":
        find_sweep(given["name"])
    if command in ("run", "sweep"):
        read_seeds(arguments)
    for target in given.get("target") or ():
        find_target(recipe_design("alias-toy"), target)
    subsets = given.get("subset") or ()
    assert ({subsets} if isinstance(subsets, str) else set(subsets)) <= ALL_SUBSETS


def test_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= LONGEST_README


@each_document
def test_commands_parse(path: Path, tiny_run: Run) -> None:
    parser = build_parser()
    known = known_commands(parser)
    for words in commands(path, "iml"):
        if words[0].startswith("-"):
            continue
        assert words[0] in known, words
        if len(words) > 1:  # else it is only named
            check_names(parser.parse_args(words), words[0], tiny_run.checkpoint(1000, 2))


def test_every_command_is_in_the_readme_and_on_a_page() -> None:
    for paths in ([README], PAGES):
        said = {words[0] for path in paths for words in commands(path, "iml")}
        assert {word for word in said if not word.startswith("-")} == known_commands(build_parser())


@each_document
def test_nothing_else_is_called(path: Path) -> None:
    assert {words[0] for words in block_commands(path)} <= PROGRAMS


@each_document
def test_make_has_what_is_made(path: Path) -> None:
    for words in commands(path, "make"):
        done = subprocess.run(
            ["make", "--dry-run", "--assume-old=.venv/installed", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@each_document
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", prose(path)):
        link = "".join(link.split())
        if link.startswith("https://"):
            continue
        place, _, anchor = unquote(link).partition("#")
        if "generated" in Path(place).parts:
            continue  # a page that is made of docstrings: Sphinx checks that it is there
        target = path.parent / place if place else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def toctree(path: Path) -> set[Path]:
    """The pages that a page's tables of contents name."""
    inside = path.parent.resolve()
    listed = {
        entry.strip() for code in blocks(path, "{toctree}") for entry in code.splitlines() if entry
    }
    return {
        page
        for page in PAGES
        for entry in listed
        if page != path
        and page.is_relative_to(inside)
        and fnmatch.fnmatch(str(page.relative_to(inside)), f"{entry}.md")
    }


def test_every_page_is_reached_from_the_first() -> None:
    reached, new = set(), {DOCS / "index.md"}
    while new:
        reached |= new
        new = {page for path in new for page in toctree(path)} - reached
    assert reached == set(PAGES)


@each_page
def test_what_is_included_is_there(path: Path) -> None:
    assert whole_text(path).strip()


def terms() -> dict[str, str]:
    """Each word of the glossary, and what is said of it."""
    found: dict[str, str] = {}
    for entry in re.split(r"\n\n", "\n\n".join(blocks(DOCS / "glossary.md", "{glossary}"))):
        lines = entry.strip("\n").splitlines()
        said = " ".join(line.strip() for line in lines if line.startswith("  "))
        found |= {line: said for line in lines if not line.startswith("  ")}
    return found


@each_page
def test_words_that_are_explained_are_in_the_glossary(path: Path) -> None:
    known = {term.lower() for term in terms()}
    for shown in re.findall(r"\{term\}`([^`]+)`", prose(path)):
        named = re.search(r"<([^>]+)>$", " ".join(shown.split()))
        assert (named[1] if named else " ".join(shown.split())).lower() in known, shown


def test_the_glossary_says_of_subsets_and_gaps_what_the_design_says() -> None:
    said, stage = terms(), {Part.X1: "Stage 1", Part.X2: "Stage 2"}
    for subset in SUBSETS.values():
        words = said[subset.name]
        assert words == said.get(subset.name.split("_")[0], words)
        assert stage[subset.part] in words
        assert (subset.meaning if subset.has_definitions else "no definitions") in words
        assert ("questions trained" in words) is subset.has_questions
    for gap in iml_design({}).contrasts:
        higher, lower = (each.name.split("_")[0] for each in (gap.higher, gap.lower))
        assert said[gap.name].startswith(f"{higher} minus {lower}, end of {stage[gap.part]}")
        assert gap.meaning in said[gap.name]


@each_document
def test_files_and_modules_that_are_named_exist(path: Path) -> None:
    for code in inline_code(path):
        if re.fullmatch(r"(data|training|interp|tests|benchmarks|docs|notebooks)(/[\w.-]*)+", code):
            assert (ROOT / code).exists(), code
        for name in re.findall(r"\b(?:data|training|interp)(?:\.(?!py\b)\w+)+", code):
            pkgutil.resolve_name(name)


def test_tree_of_the_readme_is_the_tree() -> None:
    (tree,) = (code for code in blocks(README, "") if code.startswith("data/"))
    said: dict[str, set[str]] = {}
    top = ""
    for line in tree.splitlines():
        names = re.findall(r"(?:^| {2})(\w+)/ {2,}", line)
        if not line.startswith(" "):
            (top,) = names
        said.setdefault(top, set()).update(names)
    packages = {
        top: {top, *(each.parent.name for each in (ROOT / top).glob("*/__init__.py"))}
        for top in ("data", "training", "interp")
    }
    beside = ("notebooks", "tests", "benchmarks", "scripts", "docs")
    assert said == packages | {top: {top} for top in beside}
    assert all((ROOT / top).is_dir() for top in said)
