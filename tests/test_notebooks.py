import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from interp.cli import main
from training.runs.run import Run

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
ON_RUNS = [path for path in NOTEBOOKS if not path.stem.startswith("08")]
ON_TOYS = [path for path in ON_RUNS if not path.stem.startswith("07")]
MAX_CELLS, MAX_LINES, MAX_TEXT_LINES = 25, 15, 30
TreeHash = Callable[[Path], dict[str, str]]
LOOKS = (
    ("probe", "--quick", "--target", "tag", "--site", "resid_post"),
    ("lens", "--stage", "2", "--role", "question_last"),
    ("patch", "--stage", "2", "--confidence", "0", "--limit", "4", "--direction", "denoise"),
    ("attention", "--stage", "2"),
    ("ablate", "--stage", "2"),
    ("align", "--limit", "3"),
)
"""Commands, and of each a part of what it could look at."""


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def test_there_are_notebooks():
    assert NOTEBOOKS


def execute(path: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a notebook on a run folder, or lets it train a tiny run there."""
    monkeypatch.setenv("IML_SMOKE", "1")
    monkeypatch.setenv("IML_RUN", str(run))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = read(path)
    resources = {"metadata": {"path": str(path.parent)}}

    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()

    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert code[-1].outputs, "the last cell states the answer"


def look_inside(folder: Path, *selectors: str) -> None:
    """What a person may have done before: a table of each analysis, of some seeds or parts only."""
    for words in LOOKS:
        assert main([words[0], str(folder), *words[1:], *selectors]) == 0


@pytest.fixture(scope="module")
def looked_at(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run with the tables of one of its seeds."""
    folder = Path(shutil.copytree(tiny_run.folder, tmp_path_factory.mktemp("looked_at") / "run"))
    look_inside(folder, "--seed", "1000")
    return folder


@pytest.mark.parametrize("path", ON_TOYS, ids=lambda path: path.stem)
def test_notebook_works_on_tables_of_one_seed_and_changes_none(
    path: Path, looked_at: Path, tree_hash: TreeHash, monkeypatch: pytest.MonkeyPatch
):
    before = tree_hash(looked_at)
    execute(path, looked_at, monkeypatch)

    assert tree_hash(looked_at) == before


@pytest.mark.slow
@pytest.mark.parametrize("path", ON_TOYS, ids=lambda path: path.stem)
def test_notebook_works_on_tables_of_all_seeds_and_changes_none(
    path: Path, copied_run: Path, tree_hash: TreeHash, monkeypatch: pytest.MonkeyPatch
):
    look_inside(copied_run)
    before = tree_hash(copied_run)
    execute(path, copied_run, monkeypatch)

    assert tree_hash(copied_run) == before


@pytest.mark.parametrize(
    "path",
    [path if path not in ON_TOYS else pytest.param(path, marks=pytest.mark.slow)
     for path in ON_RUNS],
    ids=lambda path: path.stem,
)  # fmt: skip
def test_notebook_trains_where_there_is_no_run_and_leaves_no_table(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    execute(path, tmp_path / "run", monkeypatch)

    tables = sorted(each.name for each in (tmp_path / "run").glob("*.parquet"))
    assert tables == ["metrics.parquet"]


def test_notebook_of_an_own_model_needs_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (path,) = set(NOTEBOOKS) - set(ON_RUNS)
    execute(path, tmp_path / "run", monkeypatch)

    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path: Path):
    code = [cell for cell in read(path).cells if cell.cell_type == "code"]

    assert all(not cell.outputs and cell.execution_count is None for cell in code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_short(path: Path):
    cells = read(path).cells

    assert len(cells) <= MAX_CELLS
    for cell in cells:
        most = MAX_LINES if cell.cell_type == "code" else MAX_TEXT_LINES
        assert len(cell.source.splitlines()) <= most, cell.id


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_cells_are_numbered_in_order(path: Path):
    identities = [cell.id for cell in read(path).cells]

    assert identities == [f"cell-{number:02d}" for number in range(len(identities))]
