"""The report and the summary of a sweep, from run folders that are written by hand."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs

from interp.cli import main
from interp.report.sweep_page import build_sweep_report, gap_sentences, sweep_html
from interp.report.sweep_plots import panel_words, plot_levels, plot_sweep_gaps
from interp.sweeps.folders import SWEEP_FILE, FinishedSweep, sweep_info
from interp.sweeps.plans import CELLS, Sweep, SweepCell
from tests.interp.figure_texts import heading
from training.config import Value
from training.designs import recipe_design
from training.files import damage, write_json, write_manifest, write_table
from training.recipes import find_recipe
from training.runs.info import FORMAT_VERSION, RUN_FILE
from training.runs.run import METRICS_FILE, SUMMARY_FILE, Run
from training.statistics import t_interval
from training.summary import summarize

IML = recipe_design("alias-toy")

Capture = pytest.CaptureFixture[str]
NOISE = (-1 / 64, 0.0, 1 / 64)
"""Of three seeds, added to D5."""


def write_cell(folder: Path, arguments: Mapping[str, Value], gap: float) -> Run:
    """Three seeds whose D5 - D6 is `gap` on average; D1 is .75 after Stage 1, then .125."""
    levels = {("D1_CONS_QA1", 1): 0.75, ("D1_CONS_QA1", 2): 0.125, ("D2_INCONS_QA2", 1): 0.5}
    levels |= {("QA3", 1): 0.75, ("D5_CONS", 1): 0.25, ("D5_CONS", 2): 0.25 + gap}
    levels |= {("D6_CONS", 1): 0.25, ("D6_CONS", 2): 0.25}
    rows = [
        {"subset": subset, "stage": stage, "step": 5, "epoch": 1.0, "seed": 7 + i, "n": 40}
        | {"stage2_seed": 0, "question": "all", "metric": metric}
        | {"value": (value + (NOISE[i] if subset == "D5_CONS" else 0.0)) * factor}
        for (subset, stage), value in levels.items()
        for i in range(len(NOISE))
        for metric, factor in (("exact_match", 1.0), ("answer_log_prob", 3.0))
    ]
    config = find_recipe("alias-toy")(**arguments)
    cell = folder / CELLS / config.run_id
    info = {"format_version": FORMAT_VERSION, "recipe": config.recipe, "seeds": [7, 8, 9]}
    info |= {"parameters": dict(config.parameters), "data_sha256": {}, "device": "cpu"}
    info |= {"versions": {"python": "3.11"}, "git_commit": "abc", "threads": 1}
    write_json(cell / RUN_FILE, info | {"started": "then", "finished": "now"})
    write_table(cell / METRICS_FILE, pd.DataFrame(rows))
    write_json(cell / SUMMARY_FILE, summarize(pd.DataFrame(rows), IML))
    return Run.load(cell)


def write_sweep(folder: Path, varies: str, cells: list[tuple[dict[str, Value], float]]) -> Path:
    plan = Sweep(
        name="toy-by-hand",
        question="Is a <gap> drawn where it is?",
        figures=("4a",),
        varies=varies,
        claims=("A1", "A3", "O4"),
        cells=tuple(SweepCell(recipe="alias-toy", arguments=arguments) for arguments, _ in cells),
        analyses=tuple,
        stage=2,
    )
    runs = [write_cell(folder, arguments, gap) for arguments, gap in cells]
    write_json(folder / SWEEP_FILE, sweep_info(plan, runs, smoke=False))
    write_manifest(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two alphas: no gap, and one of .25."""
    cells: list[tuple[dict[str, Value], float]] = [({"alpha": 0.5}, 0.0), ({"alpha": 0.9}, 0.25)]
    return write_sweep(tmp_path / "toy-by-hand", "alpha", cells)


@pytest.fixture
def sweep(folder: Path) -> FinishedSweep:
    return FinishedSweep.load(folder)


@pytest.fixture
def orders(tmp_path: Path) -> FinishedSweep:
    """Two word orders under two objectives, a gap in one cell alone."""
    cells: list[tuple[dict[str, Value], float]] = [
        ({"word_order": order, "loss_policy": policy}, 0.25 * (order == "tae" and policy == "text"))
        for policy in ("text", "answer")
        for order in ("tae", "eat")
    ]
    return FinishedSweep.load(write_sweep(tmp_path / "orders", "word_order", cells))


def traces(figure: go.Figure, name: str) -> list[Any]:
    drawn: list[Any] = list(figure.data)
    return [trace for trace in drawn if trace.name == name]


