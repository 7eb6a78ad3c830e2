"""No button of any figure sends it to a server."""

import ast
import json
import re
from pathlib import Path

import plotly.graph_objects as go
import pytest
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from interp.figures.theme import UPLOADS, style_figure
from interp.report.page import report_html
from interp.report.script import SCRIPT
from tests.interp.drawn_pages import drawn, needs_chromium
from training.runs.run import Run

ROOT = Path(__file__).parents[3]
TITLES = re.compile(r'class="modebar-btn"[^>]*data-title="([^"]*)"')


def styled() -> go.Figure:
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 1]))
    style_figure(figure, title="a figure", height=300)
    return figure


def test_plotly_has_no_button_that_uploads_beside_those_left_out():
    buttons = set(re.findall(r'\{name:"(\w+)",(?:_cat:"\w+",)?title:', get_plotlyjs()))
    uploading = {
        name for name in buttons if re.search("cloud|share|send|upload|studio", name, re.I)
    }

    assert "toImage" in buttons
    assert uploading <= set(UPLOADS)


def test_every_figure_of_the_report_leaves_them_out(tiny_run: Run):
    page = report_html(tiny_run)
    n_figures = page.count("<figure>")

    assert n_figures >= 5
    assert page.count(f'"modebar":{{"remove":{json.dumps(list(UPLOADS))}}}') == n_figures
    assert SCRIPT.count("Plotly.newPlot(") == SCRIPT.count("showSendToCloud: false") == 1


def test_a_figure_takes_it_along_wherever_it_is_shown_or_exported():
    figure = styled()
    shown = json.loads(figure.to_json() or "")
    bundle = go.Figure(figure)._repr_mimebundle_() or {}

    assert shown["layout"]["modebar"] == {"remove": list(UPLOADS)}
    for content in bundle.values():
        assert "sendChartToCloud" in str(content)


@pytest.mark.parametrize("path", sorted((ROOT / "interp").rglob("*plots.py")), ids=str)
def test_every_module_of_figures_styles_them(path: Path):
    calls = [node.func for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Call)]  # fmt: skip
    names = {call.id for call in calls if isinstance(call, ast.Name)}

    assert "style_figure" in names


@needs_chromium
@pytest.mark.slow
def test_a_browser_shows_no_such_button(tmp_path: Path):
    page = to_html(styled(), include_plotlyjs=True)
    titles = TITLES.findall(drawn(page, tmp_path))

    assert any(title.startswith("Download plot") for title in titles)
    assert [title for title in titles if "hare" in title or "loud" in title] == []
