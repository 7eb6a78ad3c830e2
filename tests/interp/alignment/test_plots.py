import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from data.errors import InputError
from interp.alignment.experiment_plots import plot_branches, plot_predictions, plot_surgery
from interp.alignment.plots import (
    plot_alignment,
    plot_alignment_modules,
    plot_alignment_steps,
    plot_alignment_tokens,
)
from interp.alignment.summary import summarize_alignment, with_seeds
from interp.figures.palette import NULL_COLOR, subset_style
from tests.interp.figure_texts import heading
from training.designs import recipe_design
from training.statistics import t_interval

IML = recipe_design("alias-toy")

RUN = {"recipe": "toy", "run_id": "0", "model": "m", "word_order": "tae"}
LEVELS = {"own": {"D5_CONS": 0.5, "D6_CONS": 0.1}, "other_tag": {"D5_CONS": 0.02, "D6_CONS": 0.0}}
SEEDS = (0, 1, 2)


def alignment(
    stage: int = 1, step: int = 9, component: str = "all", seeds: tuple[int, ...] = SEEDS
) -> pd.DataFrame:
    """Cosines of `LEVELS`, a hundredth more in each further seed."""
    return pd.DataFrame(
        [
            RUN
            | {"stage": stage, "step": step, "seed": seed, "row_a": "a", "row_b": "b"}
            | {"alias": f"{subset}{alias}", "subset": subset, "pairing": pairing, "pairs": "own"}
            | {"component": component, "loss_policy": "answer", "measure": "grad_cosine"}
            | {"value": value + seed / 100}
            for seed in seeds
            for pairing, values in LEVELS.items()
            for subset, value in values.items()
            for alias in range(2)
        ]
    )


def traces(figure: go.Figure, name: str) -> list[Any]:
    drawn: list[Any] = list(figure.data)
    return [trace for trace in drawn if trace.name == name]


def test_own_pairs_are_filled_and_matched_pairs_hollow_with_intervals_over_seeds():
    (drawn,) = traces(plot_alignment(summarize_alignment(alignment(seeds=(0, 1, 2, 3)))), "D5_CONS")
    assert list(drawn.y) == pytest.approx([0.515, 0.035])
    assert list(drawn.marker.symbol) == ["triangle-up", "triangle-up-open"]
    assert drawn.marker.color == subset_style("D5_CONS", IML).color
    half_width = t_interval([0.5, 0.51, 0.52, 0.53])[1] - 0.515
    assert list(drawn.error_y.array) == pytest.approx([half_width, half_width])


def test_several_checkpoints_in_one_figure_of_pairings_are_refused():
    both = summarize_alignment(pd.concat([alignment(), alignment(step=10)]))
    with pytest.raises(InputError, match="one checkpoint is needed"):
        plot_alignment(both)


def test_several_loss_policies_in_one_figure_are_refused():
    table = pd.concat([alignment(), alignment().assign(loss_policy="text")])
    with pytest.raises(InputError, match="several loss policies"):
        plot_alignment(summarize_alignment(table))


def test_a_measure_that_was_not_measured_is_refused():
    with pytest.raises(InputError, match="no grad_dot"):
        plot_alignment(summarize_alignment(alignment()), measure="grad_dot")


def test_along_training_every_checkpoint_of_a_stage_is_a_point_and_controls_are_grey():
    tables = [alignment(1, step) for step in (0, 3)] + [alignment(2, 5)]
    table = pd.concat(tables).replace("other_tag", "same_tag_other_entity")
    figure = plot_alignment_steps(summarize_alignment(table))
    own = traces(figure, "D6_CONS")
    assert [len(trace.x) for trace in own] == [2, 1]
    (control, _) = traces(figure, "D6_CONS, other alias and entity, same tag")
    assert (control.line.color, control.line.dash) == (NULL_COLOR, "dot")
    axes = [list(axis.ticktext) for axis in (figure.layout.xaxis, figure.layout.xaxis2)]  # pyright: ignore[reportAttributeAccessIssue]
    assert axes == [["0", "3"], ["5"]] or axes == [[0, 3], [5]]


FEW = ("D5_CONS", "D6_CONS")


