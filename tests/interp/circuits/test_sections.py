"""The report's section about circuits says and shows what its tables hold."""

import re
from html import unescape
from pathlib import Path

import pandas as pd
import pytest

from interp.circuits.sections import circuits_section
from interp.circuits.summary import summarize_circuits
from interp.circuits.wording import circuit_found
from interp.report.page import ANALYSES
from tests.interp.circuits.hand_made_tables import circuits_table
from tests.interp.hand_made_runs import make_run
from training.files import write_table
from training.runs.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose folder holds made-up tables of circuits, and nothing else."""
    folder = tmp_path_factory.mktemp("circuits")
    made = make_run([], folder)
    table = circuits_table(2).assign(run_id=made.config.run_id)
    write_table(folder / "circuits.parquet", table)
    write_table(folder / "circuits_summary.parquet", summarize_circuits(table))
    return made


@pytest.fixture(scope="module")
def html(run: Run) -> str:
    return circuits_section(run) or ""


def test_a_run_without_tables_has_no_such_section(tmp_path: Path):
    assert circuits_section in ANALYSES
    assert circuits_section(make_run([], tmp_path)) is None


def test_the_answer_and_the_main_picture_stand_open_and_all_figures_are_there(html: str):
    named = re.findall(r'<div id="circuits-2-([\w-]+)" class="plotly', html)

    assert named[0] == "answer-D5-mean"
    assert set(named[1:5]) == {f"{each}-mean" for each in (
        "answer-D1", "answer-D6", "recite-D5", "recite-D6")}  # fmt: skip
    assert named[5:] == [f"{each}-mean" for each in (
        "inclusion", "tests", "transfer", "disruption", "restored")]  # fmt: skip
    assert html.index('id="circuits-2-answer-D5-mean"') < html.index("<details>")
    assert html.index('id="circuits-2-inclusion-mean"') > html.index("<details>")
    assert "http" not in re.sub(r'"https?://www\.w3\.org[^"]*"', "", html)


def test_the_sentences_are_those_of_the_command(run: Run, html: str):
    summary = pd.read_parquet(run.folder / "circuits_summary.parquet")
    sentences = circuit_found(summary, run.design.main)

    assert sentences
    text = unescape(html)
    assert all(each in text for each in sentences)


def test_tables_hold_each_number_beside_its_control(run: Run, html: str):
    summary = pd.read_parquet(run.folder / "circuits_summary.parquet")
    text = unescape(html)
    of_circuit = summary.loc[(summary["circuit"] == "answer D5") & (summary["subset"] == "gap")]
    (gap,) = of_circuit.loc[of_circuit["quantity"] == "disruption"].to_dict("records")

    row = ("answer D5", "mean", "disruption", "gap D5 − D6", f"{gap['value']:+.3f}",
           f"{gap['control']:+.3f}", f"{gap['p_corrected']:.2g}")  # fmt: skip
    assert "".join(f"<td>{cell}</td>" for cell in row) in text
    faithful = summary.loc[summary["quantity"] == "faithfulness"].iloc[0]
    assert f"{faithful['value']:.2f} ({faithful['control']:.2f}), corrected p" in text


def test_a_section_is_the_same_when_it_is_made_again(run: Run, html: str):
    assert circuits_section(run) == html
