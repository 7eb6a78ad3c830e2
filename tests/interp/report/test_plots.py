import math
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from data.subsets import Mark
from data.tasks.iml import SUBSETS
from data.vocabulary import Stage, TagKind
from interp.attention.pattern_plots import plot_attention
from interp.figures.palette import SPARE_MARKS, subset_style
from interp.report.plots import learning_curves, plot_curves, plot_gaps
from tests.interp.figure_texts import heading
from training.designs import recipe_design
from training.statistics import t_interval
from training.summary import summarize

IML = recipe_design("alias-toy")
STYLES = {name: subset_style(name, IML) for name in SUBSETS}


def metrics(values: dict[tuple[int, int, float, int, str], float]) -> pd.DataFrame:
    """One row for each (seed, stage, epoch, stage2_seed, subset), and its twin in log-prob."""
    rows = [
        {"seed": seed, "stage": stage, "epoch": epoch, "step": int(epoch * 10)}
        | {"stage2_seed": stage2_seed, "subset": subset, "question": "all", "n": 8}
        | {"metric": metric, "value": value * factor}
        for (seed, stage, epoch, stage2_seed, subset), value in values.items()
        for metric, factor in (("exact_match", 1.0), ("answer_log_prob", -2.0))
    ]
    return pd.DataFrame(rows)


GAPS = {1: 0.5, 2: 0.3, 3: 0.1}


@pytest.fixture
def run() -> pd.DataFrame:
    """Three seeds, stages of 2 and 1 epochs; D5 - D6 ends at `GAPS`, D1 - D2 and D1 - QA3 at 0."""
    values = {
        (seed, stage, epoch, 0, subset): 0.2 + 0.01 * seed
        for seed in GAPS
        for stage, epoch in ((1, 0.0), (1, 0.5), (1, 2.0), (2, 0.0), (2, 1.0))
        for subset in SUBSETS
    }
    for seed, gap in GAPS.items():
        values[seed, 2, 1.0, 0, "D5_CONS"] = 0.2 + gap
        values[seed, 2, 1.0, 0, "D6_CONS"] = 0.2
    return metrics(values)


def drawn(figure: go.Figure) -> list[Any]:
    """The figure's traces, whose attributes plotly makes at run time."""
    return list(figure.data)


def traces(figure: go.Figure, name: str) -> list[Any]:
    return [trace for trace in drawn(figure) if trace.name == name]


def trace(figure: go.Figure, name: str) -> Any:
    return traces(figure, name)[0]


def layout_of(figure: go.Figure) -> Any:
    return figure.layout


def test_every_subset_has_a_colour_and_a_marker_of_its_own():
    styles = list(STYLES.values())

    assert len({style.color for style in styles}) == len(SUBSETS)
    assert len({style.symbol for style in styles}) == len(SUBSETS)


