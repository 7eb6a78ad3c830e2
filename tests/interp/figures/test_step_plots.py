"""Measures along training: what is drawn is the mean over seeds, controls look like controls."""

import pandas as pd
import pytest

from data.errors import InputError
from interp.figures.palette import NULL_COLOR
from interp.figures.step_plots import plot_steps


def table(seeds: int) -> pd.DataFrame:
    rows = [
        {"panel": panel, "unit": "share", "name": name, "is_control": name == "other",
         "step": step, "seed": seed, "value": float(step * (1 + seed))}
        for panel in ("one", "two") for name in ("own", "other")
        for step in (20, 0, 100) for seed in range(seeds)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_each_panel_has_the_mean_over_seeds_in_the_order_of_steps() -> None:
    figure = plot_steps(table(5), title="x")
    curves = [each for each in figure.data if each.name in ("own", "other")]
    assert len(curves) == 4
    for curve in curves:
        assert list(curve.x) == ["0", "20", "100"]
        assert list(curve.y) == [0, 60, 300]  # seeds count 1 to 5
        assert (curve.line.color == NULL_COLOR) is (curve.name == "other")
    bands = [each for each in figure.data if each.fill == "toself"]
    assert len(bands) == 4
    assert "n = 5 seeds" in str(figure.to_plotly_json()["layout"])


def test_few_seeds_are_shown_one_by_one() -> None:
    figure = plot_steps(table(2), title="x")
    assert not [each for each in figure.data if each.fill == "toself"]
    own = [each for each in figure.data if each.name not in ("own", "other")]
    assert {value for each in own for value in each.y} == {0, 20, 40, 100, 200}


@pytest.mark.parametrize(
    ("broken", "message"),
    [(table(1).drop(columns="unit"), "lacks unit"), (table(1).iloc[:0], "has no rows")],
)
def test_a_table_that_is_none_is_refused(broken: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_steps(broken, title="x")
