"""Every command that writes into a run folder: killed at each change, and two of them at once."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

import interp.grids.grid
from interp.cli import main
from interp.grids.grid import Measured
from interp.report.page import report_html
from training.runs.integrity import run_damage
from training.runs.publication import listed, published_damage, read
from training.runs.run import Run, read_table

KilledAt = Callable[[int, Path, Callable[[], object]], bool]
ROOT = Path(__file__).parents[3]
COMMANDS = {
    "probe": ["probe", "--quick", "--layer", "1", "--target", "tag"],
    "lens": ["lens", "--layer", "1"],
    "patch": ["patch", "--site", "attn_out", "--limit", "3", "--confidence", "0"],
    "attention": ["attention"],
    "ablate": ["ablate"],
    "erase": ["erase", "--layer", "1"],
    "transplant": ["transplant", "--stage", "2", "--differences"],
    "align": ["align", "--limit", "3"],
    "align --test branches": ["align", "--test", "branches", "--limit", "2"],
    "align --test updates": ["align", "--test", "updates", "--limit", "2"],
    "align --test surgery": ["align", "--test", "surgery", "--limit", "2"],
    "align --test left-out": ["align", "--test", "left-out", "--limit", "2"],
    "turn": ["turn", "--treatment", "read-out", "--limit", "2"],
    "mediate": ["mediate", "--limit", "3"],
    "twins": ["twins", "--exchanged-in", "2"],
    "report": ["report"],
}


def words(name: str, folder: Path, *more: str) -> list[str]:
    command, *options = COMMANDS[name]
    return [command, str(folder), *options, *more]


def contents(folder: Path) -> dict[str, dict[str, bytes]]:
    """What readers see, by analysis and file name."""
    found: dict[str, dict[str, bytes]] = {}
    for name in listed(folder) or ():
        stem = re.sub(r"(_summary|_vectors)?\.\w+$", "", name)
        found.setdefault(stem, {})[name] = read(folder / name)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_change_each_analysis_is_all_old_or_all_new(
    name: str,
    copied_run: Path,
    tmp_path: Path,
    killed_at: KilledAt,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    measured: dict[str, list[Measured]] = {}
    measure_all = interp.grids.grid._measure_all

    def measure_once(cells, workers, *how) -> list[Measured]:
        key = f"{cells[0].analysis.name} {len(cells)}"
        if key not in measured:
            measured[key] = measure_all(cells, 1, *how)
        return measured[key]

    monkeypatch.setattr(interp.grids.grid, "_measure_all", measure_once)
    if name == "report":
        html = report_html(Run.load(copied_run))
        monkeypatch.setattr("interp.report.page.report_html", lambda run: html)  # quick
        assert main(["lens", str(copied_run), "--layer", "1"]) == 0
    else:
        assert main(words(name, copied_run, "--seed", "1000")) == 0
    old = contents(copied_run)
    whole = Path(shutil.copytree(copied_run, tmp_path / "whole"))
    assert main(words(name, whole)) == 0
    new = contents(whole)
    assert old != new

    seen = []
    n = 0
    for n in count(1):
        # Links suffice: whatever is published is a new file in place of the old one.
        folder = tmp_path / "copies" / "run"
        shutil.copytree(copied_run, folder, copy_function=os.link)
        if not killed_at(n, folder, lambda folder=folder: main(words(name, folder))):
            break
        assert published_damage(folder) == []
        found = contents(folder)
        for stem in found:
            assert found[stem] in (old.get(stem), new[stem]), (n, stem)
        seen.append(found)
        shutil.rmtree(folder)
    capfd.readouterr()
    assert n > 12
    assert (seen[0], seen[-1]) == (old, new)


@pytest.mark.slow
def test_commands_at_once_keep_every_row_and_verify_calls_no_damage(copied_run: Path) -> None:
    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            "-m",
            "interp.cli",
            arguments[0],
            str(copied_run),
            *arguments[1:],
        ]
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, text=True)

    running = [
        start("probe", "--quick", "--target", "tag"),
        start("probe", "--quick", "--target", "defined"),
        start("patch", "--site", "attn_out", "--limit", "3", "--confidence", "0"),
        start("lens", "--layer", "1"),
        start("report"),
    ]
    while any(process.poll() is None for process in running):
        assert run_damage(copied_run) == []
    assert [process.returncode for process in running] == [0] * len(running)
    assert run_damage(copied_run) == []
    run = Run.load(copied_run)
    probes, summary = (read_table(run.folder / f"probes{end}.parquet") for end in ("", "_summary"))
    for table in (probes, summary):
        assert set(table["target"]) >= {"tag", "defined"}
    assert set(probes["seed"]) == set(run.seeds)
    assert {"patching.parquet", "lens.parquet", "report.html"} <= set(listed(run.folder) or {})
    assert not [path for path in run.folder.iterdir() if path.name in (".staging", ".journal")]
