"""What holds for each figure of each analysis, whatever it shows."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.colors import sample_colorscale, unlabel_rgb

from interp.figures.palette import CAPTION, FAINT, INK, contrast
from tests.interp.every_figure import FIGURES, LONG_FIGURES
from tests.interp.figure_texts import heading, untagged

ROOM = Path(__file__).parents[3] / "interp"
ALL = {**FIGURES, **{f"long {name}": make for name, make in LONG_FIGURES.items()}}
NO_UNIT = ("cosine", "norm", "dose")
"""What is a number without a unit."""
HOW_MANY = re.compile(r"n = \d+|\d+ seeds?\b|\d+ \w* ?rows|weights of a row")


@cache
def drawn(name: str) -> go.Figure:
    return ALL[name]()


def layout_of(figure: go.Figure) -> Any:
    return figure.layout


def test_each_function_that_draws_is_looked_at():
    found = {
        node.name
        for path in ROOM.rglob("*plots.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("plot_")
    }

    assert found == set(FIGURES)
    assert set(LONG_FIGURES) <= found


@pytest.mark.parametrize("name", ALL)
def test_a_figure_says_what_it_shows_and_of_how_many(name: str):
    figure = drawn(name)
    captions = " ".join(untagged(note.text) for note in layout_of(figure).annotations)

    assert len(layout_of(figure).title.text) > 3
    assert HOW_MANY.search(f"{heading(figure)} {captions}")


@pytest.mark.parametrize("name", ALL)
def test_axes_are_named_with_their_units(name: str):
    figure = drawn(name)

    for side in (figure.select_xaxes(), figure.select_yaxes()):
        shown = [axis for axis in side if axis.showticklabels is not False]
        titles = [axis.title.text for axis in shown if axis.title.text]
        assert titles
        numeric = [a for a in shown if a.ticktext is None and a.categoryarray is None]
        for title in (axis.title.text for axis in numeric if axis.title.text):
            assert "(" in title or any(word in title for word in NO_UNIT), title


@pytest.mark.parametrize("name", ALL)
def test_no_axis_of_names_with_a_range_is_matched(name: str):
    """Plotly then finds no range for the other axis, and draws its data outside of it."""
    for side in ("x", "y"):
        axes = {
            key.replace("axis", ""): axis
            for key, axis in drawn(name).to_plotly_json()["layout"].items()
            if re.fullmatch(rf"{side}axis\d*", key)
        }
        matched = {axis["matches"] for axis in axes.values() if axis.get("matches")}
        matched |= {key for key, axis in axes.items() if axis.get("matches")}
        names = {key for key, axis in axes.items() if axis.get("categoryarray") is not None}
        assert not [key for key in matched & names if axes[key].get("range") is not None]


@pytest.mark.parametrize("name", ALL)
def test_no_two_notes_stand_at_one_place(name: str):
    notes = layout_of(drawn(name)).annotations
    places = [(n.xref, n.yref, n.x, n.y, n.xanchor, n.yshift) for n in notes]

    assert len(places) == len(set(places))


def cells_of(trace: Any) -> list[tuple[float, str]]:
    """Value and text of each cell, whether the table is flat or in rows."""
    values, texts = (np.asarray(part, dtype=object).ravel() for part in (trace.z, trace.text))
    return list(zip(values, texts, strict=True))


@pytest.mark.parametrize("name", ALL)
def test_numbers_in_cells_stand_out_from_their_cells(name: str):
    figure: Any = drawn(name)
    maps: list[Any] = [trace for trace in figure.data if trace.type == "heatmap"]

    for trace in maps:
        axis = layout_of(figure)[trace.coloraxis]
        scale = [list(stop) for stop in axis.colorscale]
        for value, text in cells_of(trace):
            color = re.search("color:(#[0-9a-f]{6})", text)
            assert bool(color) == bool(text)
            if color:
                share = min(max((value - axis.cmin) / (axis.cmax - axis.cmin), 0.0), 1.0)
                (cell,) = sample_colorscale(scale, [share])
                assert contrast(color[1], unlabel_rgb(cell)) >= 4.5


@pytest.mark.parametrize("name", ALL)
def test_small_text_can_be_read(name: str):
    sizes = re.findall(r'"font":\{[^}]*"size":([\d.]+)', drawn(name).to_json() or "")

    assert sizes
    assert min(map(float, sizes)) >= 10


@pytest.mark.parametrize("color", [INK, FAINT, CAPTION])
def test_colours_of_text_stand_out_from_white(color: str):
    assert contrast(color) >= 4.5


@pytest.mark.parametrize("name", LONG_FIGURES)
def test_long_figures_are_not_longer_than_what_they_hold(name: str):
    height = layout_of(drawn(f"long {name}")).height

    assert 300 < height < 4200
