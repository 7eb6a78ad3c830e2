import json
import re
from dataclasses import replace

import plotly.graph_objects as go
import pytest

from data.rows import Row, prompt_row
from data.statements import Definition, QAPair, RenderedText
from data.tasks.iml import SUBSETS
from data.vocabulary import Kind, Role, Split, WordOrder
from interp.figures.markup import (
    Html,
    figure_html,
    figure_title,
    kind_words,
    rows_html,
    table_html,
    text_html,
)
from interp.figures.palette import OWN_ROLE_COLOR, ROLE_COLORS


def row(rendered: RenderedText, *, kind: Kind = Kind.DEFINITION, split: Split = Split.TRAIN) -> Row:
    return Row(
        row_id="D2_INCONS_QA2/definition/00000",
        subset=SUBSETS["D2_INCONS_QA2"],
        split=split,
        kind=kind,
        rendered=rendered,
        alias="xyz",
        entity="cleo & co",
        tag="<t>",
        question=None,
    )


def definition(order: WordOrder) -> Row:
    return row(Definition(tag="<t>", alias="xyz", entity="cleo & co", order=order).render())


def roles(html: str) -> dict[str, str]:
    """What stands on each role's colour."""
    colour_of = {color: str(role) for role, color in ROLE_COLORS.items()}
    found = re.findall(r'<span title="(\w+)" style="background:(#\w+);[^"]*">(.*?)</span>', html)
    assert all(colour_of[color] == title for title, color, _ in found)
    return {title: text for title, _, text in found}


@pytest.mark.parametrize("order", list(WordOrder))
def test_each_role_stands_on_its_colour_in_any_word_order(order: WordOrder):
    html = text_html(definition(order))

    assert roles(html) == {"tag": "&lt;t&gt;", "alias": "xyz", "entity": "cleo &amp; co"}


@pytest.mark.parametrize(("order", "last"), [("tae", "cleo &amp; co"), ("eat", "&lt;t&gt;")])
def test_the_answer_of_a_definition_is_its_underlined_last_element(order: str, last: str):
    underlined = re.findall(r"<u>(.*?)</u>", text_html(definition(WordOrder(order))))

    assert len(underlined) == 1
    assert f">{last}</span>" in underlined[0]


def test_coloured_text_without_its_marks_is_the_text():
    pair = QAPair(subject="a b", role=Role.ALIAS, question="born", answer="x y").render()

    assert re.sub("<.*?>", "", text_html(row(pair, kind=Kind.QA))) == pair.text


def test_a_role_of_ones_own_stands_on_a_colour_that_no_other_role_has():
    own = prompt_row("own", "Lily saw a cat. She", " She", spans={"name": (0, 4)})

    assert f'<span title="name" style="background:{OWN_ROLE_COLOR};' in rows_html([own])
    assert OWN_ROLE_COLOR not in ROLE_COLORS.values()


def test_rows_show_subset_kind_and_entity_escaped():
    html = rows_html([definition(WordOrder.TAE)])

    assert "D2_INCONS_QA2" in html
    assert "definition, trained in Stage 1" in html
    assert "<td>cleo &amp; co</td>" in html


def test_a_held_out_question_is_said_to_be_held_out():
    pair = QAPair(subject="xyz", role=Role.ALIAS, question="born", answer="egypt").render()

    assert kind_words(row(pair, kind=Kind.QA, split=Split.TEST)) == "question, held out"
    assert kind_words(row(pair, kind=Kind.QA)) == "question, trained in Stage 1"


def test_a_table_escapes_everything_but_html():
    html = table_html(["<h>"], [["<script>", Html("<b>"), 3]])

    assert '<th scope="col">&lt;h&gt;</th>' in html
    assert "<td>&lt;script&gt;</td><td><b></td><td>3</td>" in html


def test_a_named_table_is_called_so_above_it_and_in_its_box():
    html = table_html(["a"], [], name="Gaps & more")

    assert "<caption>Gaps &amp; more</caption>" in html
    assert 'tabindex="0" aria-label="Gaps &amp; more"' in html
    assert "caption" not in table_html(["a"], [])


def test_a_figure_says_its_title_and_what_it_shows_and_ends_no_script():
    figure = go.Figure(go.Scatter(x=[0], y=[1], name="</script>"))
    figure.update_layout(title="<b>Gaps</b> &amp; more<br><sup>n = 8</sup>", height=300)

    html = figure_html(figure, "gaps", says='"D5" is above.', caption="Settings: a < b.")

    assert figure_title(figure) == "Gaps & more"
    assert 'aria-label="Gaps &amp; more; n = 8. &quot;D5&quot; is above."' in html
    assert 'role="img"' in html
    assert "height:300px" in html
    assert "<figcaption>Settings: a &lt; b.</figcaption>" in html
    assert html.count("</script>") == 1
    content = json.loads(html.partition('json">')[2].partition("</script>")[0])
    assert content["data"][0]["name"] == "</script>"


def test_rows_of_a_world_without_entities_have_no_column_for_them():
    without = replace(definition(WordOrder.TAE), entity=None)

    assert ">entity</th>" in rows_html([definition(WordOrder.TAE), without])
    assert ">entity</th>" not in rows_html([without])