@pytest.mark.parametrize("style", [*STYLES.values(), *SPARE_MARKS])
def test_a_subset_colour_stands_out_from_white(style: Mark):
    linear = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
        for c in (int(style.color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    ]
    luminance = float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    assert 1.05 / (luminance + 0.05) > 2.4  # WCAG contrast; the paper's orange has 2.5


def test_the_dash_of_a_subset_tells_its_tag():
    dashes = {tag: set() for tag in (*TagKind, None)}
    for name, style in STYLES.items():
        dashes[SUBSETS[name].tag].add(style.dash)

    assert all(len(found) == 1 for found in dashes.values())
    assert len(set.union(*dashes.values())) == 5


def test_curves_hold_the_mean_over_seeds_with_its_t_interval(run: pd.DataFrame):
    curves = learning_curves(run, "exact_match").set_index(["subset", "stage", "step"])

    last = curves.loc[("D5_CONS", 2, 10)]
    assert last["mean"] == pytest.approx(0.5)
    assert (last["ci_low"], last["ci_high"]) == pytest.approx(t_interval([0.7, 0.5, 0.3]))
    assert last["n_seeds"] == 3


def test_stage_two_comes_behind_stage_one(run: pd.DataFrame):
    figure = plot_curves(run)

    assert list(trace(figure, "D5_CONS").x) == [0.0, 0.5, 2.0, 2.0, 3.0]
    assert [(line.x0, line.line.dash) for line in layout_of(figure).shapes] == [(2.0, "dash")]


def test_stage_two_seeds_of_a_seed_count_as_one():
    values = {(seed, 1, 1.0, 0, "D5_CONS"): 0.0 for seed in (1, 2)}
    values |= {(1, 2, 1.0, 0, "D5_CONS"): 0.0, (1, 2, 1.0, 1, "D5_CONS"): 1.0}
    values |= {(2, 2, 1.0, 0, "D5_CONS"): 1.0, (2, 2, 1.0, 1, "D5_CONS"): 1.0}

    curves = learning_curves(metrics(values), "exact_match")

    last = curves.loc[curves["stage"] == Stage.TWO].iloc[0]
    assert last["mean"] == 0.75
    assert last["n_seeds"] == 2
    assert (last["ci_low"], last["ci_high"]) == pytest.approx(t_interval([0.5, 1.0]))


def test_curves_of_one_seed_have_no_band(run: pd.DataFrame):
    of_one = run.loc[run["seed"] == 1]

    figure = plot_curves(of_one)

    assert len(drawn(figure)) == len(SUBSETS)
    assert math.isnan(learning_curves(of_one, "exact_match")["ci_low"].iloc[0])
    assert "1 seed" in heading(figure)


def test_only_subsets_of_the_table_are_drawn(run: pd.DataFrame):
    figure = plot_curves(run.loc[run["subset"].isin(["D5_CONS", "QA3"])])

    assert {t.legendgroup for t in drawn(figure) if t.name} == {"D5_CONS", "QA3"}


def test_curves_of_three_seeds_show_each_and_of_four_an_interval(run: pd.DataFrame):
    figure = plot_curves(run)
    own = {t.name: t for t in drawn(figure) if t.legendgroup == "D5_CONS"}
    mean = own.pop("D5_CONS")

    assert list(own) == ["seed 1", "seed 2", "seed 3"]
    assert [sum(values) / 3 for values in zip(*(t.y for t in own.values()), strict=True)] == (
        pytest.approx(list(mean.y))
    )
    assert "mean and each of n = 3 seeds" in heading(figure)
    four = plot_curves(pd.concat([run, run.loc[run["seed"] == 1].assign(seed=4)]))
    assert not [t for t in drawn(four) if str(t.name).startswith("seed")]


@pytest.mark.parametrize(
    ("metric", "unit"), [("exact_match", "share of questions"), ("answer_log_prob", "nats")]
)
def test_curves_name_their_units_and_the_number_of_seeds(run: pd.DataFrame, metric: str, unit: str):
    figure = plot_curves(run, metric)
    layout = layout_of(figure)

    assert unit in layout.yaxis.title.text
    assert "epochs" in layout.xaxis.title.text
    assert "n = 3 seeds" in heading(figure)


def test_the_level_of_guessing_is_drawn_where_it_is_known(run: pd.DataFrame):
    without, known = (layout_of(plot_curves(run, chance=chance)) for chance in (None, 0.1))

    assert len(known.shapes) == len(without.shapes) + 1
    assert known.shapes[-1].y0 == 0.1


def test_an_unknown_metric_is_refused_by_name(run: pd.DataFrame):
    with pytest.raises(ValueError, match="no metric 'accuracy'; choose one of answer_log_prob"):
        plot_curves(run, "accuracy")


def test_gaps_of_three_seeds_show_each_and_the_mean_without_an_interval(run: pd.DataFrame):
    summary = summarize(run, IML)

    figure = plot_gaps(summary, IML)

    dots, mean = trace(figure, "run: one seed"), trace(figure, "run: mean")
    assert list(dots.y)[:3] == pytest.approx([0.5, 0.3, 0.1])
    assert list(dots.text)[:3] == ["seed 1", "seed 2", "seed 3"]
    assert mean.y[0] == pytest.approx(0.3)
    assert list(mean.error_y.array) == [0.0, 0.0, 0.0]


def test_gaps_of_four_seeds_have_their_interval(run: pd.DataFrame):
    fourth = run.loc[run["seed"] == 3].assign(seed=4)
    mean = trace(
        plot_gaps(summarize(pd.concat([run, fourth]), IML), IML), "run: mean, 95% interval"
    )

    assert mean.y[0] + mean.error_y.array[0] == pytest.approx(t_interval([0.5, 0.3, 0.1, 0.1])[1])


def test_gaps_show_log_probability_beside_exact_match(run: pd.DataFrame):
    figure = plot_gaps(summarize(run, IML), IML)

    _, nats = traces(figure, "run: one seed")
    assert list(nats.y)[:3] == pytest.approx([-1.0, -0.6, -0.2])
    assert nats.yaxis == "y2"
    assert "nats" in layout_of(figure).yaxis2.title.text


def test_the_null_twin_stands_beside_the_run_with_its_margin(run: pd.DataFrame):
    summary = summarize(run, IML)
    verdict = {"mean": 0.0, "ci_low": -0.05, "ci_high": 0.04, "margin": 0.08, "passed": True}

    figure = plot_gaps(summary | {"null_equivalence": verdict}, IML, summary)

    margin, bar = (
        trace(figure, "equivalence margin ±0.08"),
        trace(figure, "null twin: 90% interval"),
    )
    dots = np.array(trace(figure, "null twin: one seed").x)[:3]
    assert set(margin.y) == {-0.08, 0.08}
    assert list(bar.y) == [-0.05, 0.04]
    assert ((min(margin.x) < dots) & (dots < max(margin.x))).all()
    assert not set(dots) & set(trace(figure, "run: one seed").x)


def test_gaps_of_one_seed_have_no_interval(run: pd.DataFrame):
    of_one = run.loc[run["seed"] == 1]

    figure = plot_gaps(summarize(of_one, IML), IML)

    mean = trace(figure, "run: mean")
    assert list(mean.error_y.array) == [0.0, 0.0, 0.0]


@pytest.fixture
def pattern() -> pd.DataFrame:
    """One layer, two heads, three positions; head 1 attends to the first token only."""
    uniform = np.tril(np.ones((3, 3))) / np.arange(1, 4)[:, None]
    first = np.zeros((3, 3))
    first[:, 0] = 1
    index = pd.MultiIndex.from_product(
        [[0], [0, 1], range(3), range(3)], names=["layer", "head", "dest_pos", "src_pos"]
    )
    weights = np.stack([uniform, first]).ravel()
    return pd.DataFrame({"attention": weights}, index=index).reset_index()


def test_attention_has_a_panel_for_each_head_and_blanks_the_future(pattern: pd.DataFrame):
    figure = plot_attention(pattern, ["tag", "alias", "is"])

    uniform, first = drawn(figure)
    assert uniform.z.tolist()[0][0] == 1.0
    assert uniform.z.tolist()[2] == pytest.approx([1 / 3] * 3)
    assert first.z[:, 0].tolist() == [1.0, 1.0, 1.0]
    assert np.isnan(first.z[0, 1:]).all()
    assert [a.text for a in layout_of(figure).annotations] == ["layer 0, head 0", "layer 0, head 1"]


def test_attention_is_labelled_with_tokens_and_read_downwards(pattern: pd.DataFrame):
    layout = layout_of(plot_attention(pattern, ["tag", "tag", "is"]))

    assert layout.xaxis.ticktext == ("tag", "tag", "is")
    assert layout.yaxis.autorange == "reversed"


def test_attention_of_another_row_is_refused(pattern: pd.DataFrame):
    with pytest.raises(ValueError, match="does not fit 2 tokens"):
        plot_attention(pattern, ["tag", "alias"])


def test_the_level_of_guessing_is_named_beside_the_curves_not_on_them(run: pd.DataFrame):
    figure = plot_curves(run, chance=0.25)
    (note,) = [note for note in figure.layout.annotations if "guessing" in note.text]  # pyright: ignore[reportAttributeAccessIssue]
    assert (note.x, note.xanchor, note.y) == (1, "left", 0.25)
    assert figure.layout.margin.r > 60  # pyright: ignore[reportAttributeAccessIssue]


def test_intervals_are_on_hover_from_four_seeds_on(run: pd.DataFrame):
    three = [trace for trace in drawn(plot_curves(run)) if trace.name == "D5_CONS"]
    assert not [text for trace in three for text in trace.hovertemplate if "customdata[0]" in text]
    fourth = run.loc[run["seed"] == 1].assign(seed=4)
    (four,) = (t for t in drawn(plot_curves(pd.concat([run, fourth]))) if t.name == "D5_CONS")
    assert all(
        "[%{customdata[0]:.3f}, %{customdata[1]:.3f}]" in text for text in four.hovertemplate
    )
    low, high = t_interval([0.2 + gap for gap in (*GAPS.values(), GAPS[1])])
    assert list(four.customdata[-1][:2]) == pytest.approx([low, high])
