"""Notebooks as lessons: each has its parts, and works on any run."""

import ast
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from interp import open_or_train
from interp.cli import main
from training.recipes import find_recipe
from training.runs.run import Run

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
MOST_CELLS, MOST_CODE_LINES, MOST_TEXT_LINES, MOST_IMPORTS = 25, 15, 30, 3
SCREEN_LINES = 40
TINY = {"confidence=0.2": "confidence=0.0", '"n_permutations": 99': '"n_permutations": 4'}
TINY |= {'"n_steps": 200': '"n_steps": 2'}
"""What a lesson says otherwise: a tiny run answers nothing with confidence; probes take long."""
LOOKS = (
    ("probe", "--quick", "--target", "tag", "--site", "resid_post"),
    ("lens", "--stage", "2", "--role", "question_last"),
    ("patch", "--stage", "2", "--confidence", "0", "--limit", "4", "--direction", "denoise"),
    ("attention", "--stage", "2"),
    ("ablate", "--stage", "2"),
    ("align", "--limit", "3"),
)
"""Commands, and of each a part of what it could look at."""


OF_LESSON = {"09_circuits": {"../runs/alias-toy": "../runs/learned"}}
SLOW = {*OF_LESSON, "10_codes", "12_chains_and_reversal", "13_two_hop"}
"""Of the first, runs that know something are trained; the second edits every alias many times; the
others train runs of their own."""


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def draws(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(
        re.search(r"\b((plot|show)_\w+|explore)\(", cell.source)
    )


def solutions(source: str) -> list[str]:
    folded = re.findall(
        r"<details>\n<summary>Solution</summary>\n\n(.*?)\n</details>", source, re.S
    )
    return ["\n".join(re.findall(r"```python\n(.*?)```", each, re.S)) for each in folded]


def lesson_code(path: Path) -> list[str]:
    """All code in order, solutions where they stand, for a tiny run."""
    code = []
    for cell in read(path).cells:
        code += [cell.source] if cell.cell_type == "code" else solutions(cell.source)
    for said, tiny in (TINY | OF_LESSON.get(path.stem, {})).items():
        code = [each.replace(said, tiny) for each in code]
    return code


def look_inside(folder: Path, *selectors: str) -> None:
    """What a person may have done before: a table of each analysis, of some seeds or parts only."""
    for words in LOOKS:
        assert main([words[0], str(folder), *words[1:], *selectors]) == 0


@pytest.fixture(scope="module")
def place(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `notebooks` and `runs`: of tiny runs, one with tables of one of its seeds."""
    root = tmp_path_factory.mktemp("lessons")
    (root / "notebooks").mkdir()
    shutil.copytree(tiny_run.folder, root / "runs" / "alias-toy")
    look_inside(root / "runs" / "alias-toy", "--seed", "1000")
    return root


LEARNED = {
    *{"aliases_per_subset": 40, "aliases_qa3": 10, "aliases_stage2": 10, "entities": 4}.items(),
    *{
        "attributes": 2,
        "values": 4,
        "epochs_stage1": 40,
        "epochs_stage2": 40,
        "d_model": 32,
    }.items(),
    *{"heads": 2, "d_mlp": 64, "learning_rate_stage1": 0.01, "learning_rate_stage2": 0.005}.items(),
}
"""Settings of an alias toy that has learned something: what knows nothing has no circuit."""


def train_tiny(path: Path, place: Path) -> None:
    """The runs that a notebook would train, as tiny as a recipe can be."""
    if path.stem == "09_circuits":
        folder = place / "runs" / "learned"
        open_or_train(folder, "alias-toy", settings=dict(LEARNED), n_seeds=2, with_null=True)
    asked = re.findall(
        r'open_or_train\("\.\./(runs/[\w-]+)", "([\w-]+)"', "\n".join(lesson_code(path))
    )
    for folder, recipe in asked:
        open_or_train(place / folder, recipe, settings=find_recipe(recipe).smoke, n_seeds=2)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in SLOW))
        for path in NOTEBOOKS
    ],
)
def test_lesson_and_solution_work_on_tables_of_one_seed_and_change_none(
    path: Path,
    place: Path,
    tree_hash: Callable[[Path], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    train_tiny(path, place)
    before = tree_hash(place)
    monkeypatch.chdir(place / "notebooks")
    names: dict[str, object] = {}
    *lesson, answer = lesson_code(path)
    for code in lesson:
        exec(code, names)
    capsys.readouterr()
    exec(answer, names)

    assert capsys.readouterr().out.strip()
    assert tree_hash(place) == before


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 7


@each_notebook
def test_lesson_has_few_imports(path: Path):
    nodes = [node for cell in code_cells(path) for node in ast.walk(ast.parse(cell.source))]

    assert sum(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes) <= MOST_IMPORTS


@each_notebook
def test_lesson_asks_for_a_prediction_before_its_first_figure(path: Path):
    cells = read(path).cells
    predict = next(i for i, cell in enumerate(cells) if cell.source.startswith("## Predict"))

    assert "?" in cells[predict].source
    assert predict < min(i for i, cell in enumerate(cells) if draws(cell))


@each_notebook
def test_lesson_asks_a_question_and_ends_with_exercise_and_answer(path: Path):
    cells = read(path).cells
    exercise = [cell for cell in cells if cell.source.startswith("## Exercise")]

    assert re.match(r"# .*\?\n\n", cells[0].source)
    assert "*Takes " in cells[0].source, "how long it takes"
    assert len(solutions(exercise[-1].source)) == 1
    assert cells[-2].source.startswith("## Answer")
    (printed,) = cells[-1].outputs
    assert len(printed.text.splitlines()) <= SCREEN_LINES


@each_notebook
def test_lesson_is_short(path: Path):
    cells = read(path).cells

    assert len(cells) <= MOST_CELLS
    for cell in cells:
        most = MOST_CODE_LINES if cell.cell_type == "code" else MOST_TEXT_LINES
        assert len(cell.source.splitlines()) <= most, cell.id


@each_notebook
def test_cells_are_numbered_in_order(path: Path):
    identities = [cell.id for cell in read(path).cells]

    assert identities == [f"cell-{number:02d}" for number in range(len(identities))]
