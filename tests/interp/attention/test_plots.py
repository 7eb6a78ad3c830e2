from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from data.errors import InputError
from interp.attention.analysis import summarize_attention
from interp.attention.plots import plot_attention_contrast, plot_heads
from tests.interp.figure_texts import heading, untagged


def attention_table(seeds: int = 8) -> pd.DataFrame:
    """D5's heads move 2 + layer logits, D6's none; attention is 0.8 and 0.6 against 0.5."""
    run = {"recipe": "r", "run_id": "a", "model": "m", "word_order": "tae", "stage": 2, "step": 9}
    records = []
    for seed in range(seeds):
        for subset, logit in (("D5_CONS", 2.0), ("D6_CONS", 0.0)):
            for layer in (0, 1):
                for head in ("0", "1", "all", "#1", "#2"):
                    place = {"subset": subset, "text": "qa", "layer": layer, "head": head}
                    place |= {"destination": "prompt_last", "n": 5, "seed": seed}
                    noise = 0.01 * (seed % 3)
                    weight = 0.8 if subset == "D5_CONS" else 0.6
                    for source, share in (("alias", weight), ("other", 1 - weight)):
                        measured = {"value": share + noise, "control": 0.5, "source": source}
                        records.append(run | place | measured | {"kind": "pattern"})
                    moved = logit + (layer if logit else 0) + noise - 0.01
                    measured = {"value": moved, "control": 0.0, "source": "alias"}
                    records.append(run | place | measured | {"kind": "direct_logit"})
    return pd.DataFrame(records)


def maps(figure: go.Figure) -> list[Any]:
    return list(figure.data)


def layout_of(figure: go.Figure) -> Any:
    return figure.layout


def cells(trace: Any) -> dict[tuple[str, str], float]:
    return dict(zip(zip(trace.y, trace.x, strict=True), trace.z, strict=True))


def texts(trace: Any) -> dict[tuple[str, str], str]:
    return dict(zip(zip(trace.y, trace.x, strict=True), map(untagged, trace.text), strict=True))


def test_values_stand_beside_their_control_on_one_scale():
    figure = plot_heads(summarize_attention(attention_table()), subset="D5_CONS")
    value, control = maps(figure)

    assert cells(value)["layer 1, #1", "alias → last prompt token"] == pytest.approx(0.80875)
    assert set(control.z) == {0.5}
    assert value.coloraxis == control.coloraxis == "coloraxis"
    titles = [annotation.text for annotation in layout_of(figure).annotations]
    assert titles == ["D5_CONS", "control: even attention"]


def test_marks_say_which_cells_survive_correction_and_whither():
    value, control = maps(plot_heads(summarize_attention(attention_table()), subset="D5_CONS"))

    assert texts(value)["layer 0, all heads", "alias → last prompt token"] == "0.81▲"
    assert texts(value)["layer 0, all heads", "other → last prompt token"] == "0.21▼"
    assert set(texts(control).values()) == {"0.50"}
    few = maps(plot_heads(summarize_attention(attention_table(seeds=3)), subset="D5_CONS"))[0]
    assert not any(mark in "".join(few.text) for mark in "▲▼")


def test_layers_go_upwards_with_all_heads_above_their_ranks():
    figure = plot_heads(summarize_attention(attention_table()), subset="D5_CONS")

    expected = tuple(
        f"layer {layer}, {head}" for layer in (0, 1) for head in ("#2", "#1", "all heads")
    )
    assert layout_of(figure).yaxis.categoryarray == expected


def test_of_one_seed_its_own_heads_are_shown():
    table = attention_table()
    figure = plot_heads(table.loc[table["seed"] == 3], subset="D6_CONS", kind="direct_logit")

    assert set(maps(figure)[0].y) == {
        f"layer {layer}, head {head}" for layer in (0, 1) for head in (0, 1)
    }
    assert "seed 3" in heading(figure)
    with pytest.raises(InputError, match="heads of several seeds cannot be averaged"):
        plot_heads(table, subset="D6_CONS")


