"""A sweep's tables do not depend on what carried out its cells, bit for bit."""

from pathlib import Path

import pytest

from interp.sweeps.sweep import run_sweep
from tests.interp.sweeps.logged_sweep import SWEEP, tables
from training.executors.executor import Executor
from training.executors.local import EXECUTOR as LOCAL
from training.executors.ray import Ray
from training.executors.slurm import Slurm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_local_ray_and_slurm_give_the_same_tables(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    pytest.importorskip("submitit")
    executors: dict[str, tuple[Executor, int]] = {
        "alone": (LOCAL, 1),
        "local": (LOCAL, 2),
        "slurm": (Slurm(cluster="local", jobs=tmp_path / "jobs"), 2),
        "ray": (Ray(), 2),
    }
    found = {}
    for name, (executor, workers) in executors.items():
        run_sweep(
            SWEEP, tmp_path / name, (1000, 1001), smoke=True, workers=workers, executor=executor
        )
        found[name] = tables(tmp_path / name)
    assert {"cells.parquet", "lens.parquet", "metrics.parquet"} < found["alone"].keys()
    for name in executors:
        assert found[name] == found["alone"], name
