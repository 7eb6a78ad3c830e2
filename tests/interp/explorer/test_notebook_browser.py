"""The explorer of a run in JupyterLab in a real browser."""

import json
from collections.abc import Iterator

import pytest

from tests.interp.browser import Browser
from tests.interp.explorer.jupyter_browser import (
    GRID,
    choose,
    failures,
    grid_cell,
    in_browser,
    notebook_in_browser,
    wait_for_figures,
)
from training.runs.run import Run

pytestmark = in_browser


@pytest.fixture(scope="module")
def browser(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    code = (
        "from interp.explorer import explore\nfrom training.runs.run import Run\n"
        f"explore(Run.load({str(tiny_run.folder)!r}))"
    )
    with notebook_in_browser(tmp_path_factory.mktemp("browser"), code) as browser:
        wait_for_figures(browser)
        yield browser


def test_every_menu_and_figure_is_on_the_page(browser: Browser) -> None:
    labels = browser.evaluate(
        "[...document.querySelectorAll('.widget-dropdown label')].map(x => x.textContent)"
    )
    assert labels == ["seed", "stage", "step", "subset", "alias", "question", "corrupted prompt",
                      "attention of", "patching", "a click",
                      "circuit of", "ablates", "part"]  # fmt: skip
    titles = browser.evaluate(
        "[...document.querySelectorAll('[data-panel]')].map(x => x.ariaLabel)"
    )
    assert len(titles) == 5
    assert titles[0].startswith("What the model answers")
    assert titles[4].startswith("Patching: click a cell to change it")


def test_another_alias_changes_texts_and_figures(browser: Browser) -> None:
    question = "[...document.querySelectorAll('.widget-html tr')].at(-2).textContent"
    before, drawn = browser.evaluate(question), browser.evaluate(f"({GRID}).textContent")
    choose(browser, "alias", 1)
    browser.wait(f"{question} != {json.dumps(before)}", what="another question")
    browser.wait(f"({GRID}).textContent != {json.dumps(drawn)}", what="another grid")
    alias = browser.evaluate(
        "[...document.querySelectorAll('.widget-dropdown')].find(box => box.querySelector('label')"
        ".textContent == 'alias').querySelector('select').selectedOptions[0].textContent"
    )
    assert f"ask {alias} " in browser.evaluate(question)
    assert f"ask {alias} " not in before


def test_another_seed_and_another_head_are_shown(browser: Browser) -> None:
    choose(browser, "attention of", 1)
    panels = "document.querySelectorAll('[data-figure=heads] .heatmaplayer .hm')"
    browser.wait(f"{panels}.length == 1", what="one head")
    grid = browser.evaluate(f"({GRID}).textContent")
    choose(browser, "seed", 1)
    browser.wait(f"({GRID}).textContent != {json.dumps(grid)}", what="another seed")
    choose(browser, "attention of", 0)
    browser.wait(f"{panels}.length > 1", what="all heads")


def test_a_click_on_a_cell_ablates_it_and_a_second_click_takes_it_back(browser: Browser) -> None:
    answers = "document.querySelector('[data-panel=answers]')"
    ablated = f"({answers}).textContent.includes('after the change')"
    undo = "[...document.querySelectorAll('button')].find(b => b.textContent == 'undo changes')"
    assert not browser.evaluate(ablated)
    browser.click(*grid_cell(browser, 0, 0))
    browser.wait(ablated, what="bars after an ablation")
    browser.wait(f"({GRID}).querySelectorAll('.shapelayer path').length == 1", what="a frame")
    assert "stream before layer 0 at the last alias token" in browser.evaluate(
        f"({answers}).textContent"
    )
    browser.click(*grid_cell(browser, 0, 0))
    browser.wait(f"!{ablated}", what="bars as before")
    browser.click(*grid_cell(browser, 1, 3))
    browser.wait(ablated, what="another ablation")
    browser.wait(f"!{undo}.disabled", what="a button to undo")
    browser.evaluate(f"{undo}.click()")
    browser.wait(f"!{ablated}", what="undoing")


def test_nothing_was_asked_of_another_host_and_no_script_failed(browser: Browser) -> None:
    local = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:")
    assert len(browser.requested) > 10
    assert [url for url in browser.requested if not url.startswith(local)] == []
    assert failures(browser) == []
