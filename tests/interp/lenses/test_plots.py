from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from data.errors import InputError
from interp.figures.palette import subset_style
from interp.lenses.analysis import summarize_lens
from interp.lenses.plots import plot_attribution, plot_lens, plot_lens_steps
from tests.interp.figure_texts import heading
from training.designs import recipe_design
from training.statistics import t_interval

IML = recipe_design("alias-toy")

STATES = (("resid_pre", 0), ("resid_post", 0), ("resid_post", 1))
DEPTHS = range(len(STATES))


def lens_table(steps: tuple[int, ...] = (7,), seeds: tuple[int, ...] = (1, 2)) -> pd.DataFrame:
    """D5's answer is at -4, -3, -2 by depth, D6's at -5, -4, -3; entities lie at -8; plus seed/10.

    The tuned lens reads 1 more; every step 0.5 more than the one before it.
    """
    rows: list[dict[str, Any]] = []
    for place, step in enumerate(steps):
        for seed in seeds:
            run = {"recipe": "alias-toy", "run_id": "a", "model": "m", "seed": seed}
            run |= {"word_order": "tae", "stage": 2, "step": step}
            for depth in reversed(DEPTHS):  # not in the order of layers
                for subset in ("D5_CONS", "D6_CONS", "QA3"):
                    for lens in ("logit", "tuned"):
                        for role in ("alias_last", "question_last"):
                            for quantity in ("answer", "entity", "other_entity"):
                                base = -8.0 if "entity" in quantity else depth - 4.0
                                base -= subset == "D6_CONS"
                                base += (lens == "tuned") + seed / 10 + place / 2
                                site, layer = STATES[depth]
                                where = {"subset": subset, "lens": lens, "site": site}
                                where |= {"layer": layer, "role": role, "quantity": quantity}
                                rows.append(run | where | {"rank": 1.0, "log_prob": base, "n": 3})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def summary() -> pd.DataFrame:
    return summarize_lens(lens_table())


def curves(figure: go.Figure, name: str) -> list[Any]:
    """The curves of one subset and lens, in the order of panels."""
    drawn: list[Any] = list(figure.data)
    return [trace for trace in drawn if trace.name == name]


def layout_of(figure: go.Figure) -> Any:
    return figure.layout


def test_a_curve_follows_the_states_from_first_to_last(summary: pd.DataFrame):
    curve = curves(plot_lens(summary), "D5_CONS, logit lens")[0]

    assert list(curve.x) == [
        "stream before layer 0",
        "stream after layer 0",
        "stream after layer 1",
    ]
    assert list(curve.y) == pytest.approx([-3.85, -2.85, -1.85])


def test_there_is_a_row_of_panels_for_each_role_and_a_column_for_each_quantity(
    summary: pd.DataFrame,
):
    figure = plot_lens(summary)

    layout = layout_of(figure)
    assert len(curves(figure, "D6_CONS, tuned lens")) == 2 * 3
    assert [a.text for a in layout.annotations] == ["answer", "entity", "other entity (control)"]
    assert layout.yaxis.title.text == "<b>last alias token</b><br>log-probability (nats)"
    assert "last question token" in layout.yaxis4.title.text


def test_subsets_have_their_colours_and_lenses_their_markers(summary: pd.DataFrame):
    figure = plot_lens(summary)

    logit, tuned = (curves(figure, f"D6_CONS, {lens} lens")[0] for lens in ("logit", "tuned"))
    style = subset_style("D6_CONS", IML)
    assert logit.line.color == tuned.line.color == style.color
    assert logit.marker.symbol == style.symbol
    assert tuned.marker.symbol == f"{style.symbol}-open"
    assert logit.line.width > tuned.line.width


def test_the_band_is_the_t_interval_over_seeds():
    drawn: list[Any] = list(plot_lens(summarize_lens(lens_table(seeds=(1, 2, 3, 4)))).data)
    band = next(trace for trace in drawn if trace.fill == "toself")

    low, high = t_interval([-3.9, -3.8, -3.7, -3.6])
    assert band.legendgroup == "D5_CONS, logit lens"
    assert (band.y[-1], band.y[0]) == pytest.approx((low, high))


