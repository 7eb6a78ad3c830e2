"""The command line's contract: exit codes, one-line errors, JSON, quick starts."""

import json
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from interp.cli import main
from interp.commands.seeds import parse_seeds
from training.runs.run import Run

ROOT = Path(__file__).parents[1]
Capture = pytest.CaptureFixture[str]
TreeHash = Callable[[Path], dict[str, str]]
WRONG_USAGE = {
    "unknown command": (["walk"], "invalid choice: 'walk'"),
    "unknown option": (["run", "alias-toy", "--fast"], "unrecognized arguments: --fast"),
    "unknown recipe": (["run", "alias-tou"], "no recipe 'alias-tou'; did you mean alias-toy?"),
    "unknown recipe to show": (["recipes", "xyz"], "no recipe 'xyz'; choose one of alias-toy"),
    "unknown parameter": (["run", "alias-toy", "--set", "layer=2"], "did you mean layers?"),
    "wrong type": (["run", "alias-toy", "--set", "layers=two"], "'two' is no int"),
    "wrong choice": (["run", "alias-toy", "--set", "word_order=aat"], "is no tae|tea|"),
    "setting without value": (["run", "alias-toy", "--set", "layers"], "--set NAME=VALUE"),
    "setting out of range": (["run", "alias-toy", "--set", "layers=0"], "n_layers is 0"),
    "no seeds": (["run", "alias-toy", "--seeds", "0"], "--seeds 0 holds no seed"),
    "negative seeds": (["run", "alias-toy", "--seeds", "-3"], "--seeds -3 holds no seed"),
    "seeds backwards": (["run", "alias-toy", "--seeds", "5:3"], "--seeds 5:3 holds no seed"),
    "empty seeds": (["run", "alias-toy", "--seeds", "5:5"], "--seeds 5:5 holds no seed"),
    "seeds in words": (["run", "alias-toy", "--seeds", "all"], "--seeds all is no number"),
    "fraction that empties a subset": (
        ["run", "alias-toy", "--set", "alpha=0.9999"],
        "leaves D9_INCONS_QA9 empty; raise the fraction or the total",
    ),
    "empty subset": (["run", "alias-toy", "--set", "aliases_stage2=0"], "leave D5_CONS empty"),
    "block too short": (
        ["run", "alias-toy", "--set", "loss_policy=all", "--set", "block_size=3"],
        "use block_size=5 or more",
    ),
    "too few syllables": (
        ["run", "alias-toy", "--set", "alias_tokens=2", "--set", "alias_syllables=-60"],
        "raise alias_syllables",
    ),
    "null of a null": (
        ["run", "alias-toy", "--with-null", "--set", "shuffle_tags=true"],
        "leave out --with-null",
    ),
    "folder is a file": (["run", "alias-toy", "--out", "file"], "file is a file, not a folder"),
    "folder below a file": (["run", "alias-toy", "--out", "file/run"], "file is a file"),
    "folder of something else": (["run", "alias-toy", "--out", "other"], "is not empty and no run"),
    "folder that nobody may make": (["run", "alias-toy", "--out", "/proc/run"], "/proc/run"),
    "other recipe": (["run", "source-toy", "--out", "run"], "recipe alias-toy, not source-toy"),
    "other parameters": (["run", "alias-toy", "--out", "run"], "aliases_per_subset=40, not "),
    "summary of no run": (["summary", "other"], "other is no run folder"),
    "data of no run": (["data", "nowhere"], "nowhere is no run folder"),
    "verify of no run": (["verify", "other"], "other is no run folder"),
    "report of no run": (["report", "other"], "other is no run folder"),
    "data of an unknown seed": (["data", "run", "--seed", "5"], "has no seed 5; choose one of"),
    "data of part of a subset's name": (
        ["data", "run", "--subset", "D5"],
        "no subset 'D5'; did you mean D5_CONS?",
    ),
    "data of an unknown subset": (["data", "run", "--subset", "D7"], "no subset 'D7'; choose"),
    "data of an absent subset": (
        ["data", "run", "--subset", "D9_INCONS_QA9"],
        "has no rows of D9_INCONS_QA9; its subsets: ",
    ),
    "definitions of the undefined": (
        ["data", "run", "--subset", "QA3", "--kind", "definition"],
        "no rows of QA3 of kind definition",
    ),
    "data of an unknown kind": (["data", "run", "--kind", "poem"], "invalid choice: 'poem'"),
    "no rows wanted": (["data", "run", "--limit", "0"], "--limit 0 shows nothing"),
}


