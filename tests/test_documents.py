"""What the documents say can be done: commands parse, examples run, links lead somewhere."""

import argparse
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

import training.recipes  # noqa: F401  (fills the registry)
from data.tasks.iml import SUBSETS
from data.tokenizers import TrainedTokenizer
from interp.cli import build_parser
from interp.commands.seeds import read_seeds
from interp.probes.targets import find_target
from interp.sweeps.plans import find_sweep
from training.designs import recipe_design
from training.recipes import find_recipe
from training.runs.run import Run

ROOT = Path(__file__).parents[1]
README, MANUAL, RESULTS = (
    ROOT / name for name in ("README.md", "docs/manual.md", "docs/results.md")
)
DOCUMENTS = (README, MANUAL, RESULTS, ROOT / "CONTRIBUTING.md")
LONGEST_README = 200
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return [code for name, code in FENCED.findall(path.read_text()) if name == language]


def prose(path: Path) -> str:
    """The text without its fenced blocks."""
    return FENCED.sub("", path.read_text())


def inline_code(path: Path) -> list[str]:
    """What stands between backticks, on one line each."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(path))]


def commands(path: Path, program: str) -> Iterator[list[str]]:
    """The words after a program's name, wherever it is called."""
    lines = "\n".join(blocks(path, "bash")).replace("$(which iml)", "iml").splitlines()
    for line in [*lines, *(code for code in inline_code(path) if code.startswith(program))]:
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if program in words:
                yield words[words.index(program) + 1 :]


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
    assert ({subsets} if isinstance(subsets, str) else set(subsets)) <= set(SUBSETS)


def test_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= LONGEST_README


@each_document
def test_commands_parse(path: Path, tiny_run: Run) -> None:
    parser = build_parser()
    known, called = known_commands(parser), list(commands(path, "iml"))
    for words in called:
        assert words[0] in known, words
        if len(words) > 1:  # else it is only named
            check_names(parser.parse_args(words), words[0], tiny_run.checkpoint(1000, 2))
    assert called or path.name == "CONTRIBUTING.md"


def test_every_command_is_in_the_readme_and_in_the_manual() -> None:
    for path in (README, MANUAL):
        assert {words[0] for words in commands(path, "iml")} == known_commands(build_parser())


@each_document
def test_make_has_what_is_made(path: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {words[0] for words in commands(path, "make") if words} <= targets


def make_model(folder: Path, words: list[str]) -> None:
    """A model of random weights; its tokenizer has a token for each of the words after a space."""
    tokenizer = TrainedTokenizer(texts=(" ".join(words),), vocabulary_size=20_000).load()
    config = GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
    )
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize("path", [README, MANUAL], ids=lambda path: path.name)
def test_python_runs(
    path: Path, tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(tmp_path / "my-model", words=re.findall(r"\w+", path.read_text()))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "alias-toy").symlink_to(tiny_run.folder)
    monkeypatch.chdir(tmp_path)
    code = blocks(path, "python")
    assert code
    names: dict[str, object] = {}
    for block in code:
        # A tiny run answers nothing with confidence.
        exec(block.replace("least=0.5", "least=0.0"), names)


def test_python_elsewhere_would_be_run_here() -> None:
    assert [path.name for path in DOCUMENTS if blocks(path, "python")] == [README.name, MANUAL.name]


def anchors(path: Path) -> set[str]:
    """Of each heading, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@each_document
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", prose(path)):
        link = "".join(link.split())
        if link.startswith("https://"):
            continue
        place, _, anchor = unquote(link).partition("#")
        target = path.parent / place if place else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@each_document
def test_files_and_modules_that_are_named_exist(path: Path) -> None:
    for code in inline_code(path):
        if re.fullmatch(r"(data|training|interp|tests|benchmarks|docs|notebooks)(/[\w.-]*)+", code):
            assert (ROOT / code).exists(), code
        for name in re.findall(r"\b(?:data|training|interp)(?:\.\w+)+", code):
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
    beside = ("notebooks", "tests", "benchmarks", "docs")
    assert said == packages | {top: {top} for top in beside}
    assert all((ROOT / top).is_dir() for top in said)
