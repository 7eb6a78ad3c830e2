import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from data.errors import InputError
from data.rows import prompt_row
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import Role
from interp.attention.patterns import token_attention
from interp.attention.view import ROLE_INKS, plot_pattern, show_attention, token_labels
from interp.hooked.model import HookedModel
from tests.interp.drawn_pages import drawn, needs_chromium


def contents(figure: go.Figure) -> dict[str, Any]:
    """What a browser gets."""
    return json.loads(figure.to_json() or "")


def expected_pattern(model: HookedModel, row: TokenizedRow, layer: int, head: int) -> np.ndarray:
    table = token_attention(model, row)
    of_head = table.loc[(table["layer"] == layer) & (table["head"] == head), "attention"]
    n_pos = len(row.input_ids)
    return of_head.to_numpy().reshape(n_pos, n_pos)


def shown(pattern: list[list[float | None]]) -> np.ndarray:
    return np.array([[0 if weight is None else weight for weight in row] for row in pattern])


def test_tokens_have_the_colour_of_their_role(neox: HookedModel, word_prompts: list[TokenizedRow]):
    row = word_prompts[0]
    labels = token_labels(neox, row)
    words = row.row.rendered.text.split()

    assert labels[0] == f'<span style="color:{ROLE_INKS["alias"]}">{words[0]}</span>'
    assert [ROLE_INKS["other"] in label for label in labels] == [False, True, True, True, True]
    assert set(ROLE_INKS) == {*map(str, Role), "other"}


