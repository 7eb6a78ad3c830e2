import re

import plotly.graph_objects as go
import pytest

from interp.figures.answer_first import FEW, Part, section_html
from interp.figures.markup import table_html


def figure(title: str) -> go.Figure:
    return go.Figure(layout={"title": {"text": f"{title}<br><sup>n = 8</sup>"}})


@pytest.fixture
def part() -> Part:
    return Part(
        heading="Stage 2",
        sentences=[f"sentence {i}" for i in range(FEW + 2)],
        figures={"first": figure("Effects"), "second": figure("Heads")},
        tables=[table_html(["a"], [[1]], name="Pairs")],
        settings="Settings: limit 4.",
    )


def halves(html: str) -> tuple[str, str]:
    """What stands open, and what is folded."""
    return re.sub("<details>.*?</details>", "", html, flags=re.DOTALL), "".join(
        re.findall("<details>.*?</details>", html, flags=re.DOTALL)
    )


def test_the_first_sentences_and_one_figure_stand_open_with_their_settings(part: Part):
    shown, folded = halves(section_html("Patching", [part], notes="A pair is two prompts."))

    assert re.findall("sentence .", shown.partition("<figure>")[0]) == [
        f"sentence {i}" for i in range(FEW)
    ]
    assert 'id="first"' in shown
    assert "<figcaption>Settings: limit 4.</figcaption>" in shown
    assert "second" not in shown
    assert "<table>" not in shown
    assert f"<p>sentence {FEW + 1}</p>" in folded
    assert 'id="second"' in folded
    assert "Settings" not in folded
    assert "A pair is two prompts." in folded


def test_what_is_folded_says_what_it_holds(part: Part):
    other = Part(heading="Stage 1", sentences=["one"], figures={"third": figure("Effects")})
    html = section_html("Patching", [part, other], notes="note")

    summaries = re.findall("<summary>(.*?)</summary>", html)
    assert summaries == [
        "<span>More: 2 sentences, 1 figure, 1 table (Heads; Pairs)</span>",
        "<h3>Stage 1</h3> <span>1 sentence, 1 figure (Effects)</span>",
        "<span>How to read this</span>",
    ]


def test_a_table_stands_open_where_there_is_no_figure():
    tables = [table_html(["a"], [[n]], name=f"Table {n}") for n in (1, 2)]
    shown, folded = halves(section_html("Claims", [Part(tables=tables, settings="Settings: x.")]))

    assert "Table 1" in shown
    assert "Settings: x." in shown
    assert "Table 2" not in shown
    assert "Table 2" in folded


def test_figures_that_belong_together_stand_open_side_by_side():
    figures = {name: figure(name) for name in ("run", "twin", "run-nats", "twin-nats")}
    shown, folded = halves(section_html("Curves", [Part(figures=figures, side_by_side=2)]))

    for html, names in ((shown, ("run", "twin")), (folded, ("run-nats", "twin-nats"))):
        assert tuple(re.findall('<div id="(.+?)"', html)) == names
        assert html.count('<div class="panels">') == 1


def test_a_short_part_folds_nothing():
    assert "<details>" not in section_html("Gaps", [Part(sentences=["one"])])