@pytest.fixture(scope="module")
def desk(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a file, a folder of something else, and a run; never changed."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "file").write_text("text")
    (folder / "other").mkdir()
    (folder / "other" / "thesis.tex").write_text("text")
    shutil.copytree(tiny_run.folder, folder / "run")
    return folder


@pytest.fixture(scope="module")
def desk_before(desk: Path, tree_hash: TreeHash) -> dict[str, str]:
    return tree_hash(desk)


def the_error(capsys: Capture) -> str:
    """The one line on stderr."""
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("name", WRONG_USAGE)
def test_bad_input_is_one_line_with_a_remedy_and_changes_nothing(
    name: str,
    desk: Path,
    desk_before: dict[str, str],
    tree_hash: TreeHash,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    arguments, says = WRONG_USAGE[name]
    monkeypatch.chdir(desk)
    assert main(arguments) == 2
    error = the_error(capsys)
    assert says in error
    assert re.search(r"; \w+", error), "no remedy"
    assert tree_hash(desk) == desk_before


@pytest.mark.parametrize("command", ["run alias-toy --smoke --out", "summary", "data", "verify"])
def test_run_of_a_newer_format_is_bad_input(
    command: str, copied_run: Path, tree_hash: TreeHash, capsys: Capture
) -> None:
    from training.files import write_manifest
    from training.runs.run import analysis_files

    path = copied_run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 3}))
    write_manifest(copied_run, analysis_files(copied_run))
    before = tree_hash(copied_run)
    assert main([*command.split(), str(copied_run)]) == 2
    assert "has format 3" in the_error(capsys)
    assert tree_hash(copied_run) == before


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [truncate, flip, Path.unlink])
@pytest.mark.parametrize("name", ["model.safetensors", "manifest.json"])
@pytest.mark.parametrize("command", ["run alias-toy --smoke --seeds 3 --out", "verify"])
def test_damaged_checkpoint_is_exit_3_and_nothing_is_changed(
    command: str,
    name: str,
    harm: Callable[[Path], None],
    copied_run: Path,
    tree_hash: TreeHash,
    capsys: Capture,
) -> None:
    harm(copied_run / "seed-1000" / "stage-2" / "step-4" / name)
    before = tree_hash(copied_run)
    assert main([*command.split(), str(copied_run)]) == 3
    assert re.search(r"stage-2/step-4.*; delete ", the_error(capsys))
    assert tree_hash(copied_run) == before


def test_unfinished_run_has_no_summary_and_cannot_be_verified(
    copied_run: Path, capsys: Capture
) -> None:
    path = copied_run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"finished": None}))
    for command in ("summary", "verify"):
        assert main([command, str(copied_run)]) == 2
        assert "is not finished; repeat the iml run command" in the_error(capsys)


