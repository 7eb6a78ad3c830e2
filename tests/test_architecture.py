"""What holds for every file: one-way imports, no code from data, declared dependencies."""

import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_FILE = 350  # lines
LAYERS = ["data", "training", "interp"]  # lowest first
FILES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
BESIDE_FOLDERS = ("tests", "benchmarks", "scripts")
BESIDE = sorted(p for folder in BESIDE_FOLDERS for p in (ROOT / folder).rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of every import below a node, wherever it stands."""
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from ((child.lineno, alias.name) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: relative import"
            yield child.lineno, child.module or ""


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in FILES
}


def module_graph() -> dict[str, set[str]]:
    """Of each module those that it imports, wherever in the file; a package's file is a module."""
    graph = {}
    for module, path in MODULES.items():
        found = set()
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= inner & MODULES.keys() or {str(node.module)}
        graph[module] = (found & MODULES.keys()) - {module}
    return graph


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_at_start(path: Path) -> set[str]:
    """Top names of what importing a file imports."""
    found = set()
    for node in tree(path).body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) and not is_type_checking(node):
            found |= {name.split(".")[0] for _, name in imports(node)}
    return found


def test_there_are_files_to_look_at() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(LAYERS)


def test_no_import_from_a_higher_layer() -> None:
    for path in FILES:
        layer = LAYERS.index(path.relative_to(ROOT).parts[0])
        above = {*LAYERS[layer + 1 :], "notebooks", *BESIDE_FOLDERS}
        for line, name in imports(tree(path)):
            assert name.split(".")[0] not in above, f"{path}:{line} imports {name}"


@pytest.mark.parametrize(
    ("folder", "banned"),
    [
        ("data", {"torch", "transformers", "transformer_lens", "datasets"}),
        ("training", {"transformer_lens", "sklearn", "plotly"}),
        ("interp", {"transformer_lens"}),
    ],
)
def test_heavy_packages_are_imported_only_when_used(folder: str, banned: set[str]) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        assert not imports_at_start(path) & banned, path


def test_only_the_seam_and_what_runs_its_tools_know_transformer_lens() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path in FILES
        if any(name.split(".")[0] == "transformer_lens" for _, name in imports(tree(path)))
    }
    assert users <= {
        "interp/hooked/bridges.py",
        "interp/edges/direct_paths.py",
        "interp/edges/attribution.py",
    }


def test_training_loop_knows_nothing_of_iml() -> None:
    """Nor does anything that it uses itself: no data set, no recipe, no subset."""
    used = module_graph()["training.loop"]
    assert len(used) >= 4
    rooms = ("data.tasks", "data.worlds", "data.statements", "training.recipes")
    assert not [module for module in used if module.startswith(rooms)]
    for module in {"training.loop", *used} - {"data.errors"}:  # which has examples
        assert not re.search(r"D[0-9]+_|iml_gap|COMPARED", MODULES[module].read_text()), module


IML = re.compile(
    r"\b(D\d+_\w+|D[1-9]|QA\d\w*|UNIQUE_TAGS\w*|(iml|stage1|ocl|trust|distrust)_gap)\b"
)
"""What only implicit meta-learning has."""
IML_ROOMS = ("data/tasks/", "training/recipes/", "interp/sweeps/plans.py", "interp/claims/")


def test_nothing_else_knows_what_implicit_meta_learning_compares() -> None:
    """Its data sets, recipes, sweeps and claims do; everything else asks a run's `Design`."""
    for path in FILES:
        if path.relative_to(ROOT).as_posix().startswith(IML_ROOMS):
            continue
        root = tree(path)
        told = {id(n.value) for n in ast.walk(root) if isinstance(n, ast.Expr)}
        for node in ast.walk(root):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert id(node) in told or not IML.search(node.value), f"{path}:{node.lineno}"
            elif isinstance(node, ast.ImportFrom):
                assert node.module != "data.tasks.iml", f"{path}:{node.lineno}"


def test_imports_go_in_no_circle() -> None:
    tuple(TopologicalSorter(module_graph()).static_order())  # raises CycleError otherwise


ROOMS = [
    "hidden",
    "hooked",
    "grids",
    "figures",
    "gradients",
    "edges",
    "probes",
    "interventions",
    "lenses",
    "attention",
    "patching",
    "transplants",
    "circuits",
    "codes",
    "dictionaries",
    "planted",
    "alignment",
    "turns",
    "mediation",
    "twins",
    "orders",
    "one_layer",
    "verdicts",
    "claims",
    "hypotheses",
    "sweeps",
    "own",
    "explorer",
    "report",
    "commands",
    "cli",
]  # lowest first


def test_imports_within_interp_go_down() -> None:
    assert set(ROOMS) == {name.split(".")[1] for name in MODULES if name.startswith("interp.")}
    for module, imported in module_graph().items():
        for other in imported:
            if module.startswith("interp.") and other.startswith("interp."):
                below, above = (ROOMS.index(name.split(".")[1]) for name in (other, module))
                assert below <= above, f"{module} imports {other}"


LOWER_ROOMS = {"data": ["worlds", "tasks"], "training": ["executors", "models", "recipes", "runs"]}
"""Folders of the two lower layers, lowest first; the files beside those of `data` lie below."""


