import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from data.errors import CellsFailedError, DiskFullError, InputError, WorkerDiedError
from training.cell_book import Book
from training.executors import executor
from training.executors.executor import Cell, Executor, Tally, executor_names, find_executor

ROOT = Path(__file__).parents[3]
FOREIGN = '''"""The executor `backwards`."""

class Backwards:
    """Begins at the end."""

    def run(self, work, cells, *, progress=lambda done, total: None, **others):
        """As `Executor.run`."""
        return [work(cell.task, lambda units: None) for cell in cells[::-1]][::-1]

EXECUTOR = Backwards()
'''


def test_local_is_found_by_its_file() -> None:
    assert executor_names() == ["local", "ray", "slurm"]
    assert isinstance(find_executor("local"), Executor)


def test_unknown_executor_is_refused() -> None:
    with pytest.raises(InputError, match="no executor 'dask'; choose one of local, ray, slurm"):
        find_executor("dask")


@pytest.mark.slow
def test_one_file_adds_an_executor_that_commands_take(tmp_path: Path, mini_settings) -> None:
    for name in ("data", "training", "interp"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "training/executors/backwards.py").write_text(FOREIGN)
    command = ["run", "alias-toy", "--seeds", "2", *mini_settings, "--executor", "backwards"]
    found = subprocess.run(
        [sys.executable, "-m", "interp.cli", *command],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    begun = [
        (tmp_path / f"runs/alias-toy/seed-{seed}/rows.json").stat().st_mtime_ns
        for seed in (1000, 1001)
    ]
    assert begun[1] < begun[0]


def book(n_cells: int, **options: Any) -> Book[None, str]:
    cells = [Cell(name=f"cell {i}", task=None, units=3) for i in range(n_cells)]
    return Book(cells, **options)


def test_units_of_all_cells_are_summed_and_those_of_a_lost_try_forgotten() -> None:
    told: list[tuple[int, int]] = []
    kept = book(2, progress=lambda done, total: told.append((done, total)), retries=1)
    first, second = kept.take(), kept.take()
    kept.add(first, 2)
    kept.add(second, 1)
    kept.lose(first, "gone")
    assert kept.take() == first
    kept.add(first, 1)
    assert told == [(2, 6), (3, 6), (2, 6)]


def test_failed_cells_are_begun_again_as_often_as_is_said_and_then_named() -> None:
    tallies: list[Tally] = []
    kept = book(3, retries=2, watch=tallies.append)
    tried: list[int] = []
    while kept.waiting:
        tried.append(index := kept.take())
        if index == 1:
            kept.fail(index, ValueError("no such thing"))
        else:
            kept.finish(index, "done")
    assert tried == [0, 1, 2, 1, 1]
    assert tallies[-1] == Tally(done=2, running=0, failed=1, cells=3)
    with pytest.raises(CellsFailedError, match=r"1 of 3 cells failed, tried 3 times each") as found:
        _ = kept.results
    assert found.value.failures == {"cell 1": "ValueError: no such thing"}
    again = pickle.loads(pickle.dumps(found.value))
    assert (again.failures, str(again)) == (found.value.failures, str(found.value))


@pytest.mark.parametrize("error", [InputError("a; b"), DiskFullError("full")])
def test_what_a_second_try_would_meet_again_ends_all(error: Exception) -> None:
    kept = book(2, retries=5)
    with pytest.raises(type(error)):
        kept.fail(kept.take(), error)


def test_unless_retries_are_asked_for_the_first_error_ends_all_and_a_lost_cell_is_named() -> None:
    kept = book(2)
    with pytest.raises(ZeroDivisionError):
        kept.fail(kept.take(), ZeroDivisionError())
    kept = book(1, losses=1)
    for _ in range(2):
        kept.lose(kept.take(), "its node died")
    with pytest.raises(WorkerDiedError, match="cell 0: its node died; repeat"):
        _ = kept.results


def test_options_are_those_that_the_executor_has() -> None:
    assert find_executor("local", address=None) is find_executor("local")
    with pytest.raises(InputError, match="the executor local has no --address; leave it out"):
        find_executor("local", address="10.0.0.1:6379")


def test_usage_errors_wait_for_no_executor() -> None:
    """Reading `--executor` costs no import of what an executor is made with."""
    assert executor.__file__ is not None
    words = "import sys, training.executors.executor; print('multiprocessing' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout == "False\n"
