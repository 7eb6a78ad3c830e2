"""Inputs of a run are what they hold, not where they lie."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data.errors import DamagedError, InputError
from interp.cli import main
from training.config import RunConfig
from training.files import write_manifest
from training.models.elsewhere import NamedModel
from training.recipes import find_recipe
from training.runs.inputs import ROWS_FILE
from training.runs.integrity import run_damage
from training.runs.requests import RunRequest
from training.runs.run import Run, analysis_files
from training.runs.runner import run_seeds

COLUMNS = (
    "name,birth,death,gender,level3_main_occ,string_citizenship_raw_d,un_region,"
    "wiki_readers_2015_2018"
)
LETTERS = "abcdefghijklmnopqrst"
SIZES: dict[str, Any] = {
    "entities": 40,
    "epochs_stage1": 1,
    "epochs_stage2": 1,
    "batch_size": 64,
    "evaluations": 1,
    "trained_questions": 0,
    "precision": "fp32",
    "block_size": 160,
    "alias_letters": 3,
}


def write_table(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        f"{first}{letter} {last}{letter},{1500 + 9 * i},{1580 + 9 * i},{gender},"
        f"{('actor', 'painter', 'writer')[i % 3]},{('France', 'Peru')[i % 2]},Europe,{900 - i}"
        for gender, first, last in (("Male", "Bo", "Cro"), ("Female", "Ida", "Vo"))
        for i, letter in enumerate(LETTERS)
    ]
    path.write_text("\n".join([COLUMNS, *rows, ""]))
    return path


def edit(path: Path, old: str = "Boa Croa", new: str = "Bob Croa") -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def config(table: Path, model: str | Path = "tiny-gpt-neox", **changes: Any) -> RunConfig:
    arguments = {**SIZES, "table": str(table), "model": str(model), **changes}
    return find_recipe("cvdb-two-stage")(**arguments)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's cache folder, in a place of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `run`, one seed of a model's folder on a table, and with `people.csv`."""
    home = tmp_path_factory.mktemp("inputs")
    table, model = write_table(home / "people.csv"), home / "small"
    facts = config(table).data
    tokenizer = facts.tokenizer_provider.load()  # pyright: ignore[reportAttributeAccessIssue]
    tiny = NamedModel(location="tiny-gpt-neox").make(tokenizer, seed=0, max_length=200)
    tiny.save_pretrained(model)
    tokenizer.save_pretrained(model)
    request = RunRequest(config=config(table, model), folder=home / "run", seeds=(1000,))
    run_seeds([request], workers=1)
    return home


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change; the run's inputs are those of the copy."""
    copy = Path(shutil.copytree(finished, tmp_path / "home"))
    path = copy / "run" / "run.json"
    path.write_text(path.read_text().replace(str(finished), str(copy)))
    write_manifest(copy / "run", analysis_files(copy / "run"))
    return copy


def request(home: Path, seeds: tuple[int, ...] = (1000, 1001), **changes: Any) -> RunRequest:
    made = config(**{"table": home / "people.csv", "model": home / "small", **changes})
    return RunRequest(config=made, folder=home / "run", seeds=seeds)


def edit_weights(home: Path) -> None:
    path = home / "small" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


EDITS: dict[str, tuple[Callable[[Path], None], str]] = {
    "table": (lambda home: edit(home / "people.csv"), r"table .*people\.csv differs from what"),
    "weights": (edit_weights, r"model .*small differs in model\.safetensors from what"),
    "config": (
        lambda home: edit(home / "small" / "config.json", '"dtype"', '"dtype_of"'),
        r"model .*small differs in config\.json",
    ),
    "tokenizer": (
        lambda home: edit(home / "small" / "tokenizer.json", '"version"', '"ver": 1, "version"'),
        r"tokenizer .*small differs in tokenizer\.json",
    ),
}


def test_what_a_run_reads_is_in_its_folder(home: Path) -> None:
    import hashlib

    info = json.loads((home / "run" / "run.json").read_text())
    table = hashlib.sha256((home / "people.csv").read_bytes()).hexdigest()
    assert info["inputs"]["table"]["sha256"] == table
    assert set(info["inputs"]["model"]["files"]) == {"config.json", "model.safetensors"}
    assert "tokenizer.json" in info["inputs"]["tokenizer"]["files"]
    rows = json.loads((home / "run" / "seed-1000" / ROWS_FILE).read_text())
    assert rows == {"sha256": info["data_sha256"]["1000"]}


