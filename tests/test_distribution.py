"""What people install: one version, and a wheel and an sdist that hold all that is needed."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("data", "training", "interp")
REFERENCE_KEYS = {"type", "title", "authors", "year"}
TORCH = next(each for each in PROJECT["dependencies"] if each.startswith("torch>"))


def modules(folder: Path) -> set[str]:
    """Every file of the packages below a folder that is not left over from running it."""
    return {
        path.relative_to(folder).as_posix()
        for package in PACKAGES
        for path in (folder / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_newest_version_of_the_changelog_is_the_projects() -> None:
    named = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert all(
        re.fullmatch(r"Unreleased|\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", each) for each in named
    )
    released = [each.split()[0] for each in named if each != "Unreleased"]
    assert released[0] == PROJECT["version"]
    assert released == sorted(released, key=lambda v: [*map(int, v.split("."))], reverse=True)


def test_the_version_stands_in_one_place() -> None:
    number = re.compile(rf"\b{re.escape(PROJECT['version'])}\b")
    sources = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    assert [
        path for path in [*sources, ROOT / "CITATION.cff"] if number.search(path.read_text())
    ] == []


def test_the_citation_names_what_is_cited() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["license"] == PROJECT["license"]
    (paper,) = cited["references"]
    assert set(paper) >= REFERENCE_KEYS
    assert str(paper["url"]).split("/")[-1] in (ROOT / "README.md").read_text()


def call(*command: object, folder: Path) -> str:
    """What a command says on stdout, outside this checkout."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-4000:])
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel made of it."""
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, folder=folder)
    return folder


@pytest.mark.slow
def test_the_wheel_and_the_sdist_hold_every_module(built: Path, tmp_path: Path) -> None:
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    assert f"-{PROJECT['version']}-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "sdist", filter="data")
    (unpacked,) = (tmp_path / "sdist").iterdir()
    assert modules(tmp_path / "wheel") == modules(unpacked) == modules(ROOT)
    assert {"README.md", "LICENSE", "pyproject.toml"} <= {path.name for path in unpacked.iterdir()}
    tops = {path.name for path in (tmp_path / "wheel").iterdir()}
    assert tops == {*PACKAGES, f"iml_workbench-{PROJECT['version']}.dist-info"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_wheel_works_in_an_empty_environment(built: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    python, iml = (tmp_path / "env" / "bin" / name for name in ("python", "iml"))
    try:  # torch first, as in the Makefile
        call(python, "-m", "pip", "install", "--quiet", TORCH, folder=tmp_path)
    except AssertionError as error:
        if "No matching distribution" in str(error) or "NewConnectionError" in str(error):
            pytest.skip("no package index can be reached")
        raise
    (wheel,) = built.glob("*.whl")
    call(python, "-m", "pip", "install", "--quiet", wheel, folder=tmp_path)
    assert PROJECT["version"] in call(iml, "--version", folder=tmp_path)
    call(iml, "run", "alias-toy", "--smoke", "--out", "toy", folder=tmp_path)
    call(iml, "lens", "toy", folder=tmp_path)
    call(iml, "report", "toy", folder=tmp_path)
    assert (tmp_path / "toy" / "report.html").is_file()
    call(iml, "verify", "toy", folder=tmp_path)
    call(python, "-c", "from interp import *; from interp import open_run; open_run('toy')",
         folder=tmp_path)  # fmt: skip


def test_what_is_installed_here_is_this_version() -> None:
    assert version("iml-workbench") == PROJECT["version"]
