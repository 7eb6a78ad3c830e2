"""`iml doctor`, with nothing wrong and with one thing wrong after the other."""

import json
import resource
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from interp.cli import main
from interp.commands import machine
from interp.commands.machine import Check, State

ROOT = Path(__file__).parents[3]
Patch = pytest.MonkeyPatch
INSTALLED = {"iml-workbench": "0.1.0", "torch": "2.12.0+cpu", "numpy": "2.3.1", "plotly": "6.5.0"}
INSTALLED |= {"transformers": "5.14.1", "transformer-lens": "4.3.0", "pandas": "2.3.3"}
NEEDED = [f"{name}>={version.partition('+')[0]}" for name, version in INSTALLED.items()][1:]
NEEDED += ["numpy<3", 'ipywidgets>=8.1.2,<9; extra == "notebook"']


@pytest.fixture
def installed(monkeypatch: Patch) -> dict[str, str]:
    """What is installed, of which a test may change something."""
    there = {**INSTALLED, "ipywidgets": "8.1.5"}

    def version(name: str) -> str:
        if name not in there:
            raise PackageNotFoundError(name)
        return there[name]

    known = {"iml-workbench": NEEDED, "torchvision": ["numpy", "torch==2.12.0"]}
    monkeypatch.setattr(machine, "version", version)
    monkeypatch.setattr(machine, "requires", known.get)
    return there


def only(checks: list[Check]) -> Check:
    (check,) = checks
    return check


def test_all_is_well(installed: dict[str, str]):
    check = only(machine.version_checks())

    assert (check.state, check.remedy) == (State.OK, "")
    assert "torch 2.12.0+cpu" in check.found
    assert machine.python_check().state is State.OK
    assert machine.extra_check("notebook").found == "installed"


def test_a_package_that_is_missing_and_one_that_is_too_old(installed: dict[str, str]):
    del installed["plotly"]
    installed["numpy"] = "3.0.0"
    checks = {check.name: check for check in machine.version_checks()}

    assert set(checks) == {"plotly", "numpy"}
    assert checks["plotly"].found == "is missing"
    assert checks["numpy"].found == "3.0.0, not <3"
    assert checks["numpy"].remedy == "pip install 'numpy<3'"
    assert {check.state for check in checks.values()} == {State.PROBLEM}


@pytest.mark.parametrize(
    ("torch", "torchvision", "fits"),
    [
        ("2.12.0+cpu", "0.27.0+cpu", True),
        ("2.12.0+cpu", "0.27.0", False),
        ("2.12.0", "0.27.0", True),
        ("2.12.0", "0.27.0+cpu", False),
        ("2.12.1", "0.27.0", False),
        ("2.12.0+cpu", None, True),
    ],
    ids=["same build", "PyPI beside CPU", "both PyPI", "CPU beside PyPI", "other torch", "none"],
)
def test_a_torchvision_for_another_torch(
    torch: str, torchvision: str | None, fits: bool, installed: dict[str, str]
):
    installed |= {"torch": torch} | ({"torchvision": torchvision} if torchvision else {})
    check = machine.torchvision_check()

    assert check.state is (State.OK if fits else State.PROBLEM)
    assert check.remedy.startswith("pip uninstall torchvision") is not fits


def test_an_extra_that_is_missing_is_a_note(installed: dict[str, str]):
    del installed["ipywidgets"]
    check = machine.extra_check("notebook")

    assert (check.state, check.found) == (State.NOTE, "ipywidgets is missing")
    assert "pip install 'iml-workbench[notebook]'" in check.remedy


@pytest.mark.parametrize("name", ["data.py", "training/__init__.py"])
def test_a_module_that_hides_ours(name: str, tmp_path: Path):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    check = only(machine.shadow_checks(tmp_path))

    assert check.state is State.PROBLEM
    assert check.found.startswith(f"{path.resolve()} hides our package {name[:4]}")
    assert check.remedy.startswith("rename it")


def test_a_folder_without_code_hides_nothing(tmp_path: Path):
    (tmp_path / "data").mkdir()

    assert only(machine.shadow_checks(tmp_path)).state is State.OK


def test_a_cache_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("")
    check = machine.cache_check(tmp_path / "file" / "cache")

    assert check.state is State.PROBLEM
    assert "XDG_CACHE_HOME" in check.remedy
    assert machine.cache_check(tmp_path / "not" / "made" / "yet").state is State.OK


def test_a_full_disk_and_little_memory(tmp_path: Path, monkeypatch: Patch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    monkeypatch.setattr(machine, "_free_memory", lambda: 2**20)
    checks = [machine.disk_check("disk", tmp_path / "runs"), machine.memory_check()]

    assert [check.state for check in checks] == [State.PROBLEM] * 2
    assert checks[0].found == f"0.0 GiB free at {tmp_path}"
    assert "--workers 1" in checks[1].remedy


def test_a_gpu_that_this_torch_cannot_use(installed: dict[str, str], monkeypatch: Patch):
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    assert machine.gpu_check().state is State.NOTE
    installed["torch"] = "2.12.0"
    assert machine.gpu_check().found == "an NVIDIA driver: --device cuda"


@pytest.mark.parametrize(("state", "code"), [(State.OK, 0), (State.NOTE, 0), (State.PROBLEM, 1)])
def test_a_line_a_check_and_an_exit_code(
    state: State, code: int, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
):
    checks = [
        Check(name="one", state=State.OK, found="as it should be"),
        Check(name="two", state=state, found="is so", remedy="do this"),
    ]
    monkeypatch.setattr(machine, "all_checks", lambda _: checks)

    assert main(["doctor"]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split(maxsplit=2) == [str(state), "two", "is so; do this"]
    assert main(["doctor", "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is (code == 0)
    assert told["checks"][1] == {"name": "two", "state": str(state)} | {
        "found": "is so",
        "remedy": "do this",
    }


def test_it_is_quick_and_imports_nothing_large(tmp_path: Path):
    program = (
        "import sys, interp.cli\n"
        "code = interp.cli.main(['doctor'])\n"
        "large = {'torch', 'transformers', 'pandas', 'numpy', 'plotly'}\n"
        "assert code in (0, 1)\n"
        "assert not large & set(sys.modules)\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 10
    # Processor seconds, so that a busy machine does not fail it.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
