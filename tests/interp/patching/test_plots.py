from collections.abc import Callable
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from data.errors import InputError
from interp.figures.palette import NULL_COLOR, subset_style
from interp.patching.analysis import summarize_patching
from interp.patching.plots import plot_attribution_patching, plot_patched_heads, plot_patching
from tests.interp.figure_texts import heading, untagged
from training.designs import recipe_design
from training.statistics import t_interval

IML = recipe_design("alias-toy")

D5, D6 = "D5_CONS", "D6_CONS"
N_SEEDS = 8


def row(seed: int, subset: str, place: tuple[str, int, int], role: str, **values: float) -> Any:
    site, layer, head = place
    run = {"recipe": "alias-toy", "run_id": "a", "model": "m", "seed": seed, "word_order": "tae"}
    run |= {"stage": 2, "step": 7, "pair_kind": "alias", "subset": subset, "site": site}
    run |= {"layer": layer, "head": head, "role": role, "direction": "denoise"}
    measured = {"effect": 0.0, "attribution": 0.0, "control": 0.0, "n": 10, "dropped": 0.5}
    return run | {"metric": "logit_diff"} | measured | values


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """D5 is carried by attn_out.1 at question_last; a wrong question harms resid_pre.1 there.

    Of two heads that have .1 and .3 the stronger is head 1 in even seeds, else head 0.
    """
    rows = []
    for seed in range(N_SEEDS):
        noise = 0.001 * seed
        for subset in (D6, D5):
            for role in ("question_last", "alias_last", "all"):
                is_here = role == "question_last"
                at = is_here and subset == D5
                attn = {"effect": (0.9 + noise) * at, "control": 0.4 * at, "attribution": 0.7 * at}
                resid = {"effect": 0.0, "control": (0.2 + noise) * at}
                rows.append(row(seed, subset, ("attn_out", 1, -1), role, **attn))
                rows.append(row(seed, subset, ("resid_pre", 1, -1), role, **resid))
                rows.append(row(seed, subset, ("resid_pre", 0, -1), role))
                for head in (0, 1):
                    effect = (0.3 if (head + seed) % 2 else 0.1) * is_here
                    rows.append(
                        row(seed, subset, ("z", 1, head), role, effect=effect, control=effect / 2)
                    )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def summary(table: pd.DataFrame) -> pd.DataFrame:
    return summarize_patching(table)


def traces(figure: go.Figure) -> list[Any]:
    """The traces, whose attributes plotly makes at run time."""
    return list(figure.data)


def layout_of(figure: go.Figure) -> Any:
    return figure.layout


def texts(panel: Any) -> dict[tuple[str, str], str]:
    return {(y, x): untagged(t) for y, x, t in zip(panel.y, panel.x, panel.text, strict=True)}


def test_each_subset_has_its_effect_beside_its_control(summary: pd.DataFrame):
    figure = plot_patching(summary)

    titles = [a.text for a in layout_of(figure).annotations][:4]
    readings = ("effect", "control: another pair")
    assert titles == [f"<b>{name}</b><br>{words}" for name in (D5, D6) for words in readings]
    shown = [texts(panel)["layer 1, attention", "last question token"] for panel in traces(figure)]
    assert shown == ["0.90 ▲", "0.40", "0.00", "0.00"]


def test_marks_say_whither_a_cell_differs_from_its_control(summary: pd.DataFrame):
    marked = {
        (i, place, text[-1])
        for i, panel in enumerate(traces(plot_patching(summary)))
        for place, text in texts(panel).items()
        if "▲" in text or "▼" in text
    }

    assert marked == {
        (0, ("layer 1, attention", "last question token"), "▲"),
        (0, ("stream before layer 1", "last question token"), "▼"),
    }


def test_states_and_roles_stand_in_the_order_of_the_model_and_the_prompt(summary: pd.DataFrame):
    layout = layout_of(plot_patching(summary))

    assert layout.yaxis.categoryarray == (
        "stream before layer 0",
        "stream before layer 1",
        "layer 1, attention",
    )
    assert layout.xaxis.categoryarray == ("last alias token", "last question token", "all tokens")


def test_one_colour_scale_has_white_at_no_effect(summary: pd.DataFrame):
    figure = plot_patching(summary)

    assert {panel.coloraxis for panel in traces(figure)} == {"coloraxis"}
    assert (layout_of(figure).coloraxis.cmin, layout_of(figure).coloraxis.cmax) == (-1, 1)


def test_the_caption_says_seeds_pairs_and_what_was_dropped(summary: pd.DataFrame):
    caption = layout_of(plot_patching(summary)).annotations[-1].text.replace("<br>", " ")

    assert "D5_CONS: n = 8 seeds, 80 pairs, 50% dropped" in caption
    assert "D6_CONS: n = 8 seeds" in caption


