"""A file of a person's own in the place of a package of ours."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EDITABLE = """
import importlib.util, sys
sys.path = [place for place in sys.path if place != {root!r}]
class Finder:  # as pip's editable installs have it, behind everything on the path
    def find_spec(name, path=None, target=None):
        if name in ("data", "interp", "training"):
            return importlib.util.spec_from_file_location(name, f"{root}/{{name}}/__init__.py")
sys.meta_path.append(Finder)
import interp
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Python with a person's folder before ours."""
    environment = {"PYTHONPATH": f"{folder}:{ROOT}", "PATH": ""}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True
    )


def hide(folder: Path, name: str) -> Path:
    """Puts a module, or with a slash at its end a package, into a folder; returns its path."""
    if name.endswith("/"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("")
    else:
        (folder / name).write_text("")
    return folder / name


@pytest.mark.parametrize("name", ["data.py", "training.py", "data/", "training/"])
def test_a_module_that_hides_ours_is_named_on_import(tmp_path: Path, name: str):
    place = hide(tmp_path, name)
    (tmp_path / "script.py").write_text("import interp")

    done = run(tmp_path, "script.py")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: {place} hides the package {place.stem} of iml-workbench; give it another "
        "name, or run from another folder"
    )


@pytest.mark.parametrize("name", ["data.py", "training/"])
def test_the_command_says_so_in_one_line(tmp_path: Path, name: str):
    place = hide(tmp_path, name)
    (tmp_path / "iml").write_text("import sys\nfrom interp.cli import main\nsys.exit(main())")

    for words in (("iml", "recipes"), ("-m", "interp.cli", "recipes")):
        done = run(tmp_path, *words)
        (line,) = done.stderr.splitlines()
        assert done.returncode == 2
        assert line.startswith(f"error: {place} hides the package")
        assert done.stdout == ""


def test_what_was_imported_already_counts(tmp_path: Path):
    hide(tmp_path, "data.py")
    (tmp_path / "script.py").write_text("import data, sys; sys.path.pop(0); import interp")

    assert "data.py hides the package data" in run(tmp_path, "script.py").stderr


def test_a_folder_without_code_hides_ours_only_where_it_is_found_first(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "people.csv").write_text("")

    assert run(tmp_path, "-c", "import interp").returncode == 0
    (tmp_path / "script.py").write_text(EDITABLE.format(root=str(ROOT)))
    hidden = run(tmp_path, "script.py")
    assert f"{tmp_path / 'data'} hides the package data" in hidden.stderr


def test_nothing_hidden_nothing_said(tmp_path: Path):
    hide(tmp_path, "datasets_of_mine.py")

    done = run(tmp_path, "-c", "import interp, data; print(data.__path__)")
    assert done.returncode == 0
    assert done.stdout.strip() == f"[{str(ROOT / 'data')!r}]"