def test_a_subset_is_read_after_its_own_part_of_the_data(sweep: FinishedSweep):
    levels = sweep.levels().set_index(["setting", "subset"])

    assert levels.loc[(0.9, "D1_CONS_QA1"), "mean"] == 0.75  # .125 after Stage 2
    assert levels.loc[(0.9, "D5_CONS"), "mean"] == 0.5  # .25 after Stage 1
    assert levels.loc[(0.5, "D5_CONS"), "mean"] == 0.25
    low, high = t_interval([31 / 64, 32 / 64, 33 / 64])
    assert levels.loc[(0.9, "D5_CONS"), ["ci_low", "ci_high"]].tolist() == pytest.approx(
        [low, high]
    )
    assert set(levels["n_seeds"]) == {3}
    assert set(levels["n_questions"]) == {40}


def test_the_figure_of_levels_shows_the_numbers_of_the_table(sweep: FinishedSweep):
    levels = sweep.levels()
    figure = plot_levels(levels, "alpha", chance=0.1)

    for name in ("D1_CONS_QA1", "D2_INCONS_QA2", "D5_CONS", "D6_CONS"):
        rows = levels.loc[levels["subset"] == name]
        (trace,) = traces(figure, name)
        assert list(trace.y) == rows["mean"].tolist()
        assert list(trace.error_y.array) == [0, 0]  # three seeds are too few for an interval
        assert list(trace.x) == pytest.approx([0.5, 0.9], abs=0.1)
        assert trace.mode == "lines+markers"
    assert traces(figure, "QA3") == []
    assert (
        "mean and each of n = 3 seeds, too few for an interval; dotted: guessing (0.10)"
        in heading(figure)
    )


def test_the_figure_of_gaps_shows_every_seed_and_the_mean_of_the_summary(sweep: FinishedSweep):
    gaps = sweep.gaps()
    figure = plot_sweep_gaps(gaps, "alpha", IML.main)

    dots, means = traces(figure, "one seed"), traces(figure, "mean")
    assert list(dots[0].y) == [each / 64 for each in (-1, 0, 1, 15, 16, 17)]
    assert list(dots[1].y) == [each / 64 for each in (-3, 0, 3, 45, 48, 51)]
    for metric, trace in zip(("exact_match", "answer_log_prob"), means, strict=True):
        found = [run.summary["iml_gap"][metric] for run in sweep.runs]
        assert list(trace.y) == [each["mean"] for each in found]
        assert list(trace.error_y.array) == [0 for _ in found]


def test_cells_of_another_objective_have_panels_of_their_own(orders: FinishedSweep):
    assert list(orders.panels) == ["loss_policy=text", "loss_policy=answer"]
    figure = plot_levels(orders.levels(), "word_order")
    d5 = traces(figure, "D5_CONS")

    assert [list(trace.y) for trace in d5] == [[0.5, 0.25], [0.25, 0.25]]
    assert [trace.yaxis for trace in d5] == ["y2", "y4"]
    assert [trace.showlegend for trace in d5] == [True, False]
    assert d5[0].mode == "markers"  # no line between kinds
    assert next(iter(figure.select_xaxes())).ticktext == ("TAE", "EAT")


def test_batch_sizes_stand_at_their_logarithms(tmp_path: Path):
    cells: list[tuple[dict[str, Value], float]] = [({"batch_size": n}, 0.1) for n in (16, 64, 1024)]
    sweep = FinishedSweep.load(write_sweep(tmp_path / "sizes", "batch_size", cells))
    figure = plot_sweep_gaps(sweep.gaps(), "batch_size", IML.main)

    axis = next(iter(figure.select_xaxes()))
    assert axis.tickvals == (4, 6, 10)
    assert axis.ticktext == ("16", "64", "1024")


def test_one_seed_has_no_interval_and_shows_nothing(sweep: FinishedSweep):
    for run in sweep.runs:
        metrics = run.metrics.loc[run.metrics["seed"] == 8]
        write_table(run.folder / METRICS_FILE, metrics)
        write_json(run.folder / SUMMARY_FILE, summarize(metrics, IML))
    sweep = FinishedSweep.load(sweep.folder)

    assert list(traces(plot_levels(sweep.levels(), "alpha"), "D5_CONS")[0].error_y.array) == [0, 0]
    means = traces(plot_sweep_gaps(sweep.gaps(), "alpha", IML.main), "mean")
    assert list(means[0].error_y.array) == [0, 0]
    assert gap_sentences(sweep)[1] == (
        "By alpha it is not shown to differ from 0 at 0.5 (+0.000), 0.9 (+0.250)."
    )


def test_the_page_says_where_the_gap_is_and_where_it_is_not_shown(
    sweep: FinishedSweep, orders: FinishedSweep
):
    assert gap_sentences(sweep)[1] == (
        "By alpha it is above 0 at 0.9 (+0.250 [+0.211, +0.289]); "
        "not shown to differ from 0 at 0.5 (+0.000 [-0.039, +0.039])."
    )
    text, answer = gap_sentences(orders)[1:]
    assert text.startswith("With loss policy text, by word order it is above 0 at TAE (+0.250")
    assert "above 0" not in answer
    page = sweep_html(orders)
    assert "<dt>loss policy text</dt><dd>the loss covers every token of a row" in page
    assert "runs of different word orders differ in objective too" in page