def test_failure_is_exit_1_in_one_line(tmp_path: Path, capsys: Capture) -> None:
    settings = ["--set", "learning_rate_stage1=1e30", "--seeds", "1"]
    assert main(["run", "alias-toy", "--smoke", *settings, "--out", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: FloatingPointError: the loss is nan at step ")
    assert error.endswith("repeat with --debug for the traceback")


@pytest.mark.parametrize("place", [0, 1, 3])
def test_debug_shows_the_traceback_wherever_it_stands(place: int, capsys: Capture) -> None:
    words = ["run", "alias-toy", "--seeds", "0"]
    words.insert(place if place < 3 else len(words), "--debug")
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "Traceback (most recent call last)" in error
    assert error.splitlines()[-1].startswith("error: --seeds 0 holds no seed")


def test_finished_run_prints_its_summary_again(tiny_run: Run, capsys: Capture) -> None:
    assert main(["run", "alias-toy", "--smoke", "--out", str(tiny_run.folder)]) == 0
    again = capsys.readouterr().out
    assert main(["summary", str(tiny_run.folder)]) == 0
    assert capsys.readouterr().out == again
    assert "iml_gap" in again


def test_run_is_in_runs_below_the_working_folder_unless_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ["--smoke", "--seeds", "7:8", "--set", "epochs_stage1=1"]
    assert main(["run", "source-toy", *settings]) == 0
    run = Run.load("runs/source-toy")
    assert run.seeds == [7]
    assert run.config.parameters["epochs_stage1"] == 1
    assert run.config.parameters["aliases_per_subset"] == 20
    assert "steps, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("1", (1000,)), ("3", (1000, 1001, 1002)), ("1008:1010", (1008, 1009)), ("0:1", (0,))],
)
def test_seeds_are_a_number_from_1000_on_or_a_range(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


def test_recipes_as_json_have_the_keys_of_the_contract(capsys: Capture) -> None:
    assert main(["recipes", "--json"]) == 0
    recipes = json.loads(capsys.readouterr().out)
    assert {"alias-toy", "alias-toy-tokens", "source-toy"} <= {r["name"] for r in recipes}
    for recipe in recipes:
        assert set(recipe) == {"name", "figures", "claims", "model", "cost", "parameters"}
        assert all(isinstance(figure, str) for figure in recipe["figures"])
    assert main(["recipes", "source-toy", "--json"]) == 0
    (only,) = json.loads(capsys.readouterr().out)
    assert only["name"] == "source-toy"


def test_recipe_by_name_lists_every_parameter_with_its_default(capsys: Capture) -> None:
    assert main(["recipes", "alias-toy"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["seeds_stage2=1", "int"] in lines
    assert ["shuffle_tags=false", "bool"] in lines
    assert ["word_order=tae", "tae|tea|ate|aet|eat|eta"] in lines


def test_summary_as_json_is_the_file(tiny_run: Run, capsys: Capture) -> None:
    assert main(["summary", str(tiny_run.folder), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed.pop("claims")
    for gap in ("trust_gap", "distrust_gap"):
        assert printed.pop(gap)["exact_match"].keys() == printed["iml_gap"]["exact_match"].keys()
    assert printed == json.loads((tiny_run.folder / "summary.json").read_text())
    assert {"iml_gap", "stage1_gap", "ocl_gap"} <= set(printed)


def test_data_as_json_is_one_object_a_line_with_the_keys_of_the_contract(
    tiny_run: Run, capsys: Capture
) -> None:
    selection = ["--subset", "D2_INCONS_QA2", "--kind", "definition", "--seed", "1001"]
    assert main(["data", str(tiny_run.folder), "--json", *selection]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    contract = (
        "row_id seed stage split subset kind text prompt answer alias entity tag question "
        "input_ids answer_positions spans"
    )
    assert len(rows) == 40
    for row in rows:
        assert list(row) == contract.split()
        assert (row["seed"], row["subset"], row["kind"]) == (1001, *selection[1:4:2])
        first, last = row["spans"]["alias"]
        assert row["text"].split()[first : last + 1] == row["alias"].split()


def test_data_as_text_shows_as_many_rows_as_asked(tiny_run: Run, capsys: Capture) -> None:
    assert main(["data", str(tiny_run.folder), "--limit", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


WITHOUT_TORCH = """
import json, sys
from interp.cli import main
arguments, heavy = json.loads(sys.argv[1]), json.loads(sys.argv[2])
try:
    code = main(arguments)
except SystemExit as stop:
    code = stop.code
print(json.dumps([code, sorted(set(heavy) & set(sys.modules))]), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["run", "--help"], 0),
        (["recipes"], 0),
        (["recipes", "alias-toy", "--json"], 0),
        ([], 0),
        (["run", "alias-tou"], 2),
        (["run", "alias-toy", "--seeds", "5:3"], 2),
        (["run", "alias-toy", "--set", "layers=two"], 2),
        (["run", "alias-toy", "--set", "alpha=0.9999"], 2),
        (["run", "source-toy", "--out", "run"], 2),
        (["summary", "nowhere"], 2),
        (["data", "run", "--seed", "5"], 2),
        (["verify", "nowhere"], 2),
        (["report", "nowhere"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_quick_commands_import_no_torch_and_take_under_2_seconds(
    arguments: list[str], code: int, desk: Path
) -> None:
    heavy = ["torch", "transformers", "transformer_lens", "sklearn", "plotly", "datasets"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, json.dumps(arguments), json.dumps(heavy)],
        cwd=desk,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert json.loads(done.stderr.splitlines()[-1]) == [code, []]
    # Processor seconds, so that a busy machine does not fail it.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
