import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from interp.alignment.sections import alignment_section
from interp.alignment.summary import summarize_alignment
from interp.cli import main
from training.runs.integrity import run_damage
from training.runs.run import Run

TreeHash = Callable[[Path], dict[str, str]]
Capture = pytest.CaptureFixture[str]
ONE = ["--seed", "1000"]
"""One seed is measured in this process; more start others, each of which takes its time."""
D5_D6 = ["--subset", "D5_CONS", "--subset", "D6_CONS", *ONE]


@pytest.fixture(scope="module")
def aligned(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of which both twins were measured, whole and in parts."""
    folder = Path(shutil.copytree(tiny_run.folder, tmp_path_factory.mktemp("align") / "run"))
    assert main(["align", str(folder), *ONE]) == 0
    assert main(["align", str(folder / "null"), *D5_D6]) == 0
    assert main(["align", str(folder), *D5_D6, "--limit", "2", "--components", "tokens"]) == 0
    return folder


def figures(html: str | None) -> list[str]:
    return re.findall(r'<div id="([\w-]+)" class="plotly', html or "")


def test_the_headline_is_printed_and_the_tables_are_whole(copied_run: Path, capsys: Capture):
    assert main(["align", str(copied_run), "--limit", "3", "--seed", "1001"]) == 0
    printed = capsys.readouterr().out
    assert "D5_CONS" in printed
    assert "D1_CONS_QA1" in printed
    assert "It is not what training does" in printed.replace("\n", " ")
    table = pd.read_parquet(copied_run / "alignment.parquet")
    assert set(table["seed"]) == {1001}
    assert run_damage(copied_run) == []


def test_another_policy_joins_the_table(aligned: Path, tmp_path: Path):
    folder = Path(shutil.copytree(aligned, tmp_path / "run"))
    before = pd.read_parquet(folder / "alignment.parquet")
    command = ["align", str(folder), *D5_D6, "--limit", "1", "--loss-policy", "text"]
    assert main([*command, "--pairs", "all"]) == 0
    table = pd.read_parquet(folder / "alignment.parquet")
    assert set(table["loss_policy"]) == {"answer", "text"}
    assert len(table.loc[table["loss_policy"] == "answer"]) == len(before)
    added = table.loc[table["loss_policy"] == "text"]
    # 2 definitions, 4 questions about each of 2 aliases, 3 measures.
    assert len(added) == 2 * 8 * 3
    assert set(added["pairs"]) == {"all"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["--subset", "QA3", *ONE], "no pairs of QA3", id="no definitions"),
        pytest.param(["--subset", "D7"], "no subset 'D7'", id="no subset"),
        pytest.param(["--pairs", "some"], "invalid choice: 'some'", id="pairs"),
        pytest.param(["--loss-policy", "half"], "invalid choice: 'half'", id="policy"),
        pytest.param(["--limit", "0"], "--limit 0", id="limit"),
        pytest.param(["--seed", "7"], "no seed 7", id="seed"),
        pytest.param(["--step", "77"], "no checkpoint of step 77", id="step"),
        pytest.param(["--all-steps", "--step", "0"], "--all-steps takes", id="all steps"),
        pytest.param(["--test", "surgery", "--stage", "1"], "leave out --stage", id="test"),
        pytest.param(["--test", "chance"], "invalid choice: 'chance'", id="no test"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    copied_run: Path, tree_hash: TreeHash, capsys: Capture, words: list[str], message: str
):
    before = tree_hash(copied_run)
    assert main(["align", str(copied_run), *words]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert tree_hash(copied_run) == before


def test_a_folder_that_is_no_run_is_bad_input(tmp_path: Path):
    assert main(["align", str(tmp_path)]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("test", "table"), [("updates", "updates"), ("left-out", "left_out"), ("branches", "branches")]
)
def test_each_test_writes_its_tables_and_says_what_it_found(
    copied_run: Path, capsys: Capture, test: str, table: str
):
    assert main(["align", str(copied_run), "--test", test, "--limit", "2"]) == 0
    assert "correlation" in capsys.readouterr().out
    assert set(pd.read_parquet(copied_run / f"{table}.parquet")["seed"]) == {1000, 1001}
    assert len(figures(alignment_section(Run.load(copied_run)))) == 1


def test_a_run_that_was_not_measured_has_no_section(tiny_run: Run):
    assert alignment_section(tiny_run) is None


def test_the_section_has_the_pairings_the_tokens_and_the_null_twin(aligned: Path):
    html = alignment_section(Run.load(aligned))
    assert html is not None
    assert figures(html) == ["alignment-1-answer", "alignment-1-answer-tokens"]
    assert "difference in the null twin" in html
    assert "other alias, same entity and tag" in html


def test_every_figure_of_the_section_shows_two_seeds_one_by_one(
    aligned: Path, monkeypatch: pytest.MonkeyPatch
):
    run = Run.load(aligned)
    one = pd.read_parquet(aligned / "alignment.parquet")
    rows = pd.concat([one, one.assign(seed=1001, value=one["value"] + 0.01)], ignore_index=True)
    tables = {"alignment": rows, "alignment_summary": summarize_alignment(rows)}
    monkeypatch.setattr("interp.alignment.sections.table_of", lambda _, name: tables.get(name))
    html = alignment_section(run) or ""
    assert html.count("mean and each of n = 2 seeds, too few for an interval") == 1
    assert html.count("mean over 2 seeds, each seed's on hover") == 1
    assert "line-ew-open" in html


def test_a_rebuilt_section_is_the_same(aligned: Path):
    one, other = (alignment_section(Run.load(aligned)) for _ in range(2))
    assert one == other


def test_every_number_of_the_headline_comes_from_the_table(aligned: Path):
    summary = pd.read_parquet(aligned / "alignment_summary.parquet")
    rows = summary.loc[
        (summary["subset"] == "D5_CONS-D6_CONS")
        & (summary["pairing"] == "own")
        & (summary["against"] == "zero")
        & (summary["component"] == "all")
        & (summary["measure"] == "grad_cosine")
    ]
    assert len(rows) == 1
    html = alignment_section(Run.load(aligned))
    assert f"difference {rows['difference'].iloc[0]:+.3f}" in str(html)