def test_imports_within_data_and_training_go_down() -> None:
    for module, imported in module_graph().items():
        for other in imported:
            layer, room = module.split(".")[0], module.split(".")[1:2]
            rooms = LOWER_ROOMS.get(layer, [])
            below = other.split(".")[1] if other.startswith(f"{layer}.") else ""
            if below in rooms and room and room[0] in rooms:
                assert rooms.index(below) <= rooms.index(room[0]), f"{module} imports {other}"
            elif below in rooms and layer == "data":
                raise AssertionError(f"{module} imports {other}, which lies above it")


def test_training_names_no_table_of_an_analysis() -> None:
    for path in (ROOT / "training").rglob("*.py"):
        tables = set(re.findall(r"\b(\w+)\.parquet", path.read_text()))
        assert tables <= {"metrics", "training_metrics", "exam"}, path


def test_no_code_is_taken_from_data() -> None:
    banned_modules = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
    banned_calls = {"eval", "exec", "compile", "__import__"}
    unsafe = {"allow_pickle", "trust_remote_code"}
    banned_calls |= {"torch.load", "torch.save", "np.load", "yaml.load", "os.system"}
    for path in FILES:
        for line, name in imports(tree(path)):
            assert name.split(".")[0] not in banned_modules, f"{path}:{line} imports {name}"
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call):
                continue
            assert ast.unparse(node.func) not in banned_calls, f"{path}:{node.lineno}"
            for keyword in node.keywords:
                is_off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                assert keyword.arg not in unsafe or is_off, f"{path}:{node.lineno}"
                assert keyword.arg != "shell", f"{path}:{node.lineno}"


def test_nothing_seeds_globally_or_runs_at_import() -> None:
    seeding = {"random.seed", "np.random.seed", "numpy.random.seed"}
    for path in FILES:
        for node in tree(path).body:
            is_main = isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)
            is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
            assert is_main or not is_call, f"{path}:{node.lineno}"
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in seeding, f"{path}:{node.lineno}"


def _names(requirements: list[str]) -> set[str]:
    """Names of distributions, without their bounds."""
    return {re.split(r"[<>=!~\[; ]", r)[0].lower().replace("_", "-") for r in requirements}


def test_every_third_party_import_is_declared() -> None:
    declared = _names(PROJECT["dependencies"])
    extras = PROJECT["optional-dependencies"]
    in_jupyter = declared | _names(extras["notebook"])
    distributions = packages_distributions()
    own = {*LAYERS, *sys.stdlib_module_names}
    for path in FILES:
        for line, name in imports(tree(path)):
            top = name.split(".")[0]
            if top not in own:
                homes = {home.lower().replace("_", "-") for home in distributions.get(top, [])}
                allowed = in_jupyter if path.parent.name == "explorer" else declared
                if (
                    path.parent.name == "executors"
                ):  # what an executor needs is an extra of its name
                    allowed = declared | _names(extras.get(path.stem, []))
                assert homes & allowed, f"{path}:{line} imports {name}, which is not declared"


def test_every_declared_dependency_is_bounded_and_used() -> None:
    imported = {name.split(".")[0] for p in [*FILES, *BESIDE] for _, name in imports(tree(p))}
    distributions = packages_distributions()
    used = {
        home.lower().replace("_", "-") for top in imported for home in distributions.get(top, [])
    }
    used.add("pyarrow")  # with which pandas reads and writes Parquet
    used.add("scikit-learn")  # for notebooks; the reference solver of tests and benchmarks
    for requirement in PROJECT["dependencies"]:
        assert re.search(r">=.*,<", requirement), requirement
        assert re.split(r"[<>=!~\[; ]", requirement)[0].lower() in used, requirement


def test_packages_are_listed_explicitly_and_completely() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in FILES}
    assert set(listed) == folders
    assert all((ROOT / name.replace(".", "/") / "__init__.py").is_file() for name in listed)


def test_tests_are_no_package() -> None:
    # A tests/data/__init__.py would shadow the real package `data`.
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_no_file_is_long() -> None:
    for path in [*FILES, *BESIDE]:
        assert len(path.read_text().splitlines()) <= LONGEST_FILE, path


def test_no_file_is_named_for_nothing_in_particular() -> None:
    empty = {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert [path for path in FILES if path.name in empty] == []


def test_public_names_say_what_they_mean() -> None:
    for path in FILES:
        assert ast.get_docstring(tree(path)), path
        for node in tree(path).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}:{node.lineno} {node.name}"


def test_every_call_that_loads_forbids_code_of_a_folder_to_run() -> None:
    loading = {"from_pretrained", "from_config"}
    calls = [
        (place, node)
        for place, source in [*_modules(), *_notebook_cells()]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in loading
    ]
    assert len(calls) >= 5
    for place, call in calls:
        said = {keyword.arg: keyword.value for keyword in call.keywords}
        trust = said.get("trust_remote_code")
        assert isinstance(trust, ast.Constant), f"{place}:{call.lineno}"
        assert trust.value is False, f"{place}:{call.lineno}"


def _modules() -> list[tuple[str, str]]:
    """Everything that is shipped, and the benchmarks."""
    paths = [*FILES, *sorted((ROOT / "benchmarks").glob("*.py"))]
    return [(str(path), path.read_text()) for path in paths]


def _notebook_cells() -> list[tuple[str, str]]:
    found = []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text())["cells"]:
            if cell["cell_type"] == "code":
                lines = [
                    line for line in cell["source"] if not line.lstrip().startswith(("%", "!"))
                ]
                found.append((str(path), "".join(lines)))
    return found