def test_an_unknown_control_is_drawn_as_unknown(table: pd.DataFrame):
    panels = traces(plot_patching(summarize_patching(table.assign(control=float("nan")))))

    assert texts(panels[1])["layer 1, attention", "last question token"] == "–"


def test_heads_are_ranked_within_each_seed(table: pd.DataFrame):
    figure = plot_patched_heads(table)

    first, second = (
        next(t for t in traces(figure) if t.name == f"{D5}, effect" and t.yaxis == axis)
        for axis in ("y", "y2")
    )
    ranked = sorted(zip(second.x, second.y, (c[2] for c in second.customdata), strict=True))
    assert [y for _, y, _ in ranked] == [0.3] * N_SEEDS + [0.1] * N_SEEDS
    assert {int(head) for _, _, head in ranked[:N_SEEDS]} == {0, 1}
    assert set(first.y) == {0.0}  # at alias_last
    assert list(layout_of(figure).xaxis2.ticktext) == ["layer 1, #1", "layer 1, #2"]


def test_a_head_stands_beside_its_own_control_in_grey(table: pd.DataFrame):
    drawn = [t for t in traces(plot_patched_heads(table)) if t.yaxis == "y2"]

    effect, control = (
        next(t for t in drawn if t.name == f"{D6}, {n}") for n in ("effect", "control")
    )
    assert list(control.y) == pytest.approx([y / 2 for y in effect.y])
    assert control.marker.color == NULL_COLOR
    assert effect.marker.color == subset_style(D6, IML).color


@pytest.mark.parametrize("plot", [plot_patched_heads, plot_attribution_patching])
def test_subsets_of_no_experiment_have_a_colour_each(
    table: pd.DataFrame, plot: Callable[[pd.DataFrame], go.Figure]
):
    own = table.drop(columns="recipe").replace({"subset": {D5: "cats", D6: "dogs"}})

    dots = [t for t in traces(plot(own)) if t.name and not t.name.endswith("control")]

    assert len({t.marker.color for t in dots}) == 2


def test_the_line_of_a_rank_is_the_mean_over_seeds(table: pd.DataFrame):
    tilted = table.assign(effect=table["effect"] + 0.01 * table["seed"] * (table["head"] >= 0))

    drawn = [t for t in traces(plot_patched_heads(tilted)) if t.yaxis == "y2"]

    line = next(t for t in drawn if not t.name and t.legendgroup == f"{D5}, effect")
    (_, first, half), (_, second, _) = sorted(zip(line.x, line.y, line.error_y.array, strict=True))
    assert (first, second) == pytest.approx((0.3 + 0.035, 0.1 + 0.035))
    seeds = [0.3 + 0.01 * seed for seed in range(N_SEEDS)]
    assert half == pytest.approx(t_interval(seeds)[1] - 0.335)


def test_the_figure_of_heads_says_that_ranking_biases_it(table: pd.DataFrame):
    assert "#1 is too high, also by chance" in heading(plot_patched_heads(table))


def test_attribution_has_a_dot_for_each_cell_and_seed_and_its_correlation(table: pd.DataFrame):
    figure = plot_attribution_patching(table.assign(attribution=table["effect"] * 0.5))

    dots = [t for t in traces(figure) if t.name == "attention"]
    assert len(dots[0].x) == 3 * N_SEEDS
    assert list(dots[0].y) == pytest.approx([x / 2 for x in dots[0].x])
    assert (
        layout_of(figure).annotations[0].text
        == f"<b>{D5}</b><br>r = 1.000 (lowest of 8 seeds 1.000),<br>"
        "slope 0.50, mean error 0.04"
    )


def test_the_legend_of_attribution_has_each_site_once(table: pd.DataFrame):
    figure = plot_attribution_patching(table.assign(attribution=table["effect"]))

    shown = [t.name for t in traces(figure) if t.showlegend is not False]
    assert sorted(shown) == ["attention", "heads", "stream before a layer"]
    assert len(set(table["subset"])) == 2


def test_the_diagonal_holds_every_value(table: pd.DataFrame):
    diagonal = traces(plot_attribution_patching(table.assign(attribution=-3.0)))[0]

    assert list(diagonal.x) == list(diagonal.y) == [-3.0, 1.0]