def test_of_two_seeds_each_value_is_shown_and_no_band():
    figure = plot_lens(lens_table(), ("D5_CONS",))

    drawn: list[Any] = list(figure.data)
    own = next(t for t in drawn if t.mode == "markers" and t.legendgroup == "D5_CONS, logit lens")
    assert not [trace for trace in drawn if trace.fill]
    assert sorted(own.y) == pytest.approx([-3.9, -3.8, -2.9, -2.8, -1.9, -1.8])
    assert set(own.text) == {"seed 1", "seed 2"}
    assert "mean and each of n = 2 seeds" in heading(figure)


def test_one_seed_has_no_band_and_says_so():
    figure = plot_lens(summarize_lens(lens_table(seeds=(1,))))

    drawn: list[Any] = list(figure.data)
    assert not [trace for trace in drawn if trace.fill]
    assert "1 seed;" in heading(figure)


def test_only_subsets_that_were_asked_for_are_drawn(summary: pd.DataFrame):
    drawn: list[Any] = list(plot_lens(summary, ("QA3", "D9_INCONS_QA9")).data)

    names = {trace.name for trace in drawn if trace.name}
    assert names == {"QA3, logit lens", "QA3, tuned lens"}


def test_guessing_is_drawn_for_the_answer_only(summary: pd.DataFrame):
    shapes = layout_of(plot_lens(summary, guess=-2.0)).shapes

    assert {shape.y0 for shape in shapes} == {-2.0}
    assert [shape.yref for shape in shapes] == ["y", "y4"]


def test_subsets_that_no_row_has_are_refused(summary: pd.DataFrame):
    with pytest.raises(InputError, match="no rows of D8_CONS; choose subsets among D5_CONS"):
        plot_lens(summary, ("D8_CONS",))


def test_rows_of_several_runs_are_refused(summary: pd.DataFrame):
    with pytest.raises(InputError, match="several runs"):
        plot_lens(pd.concat([summary, summary.assign(run_id="b")]))


def test_checkpoints_stand_in_the_order_of_training_a_panel_for_each_state():
    figure = plot_lens_steps(lens_table(steps=(2, 10)).iloc[::-1])

    of_d5 = curves(figure, "D5_CONS, logit lens")
    assert [list(curve.x) for curve in of_d5] == [["2", "10"]] * 3
    assert list(of_d5[0].y) == pytest.approx([-3.85, -3.35])
    assert [a.text for a in layout_of(figure).annotations] == [
        "stream before layer 0", "stream after layer 0", "stream after layer 1",
    ]  # fmt: skip


def test_steps_of_a_role_that_was_not_read_are_refused():
    with pytest.raises(InputError, match="rows of one stage with answer at tag are needed"):
        plot_lens_steps(lens_table(), role="tag")


@pytest.fixture
def attribution() -> pd.DataFrame:
    """Two rows of one layer: the MLP writes 1 and 3, the bias .5, the rest nothing."""
    parts = {("embed", 0): [0, 0], ("attn_out", 0): [0, 0], ("mlp_out", 0): [1, 3]}
    parts |= {("bias", -1): [0.5, 0.5]}
    rows = [
        {"row": row, "component": component, "layer": layer, "logit": float(logits[row])}
        for (component, layer), logits in parts.items()
        for row in (0, 1)
    ]
    return pd.DataFrame(rows)


def test_bars_are_means_over_rows_and_end_with_their_sum(attribution: pd.DataFrame):
    bars: Any = plot_attribution(attribution).data[0]

    assert list(bars.x) == ["embed", "layer 0, attention", "layer 0, MLP", "bias", "sum"]
    assert list(bars.y) == [0, 0, 2, 0.5, 2.5]
    assert bars.error_y.array[2] == pytest.approx(t_interval([1, 3])[1] - 2)
    assert not bars.showlegend


def test_subsets_have_bars_of_their_own_colours(attribution: pd.DataFrame):
    names = ("D5_CONS", "D6_CONS")

    figure = plot_attribution(pd.concat([attribution.assign(subset=name) for name in names]))

    bars: list[Any] = list(figure.data)
    assert [bar.marker.color for bar in bars] == [subset_style(name, IML).color for name in names]
    assert [list(bar.y) for bar in bars] == [[0, 0, 2, 0.5, 2.5]] * 2
    assert "over 2 D5_CONS rows and 2 D6_CONS rows of one model" in heading(figure)


def test_attributions_of_one_row_have_no_interval(attribution: pd.DataFrame):
    bars: Any = plot_attribution(attribution.loc[attribution["row"] == 0]).data[0]

    assert np.array_equal(bars.error_y.array, np.zeros(5))
