"""Where `iml report` writes, and over what it does not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from interp.cli import main
from training.runs.run import Run

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Pages of one line, in a folder of their own."""
    head = '<head><meta name="generator" content="iml report: {}">'
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("interp.report.page.report_html", lambda run: head.format("report"))
    monkeypatch.setattr(
        "interp.report.compare_page.compare_html", lambda runs, file: head.format("comparison")
    )


@pytest.fixture
def folders(tiny_run: Run) -> list[str]:
    assert tiny_run.null is not None
    return [str(tiny_run.folder), str(tiny_run.null.folder)]


@pytest.fixture
def refused(capsys: Capture) -> Callable[..., str]:
    def refuse(*words: str) -> str:
        capsys.readouterr()
        assert main(["report", *words]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        return printed.err

    return refuse


def test_several_runs_are_compared_in_the_working_folder(
    folders: list[str], tmp_path: Path, capsys: Capture
):
    assert main(["report", *folders]) == 0
    assert capsys.readouterr().out == "report-compare.html\n"
    assert "comparison" in (tmp_path / "report-compare.html").read_text()
    assert main(["report", *folders]) == 0  # over a page of its own kind


def test_one_run_is_reported_to_a_file_without_a_change_of_its_folder(
    folders: list[str], tmp_path: Path, tree_hash: Callable[[Path], dict[str, str]]
):
    before = tree_hash(Path(folders[0]))
    for _ in range(2):
        assert main(["report", folders[0], "--out", "new/toy.html"]) == 0

    assert "report" in (tmp_path / "new" / "toy.html").read_text()
    assert tree_hash(Path(folders[0])) == before


def test_no_other_file_is_written_over(folders: list[str], tmp_path: Path, refused):
    notes = tmp_path / "notes.html"
    notes.write_text("mine")
    assert main(["report", folders[0], "--out", "one.html"]) == 0

    assert "notes.html is there and is no comparison that iml report wrote" in refused(
        *folders, "--out", "notes.html"
    )
    assert "one.html is there and is no comparison" in refused(*folders, "--out", "one.html")
    assert "notes.html is there and is no report" in refused(folders[0], "--out", "notes.html")
    assert "is a folder; name a file" in refused(*folders, "--out", ".")
    assert notes.read_text() == "mine"


def test_a_run_keeps_its_own_report(folders: list[str], refused):
    for name in ("report.html", "report-compare.html", "below/report-compare.html"):
        path = Path(folders[0]) / name
        assert "lies in" in refused(*folders, "--out", str(path))
        assert not path.exists()


def test_what_cannot_be_compared_at_all_is_refused(
    folders: list[str], tmp_path: Path, refused, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep" / "cells").mkdir(parents=True)

    assert "is given twice; name different runs" in refused(folders[0], folders[0])
    assert "sweep is a sweep; compare runs" in refused(folders[0], "sweep")
    assert "nowhere is no run folder" in refused(folders[0], "nowhere")
    assert not (tmp_path / "report-compare.html").exists()