def own_marks(figure: go.Figure) -> list[tuple[str, float, float]]:
    """Whose, where and how large each seed's own mark is."""
    drawn: list[Any] = list(figure.data)
    return [
        (text, round(x, 3), round(y, 3))
        for trace in drawn
        if str(trace.marker.symbol).startswith("line-")
        for text, x, y in zip(trace.text, trace.x, trace.y, strict=True)
    ]


def test_three_seeds_are_shown_one_by_one_where_four_have_an_interval():
    table = alignment()
    figure = plot_alignment(summarize_alignment(table), table)
    marks = [mark for mark in own_marks(figure) if mark[1] == -0.12]  # D5, own questions
    assert marks == [(f"seed {seed}", -0.12, round(0.5 + seed / 100, 3)) for seed in SEEDS]
    assert len(own_marks(figure)) == len(SEEDS) * 2 * len(FEW)
    assert "mean and each of n = 3 seeds" in heading(figure)
    (drawn,) = traces(figure, "D5_CONS")
    assert not any(drawn.error_y.array)
    assert not any("±" in each for each in drawn.hovertemplate)
    many = alignment(seeds=(0, 1, 2, 3))
    figure = plot_alignment(summarize_alignment(many), many)
    assert own_marks(figure) == []
    (drawn,) = traces(figure, "D5_CONS")
    assert all(drawn.error_y.array)
    assert all("±" in each for each in drawn.hovertemplate)


def test_along_training_few_seeds_are_shown_at_every_checkpoint():
    tables = [alignment(1, step) for step in (0, 3)] + [alignment(2, 5)]
    table = pd.concat(tables).replace("other_tag", "same_tag_other_entity")
    marks = own_marks(plot_alignment_steps(summarize_alignment(table), table))
    assert len(marks) == 3 * len(SEEDS) * len(FEW)
    assert ("seed 2", round(math.log(4), 3), 0.12) in marks  # D6 at step 3


def test_modules_of_few_seeds_have_each_along_the_value_axis():
    table = pd.concat([alignment(component=part) for part in ("all", "mlp", "lm_head")])
    marks = own_marks(plot_alignment_modules(summarize_alignment(table), table))
    assert len(marks) == 2 * len(SEEDS) * len(FEW)
    of_d6 = {(text, x) for text, x, _ in marks if x < 0.3}
    assert of_d6 == {(f"seed {seed}", round(0.1 + seed / 100, 3)) for seed in SEEDS}


def test_a_map_of_tokens_says_on_hover_what_each_of_few_seeds_has():
    table = pd.concat([alignment(component=part) for part in ("all", "alias x alias")])
    drawn: list[Any] = list(plot_alignment_tokens(summarize_alignment(table), table).data)
    d5, d6, gap = (panel.customdata[0][0] for panel in drawn)
    assert d5 == "<br>seed 0: 0.5000<br>seed 1: 0.5100<br>seed 2: 0.5200"
    assert d6.endswith("<br>seed 2: 0.1200")
    assert gap == "".join(f"<br>seed {seed}: 0.4000" for seed in SEEDS)
    many = pd.concat([alignment(component=p, seeds=(0, 1, 2, 3)) for p in ("all", "tag x alias")])
    drawn = list(plot_alignment_tokens(summarize_alignment(many), many).data)
    assert drawn[0].customdata[0][0] == ""


def test_seeds_shown_are_those_that_the_summary_averages():
    table = alignment().sample(frac=1, random_state=0)
    others = pd.concat([table, alignment(step=10).assign(value=9.0)])
    others = pd.concat([others, alignment().assign(loss_policy="text", value=9.0)])
    summary = summarize_alignment(table)
    found = with_seeds(summary.loc[summary["against"] == "zero"], others)
    assert len(found)
    assert all(len(by_seed) == len(SEEDS) for by_seed in found["by_seed"])
    means = [sum(by_seed.values()) / len(by_seed) for by_seed in found["by_seed"]]
    assert means == pytest.approx(found["value"].tolist())


def test_tokens_are_a_map_of_the_definition_s_by_the_question_s():
    parts = ["all", "alias x alias", "tag x alias", "embed_in x lm_head"]
    table = pd.concat([alignment(component=part) for part in parts])
    figure = plot_alignment_tokens(summarize_alignment(table))
    drawn: list[Any] = list(figure.data)
    assert list(drawn[0].y) == ["tag", "alias"]
    assert list(drawn[0].x) == ["alias"]
    assert [cell[0] for cell in drawn[0].z] == pytest.approx([0.51, 0.51])
    assert [cell[0] for cell in drawn[2].z] == pytest.approx([0.4, 0.4])


