import re
import shutil
from html import unescape
from pathlib import Path

import pandas as pd
import pytest

from interp.grids.grid import run_grid
from interp.grids.selection import GridSelection
from interp.transplants.analysis import TransplantAnalysis
from interp.transplants.differences import WeightDifferenceAnalysis
from interp.transplants.plots import part_words
from interp.transplants.sections import (
    transplants_section,
    weight_differences_section,
)
from interp.transplants.wording import differences_found, found
from training.runs.run import Run

PARTS = ("embeddings", "blocks", "mlps")


@pytest.fixture(scope="module")
def analysed(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy with transplants in both directions, from its null twin, and weight differences."""
    folder = tmp_path_factory.mktemp("sections") / "run"
    run = Run.load(shutil.copytree(tiny_run.folder, folder))
    for to_stage, from_stage, donor in ((1, 2, None), (2, 1, None), (1, 2, folder / "null")):
        analysis = TransplantAnalysis(
            folder=folder,
            recipient_stage=to_stage,
            donor_stage=from_stage,
            donor_folder=donor,
            parts=PARTS,
        )
        run_grid(analysis, GridSelection(runs=(run,), stage=to_stage), workers=1)
    differences = WeightDifferenceAnalysis(folder=folder)
    run_grid(differences, GridSelection(runs=(run,), stage=2), workers=1)
    return run


@pytest.fixture
def copy(analysed: Run, tmp_path: Path) -> Run:
    return Run.load(shutil.copytree(analysed.folder, tmp_path / "copy"))


def figures(html: str | None) -> list[str]:
    return re.findall(r'<div id="([\w-]+)" class="plotly', html or "")


def summary_of(run: Run) -> pd.DataFrame:
    return pd.read_parquet(run.folder / "transplants_summary.parquet")


def test_a_run_without_tables_has_no_such_sections(tiny_run: Run):
    assert transplants_section(tiny_run) is None
    assert weight_differences_section(tiny_run) is None


def test_every_donor_and_recipient_has_a_figure_for_each_metric(analysed: Run):
    last = [analysed.steps(1000, stage)[-1] for stage in (1, 2)]
    into_1, into_2 = f"1-{last[0]}-2-{last[1]}", f"2-{last[1]}-1-{last[0]}"

    assert figures(transplants_section(analysed)) == [
        f"transplants-{which}-{metric}"
        for which in (f"{into_1}-same", f"{into_2}-same", f"{into_1}-null")
        for metric in ("exact_match", "answer_log_prob")
    ]


def test_the_words_say_what_the_table_does(analysed: Run):
    summary = summary_of(analysed)
    cells = summary.loc[(summary["stage"] == 1) & (summary["donor"] == "same")]
    sentences = found(cells)
    cell = cells.loc[
        (cells["part"] == "blocks")
        & (cells["subset"] == "D5_CONS-D6_CONS")
        & (cells["metric"] == "exact_match")
        & (cells["contrast"] == "control")
    ].iloc[0]

    assert len(sentences) == 6
    assert sentences[1].startswith(
        f"With the donor's blocks alone the gap D5 − D6 in exact match is {cell['value']:+.3f} ["
    )
    assert f"with a random change as large {cell['control']:+.3f}" in sentences[1]
    assert "it is not told apart" in sentences[1]  # two seeds find nothing
    assert all(each in unescape(transplants_section(analysed) or "") for each in sentences)


def test_a_strong_part_is_told_apart(analysed: Run):
    cells = summary_of(analysed).assign(p_corrected=0.01)
    cells = cells.loc[(cells["stage"] == 1) & (cells["donor"] == "same")]

    assert all("it is told apart" in sentence for sentence in found(cells)[:4])


def test_weight_differences_are_said_beside_those_of_the_null_twin(analysed: Run):
    summary = pd.read_parquet(analysed.folder / "weight_differences_summary.parquet")
    whole = summary.loc[summary["module"] == "all"].iloc[0]

    alone, beside = differences_found(summary), differences_found(summary, summary)

    assert f"have a cosine of {whole['cosine_same_tag']:+.3f}, by a half of" in alone[1]
    assert f"difference {whole['difference']:+.3f}" in alone[1]
    assert "are not shown to differ in any of" in alone[2]  # two seeds find nothing
    assert alone[3].endswith("was not measured.")
    assert f"over all weights is {whole['difference']:+.3f}" in beside[3]


def test_what_a_part_brings_is_said_beside_what_is_lost_without_it(analysed: Run):
    summary = summary_of(analysed)
    cells = summary.loc[(summary["stage"] == 1) & (summary["donor"] == "same")]
    level = cells.loc[
        (cells["part"] == "embeddings")
        & (cells["metric"] == "answer_log_prob")
        & (cells["contrast"] == "recipient")
    ].set_index("subset")
    d5 = level.loc["D5_CONS"]

    words = found(cells)[4]

    share = (d5["value"] - d5["recipient"]) / (d5["donor_value"] - d5["recipient"])
    assert words.startswith(
        f"Embeddings: D5_CONS's answers go from {d5['recipient']:.2f} to {d5['value']:.2f} nats "
        f"with them alone ({share:.0%} of the way), to {d5['without']:.2f} with all but them and "
        f"to {d5['donor_value']:.2f} with all; definitions are recited at "
    )
    html = unescape(transplants_section(analysed) or "")
    assert "all but the part, minus all" in html
    assert "D6_CONS recited, exact match" in html


def test_a_summary_of_before_is_shown_without_necessity(analysed: Run):
    summary = summary_of(analysed)
    summary = summary.loc[(summary["stage"] == 1) & (summary["donor"] == "same")]
    old = summary.loc[
        summary["contrast"].isin(["recipient", "control"])
        & ~summary["subset"].str.endswith("recited")
    ].drop(columns=[name for name in summary if name.startswith("without")])

    assert len(found(old)) == 4


def test_the_table_lists_every_part_once_for_each_metric(analysed: Run):
    html = transplants_section(analysed) or ""
    names = re.findall(r"<tr><td>([\w.]+)</td><td>(exact match|log-prob \(nats\))</td>", html)

    assert [part for part, metric in names[:10] if metric == "exact match"] == [
        *("none", "all", "embeddings", "blocks", "MLPs"),
    ]
    assert len(names) == 3 * 5 * 2


def test_one_seed_has_no_interval(copy: Run):
    run = copy
    for name in ("transplants", "weight_differences"):
        (run.folder / f"{name}.parquet").unlink()
        (run.folder / f"{name}_summary.parquet").unlink()
    transplants = TransplantAnalysis(
        folder=run.folder, recipient_stage=1, donor_stage=2, parts=PARTS
    )
    run_grid(transplants, GridSelection(runs=(run,), stage=1, seeds=(1000,)), workers=1)
    differences = WeightDifferenceAnalysis(folder=run.folder)
    run_grid(differences, GridSelection(runs=(run,), stage=2, seeds=(1000,)), workers=1)

    for html in (transplants_section(run), weight_differences_section(run)):
        text = re.sub(r"<script.*?</script>", "", html or "", flags=re.DOTALL)
        assert "<td>embeddings</td>" in text
        assert "nan" not in text.lower()


def test_weight_differences_are_listed_by_module(analysed: Run):
    html = weight_differences_section(analysed) or ""
    table = pd.read_parquet(analysed.folder / "weight_differences.parquet")

    assert figures(html) == ["weight-differences"]
    names = re.findall(r"<tr><td>([^<]+)</td>", html)
    assert names == [part_words(module) for module in dict.fromkeys(table["module"])]
    assert {"all", "layer 0, MLP", "layer 0, attention.dense"} <= set(names)
    norm = table.loc[table["module"] == "blocks", "relative_norm"].mean()
    assert f"<td>blocks</td><td>{norm:.3f}</td><td>–</td><td>–</td>" in html


def test_the_null_twins_difference_stands_beside_the_runs(copy: Run):
    null = copy.null
    assert null is not None
    assert "same − other, null twin" not in (weight_differences_section(copy) or "")
    analysis = WeightDifferenceAnalysis(folder=null.folder)
    run_grid(analysis, GridSelection(runs=(null,), stage=2), workers=1)

    html = weight_differences_section(copy) or ""
    table = pd.read_parquet(null.folder / "weight_differences_summary.parquet")
    blocks = table.loc[table["module"] == "blocks", "difference"].iloc[0]
    assert "same − other, null twin" in html
    (row,) = re.findall(r"<tr><td>blocks</td>.*?</tr>", html)
    assert f"<td>{blocks:+.3f} [" in row
