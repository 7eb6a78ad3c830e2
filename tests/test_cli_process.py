"""The command line as a process: its streams, its signals, its start."""

import io
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from interp.cli import main
from training.runs.run import Run

ROOT = Path(__file__).parents[1]
Capture = pytest.CaptureFixture[str]


def test_installed_command_is_this_main() -> None:
    from importlib.metadata import entry_points

    (command,) = entry_points(group="console_scripts", name="iml")
    assert command.value == "interp.cli:main"


def test_reader_that_goes_away_is_no_error(tiny_run: Run) -> None:
    command = f"{sys.executable} -m interp.cli data {tiny_run.folder} --json | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["seed"] == 1000


def test_main_gives_the_signal_handler_back() -> None:
    import signal

    before = signal.getsignal(signal.SIGTERM)
    main(["recipes", "xyz"])
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("words", [["summary"], ["data", "--limit", "1"], ["verify"]])
def test_stdout_without_some_character_shows_another(
    words: list[str], tiny_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert main([words[0], str(tiny_run.folder), *words[1:]]) == 0
    sys.stdout.flush()
    text = written.getvalue().decode("ascii")
    assert text.strip()
    if words == ["summary"]:
        assert re.search(r"iml_gap", text)
        assert "?" in text  # for the sign of plus and minus


def test_without_a_command_the_help_is_shown(capsys: Capture):
    assert main([]) == 0
    shown = capsys.readouterr()
    assert "usage: iml" in shown.out
    assert "probe" in shown.out
    assert shown.err == ""


def test_the_version_is_told_before_anything_large_is_imported():
    large = "pandas numpy torch transformers plotly pyarrow"
    code = (
        "import sys, interp.cli\n"
        "try:\n    interp.cli.main(['--version'])\n"
        f"finally:\n    print([name for name in {large!r}.split() if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert done.stdout.splitlines() == [f"iml {project['version']}", "[]"]
    assert done.returncode == 0
