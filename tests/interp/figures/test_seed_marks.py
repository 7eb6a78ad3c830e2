import ast
from pathlib import Path

import pandas as pd
import pytest

import interp
from interp.figures.seed_marks import own_hover, own_note, with_own_words

OF_MEANS = {"alignment/plots", "attention/plots", "circuits/transfer_plots", "patching/plots",
            "probes/plots"}  # fmt: skip
OF_ONE_MODEL = {"attention/pattern_plots", "attention/view", "explorer/grid_figure",
                "explorer/token_figures"}  # fmt: skip
OF_WORDS = {"hypotheses/plots"}
"""Colours are verdicts; the seeds' own values stand in the figure of rows beside it."""
OF_MANY_RUNS = {"one_layer/plots", "report/places_plots"}
"""Beside a control or other runs, with the number of seeds; tables have the seeds' own values."""
MAPS = ("heatmap", "imshow", "contour", "density")
WORDS = {"own_words", "with_own_words"}


def rows_of(seeds: range) -> pd.DataFrame:
    """Two cells of .5 and .1 in seed 0, and a hundredth more in each seed after it."""
    return pd.DataFrame(
        [
            {"place": place, "seed": seed, "read": first + seed / 100, "other": -first}
            for seed in reversed(seeds)
            for place, first in {"there": 0.1, "here": 0.5}.items()
        ]
    )


CELLS = pd.DataFrame({"place": ["here", "there", "nowhere"]})


def test_every_heat_map_of_means_has_the_seeds_own_values():
    found, worded = set(), set()
    root = Path(interp.__path__[0])
    for path in root.rglob("*.py"):
        name = path.relative_to(root).with_suffix("").as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and any(map(node.attr.lower().__contains__, MAPS)):
                found.add(name)
            if isinstance(node, ast.Name) and node.id in WORDS:
                worded.add(name)

    assert found == OF_MEANS | OF_ONE_MODEL | OF_WORDS | OF_MANY_RUNS
    assert worded >= OF_MEANS


@pytest.mark.parametrize("n_seeds", [2, 3])
def test_cells_of_few_seeds_say_each_seeds_own_value(n_seeds: int):
    cells = with_own_words(CELLS, rows_of(range(n_seeds)), ["read", "other"], keys=["place"])

    two = "<br>seed 0: 0.500<br>seed 1: 0.510"
    assert cells["own_read"].tolist() == [
        two + "<br>seed 2: 0.520" * (n_seeds == 3),
        two.replace("0.5", "0.1") + "<br>seed 2: 0.120" * (n_seeds == 3),
        "",
    ]
    assert cells["own_other"].tolist()[0].startswith("<br>seed 0: -0.500<br>seed 1: -0.500")
    ending, words = own_hover(cells, "read")
    assert ending == "%{hovertext}"
    assert words == cells["own_read"].tolist()
    assert own_note(cells) == ", each seed's on hover"


@pytest.mark.parametrize("rows", [rows_of(range(4)), rows_of(range(1)), None], ids=["4", "1", "no"])
def test_cells_of_many_seeds_or_one_or_without_rows_say_none(rows: pd.DataFrame | None):
    cells = with_own_words(CELLS, rows, ["read"], keys=["place"])

    assert cells["own_read"].tolist() == ["", "", ""]
    assert own_hover(cells, "read") == ("", None)
    assert own_note(cells) == ""


def test_seeds_without_a_value_are_not_counted():
    rows = rows_of(range(4))
    rows.loc[(rows["seed"] == 3) & (rows["place"] == "here"), "read"] = float("nan")

    cells = with_own_words(CELLS, rows, ["read"], keys=["place"])

    assert cells["own_read"].tolist() == [
        "<br>seed 0: 0.500<br>seed 1: 0.510<br>seed 2: 0.520", "", ""
    ]  # fmt: skip