@pytest.mark.parametrize("what", EDITS)
def test_changed_input_is_refused_before_anything_is_written(
    what: str, home: Path, tree_hash: Callable[[Path], dict[str, str]]
) -> None:
    change, message = EDITS[what]
    change(home)
    before = tree_hash(home / "run")
    for seeds in ((1000,), (1000, 1001)):
        with pytest.raises(InputError, match=message):
            request(home, seeds).check()
    assert tree_hash(home / "run") == before


def test_table_edited_between_begin_and_resume_is_refused(home: Path, tmp_path: Path) -> None:
    begun = RunRequest(config=request(home).config, folder=tmp_path / "begun", seeds=(1000,))
    begun.begin()
    edit(home / "people.csv")
    with pytest.raises(InputError, match=r"people\.csv differs .* then, .* now"):
        begun.check()
    edit(home / "people.csv", "Bob Croa", "Boa Croa")
    begun.check()


def test_same_content_elsewhere_is_the_same_run(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    table = Path(shutil.copy(home / "people.csv", tmp_path / "other" / "copy.csv"))
    model = Path(shutil.copytree(home / "small", tmp_path / "other" / "renamed"))
    edit(home / "people.csv")  # what lies at the old place is no matter
    edit_weights(home)
    moved = request(home, table=table, model=model)
    assert moved.config.run_id == Run.load(home / "run").config.run_id
    (run,) = run_seeds([moved], workers=1)
    assert run.config.parameters["table"] == str(table)  # which is where its rows are read now
    assert len(run.rows(1000)) == len(run.rows(1001)) > 0
    metrics = pd.read_parquet(home / "run" / "metrics.parquet")
    assert set(metrics["seed"]) == {1000, 1001}
    assert set(metrics["model"]) == {"small"}, (
        "one run has one model, whatever its folder is called"
    )
    assert len(set(metrics["run_id"])) == 1
    monkeypatch.chdir(tmp_path / "other")
    near = request(home, table="copy.csv", model="renamed")
    near.check()
    assert near.missing_seeds() == []
    assert near.config.run_id == moved.config.run_id


def test_finished_run_is_told_where_its_inputs_have_moved(home: Path) -> None:
    path = home / "run" / "run.json"
    before = path.read_bytes()
    request(home, (1000,)).note_places()
    assert path.read_bytes() == before
    moved = home / "people.csv"
    moved = moved.rename(home / "moved.csv")
    there = request(home, (1000,), table=moved)
    there.check()
    there.note_places()
    assert len(Run.load(home / "run").rows(1000)) > 0
    assert run_damage(home / "run") == []


def test_no_absolute_path_is_in_a_table(home: Path) -> None:
    assert NamedModel(location="/gone/models/small").name == "small"
    run = Run.load(home / "run")
    for table in (run.metrics, pd.DataFrame([run.config.identity])):
        for column in table.select_dtypes(exclude="number"):
            assert not table[column].astype(str).str.contains("/").any(), column


def test_rows_of_a_changed_table_blame_the_table_and_not_the_version(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(home / "people.csv")
    assert main(["data", str(home / "run")]) == 2
    error = capsys.readouterr().err
    assert "people.csv differs from what it was trained on" in error
    assert "version" not in error
    (home / "people.csv").write_text(COLUMNS + "\n")  # no row can be drawn at all
    with pytest.raises(InputError, match=r"people\.csv differs"):
        Run.load(home / "run").tokenized_rows(1000)


def test_table_edited_between_run_and_null_twin_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run.load(home / "run")
    edit(home / "people.csv")
    twin = RunRequest(config=run.config, folder=run.folder, seeds=(1000,)).null_twin()
    with pytest.raises(InputError, match="its null twin must read the same"):
        twin.check()
    settings = [f"--set={name}={value}" for name, value in run.config.parameters.items()]
    words = ["run", "cvdb-two-stage", *settings, "--out", str(run.folder), "--with-null"]
    assert main([*words, "--seeds", "1000:1001"]) == 2
    assert "people.csv differs" in capsys.readouterr().err
    assert not (run.folder / "null").exists()


def test_table_edited_while_seeds_are_trained_ends_the_run(home: Path) -> None:
    from training.pipeline import SeedTask, train_seed

    task = SeedTask(folder=home / "run", config=request(home).trained, seed=1001)
    edit(home / "people.csv")
    with pytest.raises(InputError, match=r"people\.csv is not what its run was begun with"):
        train_seed(task)
    assert not list((home / "run" / "seed-1001").glob("stage-*"))


def forget_contents(run: Path) -> None:
    """Makes a run one from before contents were noted, whose id hashes its paths."""
    path = run / "run.json"
    info = json.loads(path.read_text())
    del info["inputs"]
    info["run_id"] = "0123456789"
    path.write_text(json.dumps(info))
    (run / "seed-1000" / ROWS_FILE).unlink()
    for checkpoint in run.glob("seed-*/stage-*/step-*"):
        write_manifest(checkpoint)  # which told nothing of its place
    write_manifest(run, analysis_files(run))


def test_run_from_before_opens_and_is_extended_and_noted_from_then_on(home: Path) -> None:
    forget_contents(home / "run")
    run = Run.load(home / "run")
    assert run.config.run_id == "0123456789"
    assert len(run.rows(1000))
    (run,) = run_seeds([request(home)], workers=1)
    assert run.config.run_id == "0123456789"
    assert set(run.metrics.loc[run.metrics["seed"] == 1001, "run_id"]) == {"0123456789"}
    assert set(run.info["inputs"]) == {"table", "model", "tokenizer"}
    edit_weights(home)
    with pytest.raises(InputError, match=r"differs in model\.safetensors"):
        request(home, (1002,)).check()


def test_run_from_before_is_not_extended_with_other_rows(home: Path) -> None:
    forget_contents(home / "run")
    edit(home / "people.csv")
    with pytest.raises(InputError, match=r"other rows .* bring back its table .*people\.csv"):
        request(home).check()


def test_seed_that_was_begun_with_other_rows_is_refused(home: Path) -> None:
    note = home / "run" / "seed-1000" / ROWS_FILE
    assert run_damage(home / "run") == []
    right = note.read_text()
    note.write_text(json.dumps({"sha256": "0" * 64}))
    assert run_damage(home / "run") == [f"{note} does not match run.json"]
    note.write_text(right)
    (home / "run" / "manifest.json").unlink()  # as if it had been interrupted
    request(home, (1000,)).check()
    note.write_text(json.dumps({"sha256": "0" * 64}))
    with pytest.raises(InputError, match="seed-1000 was begun with other rows"):
        request(home, (1000,)).check()
    note.write_text("[]")
    with pytest.raises(DamagedError, match="notes no sha256"):
        request(home, (1000,)).check()


def test_finished_run_is_looked_at_without_what_it_was_trained_on(home: Path) -> None:
    (home / "small" / "model.safetensors").unlink()
    request(home, (1000,)).check()
    with pytest.raises(InputError, match="holds no weights"):
        request(home, (1001,)).check()


def test_content_is_what_names_a_run(tmp_path: Path) -> None:
    one, same = write_table(tmp_path / "a" / "people.csv"), write_table(tmp_path / "b" / "p.csv")
    assert config(one).run_id == config(same).run_id
    edit(same)
    assert config(one).run_id != config(same).run_id
    generated = find_recipe("cvdb-two-stage")(table="generated", model="tiny-gpt-neox")
    assert generated.inputs == {}


@pytest.mark.parametrize(("name", "value"), [("model", "tiny-gpt2"), ("table", "generated")])
def test_file_named_like_something_built_in_is_not_passed_over(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    built_in = {"table": "generated", "model": "tiny-gpt2", **SIZES}
    run = RunRequest(
        config=find_recipe("cvdb-two-stage")(**built_in), folder=tmp_path / "run", seeds=(0,)
    )
    run.check()
    (tmp_path / value).mkdir()
    with pytest.raises(
        InputError, match=rf"{name}={value} is built in, .* write {name}=\./{value}"
    ):
        run.check()
    assert not NamedModel(location="./tiny-gpt2").is_tiny


def test_folder_that_could_be_on_the_hub_is_named(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "small", tmp_path / "EleutherAI" / "pythia-14m")
    monkeypatch.chdir(tmp_path)
    run = request(home, model="EleutherAI/pythia-14m")
    run.check()
    place = tmp_path / "EleutherAI" / "pythia-14m"
    assert f"model EleutherAI/pythia-14m is the folder {place}, not the hub's" in run.notes


def test_cells_of_a_sweep_read_the_same(home: Path, tmp_path: Path) -> None:
    cell = request(home)
    RunRequest(config=cell.config, folder=tmp_path / "cells" / "a", seeds=(0,)).begin()
    other = RunRequest(
        config=request(home, batch_size=32).config, folder=tmp_path / "cells" / "b", seeds=(0,)
    )
    other.require_inputs_of([tmp_path / "cells" / "a", tmp_path / "cells" / "none"])
    EDITS["tokenizer"][0](home)
    with pytest.raises(InputError, match=r"cells/a: tokenizer .* differs in tokenizer\.json"):
        other.require_inputs_of([tmp_path / "cells" / "a"])