def test_tokens_that_are_no_words_are_shown_by_their_ids(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    row = replace(word_prompts[0], input_ids=(*word_prompts[0].input_ids, 7))

    assert ">7</span>" in token_labels(neox, row)[-1]


def test_a_pattern_has_a_panel_for_each_head(neox: HookedModel, word_prompts: list[TokenizedRow]):
    figure = plot_pattern(neox, word_prompts[2])
    titles = [a["text"] for a in contents(figure)["layout"]["annotations"]]

    assert titles == [f"layer {layer}, head {head}" for layer in (0, 1) for head in range(4)]


def test_one_head_can_be_chosen(neox: HookedModel, word_prompts: list[TokenizedRow]):
    row = word_prompts[2]
    figure = plot_pattern(neox, row, layer=1, head=2)
    drawn: Any = figure.data

    assert len(drawn) == 1
    expected = expected_pattern(neox, row, 1, 2)
    assert np.nan_to_num(np.array(drawn[0].z)) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(InputError, match="no head 4 at z of layer 1, which has 4"):
        plot_pattern(neox, row, layer=1, head=4)
    with pytest.raises(InputError, match="no layer 2"):
        plot_pattern(neox, row, layer=2)
    with pytest.raises(InputError, match="head 0 of which layer"):
        plot_pattern(neox, row, head=0)


def test_the_slider_shows_one_head_and_the_menu_fills_all(
    any_model: HookedModel, word_prompts: list[TokenizedRow]
):
    rows = [word_prompts[0], word_prompts[2]]
    drawn = contents(show_attention(any_model, rows))
    steps = drawn["layout"]["sliders"][0]["steps"]
    buttons = drawn["layout"]["updatemenus"][0]["buttons"]

    labels = [step["label"] for step in steps[:3]]
    assert labels == ["mean of all heads", "layer 0, head 0", "layer 0, head 1"]
    for place, step in enumerate(steps):
        (change,) = step["args"]
        assert change == {"visible": [i == place for i in range(9)]}
    patterns = buttons[1]["args"][0]["z"]
    assert shown(patterns[1 + 4 + 2]) == pytest.approx(
        expected_pattern(any_model, rows[1], 1, 2), abs=1e-4
    )
    assert shown(patterns[0]) == pytest.approx(
        np.mean([shown(pattern) for pattern in patterns[1:]], axis=0), abs=1e-4
    )
    layout = buttons[1]["args"][1]
    assert layout["xaxis.ticktext"] == token_labels(any_model, rows[1])
    assert layout["xaxis.range"] == [-0.5, 7.5]


def test_the_first_row_is_there_before_anything_is_chosen(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    drawn = contents(show_attention(neox, word_prompts[:2]))

    assert [trace["visible"] for trace in drawn["data"]] == [True] + [False] * 8
    assert shown(drawn["data"][3]["z"]) == pytest.approx(
        expected_pattern(neox, word_prompts[0], 0, 2), abs=1e-4
    )
    assert drawn["layout"]["xaxis"]["ticktext"] == token_labels(neox, word_prompts[0])


@pytest.fixture(scope="module")
def long_prompts() -> list[TokenizedRow]:
    """Two prompts of 9 and 12 long words, of aliases as long."""
    words = [f"{'un' * 7}remarkable{i}" for i in range(12)]
    rows = [
        prompt_row(f"prompt {n}", text := " ".join(words[:n]), words[n - 1],
                   spans={Role.ALIAS: (0, text.index(" "))})
        for n in (9, 12)
    ]  # fmt: skip
    return tokenize_rows(rows, word_tokenizer(words))


def test_no_label_grows_with_the_prompt(neox: HookedModel, long_prompts: list[TokenizedRow]):
    layout = contents(show_attention(neox, long_prompts))["layout"]
    labels = [button["label"] for button in layout["updatemenus"][0]["buttons"]]
    ticks = [re.sub("<[^>]*>", "", tick) for tick in layout["xaxis"]["ticktext"]]

    assert max(map(len, labels)) <= 30
    assert len(set(labels)) == len(labels)
    assert max(map(len, ticks)) <= 16
    assert not layout["xaxis"]["automargin"]
    assert not layout["yaxis"]["automargin"]


WIDTHS = """
const figure = document.querySelector('.js-plotly-plot');
const widths = [];
const note = () => widths.push(figure._fullLayout.xaxis._length);
const {sliders, updatemenus} = figure.layout;
(async () => {
  note();
  for (const place of [1, 5, 0]) {
    await Plotly.restyle(figure, ...sliders[0].steps[place].args);
    await Plotly.relayout(figure, {'sliders[0].active': place});
    note();
  }
  await Plotly.update(figure, ...updatemenus[0].buttons[1].args);
  await Plotly.relayout(figure, {'updatemenus[0].active': 1});
  note();
  document.body.dataset.widths = JSON.stringify(widths);
})();
"""
"""Clicks on slider and menu, and how wide the plot is after each."""


@needs_chromium
@pytest.mark.slow
def test_the_plot_keeps_its_width_while_it_is_used(
    neox: HookedModel, long_prompts: list[TokenizedRow], tmp_path: Path
):
    page = show_attention(neox, long_prompts).to_html(post_script=WIDTHS)
    (found,) = re.findall(r'data-widths="([^"]*)"', drawn(page, tmp_path, width=900))
    widths = json.loads(found)

    assert len(widths) == 5
    assert min(widths) > 450
    assert max(widths) == pytest.approx(min(widths), abs=1)


def test_nothing_is_fetched(neox: HookedModel, word_prompts: list[TokenizedRow]):
    page = show_attention(neox, word_prompts[:2]).to_html(include_plotlyjs=True)

    assert 'src="http' not in page
    assert "mean of all" in page


def test_too_few_and_too_many_rows_are_refused(neox: HookedModel, word_prompts: list[TokenizedRow]):
    with pytest.raises(InputError, match="0 rows to show; choose 1 to 50"):
        show_attention(neox, [])
    with pytest.raises(InputError, match="63 rows to show"):
        show_attention(neox, word_prompts * 7)


def test_the_model_stays_as_it_was(
    neox: HookedModel,
    word_prompts: list[TokenizedRow],
    state_of: Callable[[HookedModel], tuple[object, ...]],
):
    before = state_of(neox)
    show_attention(neox, word_prompts)
    plot_pattern(neox, word_prompts[0])

    assert state_of(neox) == before
