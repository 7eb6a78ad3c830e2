"""The page of several runs, made up and real."""

import json
import re
from pathlib import Path

import pytest

from data.errors import InputError
from interp.report.compare_page import compare_html
from interp.report.compare_plots import Panel, plot_side_by_side
from interp.report.compare_wording import limits_of, result_sentences
from interp.report.compared_runs import ComparedRun, Comparison, named_runs
from tests.interp.hand_made_runs import make_run, rows_of
from training.runs.run import Run
from training.statistics import estimate

NOISE = (-0.02, -0.01, 0.0, 0.01, 0.02)


def run_with(gap: float, *, first_seed: int = 0, folder: str = "run", **parameters) -> Run:
    """Five seeds whose D5 - D6 is `gap` on average at the end of Stage 2."""
    levels = {
        "D5_CONS": [0.3 + gap + noise for noise in NOISE],
        "D6_CONS": [0.3] * len(NOISE),
        "QA7_UNSEEN": [0.1] * len(NOISE),
    }
    rows = [
        row | {"metric": metric, "epoch": 1.0, "n": 40}
        for stage in (1, 2)
        for row in rows_of(levels, stage=stage, first_seed=first_seed)
        for metric in ("exact_match", "answer_log_prob")
    ]
    run = make_run(rows, Path(folder), **parameters)
    seeds = list(range(first_seed, first_seed + len(NOISE)))
    run.info.update(
        {"seeds": seeds, "format_version": 3, "recipe": run.config.recipe, "versions": {}}
    )
    return run


@pytest.fixture
def one() -> Run:
    return run_with(0.4, folder="one")


def compared(*runs: Run) -> Comparison:
    return Comparison(tuple(ComparedRun(run.folder.name, run) for run in runs))


def test_runs_that_share_seeds_are_paired_and_the_difference_is_that_of_the_later(one: Run):
    said = result_sentences(compared(one, run_with(0.1, folder="two", alpha=0.5)))

    assert said[0].startswith("D5 − D6 in exact match at the end of Stage 2: one +0.400 [")
    assert said[1] == (
        "two minus one: -0.300 [-0.300, -0.300] (paired, 5 seeds; p = 0.062, the least possible is "
        "0.062), so that D5 − D6 is smaller."
    )


def test_runs_of_other_seeds_are_told_apart_by_welch_which_is_said(one: Run):
    comparison = compared(one, run_with(0.1, folder="two", first_seed=100))

    assert (
        "(Welch, 5 and 5 seeds; p = 0.0079, the least possible is 0.0079)"
        in (result_sentences(comparison)[1])
    )
    assert limits_of(comparison) == [
        "two and one are not paired by seed: they share 0 seeds, and pairs begin at 4."
    ]


def test_runs_that_do_not_differ_are_not_said_to(one: Run):
    assert (
        "is not shown to differ"
        in result_sentences(compared(one, run_with(0.401, folder="two", first_seed=100)))[1]
    )


def test_of_another_recipe_only_exact_match_is_compared_and_nothing_paired(one: Run):
    other = run_with(0.1, folder="two")
    object.__setattr__(other.config, "recipe", "another")
    comparison = compared(one, other)

    assert comparison.metrics == ("exact_match",)
    words = " ".join(limits_of(comparison))
    assert "runs of different recipes draw other things from one seed" in words
    assert "The answer log-probability is left out" in words
    assert "Welch" in result_sentences(comparison)[1]


def test_of_another_experiment_nothing_is_subtracted(one: Run, monkeypatch: pytest.MonkeyPatch):
    comparison = compared(one, run_with(0.1, folder="two"))
    monkeypatch.setattr(Comparison, "obstacle", lambda self, other: "its experiment is another")

    assert len(result_sentences(comparison)) == 1
    (words,) = limits_of(comparison)
    assert words == (
        "Nothing of two is subtracted from one, beside which it is only shown: its experiment is "
        "another."
    )


def test_names_are_as_long_as_tells_runs_apart(tmp_path: Path):
    def names(*folders: str) -> list[str]:
        made = [run_with(0.1, folder=str(tmp_path / folder)) for folder in folders]
        return [each.name for each in named_runs(made).runs]

    assert names("a/toy", "b/other") == ["toy", "other"]
    assert names("a/toy", "b/toy") == ["a/toy", "b/toy"]
    with pytest.raises(InputError, match="is given twice; name different runs"):
        names("a/toy", "a/../a/toy")


def test_all_runs_share_the_axes_of_a_panel():
    estimates = {"one": [estimate({0: 0.5, 1: 0.6})], "two": [None]}
    panel = Panel(title="t", unit="u", categories=["gap"], runs=estimates, twins={"one": [None]})
    figure = plot_side_by_side([panel, panel], title="Gaps", what="gap")

    shown = [trace.name for trace in figure.data if trace.showlegend]  # pyright: ignore
    assert shown == ["one", "one: null twin", "two"]
    assert len({trace.yaxis for trace in figure.data}) == 2  # pyright: ignore  (one a panel)


def test_a_page_of_real_runs_has_curves_at_one_scale_and_is_rebuilt_the_same(tiny_run: Run):
    assert tiny_run.null is not None
    runs = [tiny_run, tiny_run.null]
    html = compare_html(runs, "report-compare.html")

    assert compare_html(runs, "report-compare.html") == html
    assert '<meta name="generator" content="iml report: comparison">' in html
    assert re.findall('<div id="(compared-curves-exact_match-.)"', html) == [
        "compared-curves-exact_match-1", "compared-curves-exact_match-2",
    ]  # fmt: skip
    for metric in ("exact_match", "answer_log_prob"):
        start = rf'<div id="compared-curves-{metric}-." .*?'
        content = '<script type="application/json">(.*?)</script>'
        found = [
            json.loads(each)["layout"] for each in re.findall(start + content, html, re.DOTALL)
        ]
        for axis in ("xaxis", "yaxis"):
            first, second = (layout[axis]["range"] for layout in found)
            assert first == second
    assert "they share 2 seeds, and pairs begin at 4" in html
    assert f"iml report {tiny_run.folder} {tiny_run.null.folder}" in html
