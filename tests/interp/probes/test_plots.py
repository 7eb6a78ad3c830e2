import math
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from data.errors import InputError
from interp.probes.plots import READINGS, plot_probes
from interp.probes.summary import summarize_probes
from tests.interp.figure_texts import untagged
from training.statistics import t_interval

STATES = (("resid_pre", 0), ("resid_post", 0), ("resid_post", 1))
FOUND = ("tag", "resid_post", 0, "question_last")
BELOW = ("tag", "resid_pre", 0, "alias_last")
N_SEEDS = 6


def cell(target: str, site: str, layer: int, role: str, accuracy: float) -> dict[str, Any]:
    where = {"target": target, "site": site, "layer": layer, "role": role, "probe": "logistic"}
    readings = {"accuracy": accuracy, "null_accuracy": 0.5, "seen_accuracy": 0.75}
    readings |= {"control_accuracy": 0.625, "selectivity": 0.125, "chance": 0.5}
    design = {"n_train": 16, "n_test": 4, "n_folds": 5, "n_divisions": 1, "n_read": 20}
    return where | readings | design | {"p_value": 0.5, "width": 2, "twin_accuracy": 0.5}


def probes(run_id: str = "a", word_order: str = "tae") -> pd.DataFrame:
    """Six seeds of two targets; one cell reads .8 in all seeds, one .3, the others around .5."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for seed in range(N_SEEDS):
        run = {"recipe": "alias-toy", "run_id": run_id, "model": "m", "seed": seed}
        run |= {"word_order": word_order, "stage": 1, "step": 7}
        for target in ("defined", "tag"):
            for site, layer in STATES:
                for role in ("alias_last", "question_last"):
                    means = {FOUND: 0.8, BELOW: 0.3}
                    mean = means.get((target, site, layer, role), 0.5)
                    accuracy = mean + 0.01 * rng.normal()
                    rows.append(run | cell(target, site, layer, role, accuracy))
        rows.append(run | cell("planted_tag", "resid_post", 1, "question_last", 0.9 + seed / 1000))
    return pd.DataFrame(rows)


def summarized(table: pd.DataFrame) -> pd.DataFrame:
    """Without `min_detectable`, whose simulation takes seconds: it is for a chance of .5 only."""
    return summarize_probes(table.assign(chance=0.25)).assign(chance=0.5)


@pytest.fixture(scope="module")
def summary() -> pd.DataFrame:
    return summarized(probes())


def panels(figure: go.Figure) -> list[Any]:
    """The heat-maps, whose attributes plotly makes at run time: left to right, then downwards."""
    return list(figure.data)


def layout_of(figure: go.Figure) -> Any:
    return figure.layout


def words(figure: go.Figure) -> str:
    return " ".join(layout_of(figure).annotations[-1].text.split("<br>"))


def texts(panel: Any) -> dict[tuple[str, str], str]:
    return {(y, x): untagged(t) for y, x, t in zip(panel.y, panel.x, panel.text, strict=True)}


def test_each_target_has_its_real_accuracies_beside_their_controls(summary: pd.DataFrame):
    figure = plot_probes(summary)

    titles = [a.text for a in layout_of(figure).annotations][: len(READINGS)]
    assert titles == list(READINGS.values())
    assert len(panels(figure)) == 2 * len(READINGS)
    of_tag = panels(figure)[: len(READINGS)]
    shown = [texts(panel)["stream after layer 1", "last alias token"] for panel in of_tag]
    assert shown[1:] == ["0.50", "0.75", "0.62"]


def test_targets_stand_in_the_order_in_which_they_are_documented(summary: pd.DataFrame):
    layout = layout_of(plot_probes(summary))

    assert "<b>tag</b>" in layout.yaxis.title.text
    assert "<b>defined</b>" in layout.yaxis5.title.text


def test_only_cells_that_survive_correction_are_marked_and_whither(summary: pd.DataFrame):
    marked = {
        (place, text[-1])
        for panel in panels(plot_probes(summary))
        for place, text in texts(panel).items()
        if "▲" in text or "▼" in text
    }

    assert marked == {
        (("stream after layer 0", "last question token"), "▲"),
        (("stream before layer 0", "last alias token"), "▼"),
    }


def test_colours_have_chance_in_the_middle_on_one_scale(summary: pd.DataFrame):
    figure = plot_probes(summary.assign(chance=0.25))

    axis = layout_of(figure).coloraxis
    assert (axis.cmin, axis.cmax) == (-1, 1)
    assert {panel.coloraxis for panel in panels(figure)} == {"coloraxis"}
    _, _, seen, _ = panels(figure)[: len(READINGS)]
    assert seen.z == pytest.approx(np.full(6, (0.75 - 0.25) / (1 - 0.25)))


def test_the_colour_bar_names_accuracies_where_all_cells_have_one_chance(summary: pd.DataFrame):
    half = layout_of(plot_probes(summary)).coloraxis.colorbar.ticktext
    mixed = summary.assign(chance=[0.5 if t == "tag" else 0.1 for t in summary["target"]])

    assert half == ("0", "0.25", "0.5 (chance)", "0.75", "1")
    assert "chance" in layout_of(plot_probes(mixed)).coloraxis.colorbar.ticktext


def test_layers_go_upwards_and_roles_are_named(summary: pd.DataFrame):
    layout = layout_of(plot_probes(summary))

    assert layout.yaxis.categoryarray == (
        "stream before layer 0",
        "stream after layer 0",
        "stream after layer 1",
    )
    assert layout.yaxis.autorange is None
    assert set(layout.xaxis.categoryarray) == {"last alias token", "last question token"}


def test_the_interval_of_the_held_out_accuracy_is_on_hover(summary: pd.DataFrame):
    held_out, null, *_ = panels(plot_probes(summary))

    place = list(zip(held_out.y, held_out.x, strict=True)).index(
        ("stream after layer 0", "last question token")
    )
    rows = probes().set_index(["target", "site", "layer", "role"]).loc[FOUND]
    assert tuple(held_out.customdata[place][:2]) == pytest.approx(t_interval(rows["accuracy"]))
    assert "customdata[1]" in held_out.hovertemplate
    assert "customdata[1]" not in null.hovertemplate


def test_the_caption_tells_chance_seeds_least_p_and_the_positive_control(summary: pd.DataFrame):
    caption = words(plot_probes(summary))

    assert "n = 6 Stage-1 seeds" in caption
    assert "Chance is 0.5" in caption
    assert "no p below 0.031" in caption
    assert "planted with Bayes accuracy 0.9" in caption
    assert "is read at 0.90 [0.90, 0.90] and found (corrected p = 0.031)" in caption


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ([0.6, 0.6], "A Bayes accuracy of 0.60 along a typical direction would have been found"),
        ([0.6, 0.66], "A Bayes accuracy of 0.60 to 0.66 along a typical direction would have been"),
        ([math.nan, math.nan], "What Bayes accuracy could have been found is not known"),
    ],
    ids=["one", "range", "unknown"],
)
def test_the_caption_tells_what_could_have_been_found(
    summary: pd.DataFrame, known: list[float], said: str
):
    values = np.where(summary["target"] == "tag", *known)

    assert said in words(plot_probes(summary.assign(min_detectable=values)))


def test_few_seeds_are_said_to_show_nothing():
    few = probes()

    caption = words(plot_probes(summarized(few.loc[few["seed"] < 3])))

    assert "With so few seeds nothing, however strong, could be found" in caption
    assert "not found (corrected p = 0.25)" in caption


def test_runs_stand_below_each_other_by_word_order():
    both = pd.concat([probes(), probes("b", "ate")])

    figure = plot_probes(summarized(both))

    layout = layout_of(figure)
    titles = [layout[f"yaxis{axis}"].title.text for axis in ("", 5, 9, 13)]
    assert len(panels(figure)) == 4 * len(READINGS)
    assert [title.split("<br>")[:2] for title in titles] == [
        ["<b>tag</b>", "TAE"], ["<b>tag</b>", "ATE"],
        ["<b>defined</b>", "TAE"], ["<b>defined</b>", "ATE"],
    ]  # fmt: skip
    assert "found in 2 of 2 runs" in words(figure)


def test_rows_of_several_checkpoints_are_refused(summary: pd.DataFrame):
    several = pd.concat([summary, summary.assign(step=9)])

    with pytest.raises(InputError, match="stage 1 step 7, stage 1 step 9; choose its rows"):
        plot_probes(several)


def test_a_probe_that_the_table_lacks_is_refused(summary: pd.DataFrame):
    with pytest.raises(InputError, match="no mass_mean probes"):
        plot_probes(summary, probe="mass_mean")


def own_values(panel: Any) -> dict[tuple[str, str], str]:
    """What hovering over each cell adds: the seeds' own values."""
    assert ("%{hovertext}" in panel.hovertemplate) == (panel.hovertext is not None)
    texts = [""] * len(panel.x) if panel.hovertext is None else panel.hovertext
    return dict(zip(zip(panel.y, panel.x, strict=True), texts, strict=True))


