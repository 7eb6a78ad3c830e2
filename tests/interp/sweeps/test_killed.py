"""Sweeps killed at random moments: what was finished never runs again, tables are the same."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from interp.sweeps.sweep import MEASURED, run_sweep
from tests.interp.sweeps.logged_sweep import LOG, SWEEP, tables
from training.executors.executor import Executor
from training.executors.local import EXECUTOR as LOCAL
from training.executors.ray import Ray
from training.executors.slurm import Slurm


def finished(folder: Path) -> dict[str, tuple[int, int]]:
    """What need not be done again: checkpoints and measurements, and the file that each is."""
    found = {}
    # The state to go on from is dropped from older checkpoints, whose manifests change thereby.
    checkpoints = "cells/*/seed-*/stage-*/step-*/model.safetensors"
    for pattern in (checkpoints, f"{MEASURED}/*/manifest.json"):
        for path in folder.glob(pattern):
            if not any(part.startswith(".") and part != MEASURED for part in path.parts):
                found[str(path.relative_to(folder))] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def sweep_in_child(folder: Path, executor: Executor, workers: int, seeds: tuple[int, ...]) -> int:
    """The process of a sweep, which is a fork of this one: torch need not be imported anew."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        run_sweep(SWEEP, folder, seeds, smoke=True, workers=workers, executor=executor)
        code = 0
    finally:
        os._exit(code)


def n_logged(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def kill_often(
    folder: Path,
    executor: Executor,
    workers: int,
    times: int,
    monkeypatch: pytest.MonkeyPatch,
    seeds: tuple[int, ...] = (1000, 1001),
) -> None:
    """Sweeps, killed so often at random moments, then to the end; looks at every step."""
    log, n_measured = folder.parent / "log", len(seeds) * len(SWEEP.cells)
    monkeypatch.setenv(LOG, str(log))
    whole = folder.parent / "whole"
    begun = time.monotonic()
    assert os.waitpid(sweep_in_child(whole, executor, workers, seeds), 0)[1] == 0
    lasts = time.monotonic() - begun
    assert n_logged(log) == n_measured

    moments, kept = random.Random(19), {}
    for time_left in range(times, -1, -1):
        kept |= finished(folder)
        n_before = n_logged(log)
        n_kept = sum(name.startswith(MEASURED) for name in kept)
        pid = sweep_in_child(folder, executor, workers, seeds)
        if time_left:
            time.sleep(moments.uniform(0.1, 0.9) * lasts)
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert time_left or status == 0
        now = finished(folder)
        assert {name: now[name] for name in kept} == kept
        assert n_logged(log) - n_before <= n_measured - n_kept
    assert tables(folder) == tables(whole)
    assert {"cells.parquet", "metrics.parquet", "lens.parquet"} < tables(folder).keys()


def test_three_kills_of_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_often(tmp_path / "sweep", LOCAL, 1, 3, monkeypatch, seeds=(1000,))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_kills_of_a_sweep_with_two_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_often(tmp_path / "sweep", LOCAL, 2, 20, monkeypatch)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_kills_of_a_sweep_on_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setattr("training.executors.slurm.LOOKS_EVERY_S", 0.1)
    slurm = Slurm(cluster="local", jobs=tmp_path / "jobs")
    kill_often(tmp_path / "sweep", slurm, 2, 20, monkeypatch)


@pytest.fixture
def head() -> Iterator[str]:
    """The address of a cluster of two nodes, of which this process is no part."""
    pytest.importorskip("ray")
    quiet = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    common = ["ray", "start", "--num-cpus=1", "--object-store-memory=100000000"]
    address = "127.0.0.1:6399"
    own = ["--head", "--node-ip-address=127.0.0.1", "--port=6399", "--include-dashboard=false"]
    subprocess.run([*common, *own], env=quiet, check=True, capture_output=True)
    subprocess.run([*common, f"--address={address}"], env=quiet, check=True, capture_output=True)
    yield address
    subprocess.run(["ray", "stop", "--force"], check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_kills_of_a_sweep_on_ray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    kill_often(tmp_path / "sweep", Ray(address=head), 2, 20, monkeypatch)
