import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from data.errors import InputError
from interp.figures.places import address_words, in_words
from interp.grids.grid import run_grid
from interp.grids.selection import GridSelection
from interp.interventions.ablation import AblationKind
from interp.interventions.ablation_analysis import AblationAnalysis
from interp.interventions.erasure_analysis import ErasureAnalysis
from interp.interventions.plots import component_names, over_seeds, plot_ablation, plot_erasure
from interp.interventions.sections import ablation_section, erasure_section
from interp.interventions.wording import ablation_found, erasure_sentence
from training.runs.run import Run, read_table


@pytest.fixture(scope="module")
def analysed(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy of the tiny run, ablated and erased in Stage 2."""
    folder = tmp_path_factory.mktemp("intervened") / "run"
    shutil.copytree(tiny_run.folder, folder)
    run = Run.load(folder)
    ablating = AblationAnalysis(kinds=(AblationKind.ZERO,), limit=5, n_random=1)
    selection = GridSelection(runs=(run,), stage=2, sites=("mlp_out",))
    run_grid(ablating, selection, workers=1)
    erasing = ErasureAnalysis(n_random=1, n_permutations=3, limit=5)
    run_grid(erasing, GridSelection(runs=(run,), stage=2, layers=(1,)), workers=1)
    return run


def figures(html: str | None) -> list[str]:
    return re.findall(r'<div id="([\w-]+)" class="plotly', html or "")


def traces(figure: go.Figure) -> list[Any]:
    return list(figure.select_traces())


def table_of(run: Run, name: str) -> pd.DataFrame:
    return read_table(run.folder / f"{name}.parquet")


def test_a_run_without_tables_has_no_such_sections(tiny_run: Run):
    assert ablation_section(tiny_run) is None
    assert erasure_section(tiny_run) is None


def test_sections_have_a_figure_for_each_metric_and_target(analysed: Run):
    assert figures(ablation_section(analysed)) == [
        "ablation-2-answer-log-prob",
        "ablation-2-exact-match",
        "ablation-2-definitions",
    ]
    assert figures(erasure_section(analysed)) == ["erasure-2-tag", "erasure-2-tag-stage2"]


def test_the_erasure_section_says_what_its_table_says(analysed: Run):
    summary = table_of(analysed, "erasure_summary")
    everywhere = summary.loc[(summary["site"] == "all") & (summary["target"] == "tag")]
    probes = everywhere.loc[everywhere["metric"] == "probe_accuracy"]
    gap = everywhere.loc[
        (everywhere["subset"] == "D5_CONS-D6_CONS") & (everywhere["metric"] == "answer_log_prob")
    ].iloc[0]

    sentence = erasure_sentence(summary, "tag")

    assert len(probes) > 1
    for probe in probes.to_dict("records"):
        assert (
            f"{in_words(address_words(probe['read_at']))} {probe['after']:.2f} (labels permuted "
            f"{probe['permuted_after']:.2f}) instead of {probe['before']:.2f} (labels permuted "
            f"{probe['permuted_before']:.2f}), random erasures {probe['control']:.2f}"
        ) in sentence
    assert f"is {gap['after']:.2f} instead of {gap['before']:.2f} nats" in sentence
    assert "least possible p 0.5" in sentence
    assert sentence in unescape(erasure_section(analysed) or "")


def test_the_ablation_section_says_what_each_subset_needs_most(analysed: Run):
    summary = table_of(analysed, "ablation_summary")
    of_subset = summary.loc[
        (summary["subset"] == "D5_CONS")
        & (summary["metric"] == "answer_log_prob")
        & (summary["kind"] == "question")
    ]
    most = of_subset.loc[of_subset["difference"].abs().idxmax()]

    sentences = ablation_found(summary, ("D5_CONS", "D6_CONS"))

    assert sentences[0].startswith(f"D5_CONS: none of {len(of_subset)} interventions differs")
    assert f"{most['effect']:+.2f}, control {most['control']:+.2f}, difference" in sentences[0]
    assert "2 seeds can give none below 0.5: nothing, however strong, could be" in sentences[-1]
    assert all(each in unescape(ablation_section(analysed) or "") for each in sentences)


def test_an_effect_beyond_its_control_is_named(analysed: Run):
    summary = table_of(analysed, "ablation_summary").assign(p_corrected=0.01, p_smallest=0.0078)

    said = ablation_found(summary, ("D5_CONS",))

    assert "beyond the control in " in said[0]
    assert "nothing, however strong" not in said[-1]


def test_a_figure_shows_each_effect_with_its_interval_over_seeds(analysed: Run):
    table = table_of(analysed, "ablation")
    figure = plot_ablation(table, ["D5_CONS"])

    cells = table.loc[
        (table["subset"] == "D5_CONS")
        & (table["metric"] == "answer_log_prob")
        & (table["kind"] == "question")
        & (table["intervention"] == "zero")
        & (table["layer"] == 0)
    ]
    (trace,) = [trace for trace in traces(figure) if trace.name == "zero ablation"]
    at = list(trace.x).index("layer 0, MLP")
    assert trace.y[at] == pytest.approx(cells["effect"].mean())
    assert trace.error_y.array[at] == 0  # of two seeds each is shown instead
    own = [t for t in traces(figure) if t.legendgroup == "zero ablation" and t.text]
    shown = [y for t in own for x, y in zip(t.x, t.y, strict=True) if x == "layer 0, MLP"]
    assert sorted(shown) == pytest.approx(sorted(cells["effect"]))
    names = {trace.name for trace in traces(figure) if trace.name}
    assert names == {
        "zero ablation",
        "knock-out of a route",
        "control: as many other tokens",
    }


def test_an_erasure_figure_has_before_after_and_both_controls_for_every_subset(analysed: Run):
    figure = plot_erasure(table_of(analysed, "erasure"))

    titles = [note.text for note in figure.layout.annotations]
    assert titles[:2] == [
        "probe fitted anew, where it was erased (dotted: chance)",
        "probe fitted anew, erased everywhere (dotted: chance)",
    ]
    assert {"D5_CONS", "D6_CONS", "D5_CONS − D6_CONS"} <= set(titles)
    assert len([trace for trace in traces(figure) if trace.name]) == 4 * len(titles)
    assert sum(bool(trace.showlegend) for trace in traces(figure)) == 4


def test_chance_is_drawn_and_each_panel_of_an_erasure_fits_its_marks(analysed: Run):
    figure = plot_erasure(table_of(analysed, "erasure"))

    for chance, panel in zip(figure.layout.shapes, ("y", "y2"), strict=True):
        assert (chance.y0, chance.line.dash, chance.yref) == (0.5, "dot", panel)
        assert chance.line.width > 0  # the template's own is 0, which draws nothing
    low, high = figure.layout.yaxis3.range
    marks = [y for trace in traces(figure) if trace.yaxis == "y3" for y in trace.y]
    assert low < min(marks) <= max(marks) < high < 0  # log-probabilities, not stretched up to 0
    assert high - low < 1.2 * (max(marks) - min(marks))


def test_places_of_an_erasure_stand_in_lines_in_words(analysed: Run):
    drawn = traces(plot_erasure(table_of(analysed, "erasure")))
    places = {x for trace in drawn for x in trace.x}
    assert "stream after layer 1,<br>last alias token" in places
    assert "everywhere" in places
    assert not [place for place in places if "_" in place]


def test_two_seeds_claim_no_interval_on_hover(analysed: Run):
    for figure in (
        plot_erasure(table_of(analysed, "erasure")),
        plot_ablation(table_of(analysed, "ablation"), ["D5_CONS"]),
    ):
        said = [text for trace in traces(figure) for text in np.atleast_1d(trace.hovertemplate)]
        assert len(said) > 1
        assert not [text for text in said if "±" in text]


def test_components_are_named_by_layer_head_and_route():
    table = pd.DataFrame(
        {
            "site": ["z", "mlp_out", "", ""],
            "layer": [0, 1, 1, -1],
            "head": [2, -1, -1, -1],
            "route": ["", "", "alias->prompt_last", "alias->prompt_last"],
        }
    )

    assert component_names(table) == [
        "layer 0, head 2",
        "layer 1, MLP",
        "alias → last prompt token, layer 1",
        "alias → last prompt token, all layers",
    ]


def test_one_seed_has_no_interval():
    table = pd.DataFrame({"site": ["z", "z"], "value": [1.0, 3.0], "seed": [0, 1]})

    (both,) = over_seeds(table, ["site"], "value").to_dict("records")
    (one,) = over_seeds(table.iloc[:1], ["site"], "value").to_dict("records")

    assert (both["mean"], both["n_seeds"]) == (2, 2)
    assert both["ci_high"] - both["mean"] == pytest.approx(12.706, abs=1e-3)
    assert np.isnan(one["ci_low"])


def test_a_table_without_what_is_asked_for_is_refused(analysed: Run):
    table = table_of(analysed, "ablation")
    with pytest.raises(InputError, match="no rows of D9"):
        plot_ablation(table, ["D9"])
    two = pd.concat([table, table.assign(step=0)])
    with pytest.raises(InputError, match="one checkpoint"):
        plot_ablation(two, ["D5_CONS"])
    with pytest.raises(InputError, match="no rows of entity"):
        plot_erasure(table_of(analysed, "erasure"), target="entity")


def test_a_report_section_is_the_same_when_it_is_made_again(analysed: Run, tmp_path: Path):
    copy = Run.load(shutil.copytree(analysed.folder, tmp_path / "copy"))

    assert ablation_section(copy) == ablation_section(analysed)
    assert erasure_section(copy) == erasure_section(analysed)
