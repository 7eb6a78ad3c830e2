"""A ladder's words, page and figure, from run folders that are written by hand."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data.errors import DamagedError
from interp.cli import main
from interp.report.ladder_plots import plot_ladder
from interp.report.sweep_page import sweep_html
from interp.sweeps.folders import SWEEP_FILE, FinishedSweep, sweep_info
from interp.sweeps.ladder import Change, Found, ladder_contrasts, ladder_table
from interp.sweeps.plans import CELLS, SWEEPS, SweepCell
from interp.sweeps.rungs import Rung
from training.config import Value
from training.designs import recipe_design
from training.files import write_json, write_manifest, write_table
from training.recipes import find_recipe
from training.runs.info import FORMAT_VERSION, RUN_FILE
from training.runs.run import METRICS_FILE, NULL_FOLDER, SUMMARY_FILE, Run
from training.statistics import t_interval
from training.summary import summarize

IML = recipe_design("alias-toy")
NOISE = (-1 / 64, 0.0, 1 / 64, 0.0)
"""Of four seeds, added to D1 and D5."""
START = Rung(name="start", change="nothing")
LOST = START.above("lost", "fewer", entities=30)
WIDE = LOST.turned("wide", "wider", {}, d_model=32)
LOW = LOST.above("low", "too hard", entities=40)
LEVELS = {"start": (0.75, 0.25), "lost": (0.75, 0.0), "lost-wide": (0.75, 0.5), "low": (0.25, 0.25)}
"""D1 after Stage 1, and D5 - D6, of each rung; QA3 and QA7 are at .125."""


def write_run(folder: Path, arguments: dict[str, Value], asked: float, gap: float) -> Run:
    levels = {("D1_CONS_QA1", 1): asked, ("D2_INCONS_QA2", 1): asked, ("QA3", 1): 0.125}
    levels |= {("QA7_UNSEEN", 1): 0.125, ("D5_CONS", 2): 0.25 + gap, ("D6_CONS", 2): 0.25}
    rows = [
        {"subset": subset, "stage": stage, "step": 5, "epoch": 1.0, "seed": seed, "n": 40}
        | {"stage2_seed": 0, "question": "all", "metric": metric}
        | {"value": value + (noise if subset in ("D1_CONS_QA1", "D5_CONS") else 0.0)}
        for (subset, stage), value in levels.items()
        for seed, noise in enumerate(NOISE)
        for metric in ("exact_match", "answer_log_prob")
    ]
    config = find_recipe("alias-toy")(**arguments)
    info = {"format_version": FORMAT_VERSION, "recipe": config.recipe, "seeds": [0, 1, 2, 3]}
    info |= {"parameters": dict(config.parameters), "data_sha256": {}, "device": "cpu"}
    info |= {"versions": {"python": "3.11"}, "git_commit": "abc", "threads": 1}
    write_json(folder / RUN_FILE, info | {"started": "then", "finished": "now"})
    write_table(folder / METRICS_FILE, pd.DataFrame(rows))
    write_json(folder / SUMMARY_FILE, summarize(pd.DataFrame(rows), IML))
    return Run.load(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four rungs; the first has a null twin, whose gap is none."""
    folder = tmp_path_factory.mktemp("ladder") / "toy-to-text"
    runs = []
    rungs = (START, LOST, WIDE, LOW)
    for rung in rungs:
        cell = folder / CELLS / find_recipe("alias-toy")(**rung.arguments).run_id
        runs.append(write_run(cell, dict(rung.arguments), *LEVELS[rung.name]))
    write_run(runs[0].folder / NULL_FOLDER, {"shuffle_tags": True}, 0.75, 0.0)
    cells = tuple(SweepCell(recipe="alias-toy", arguments=r.arguments, rung=r) for r in rungs)
    plan = replace(SWEEPS["toy-to-text"], cells=cells)
    write_json(folder / SWEEP_FILE, sweep_info(plan, runs, smoke=False))
    write_manifest(folder)
    return folder


@pytest.fixture(scope="module")
def table(folder: Path) -> pd.DataFrame:
    return ladder_table(FinishedSweep.load(folder)).set_index(["contrast", "rung"])


