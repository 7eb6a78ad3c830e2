"""`make gpu`: every part has its time, none costs another, and nothing is said that was not found.

The parts of these tests are a script of a few lines that acts as it is called.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu
from benchmarks.gpu import PARTS, Outcome, Part, Report, measure, value_text

ROOT = Path(__file__).parents[2]
ACTOR = """
import json, os, subprocess, sys, time
name, into = sys.argv[1], sys.argv[sys.argv.index("--into") + 1]
def tell(values, is_over=False, error=""):
    figures = [{"what": f"figure {v}", "value": v, "unit": "s", "how": "a|b"} for v in values]
    with open(into + ".new", "w") as file:
        json.dump({"figures": figures, "is_over": is_over, "error": error}, file)
    os.replace(into + ".new", into)
tell([1])
if name == "fails":
    tell([1, 2], True, "ValueError: no luck")
    sys.exit(1)
if name == "dies":
    os._exit(7)
if name in ("lingers", "hangs"):
    child = subprocess.Popen(["sleep", "60"])
    with open(os.environ["PIDS"], "a") as file:
        file.write(f"{child.pid}\\n")
    if name == "lingers":
        tell([1, 2], True)
    time.sleep(60)
tell([1, 2, None], True)
"""

Measured = Callable[..., Report]


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measured:
    """Runs parts of these names, which share so many seconds."""
    actor = tmp_path / "actor.py"
    actor.write_text(ACTOR)
    monkeypatch.setenv("PIDS", str(tmp_path / "pids"))
    monkeypatch.setattr(gpu, "LEAST_S", 1.0)
    monkeypatch.setattr(gpu, "POLL_S", 0.02)

    def run(*names: str, seconds: float) -> Report:
        about = {"date": "2026-01-01", "device": "a GPU", "machine": "a machine", "smoke": False}
        outcomes = [Outcome(name=name) for name in names]
        report = Report(stem=tmp_path / "found", about=about, outcomes=outcomes)
        command = [sys.executable, str(actor)]
        measure(report, [Part(name, 1) for name in names], command, end=time.time() + seconds)
        return report

    return run


def written(report: Report) -> dict[str, dict[str, Any]]:
    parts = json.loads(Path(f"{report.stem}.json").read_text())["parts"]
    return {part["name"]: part for part in parts}


def values(part: dict[str, Any]) -> list[float | None]:
    return [figure["value"] for figure in part["figures"]]


def test_a_part_that_fails_costs_the_others_nothing(measured: Measured) -> None:
    report = measured("fails", "dies", "works", seconds=120)
    found = written(report)
    assert {name: (part["state"], part["why"]) for name, part in found.items()} == {
        "fails": ("failed", "ValueError: no luck"),
        "dies": ("failed", "it ended with exit code 7"),
        "works": ("measured", ""),
    }
    assert [values(part) for part in found.values()] == [[1, 2], [1], [1, 2, None]]
    lines = Path(f"{report.stem}.md").read_text().splitlines()
    assert "| works | figure 2 | 2 s | a\\|b |" in lines
    assert "| works | figure None | not measured | a\\|b |" in lines


def test_a_part_is_stopped_with_all_that_it_started(measured: Measured, tmp_path: Path) -> None:
    report = measured("lingers", "hangs", seconds=5)
    found = written(report)
    assert (found["lingers"]["state"], values(found["lingers"])) == ("measured", [1, 2])
    assert (found["hangs"]["state"], values(found["hangs"])) == ("stopped", [1])
    assert found["hangs"]["took_s"] < 20
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) == 2
    time.sleep(0.2)  # until whoever inherits them has buried them
    for pid in pids:
        status = Path("/proc") / pid / "status"
        assert not status.exists() or "State:\tZ" in status.read_text()


def test_what_there_is_no_time_for_is_said(measured: Measured) -> None:
    report = measured("works", "late", seconds=0.5)
    assert [part["state"] for part in written(report).values()] == ["skipped", "skipped"]
    table = Path(f"{report.stem}.md").read_text()
    assert "| late | skipped: the time was spent | 0 s | 0 s |" in table
    assert "| late | everything | not measured | see above |" in table


def test_shares_are_of_what_is_left() -> None:
    whole = sum(part.share for part in PARTS)
    seconds = {part.name: gpu.SECONDS * part.share / whole for part in PARTS}
    assert seconds["famous-people-gpu"] == pytest.approx(240)
    assert min(seconds.values()) == pytest.approx(40)
    assert gpu.SECONDS <= 9 * 60


def test_values_keep_three_digits() -> None:
    found = [value_text({"value": v, "unit": "s"}) for v in (123456.7, 0.012345, -0.5, 0, None)]
    assert found == ["123,457 s", "0.0123 s", "-0.5 s", "0 s", "not measured"]


def test_what_was_measured_before_is_kept(tmp_path: Path) -> None:
    assert gpu.free_stem(tmp_path, "day").name == "day"
    (tmp_path / "day.json").touch()
    assert gpu.free_stem(tmp_path, "day").name == "day-1"


def test_without_a_gpu_nothing_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(gpu, "device_name", lambda: None)
    before = signal.getsignal(signal.SIGTERM)
    assert gpu.main(["--out", str(tmp_path)]) == 2
    signal.signal(signal.SIGTERM, before)
    assert capsys.readouterr().err.startswith("error: there is no GPU; use --smoke")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_all_parts_work_at_tiny_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command = [sys.executable, "benchmarks/gpu.py", "--smoke", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (tmp_path / "out").glob("*.json")
    parts = {part["name"]: part for part in json.loads(path.read_text())["parts"]}
    assert set(parts) == {part.name for part in PARTS}
    told = {name: {f["what"] for f in part["figures"]} for name, part in parts.items()}
    for name in ("set-inclusion", "people-70m", "famous-people-gpu"):
        assert {"iml_gap, exact_match", "null twin, iml_gap, exact_match"} <= told[name]
    for name in ("pythia-410m", "pythia-2.8b"):
        assert {"tokens a second", "MFU of the products' rate"} <= told[name]
    table = path.with_suffix(".md").read_text()
    assert "no figure here means anything" in table
    assert "no figure known for CPU" in table