@pytest.mark.parametrize(
    "plot", [plot_patching, plot_patched_heads, plot_attribution_patching], ids=lambda p: p.__name__
)
def test_tables_that_hold_several_grids_or_another_are_refused(
    plot: Any, table: pd.DataFrame, summary: pd.DataFrame
):
    given = summary if plot is plot_patching else table

    with pytest.raises(InputError, match="several runs or kinds of pairs"):
        plot(pd.concat([given, given.assign(run_id="b")]))
    with pytest.raises(InputError, match="several runs or kinds of pairs"):
        plot(pd.concat([given, given.assign(pair_kind="entity")]))
    with pytest.raises(InputError, match="no noise logit_diff; it has denoise logit_diff"):
        plot(given, direction="noise")
    with pytest.raises(InputError, match="one checkpoint"):
        plot(pd.concat([given, given.assign(step=9)]))


def test_a_table_without_whole_sites_or_without_heads_is_refused(
    table: pd.DataFrame, summary: pd.DataFrame
):
    with pytest.raises(InputError, match="heads only"):
        plot_patching(summary.loc[summary["head"] >= 0])
    with pytest.raises(InputError, match="no heads at single tokens"):
        plot_patched_heads(table.loc[table["head"] < 0])


def test_effects_of_tag_pairs_are_in_the_metric_s_unit(table: pd.DataFrame):
    of_tags = table.assign(pair_kind="tag", gap=1.0, attribution=table["effect"])
    heads = layout_of(plot_patched_heads(of_tags))
    assert heads.yaxis.title.text.endswith("effect (logits)")
    dots = layout_of(plot_attribution_patching(of_tags))
    assert dots.xaxis.title.text == "exact effect (logits)"
    bar = layout_of(plot_patching(summarize_patching(of_tags))).coloraxis.colorbar
    assert bar.title.text == "effect<br>(logits)"
    assert layout_of(plot_patched_heads(table)).yaxis.title.text.endswith("effect (share)")


def test_room_below_a_grid_holds_its_slanted_names_their_title_and_the_caption(
    summary: pd.DataFrame,
):
    layout = layout_of(plot_patching(summary))
    (caption,) = (note for note in layout.annotations if note.yshift)
    assert caption.yshift <= -100  # slanted "last question token", then the axis's title
    assert layout.margin.b >= -caption.yshift + 17 * (caption.text.count("<br>") + 1)


def test_no_figure_of_patching_says_the_names_of_tables(table: pd.DataFrame, summary: pd.DataFrame):
    for figure in (
        plot_patching(summary),
        plot_patched_heads(table),
        plot_attribution_patching(table.assign(attribution=table["effect"])),
    ):
        said = str(figure.to_json())
        names = ("resid_pre", "attn_out", "_last", "logit_diff", "->")
        assert not [name for name in names if name in said]


@pytest.mark.parametrize("n_seeds", [2, 3])
def test_cells_of_few_seeds_say_each_seeds_own_value_on_hover(table: pd.DataFrame, n_seeds: int):
    few = table.loc[table["seed"] < n_seeds]
    figure = plot_patching(summarize_patching(few), few)

    d5, control, d6, _ = (
        dict(zip(zip(panel.y, panel.x, strict=True), panel.hovertext, strict=True))
        for panel in traces(figure)
    )
    place = ("layer 1, attention", "last question token")
    assert d5[place] == "<br>seed 0: 0.900<br>seed 1: 0.901" + "<br>seed 2: 0.902" * (n_seeds == 3)
    assert control[place].startswith("<br>seed 0: 0.400<br>seed 1: 0.400")
    assert d6[place].startswith("<br>seed 0: 0.000<br>seed 1: 0.000")
    assert all("%{hovertext}" in panel.hovertemplate for panel in traces(figure))
    caption = layout_of(figure).annotations[-1].text.replace("<br>", " ")
    assert "Means over seeds, each seed's on hover. " in caption
    # Seeds' rows alone are as good as their summary with them.
    assert traces(plot_patching(few))[0].hovertext == tuple(d5.values())


def test_cells_of_many_seeds_or_of_a_summary_alone_say_no_seeds_own_values(table: pd.DataFrame):
    few, four = (table.loc[table["seed"] < n] for n in (3, 4))
    alone = plot_patching(summarize_patching(few))
    for figure in (alone, plot_patching(summarize_patching(four), four)):
        assert all(panel.hovertext is None for panel in traces(figure))
        assert "each seed's" not in layout_of(figure).annotations[-1].text


def test_seeds_of_too_few_pairs_are_in_no_hover(table: pd.DataFrame):
    few = table.loc[table["seed"] < 4].assign(dropped=0.9)  # 10 pairs kept of 100 made
    few.loc[few["seed"] == 3, ["n", "dropped"]] = [9, 0.91]
    panel = traces(plot_patching(summarize_patching(few), few))[0]

    assert set(map(len, panel.hovertext)) == {len("<br>seed 0: 0.900") * 3}
    assert "seed 3" not in "".join(panel.hovertext)
