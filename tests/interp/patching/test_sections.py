import re
import shutil
from html import unescape
from pathlib import Path

import pandas as pd
import pytest

from data.pairs import PairKind
from interp.grids.grid import run_grid
from interp.grids.selection import GridSelection
from interp.patching.analysis import PatchAnalysis, summarize_patching
from interp.patching.sections import patching_section
from interp.patching.wording import patch_sentences
from training.files import write_table
from training.runs.run import Run, read_table

SUBSETS = ("D5_CONS", "D6_CONS")


@pytest.fixture(scope="module")
def patched(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny run, patched at the end of Stage 2; it answers nothing with confidence."""
    folder = tmp_path_factory.mktemp("patched") / "run"
    shutil.copytree(tiny_run.folder, folder)
    analysis = PatchAnalysis(subsets=SUBSETS, limit=4, confidence=0.0)
    sites = ("attn_out", "z")
    selection = GridSelection(runs=(Run.load(folder),), stage=2, sites=sites)
    run_grid(analysis, selection, workers=1)
    return folder


@pytest.fixture
def copy(patched: Path, tmp_path: Path) -> Path:
    """A copy whose tables a test may change: no manifest knows them."""
    folder = Path(shutil.copytree(patched, tmp_path / "copy"))
    (folder / "manifest.json").unlink()
    return folder


def figures(html: str | None) -> list[str]:
    return re.findall(r'<div id="([\w-]+)" class="plotly', html or "")


def rewrite(folder: Path, table: pd.DataFrame) -> None:
    write_table(folder / "patching.parquet", table)
    write_table(folder / "patching_summary.parquet", summarize_patching(table))


def test_a_run_without_tables_has_no_such_section(tiny_run: Run):
    assert patching_section(tiny_run) is None


def test_each_direction_has_its_grid_and_the_first_its_heads_and_attribution(patched: Path):
    assert figures(patching_section(Run.load(patched))) == [
        "patching-2-alias-denoise", "patching-2-alias-noise", "patching-2-alias-heads",
        "patching-2-alias-attribution",
    ]  # fmt: skip


def test_the_section_says_what_its_numbers_support(patched: Path):
    table, summary = (
        read_table(patched / f"{n}.parquet") for n in ("patching", "patching_summary")
    )

    html = unescape(patching_section(Run.load(patched)) or "")

    for sentence in patch_sentences(table, summary, SUBSETS, metric="logit_diff"):
        assert sentence in html
    assert "nothing, however strong, could be found" in html


def test_every_stage_and_kind_of_pairs_has_its_own_part(copy: Path):
    table = read_table(copy / "patching.parquet")
    other = table.assign(pair_kind=str(PairKind.ALIAS_ACROSS))
    earlier = table.assign(stage=1)
    before = table.assign(step=0)
    rewrite(copy, pd.concat([table, other, earlier, before], ignore_index=True))

    html = patching_section(Run.load(copy)) or ""

    heads = re.findall(r"<h3>(.+?)</h3>", html)
    step = table["step"].iloc[0]
    assert heads == [
        f"Stage 2, step {step}: alias pairs", f"Stage 2, step {step}: alias_across pairs",
        f"Stage 1, step {step}: alias pairs",
    ]  # fmt: skip
    assert len(set(figures(html))) == 3 * 4


def test_a_table_of_heads_alone_or_of_whole_sites_alone_is_drawn(copy: Path):
    table = read_table(copy / "patching.parquet")
    drawn = []
    for part in (table.loc[table["head"] >= 0], table.loc[table["head"] < 0]):
        rewrite(copy, part)
        drawn.append([name.split("-")[-1] for name in figures(patching_section(Run.load(copy)))])

    assert drawn == [["heads", "attribution"], ["denoise", "noise", "attribution"]]


def test_another_metric_is_shown_where_there_is_no_logit_difference(copy: Path):
    table = read_table(copy / "patching.parquet")
    rewrite(copy, table.loc[table["metric"] == "answer_log_prob"])

    html = patching_section(Run.load(copy)) or ""

    assert "alias pairs, answer log-probability; " in html
    assert "logit_diff" not in html


def test_rows_of_another_run_are_left_out(copy: Path):
    path = copy / "patching_summary.parquet"
    write_table(path, read_table(path).assign(run_id="another"))

    assert patching_section(Run.load(copy)) is None


def test_the_section_is_rebuilt_the_same(patched: Path, copy: Path):
    assert patching_section(Run.load(copy)) == patching_section(Run.load(patched))
