import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import InputError
from training.executors import executor
from training.executors.executor import Cell, Executor, counted, executor_names, find_executor

ROOT = Path(__file__).parents[3]
FOREIGN = '''"""The executor `backwards`."""

class Backwards:
    """Begins at the end."""

    def run(self, work, cells, *, workers=None, progress=lambda done, total: None):
        """As `Executor.run`."""
        return [work(cell.task, lambda units: None) for cell in cells[::-1]][::-1]

EXECUTOR = Backwards()
'''


def test_local_is_found_by_its_file() -> None:
    assert executor_names() == ["local"]
    assert isinstance(find_executor("local"), Executor)


def test_unknown_executor_is_refused() -> None:
    with pytest.raises(InputError, match="no executor 'ray'; choose one of local"):
        find_executor("ray")


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


def test_units_of_all_cells_are_summed() -> None:
    told: list[tuple[int, int]] = []
    cells = [Cell(name="a", task=None, units=3), Cell(name="b", task=None)]
    add = counted(cells, lambda done, total: told.append((done, total)))
    for units in (2, 1, 1):
        add(units)
    assert told == [(2, 4), (3, 4), (4, 4)]


def test_usage_errors_wait_for_no_executor() -> None:
    """Reading `--executor` costs no import of what an executor is made with."""
    assert executor.__file__ is not None
    words = "import sys, training.executors.executor; print('multiprocessing' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout == "False\n"