def test_a_contrast_shows_both_subsets_and_their_difference():
    figure = plot_attention_contrast(attention_table(), "D5_CONS", "D6_CONS", kind="direct_logit")
    higher, lower, difference = maps(figure)
    place = ("layer 1, all heads", "alias → last prompt token")

    assert cells(higher)[place] == pytest.approx(2.99875)
    assert cells(lower)[place] == pytest.approx(-0.00125)
    assert cells(difference)[place] == pytest.approx(3)
    assert texts(difference)[place] == "3.00▲"
    assert texts(lower)[place] == "0.00"  # not -0.00
    layout = layout_of(figure)
    assert layout.coloraxis.cmin == -layout.coloraxis.cmax
    assert np.isclose(layout.coloraxis2.cmax, 3)


def test_destinations_can_be_chosen():
    summary = summarize_attention(attention_table())

    with pytest.raises(InputError, match="no pattern of D5_CONS in qa; choose others"):
        plot_heads(summary, subset="D5_CONS", destinations=["alias"])
    assert maps(plot_heads(summary, subset="D5_CONS", destinations=["prompt_last"]))


def test_what_is_not_there_is_refused():
    summary = summarize_attention(attention_table())

    with pytest.raises(InputError, match="no figure of 'induction'; choose one of pattern"):
        plot_heads(summary, subset="D5_CONS", kind="induction")
    with pytest.raises(InputError, match="no pattern of QA3 in qa"):
        plot_heads(summary, subset="QA3")
    two_runs = pd.concat([summary, summary.assign(run_id="b")])
    with pytest.raises(InputError, match="several runs"):
        plot_heads(two_runs, subset="D5_CONS")
    two_steps = pd.concat([summary, summary.assign(step=10)])
    with pytest.raises(InputError, match="a table of one checkpoint is needed"):
        plot_heads(two_steps, subset="D5_CONS")


def test_panels_stand_below_each_other_before_their_numbers_touch():
    few = attention_table().query("source == 'alias'")
    many = pd.concat([few.assign(source=f"word{i}") for i in range(7)])
    beside, below = (plot_attention_contrast(table, "D5_CONS", "D6_CONS") for table in (few, many))
    assert [trace.xaxis for trace in maps(beside)] == ["x", "x2", "x3"]
    assert layout_of(beside).xaxis.domain[1] < layout_of(beside).xaxis2.domain[0]
    assert layout_of(below).xaxis.domain == layout_of(below).xaxis2.domain


def own(trace: Any) -> dict[tuple[str, str], str]:
    assert "%{hovertext}" in trace.hovertemplate
    return dict(zip(zip(trace.y, trace.x, strict=True), trace.hovertext, strict=True))


@pytest.mark.parametrize("n_seeds", [2, 3])
def test_cells_of_few_seeds_say_each_seeds_own_value_on_hover(n_seeds: int):
    table = attention_table(seeds=n_seeds)
    figure = plot_heads(summarize_attention(table), table, subset="D6_CONS")
    value, control = map(own, maps(figure))
    contrast = plot_attention_contrast(table, "D5_CONS", "D6_CONS", kind="direct_logit")
    higher, lower, difference = map(own, maps(contrast))

    place = ("layer 1, #1", "alias → last prompt token")
    third = n_seeds == 3
    assert value[place] == "<br>seed 0: 0.600<br>seed 1: 0.610" + "<br>seed 2: 0.620" * third
    assert control[place] == "<br>seed 0: 0.500<br>seed 1: 0.500" + "<br>seed 2: 0.500" * third
    assert higher[place] == "<br>seed 0: 2.990<br>seed 1: 3.000" + "<br>seed 2: 3.010" * third
    assert lower[place] == "<br>seed 0: -0.010<br>seed 1: 0.000" + "<br>seed 2: 0.010" * third
    assert difference[place] == "<br>seed 0: 3.000<br>seed 1: 3.000" + "<br>seed 2: 3.000" * third
    for each in (figure, contrast):
        assert f"mean over {n_seeds} seeds, each seed's on hover" in heading(each)


def test_cells_of_many_seeds_or_of_a_summary_alone_say_no_seeds_own_values():
    four, few = attention_table(seeds=4), attention_table(seeds=3)
    for figure in (
        plot_heads(summarize_attention(four), four, subset="D5_CONS"),
        plot_attention_contrast(four, "D5_CONS", "D6_CONS"),
        plot_heads(summarize_attention(few), subset="D5_CONS"),
    ):
        assert all(trace.hovertext is None for trace in maps(figure))
        assert "each seed's" not in heading(figure)