def test_crossed_modules_are_modules():
    parts = ["all", "alias x alias", "mlp", "embed_in x lm_head"]
    table = pd.concat([alignment(component=part) for part in parts])
    figure = plot_alignment_modules(summarize_alignment(table))
    (drawn,) = traces(figure, "D5_CONS")
    assert set(drawn.text) == {"mlp", "embed_in x lm_head"}


def test_modules_are_named_by_layer():
    named = "gpt_neox.layers.1.attention.dense"
    table = pd.concat([alignment(component=part) for part in ("all", named)])
    figure = plot_alignment_modules(summarize_alignment(table))
    assert list(figure.layout.yaxis.ticktext) == ["layer 1, attention.dense"]  # pyright: ignore[reportAttributeAccessIssue]
    assert list(traces(figure, "D5_CONS")[0].text) == ["layer 1, attention.dense"]


@pytest.mark.parametrize("plot", [plot_alignment_tokens, plot_alignment_modules])
def test_parts_that_were_not_measured_are_refused(plot: Any):
    with pytest.raises(InputError, match="no"):
        plot(summarize_alignment(alignment()))


def test_branches_have_a_line_for_each_seed_and_a_panel_of_the_control():
    table = pd.DataFrame(
        [
            {"seed": seed, "branch_step": step, "cosine": step / 10, "control_cosine": 0.0}
            | {"iml_gap_answer_log_prob": 1.0 * step}
            for seed in SEEDS
            for step in (2, 0, 1)
        ]
    )
    own = traces(plot_branches(table), "own pairs")
    assert [list(trace.x) for trace in own] == [[0.0, 0.1, 0.2]] * 3
    assert len(traces(plot_branches(table), "control: another alias and entity")) == 3


def test_doses_have_a_control_that_shares_the_untreated_point():
    values = {("questions", 0.0): 3.0, ("questions", 1.0): 1.0, ("random", 1.0): 2.5}
    table = pd.DataFrame(
        [
            {"seed": seed, "direction": name, "dose": dose, "quantity": "alignment"}
            | {"value": value + seed}
            for seed in SEEDS
            for (name, dose), value in values.items()
        ]
    )
    figure = plot_surgery(table.assign(recipe="alias-toy"))
    (real,) = traces(figure, "along the questions' gradient")
    (control,) = traces(figure, "along a random direction")
    assert (list(real.x), list(real.y)) == ([0.0, 1.0], [4.0, 2.0])
    assert (list(control.x), list(control.y)) == ([0.0, 1.0], [4.0, 3.5])
    assert control.line.color == NULL_COLOR


def test_predictions_have_own_pairs_apart_from_matched_ones_in_each_panel():
    table = pd.DataFrame(
        [
            {"seed": 0, "optimizer": name, "row_a": "a", "row_b": "b", "pairing": pairing}
            | {"predicted": 1.0, "measured": measured}
            for name in ("sgd", "adamw")
            for pairing, measured in (("own", 1.5), ("other_tag", 0.5), ("other_tag", 0.6))
        ]
    )
    figure = plot_predictions(table, by="optimizer")
    assert [list(trace.y) for trace in traces(figure, "own pairs")] == [[1.5], [1.5]]
    assert [list(trace.y) for trace in traces(figure, "matched pairs")] == [[0.5, 0.6]] * 2


def test_figures_of_two_experiments_or_loss_policies_have_titles_of_their_own():
    pairs = {"seed": 0, "row_a": "a", "row_b": "b", "pairing": "own", "predicted": 1.0}
    table = pd.DataFrame([pairs | {"optimizer": "sgd", "measured": 1.0}])
    predictions = [plot_predictions(table, by="optimizer"), plot_predictions(table)]
    alignments = [
        plot(summarize_alignment(rows.assign(loss_policy=policy)))
        for plot, rows in (
            (plot_alignment, alignment()),
            (plot_alignment_steps, pd.concat([alignment(), alignment(step=10)])),
            (plot_alignment_tokens, alignment(component="tag x alias")),
            (plot_alignment_modules, alignment(component="mlp")),
        )
        for policy in ("answer", "text")
    ]
    titles = [heading(figure) for figure in [*predictions, *alignments]]
    assert len(set(titles)) == len(titles)
