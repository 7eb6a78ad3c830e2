"""`iml hypothesis` on a copy of the tiny run: all words, all refusals, and what it leaves."""

import json
import shutil
from pathlib import Path

import pytest

from interp.cli import main
from interp.hypotheses.freezing import shipped_names
from interp.hypotheses.sections import hypotheses_section
from interp.report.page import sections_of
from interp.report.reproduction import reproduction_commands
from training.runs.run import Run


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger.jsonl"
    monkeypatch.setenv("IML_LEDGER", str(path))
    return path


@pytest.fixture(scope="module")
def checked(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which all hypotheses were checked; never changed."""
    folder = tmp_path_factory.mktemp("checked") / "run"
    shutil.copytree(tiny_run.folder, folder)
    assert main(["hypothesis", str(folder)]) == 0
    return folder


@pytest.fixture
def own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "mine.py"
    assert main(["hypothesis", "new", str(path)]) == 0
    capsys.readouterr()
    return path


def result(folder: Path, name: str) -> dict:
    return json.loads((folder / "hypotheses" / f"{name}.json").read_text())


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["hypothesis", *words]) == 2
    out, error = capsys.readouterr()
    assert not out
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_every_hypothesis_leaves_its_file_in_the_manifest_and_a_section(checked: Path) -> None:
    names = shipped_names()
    files = sorted(path.stem for path in (checked / "hypotheses").iterdir())
    assert files == names
    found = result(checked, "strength")
    assert set(found) >= {"name", "sha256", "frozen", "verdict", "exploratory", "predictions"}
    assert found["verdict"] == "inadmissible"  # of two seeds
    assert found["exploratory"] is True
    keys = {"statement", "quantity", "threshold", "estimate", "ci_low", "ci_high", "p_value",
            "verdict"}  # fmt: skip
    assert all(keys <= set(each) for each in found["predictions"])
    seen = {each["row"]: each["estimate"] for each in found["predictions"]}
    assert seen["length"] is None  # of entities with one alias each
    assert seen["recited"] is not None
    assert main(["verify", str(checked)]) == 0


def test_a_changed_result_is_found_by_verify(
    checked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(checked, tmp_path / "run"))
    path = folder / "hypotheses/strength.json"
    path.write_text(path.read_text().replace("inadmissible", "supported"))
    assert main(["verify", str(folder)]) == 3
    assert "hypotheses/strength.json does not match" in capsys.readouterr().err


def test_the_page_has_the_matrix_first_and_the_same_whenever_it_is_made(checked: Path) -> None:
    run = Run.load(checked)
    made = hypotheses_section(run)
    assert made is not None
    assert made == hypotheses_section(Run.load(checked))
    assert made.startswith("<h2>Hypotheses</h2>")
    assert "No hypothesis can be judged by this run" in made
    assert sections_of(run)[1] is hypotheses_section
    assert "iml hypothesis runs/alias-toy" in reproduction_commands(run)


def test_a_second_check_measures_nothing_again_and_says_the_same(
    checked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (checked / "alignment.parquet").stat().st_mtime_ns
    assert main(["hypothesis", "recency", str(checked), "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)["runs"]
    assert record["hypotheses"] == [result(checked, "recency")]
    assert (checked / "alignment.parquet").stat().st_mtime_ns == before


def test_a_hypothesis_of_ones_own_is_frozen_checked_and_deviates_when_it_is_changed(
    own: Path, checked: Path, tmp_path: Path, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(checked, tmp_path / "run"))
    assert main(["hypothesis", "freeze", str(own)]) == 0
    assert "frozen: mine, sha256" in capsys.readouterr().out
    assert "is frozen as it is since" in refused(["freeze", str(own)], capsys)
    assert main(["hypothesis", str(own), str(folder)]) == 0
    assert "mine: inadmissible, exploratory (frozen" in capsys.readouterr().out
    assert {json.loads(line)["event"] for line in ledger.read_text().splitlines()} == {
        "frozen", "read",
    }  # fmt: skip
    own.write_text(own.read_text().replace("value=0.25", "value=0.05"))
    assert "say with --amend what had been seen" in refused(["freeze", str(own)], capsys)
    assert main(["hypothesis", str(own), str(folder)]) == 0
    assert result(folder, "mine")["verdict"] == "deviated"
    capsys.readouterr()
    assert main(["hypothesis", "freeze", str(own), "--amend", "the gap of two seeds"]) == 0
    assert main(["hypothesis", str(own), str(folder)]) == 0
    assert "what had been seen: the gap of two seeds" in capsys.readouterr().out


def test_bad_words_are_one_line(
    own: Path, checked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(checked)
    assert "no hypothesis 'strenght'; did you mean strength" in refused(["strenght", run], capsys)
    assert "is to be checked in no run; name a DIR" in refused(["strength"], capsys)
    assert "takes one name, got 0" in refused(["new"], capsys)
    assert "takes one name, got 2" in refused(["freeze", "a", "b"], capsys)
    assert "use it with freeze" in refused(["strength", run, "--amend", "x"], capsys)
    assert "was never frozen" in refused(["freeze", str(own), "--amend", "x"], capsys)
    assert "is no run folder" in refused(["strength", str(tmp_path)], capsys)
    own.write_text("1 / 0")
    assert "raises (division by zero); mend the file" in refused([str(own), run], capsys)


def test_a_row_that_raises_is_one_line_and_leaves_nothing(
    own: Path, checked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own.write_text(own.read_text().replace("main = run.design.main", "main = run.nothing"))
    assert "has a row 'nats' that raises" in refused([str(own), str(checked)], capsys)
    assert not (checked / "hypotheses/mine.json").exists()


def test_a_broken_ledger_is_one_line(
    checked: Path, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.write_text('{"event": "read"}\n')
    assert "line 1: the chain is broken" in refused(["strength", str(checked)], capsys)
    assert "the chain is broken" in refused(["freeze", "strength"], capsys)


def test_of_several_runs_the_first_predicts_the_others_or_says_what_it_needs(
    checked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(checked), str(checked)]
    assert main(["hypothesis", "recency", *folders]) == 0
    shown = capsys.readouterr().out.partition("predicts of the gaps of the others")[2]
    assert "seeds 1000 to 1001: gap" in shown
    assert "predicted by code: undecided: needs iml codes DIR" in shown
    assert "predicted by alignment: " in shown
    assert main(["hypothesis", "recency", *folders, "--json"]) == 0
    (condition,) = json.loads(capsys.readouterr().out)["conditions"]
    code, alignment, same = condition["predicted"]
    assert code["value"] is None
    assert alignment["value"] == pytest.approx(condition["gap"])  # of the same run
    assert same["value"] == pytest.approx(condition["gap"])
