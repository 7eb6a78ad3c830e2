"""`iml completion`: what the shells that are here make of it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from interp.cli import main

Capture = pytest.CaptureFixture[str]
ASKING = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_shtab_iml iml "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(capsys: Capture, tmp_path: Path) -> Path:
    pytest.importorskip("shtab")
    assert main(["completion", "bash"]) == 0
    path = tmp_path / "iml.bash"
    path.write_text(capsys.readouterr().out)
    return path


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["pro"], {"probe"}),
        (["run", "alias-toy-"], {"alias-toy-tokens"}),
        (["sweep", "toy-word"], {"toy-word-orders"}),
        (["probe", "runs", "--dev"], {"--device"}),
        (["probe", "runs", "--site", "resid_m"], {"resid_mid"}),
        (["lens", "runs", "--role", "alias_"], {"alias_first", "alias_last"}),
        (["summary", "my-r"], {"my-runs"}),
        (["run", "alias-toy", "--out", "my-r"], {"my-runs"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bash(words: list[str], completed: set[str], script: Path, tmp_path: Path):
    (tmp_path / "my-runs").mkdir()
    done = subprocess.run(
        ["bash", "-c", ASKING, "bash", str(script), "iml", *words],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert set(done.stdout.split()) == completed


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_can_read_theirs(shell: str, capsys: Capture, tmp_path: Path):
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    path = tmp_path / "iml"
    path.write_text(capsys.readouterr().out)

    assert "alias-toy" in path.read_text()
    if shutil.which(shell):
        subprocess.run([shell, "-n", str(path)], check=True)


def test_a_shell_that_is_not_known(capsys: Capture):
    assert main(["completion", "tcl"]) == 2
    assert "invalid choice: 'tcl'" in capsys.readouterr().err


def test_without_shtab_it_says_what_to_install(capsys: Capture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "shtab", None)

    assert main(["completion", "bash"]) == 2
    assert capsys.readouterr().err == (
        "error: completion needs the package shtab; pip install shtab\n"
    )
