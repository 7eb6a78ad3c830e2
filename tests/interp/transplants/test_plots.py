from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from data.errors import InputError
from data.tasks.iml import IML_GAP
from interp.figures.palette import subset_style
from interp.transplants.plots import (
    direction_words,
    ordered_parts,
    plot_transplants,
    plot_weight_differences,
)
from interp.transplants.summary import summarize_transplants
from tests.interp.figure_texts import heading
from training.designs import recipe_design
from training.statistics import t_interval

IML = recipe_design("alias-toy")

SEEDS, PARTS = (1, 2, 3), ("none", "all", "mlps", "embeddings")


FOUR = (1, 2, 3, 4)
"""So few seeds have an interval."""


def transplants(donor: str = "same", seeds: tuple[int, ...] = SEEDS) -> pd.DataFrame:
    """D5 is at .2 + place/10 + seed/100 with the parts in their order, D6 at .1, controls at .3."""
    rows = [
        {
            "recipe": "r", "run_id": "a", "model": "m", "seed": seed, "word_order": "tae",
            "stage": 1, "step": 9, "part": part, "from_stage": 2, "from_step": 7, "to_stage": 1,
            "donor": donor, "subset": subset, "exact_match": value, "answer_log_prob": value - 5,
            "control_exact_match": 0.3, "control_answer_log_prob": -4.0, "n": 5,
        }
        for seed in seeds
        for place, part in enumerate(PARTS)
        for subset, value in (("D5_CONS", 0.2 + place / 10 + seed / 100), ("D6_CONS", 0.1))
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def summary() -> pd.DataFrame:
    return summarize_transplants(transplants())


def traces(figure: go.Figure, name: str) -> list[Any]:
    drawn: list[Any] = list(figure.data)
    return [trace for trace in drawn if trace.name == name]


def layout_of(figure: go.Figure) -> Any:
    return figure.layout


def test_parts_come_from_large_to_small():
    names = ["head.1.0", "z.0.1@alias_last", "mlp.1", "block.10", "all", "block.2", "mlps", "none"]

    assert ordered_parts(pd.Series([*names, "head.0.3", "mlps+norms", "none"])) == [
        *("none", "all", "mlps", "block.2", "block.10", "mlp.1", "head.0.3", "head.1.0"),
        *("mlps+norms", "z.0.1@alias_last"),
    ]


def test_a_cell_has_both_subsets_with_their_intervals():
    figure = plot_transplants(summarize_transplants(transplants(seeds=FOUR)))
    (dots,) = traces(figure, "D5_CONS")
    order = ["none", "all", "embeddings", "mlps"]
    words = ["none", "all", "embeddings", "MLPs"]
    values = {p: [0.2 + i / 10 + seed / 100 for seed in FOUR] for i, p in enumerate(PARTS)}

    assert list(layout_of(figure).xaxis2.ticktext) == words
    assert list(dots.text) == words
    assert list(dots.y) == pytest.approx([np.mean(values[part]) for part in order])
    half = [t_interval(values[part])[1] - np.mean(values[part]) for part in order]
    assert list(dots.error_y.array) == pytest.approx(half)
    assert dots.marker.color == subset_style("D5_CONS", IML).color
    assert list(traces(figure, "D6_CONS")[0].y) == pytest.approx([0.1] * 4)


def test_the_legend_lies_below_the_axis_s_title(summary: pd.DataFrame):
    layout = layout_of(plot_transplants(summary))
    assert layout.xaxis2.title.text == "part of the donor"
    assert (layout.legend.yref, layout.legend.yanchor) == ("container", "bottom")
    assert layout.legend.y < 0.02
    assert layout.margin.b >= 100  # names, the title, two lines of the legend


def test_recipient_and_donor_are_lines(summary: pd.DataFrame):
    figure = plot_transplants(summary, metric="answer_log_prob")
    (without,), (with_all,) = (
        traces(figure, f"D5_CONS {words}") for words in ("without a transplant", "with all parts")
    )

    assert list(without.y) == pytest.approx([0.22 - 5] * 2)
    assert list(with_all.y) == pytest.approx([0.32 - 5] * 2)


def test_the_gap_and_its_control_have_a_panel(summary: pd.DataFrame):
    figure = plot_transplants(summary)
    (gap,), (control,) = (
        traces(figure, f"D5_CONS − D6_CONS{ending}") for ending in ("", ", random change")
    )

    assert list(gap.y) == pytest.approx([0.12, 0.22, 0.42, 0.32])
    assert list(control.y) == pytest.approx([0.0] * 4)
    assert (gap.yaxis, control.marker.symbol) == ("y2", "diamond-open")
    assert set(summary["subset"]) == {"D5_CONS", "D6_CONS", IML_GAP.gap}


def test_one_seed_has_no_error_bars():
    table = transplants()
    figure = plot_transplants(summarize_transplants(table.loc[table["seed"] == 1]))

    assert list(traces(figure, "D5_CONS")[0].error_y.array) == [0] * 4


def test_three_seeds_have_no_error_bars_and_the_title_says_so():
    figure = plot_transplants(summarize_transplants(transplants()))

    assert list(traces(figure, "D5_CONS")[0].error_y.array) == [0] * 4
    assert "mean of n = 3 seeds, too few for an interval" in heading(figure)


def test_the_legend_has_one_entry_of_what_all_subsets_share(summary: pd.DataFrame):
    drawn: list[Any] = list(plot_transplants(summary).data)
    named = [trace.name for trace in drawn if trace.showlegend is not False]

    assert len(named) == len(set(named)) <= 7


def test_the_title_says_what_was_moved_where(summary: pd.DataFrame):
    assert direction_words(summary) == "Parts of Stage 2 (step 7) in Stage 1 (step 9)"
    assert "n = 3 seeds" in heading(plot_transplants(summary))
    null = summarize_transplants(transplants("null"))
    assert direction_words(null).startswith("Parts of Stage 2 (step 7) of the null twin in")


def test_two_donors_in_one_figure_are_an_error(summary: pd.DataFrame):
    both = pd.concat([summary, summarize_transplants(transplants("null"))])
    with pytest.raises(InputError, match="several runs or donors"):
        plot_transplants(both)


def differences(seeds: tuple[int, ...]) -> pd.DataFrame:
    rows = [
        {"recipe": "alias-toy", "run_id": "a", "seed": seed, "stage": 2, "step": 4}
        | {"module": module}
        | {"relative_norm": 0.1 * seed, "cosine_same_tag": 0.5, "cosine_other_tag": 0.1 + seed / 10}
        for seed in seeds
        for module in ("all", "model.layers.0.mlp.up_proj")
    ]
    return pd.DataFrame(rows)


def test_a_module_has_its_change_and_both_cosines():
    figure = plot_weight_differences(differences(FOUR))
    (norms,) = traces(figure, "change of Stage 2 over the weights")
    (other,) = traces(figure, "half of D5 with half of D6")
    (same,) = traces(figure, "control: two halves of one tag")

    assert list(norms.y) == pytest.approx([0.25, 0.25])
    assert list(other.y) == pytest.approx([0.35, 0.35])
    assert list(same.y) == pytest.approx([0.5, 0.5])
    half = t_interval([0.2, 0.3, 0.4, 0.5])[1] - 0.35
    assert list(other.error_y.array) == pytest.approx([half] * 2)
    assert list(layout_of(figure).xaxis2.ticktext) == ["all", "layer 0, mlp.up_proj"]


def test_differences_of_two_runs_are_an_error():
    both = pd.concat([differences(SEEDS), differences(SEEDS).assign(run_id="b")])
    with pytest.raises(InputError, match="several runs"):
        plot_weight_differences(both)


def test_few_seeds_stand_beside_their_mean_and_the_gap_is_paired(summary: pd.DataFrame):
    others = transplants("null").assign(exact_match=0.9)
    rows = pd.concat([transplants(), others])
    figure = plot_transplants(summary, rows)

    own = [t for t in traces(figure, None) if t.text and t.text[0] == "seed 1"]  # pyright: ignore[reportArgumentType]
    d5, d6, gap = ([v for _, v in sorted(zip(t.x, t.y, strict=True))] for t in own)
    assert d5[:3] == pytest.approx([0.21, 0.22, 0.23])  # none, by seed
    assert d6 == pytest.approx([0.1] * 12)
    assert gap == pytest.approx([0.1 + part / 10 + s / 100 for part in (0, 1, 3, 2) for s in SEEDS])
    assert "mean and each of n = 3 seeds" in heading(figure)
