import re
import shutil
from html import unescape
from pathlib import Path

import pandas as pd
import pytest

from interp.grids.grid import run_grid
from interp.grids.selection import GridSelection
from interp.lenses.analysis import LensAnalysis
from interp.probes.analysis import ProbeAnalysis
from interp.probes.wording import controls, found
from interp.report.grid_sections import guess_of, lens_section, probes_section
from interp.report.guessing import question_only
from interp.report.page import report_html
from training.files import write_table
from training.runs.run import Run, read_table


@pytest.fixture(scope="module")
def analysed(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny run, probed at two checkpoints and read by the logit lens in Stage 2."""
    folder = tmp_path_factory.mktemp("analysed") / "run"
    shutil.copytree(tiny_run.folder, folder)
    run = Run.load(folder)
    probing = ProbeAnalysis(quick=True, n_permutations=3)
    for step in (run.steps(run.seeds[0], 1)[0], None):
        run_grid(probing, GridSelection(runs=(run,), step=step, layers=(1,)), workers=1)
    run_grid(LensAnalysis(tuned=False), GridSelection(runs=(run,), stage=2), workers=1)
    return folder


@pytest.fixture
def copy(analysed: Path, tmp_path: Path) -> Path:
    """A copy whose tables a test may change: no manifest knows them."""
    folder = Path(shutil.copytree(analysed, tmp_path / "copy"))
    (folder / "manifest.json").unlink()
    return folder


def figures(html: str | None) -> list[str]:
    return re.findall(r'<div id="([\w-]+)" class="plotly', html or "")


def test_a_run_without_tables_has_no_such_sections(tiny_run: Run):
    assert probes_section(tiny_run) is None
    assert lens_section(tiny_run) is None


def test_the_last_checkpoint_has_a_figure_for_each_kind_of_probe(analysed: Path):
    assert figures(probes_section(Run.load(analysed))) == [
        "probes-1-logistic",
        "probes-1-mass-mean",
    ]


def test_the_section_says_what_its_numbers_support(analysed: Path):
    run = Run.load(analysed)
    summary = read_table(analysed / "probes_summary.parquet")
    step = run.steps(run.seeds[0], 1)[-1]

    html = unescape(probes_section(run) or "")

    cells = summary.loc[summary["step"] == step]
    for sentence in (*found(cells), *controls(cells)):
        assert sentence in html
    assert "With so few seeds nothing, however strong, could be found" in html


def test_earlier_checkpoints_are_listed(analysed: Path):
    html = probes_section(Run.load(analysed)) or ""

    rows = re.findall(r"<tr><td>1</td><td>(\d+)</td><td>(\w+)</td><td>(.+?)</td>", html)
    assert rows == [("0", "defined", "0 of 4"), ("0", "tag", "0 of 4")]


def test_the_lens_compares_the_subsets_whose_definitions_the_stage_trains(copy: Path):
    for name in ("lens", "lens_summary"):
        table = read_table(copy / f"{name}.parquet")
        both = pd.concat([table, table.assign(stage=1)], ignore_index=True)
        write_table(copy / f"{name}.parquet", both)

    html = lens_section(Run.load(copy)) or ""

    assert figures(html) == ["lens-2", "lens-1"]
    second, first = html.split("<h3>Stage 1")
    assert "D1_CONS_QA1, logit lens" in first
    assert "D5_CONS, logit lens" not in first
    assert "D5_CONS, logit lens" in second


def test_sections_are_in_the_report_which_is_rebuilt_the_same(analysed: Path, copy: Path):
    html = report_html(Run.load(analysed))

    assert "<h2>Probes</h2>" in html
    assert "<h2>Lenses</h2>" in html
    assert report_html(Run.load(copy)) == html


def test_rows_of_another_run_are_left_out(copy: Path):
    path = copy / "probes_summary.parquet"
    write_table(path, read_table(path).assign(run_id="another"))

    assert probes_section(Run.load(copy)) is None


def test_probes_of_the_old_folds_are_not_shown_but_asked_for_again(copy: Path):
    path = copy / "probes_summary.parquet"
    write_table(path, read_table(path).drop(columns=["n_folds", "n_divisions", "n_read"]))
    html = probes_section(Run.load(copy)) or ""

    assert "repeat iml probe" in html
    assert figures(html) == []


def test_the_guess_of_a_run_is_the_mean_over_its_seeds(tiny_run: Run):
    of_seeds = [question_only(tiny_run.tokenized_rows(seed)) for seed in tiny_run.seeds]

    assert guess_of(tiny_run) == pytest.approx(sum(of_seeds) / 2)
    assert of_seeds[0] != of_seeds[1]
