"""What a sweep is said to take: counts of what is missing, and sums by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from interp.lenses.analysis import LensAnalysis
from interp.sweeps.estimates import CellEstimate, estimate_text, estimated, totals
from interp.sweeps.plans import SWEEPS, Sweep
from training.cost import SeedCost

SEED = SeedCost(steps=10, flops=2e9, seconds=30.0, memory=10**9, device="cpu", device_memory=0)
CELL = CellEstimate(
    name="alias-toy alpha=0.5", run_id="a", n_seeds=4, seed=SEED, n_checkpoints=6,
    checkpoint_seconds=10.0, threads=1,
)  # fmt: skip


def test_hours_and_memory_are_sums_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interp.sweeps.estimates.available_cores", lambda: 8)
    monkeypatch.setattr("interp.sweeps.estimates.machine_memory", lambda: 5 * 10**9)
    gpu = replace(SEED, device="NVIDIA H100", device_memory=7, seconds=3600.0, memory=2 * 10**9)
    rows = totals([CELL, replace(CELL, n_checkpoints=0), replace(CELL, seed=gpu)], None)
    cpu, other = rows
    assert cpu["hours_of_one"] == pytest.approx((4 * 30 + 60 + 4 * 30) / 3600)
    assert (cpu["workers"], cpu["memory"]) == (5, 5 * 10**9)  # memory has room for no more
    assert cpu["hours"] == pytest.approx(cpu["hours_of_one"] / 5)
    assert cpu["flops"] == 8 * 2e9
    assert (other["device"], other["workers"], other["device_memory"]) == ("NVIDIA H100", 1, 7)
    assert totals([CELL], 3)[0]["workers"] == 3


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    plan = SWEEPS["toy-word-orders"]
    lens = LensAnalysis(tuned=False)
    return replace(plan, cells=plan.cells[:2], analyses=lambda: (lens,))


def test_what_is_missing_is_counted_and_nothing_is_written(sweep: Sweep, tmp_path: Path) -> None:
    found = estimated(sweep, tmp_path / "sweep", (1000, 1001, 1002), smoke=True, sample_s=0.05)
    assert [(cell.n_seeds, cell.n_checkpoints) for cell in found] == [(3, 3)] * 2
    assert found[0].name == "alias-toy word_order=tae, loss_policy=text, tied_embeddings=False"
    assert all(cell.checkpoint_seconds > 0 for cell in found)
    assert list(tmp_path.iterdir()) == []
    text = estimate_text(sweep, found, 1)
    assert "2 cells, 6 seeds to train, 6 checkpoints to look at" in text
    assert " FLOPs, " in text.splitlines()[-1]