@pytest.mark.parametrize("n_seeds", [2, 3])
def test_cells_of_few_seeds_say_each_seeds_own_value_on_hover(n_seeds: int):
    table = probes()
    few = table.loc[table["seed"] < n_seeds]
    is_tag = few["target"] == "tag"
    few = few.assign(
        accuracy=0.6 + few["seed"] / 100, seen_accuracy=0.9 - is_tag / 10 + few["seed"] / 100
    )
    figure = plot_probes(summarized(few), few)

    place = ("stream after layer 0", "last question token")
    tag, _, tag_seen, control = (
        own_values(panel)[place] for panel in panels(figure)[: len(READINGS)]
    )
    assert tag == "<br>seed 0: 0.600<br>seed 1: 0.610" + "<br>seed 2: 0.620" * (n_seeds == 3)
    assert tag_seen == "<br>seed 0: 0.800<br>seed 1: 0.810" + "<br>seed 2: 0.820" * (n_seeds == 3)
    assert control.startswith("<br>seed 0: 0.625<br>seed 1: 0.625")
    seen = own_values(panels(figure)[len(READINGS) + 2])[place]
    assert seen.startswith("<br>seed 0: 0.900<br>seed 1: 0.910")
    assert f"Means over n = {n_seeds} Stage-1 seeds, each seed's on hover. " in words(figure)
    # Seeds' rows alone are as good as their summary with them.
    assert own_values(panels(plot_probes(few.assign(chance=0.25)))[0])[place] == tag


def test_cells_of_many_seeds_say_intervals_and_summaries_alone_means():
    table = probes()
    few, four = (table.loc[table["seed"] < n] for n in (3, 4))
    for figure in (plot_probes(summarized(four), four), plot_probes(summarized(few))):
        assert not any(
            "seed" in text for panel in panels(figure) for text in own_values(panel).values()
        )
        assert "each seed's" not in words(figure)
