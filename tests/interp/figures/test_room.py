from math import radians, sin

import plotly.graph_objects as go
import pytest

from interp.figures.room import LINE, TEXT_SIZE, make_room, name_ticks, text_width
from interp.figures.theme import style_figure

NAMES = ["stream after layer {}", "alias → last prompt token, layer {}", "{}"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_names", [1, 2, 3, 6, 12, 31, 270])
@pytest.mark.parametrize("width", [70.0, 300.0, 900.0])
def test_names_at_an_axis_do_not_touch(name: str, n_names: int, width: float):
    words = [name.format(place) for place in range(n_names)]
    ticks = name_ticks(list(range(n_names)), words, width=width)

    apart = width / n_names * (ticks["tickvals"][1] if len(ticks["tickvals"]) > 1 else n_names)
    if ticks["tickangle"] == 0:
        assert all(text_width(text) <= apart for text in ticks["ticktext"])
        assert [text.replace("<br>", " ") for text in ticks["ticktext"]] == words
    elif len(ticks["tickvals"]) > 1:
        assert apart * sin(radians(-ticks["tickangle"])) >= 0.9 * TEXT_SIZE
    assert len(ticks["tickvals"]) == len(ticks["ticktext"])


def test_no_line_of_a_name_is_a_number_alone():
    (text,) = name_ticks([0], ["layer 12, head 3"], width=80.0)["ticktext"]

    assert text == "layer 12,<br>head 3"


def figure_of(name: str, about: str, n_curves: int) -> go.Figure:
    figure = go.Figure()
    for curve in range(n_curves):
        figure.add_scatter(x=["a"], y=[1], name=f"curve {curve}")
    style_figure(figure, title="A title", height=10, about=about)
    figure.update_xaxes(**name_ticks(["a"], [name], width=40.0), title="names")
    return figure


def test_longer_texts_have_more_room_and_panels_keep_their_height():
    short, long = figure_of("a", "", 1), figure_of("a name that is long", "words " * 60, 30)
    for figure in (short, long):
        make_room(figure, inside=200)
    of_short, of_long = short.layout.to_plotly_json(), long.layout.to_plotly_json()

    assert of_long["margin"]["t"] - of_short["margin"]["t"] >= 3 * 12.5 * LINE
    assert of_long["margin"]["b"] - of_short["margin"]["b"] >= text_width("a name that is long") / 2
    for layout in (of_short, of_long):
        margin = layout["margin"]
        assert layout["height"] - margin["t"] - margin["b"] == pytest.approx(200, abs=1)


def test_a_caption_stands_below_the_names_and_within_the_figure():
    figure = figure_of("a name that is long", "", 1)
    make_room(figure, inside=200, caption=["one", "two"])
    layout = figure.layout.to_plotly_json()
    (note,) = layout["annotations"]

    assert note["text"] == "one<br>two"
    assert -note["yshift"] > text_width("a name that is long") / 2
    assert layout["margin"]["b"] + note["yshift"] >= 2 * TEXT_SIZE * LINE