def test_the_page_holds_question_numbers_claims_and_the_command(sweep: FinishedSweep):
    page = sweep_html(sweep).replace(get_plotlyjs(), "")

    assert "<h1>Is a &lt;gap&gt; drawn where it is?</h1>" in page
    assert "<td>0.50 [0.46,\N{NO-BREAK SPACE}0.54]</td>" in page
    assert "<td>+0.250 [+0.211,\N{NO-BREAK SPACE}+0.289]</td><td>0.25</td>" in page
    assert "+0.625 [+0.625,\N{NO-BREAK SPACE}+0.625]" in page  # A1.slope: .25 over .4 of alpha
    assert "the runs have no" not in page
    assert "the paper&#x27;s Figure 4a; claims A1, A3, O4" in page
    assert "iml sweep toy-by-hand --seeds 7:10\niml report runs/toy-by-hand" in page
    assert "<td>learning_rate_stage1</td>" in page  # shared by all cells
    assert "<td>alpha</td>" not in page
    assert 'src="' not in page


def test_a_rebuilt_report_has_the_same_bytes_in_any_folder(folder: Path, tmp_path: Path):
    first = build_sweep_report(FinishedSweep.load(folder)).read_bytes()
    assert damage(folder) == []
    copy = shutil.copytree(folder, tmp_path / "copy")

    assert build_sweep_report(FinishedSweep.load(copy)).read_bytes() == first


def test_the_command_writes_the_report(folder: Path, capsys: Capture):
    assert main(["report", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    assert (folder / "report.html").is_file()


def test_the_summary_prints_cells_and_claims(folder: Path, capsys: Capture):
    assert main(["summary", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[0] == "toy-by-hand: Is a <gap> drawn where it is?"
    assert " ".join(lines[3].split()) == (
        "0.5 +0.000 [-0.039, +0.039] 1.0000 +0.000 [-0.116, +0.116] 1.0000 3"
    )
    assert [line.split()[:2] for line in lines if line.startswith("A1.slope")] == [
        ["A1.slope", "holds"]
    ]


def test_the_summary_is_json_too(folder: Path, capsys: Capture):
    assert main(["summary", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)

    assert [found[key] for key in ("name", "varies", "seeds")] == [
        "toy-by-hand",
        "alpha",
        [7, 8, 9],
    ]
    assert [cell["parameters"] for cell in found["cells"]] == [{"alpha": 0.5}, {"alpha": 0.9}]
    assert found["cells"][1]["iml_gap"]["exact_match"]["mean"] == pytest.approx(0.25)
    assert {claim["id"]: claim["verdict"] for claim in found["claims"]}["A1.slope"] == "holds"


@pytest.mark.parametrize("command", ["summary", "report"])
def test_a_folder_that_is_no_finished_sweep_is_told_in_one_line(
    folder: Path, capsys: Capture, command: str
):
    def error(code: int) -> str:
        assert main([command, str(folder)]) == code
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        return printed.err

    (folder / "manifest.json").unlink()
    cell = next((folder / CELLS).iterdir())
    info = json.loads((cell / RUN_FILE).read_text())
    write_json(cell / RUN_FILE, info | {"finished": None})
    assert f"{cell} is not finished" in error(2)
    shutil.rmtree(cell)
    assert f"{cell} is missing; repeat the iml sweep command" in error(3)
    write_json(folder / SWEEP_FILE, {"name": "toy-by-hand"})
    assert "lacks what a sweep needs" in error(3)
    (folder / SWEEP_FILE).write_text("{")
    assert "not readable as JSON" in error(3)
    (folder / SWEEP_FILE).unlink()
    assert "holds a sweep that is not finished (it has no sweep.json); repeat" in error(2)
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize("n_seeds", [1, 3, 4])
def test_levels_of_few_seeds_show_each_and_of_four_an_interval(n_seeds: int):
    per_seed = {seed: 0.5 + 0.1 * seed for seed in range(n_seeds)}
    levels = pd.DataFrame(
        [
            {"panel": "", "setting": 0.9, "run_id": "a", "subset": "D5_CONS", "part": 2}
            | {"stage": 2, "mean": 0.6, "ci_low": 0.4, "ci_high": 0.8, "n_questions": 10}
            | {"n_seeds": n_seeds, "per_seed": per_seed}
        ]
    )
    traces: Any = plot_levels(levels, "alpha").data
    mean, *own = traces
    assert mean.error_y.array[0] == pytest.approx(0.2 if n_seeds == 4 else 0.0)
    shown = [value for trace in own for value in trace.y]
    assert shown == ([*per_seed.values()] if n_seeds == 3 else [])


def test_what_the_cells_of_a_panel_share_is_said_in_words():
    assert panel_words("loss_policy=all, tied_embeddings=True, alpha=0.5") == (
        "loss policy all, tied embeddings true, alpha 0.5"
    )