def test_each_rung_has_the_word_that_its_numbers_give(table: pd.DataFrame):
    main_, learned = ladder_contrasts(IML)

    assert (main_.name, learned.name) == ("iml_gap", "ocl_gap")
    words = table.loc["iml_gap", "found"]
    assert words.to_dict() == {
        "start": Found.EFFECT,
        "lost": Found.NONE,
        "lost-wide": Found.EFFECT,
        "low": Found.INADMISSIBLE,
    }
    assert set(table.loc["ocl_gap", "found"]) == {Found.EFFECT, Found.INADMISSIBLE}
    gap = table.loc[("iml_gap", "start")]
    assert (gap["mean"], gap["n_seeds"], gap["level"]) == (0.25, 4, 0.75)
    low, high = t_interval([0.25 + noise for noise in NOISE])
    assert [gap["ci_low"], gap["ci_high"]] == pytest.approx([low, high])
    assert table.loc[("ocl_gap", "start"), "mean"] == 0.625


def test_a_rung_is_compared_with_the_one_that_it_follows_or_stands_beside(table: pd.DataFrame):
    gaps = table.loc["iml_gap"]

    assert gaps["difference"].fillna(9).to_dict() == {
        "start": 9, "lost": -0.25, "lost-wide": 0.5, "low": 0.25,
    }  # fmt: skip
    # Four seeds with the same noise: each difference is exact, and has an interval of no width.
    assert gaps["effect_of_change"].to_dict() == {
        "start": Change.NOT_JUDGED,
        "lost": Change.LESS,
        "lost-wide": Change.MORE,
        "low": Change.NOT_JUDGED,  # what is inadmissible shows nothing
    }
    assert set(table.loc[("ocl_gap", ["lost", "lost-wide"]), "effect_of_change"]) == {"unclear"}


def test_a_null_twin_stands_beside_its_rung(table: pd.DataFrame):
    assert table["twin"].notna().sum() == 2
    assert table.loc[("iml_gap", "start"), "twin"] == 0
    assert table.loc[("iml_gap", "start"), "twin_found"] == Found.NONE


def test_the_figure_has_what_the_table_says(table: pd.DataFrame):
    figure = plot_ladder(table.reset_index(), ladder_contrasts(IML))
    drawn: list[Any] = list(figure.data)
    above = {trace.name: trace for trace in drawn if trace.yaxis in (None, "y")}

    assert list(above) == ["rung", "beside it: wide", "inadmissible", "null twin"]
    assert list(above["rung"].text) == ["start", "lost"]
    assert list(above["rung"].y) == [0.25, 0.0]
    assert list(above["beside it: wide"].text) == ["lost-wide"]
    assert 1 < above["beside it: wide"].x[0] < 1.5  # right of the second rung
    assert list(above["inadmissible"].text) == ["low"]
    assert list(above["null twin"].y) == [0.0]


def test_page_and_summary_tell_the_same_words(folder: Path, capsys: pytest.CaptureFixture[str]):
    page = sweep_html(FinishedSweep.load(folder))
    assert main(["summary", str(folder)]) == 0
    printed = capsys.readouterr().out
    said = "IML gap (D5 − D6): effect at start; none at lost; inadmissible at low."

    assert said in printed
    assert said in page
    assert "More of the IML gap beside a rung: lost-wide." in printed
    assert page == sweep_html(FinishedSweep.load(folder))
    assert main(["summary", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["ladder"]
    assert [each["rung"] for each in told[::2]] == ["start", "lost", "lost-wide", "low"]


@pytest.mark.parametrize("rungs", [[{"name": "start"}], "start", [{}] * 4])
def test_rungs_that_cannot_be_read_are_damage(folder: Path, rungs: object, tmp_path: Path):
    info = json.loads((folder / SWEEP_FILE).read_text())
    write_json(tmp_path / SWEEP_FILE, info | {"rungs": rungs})
    write_manifest(tmp_path)
    with pytest.raises(DamagedError, match="lacks what a sweep needs"):
        FinishedSweep.load(tmp_path)
