"""The explorer in JupyterLab in a real browser, driven over Chromium's own protocol."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interp.browser import Browser, answer_of, chromium, free_port, process
from tests.interp.drawn_pages import needs_chromium
from training.runs.run import Run

pytest.importorskip("websocket")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("jupyterlab")
pytestmark = [pytest.mark.slow, needs_chromium]
ROOT = Path(__file__).parents[3]
GRID = "document.querySelector('[data-figure=grid]')"


@contextmanager
def notebook_in_browser(folder: Path, code: str, *, width: int = 1480) -> Iterator[Browser]:
    """A notebook of one cell, run in JupyterLab, without other hosts."""
    cell = nbformat.v4.new_code_cell(code)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    (folder / "work").mkdir()
    nbformat.write(notebook, folder / "work" / "explorer.ipynb")
    port, token = free_port(), "a-token-for-this-test"
    home = {name: str(folder / name.lower()) for name in (
        "HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR",
        "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")}  # fmt: skip
    settings = folder / "jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    environment = os.environ | home | {"PYTHONPATH": str(ROOT)}
    lab = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
           f"--port={port}", f"--IdentityProvider.token={token}", "--ServerApp.port_retries=0",
           f"--ServerApp.root_dir={folder / 'work'}", "--LabApp.expose_app_in_browser=True",
           "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]  # fmt: skip
    log = folder / "lab.log"
    with process(lab, log, env=environment), chromium(folder, width=width) as browser:
        site = f"http://127.0.0.1:{port}"
        answer_of(f"{site}/api?token={token}", log)
        browser.call("Page.navigate", url=f"{site}/doc/tree/explorer.ipynb?token={token}")
        browser.wait("!!document.querySelector('.jp-Notebook .jp-CodeCell')", what="the notebook")
        browser.wait(
            """(() => {
            const {shell} = window.jupyterapp;
            const panel = [...shell.widgets('main')].find(each => each.sessionContext);
            if (panel?.sessionContext.session?.kernel?.status != 'idle') return false;
            shell.activateById(panel.id);
            panel.content.node.focus();
            return shell.currentWidget == panel;
            })()""", what="a kernel",
        )  # fmt: skip
        browser.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells'), 1")
        yield browser


def _choose(browser: Browser, menu: str, number: int) -> None:
    """Picks an option of the menu with this description, as a person would."""
    found = f"""(() => {{
        const box = [...document.querySelectorAll('.widget-dropdown')].find(
            box => box.querySelector('label').textContent == {menu!r});
        const select = box.querySelector('select');
        select.selectedIndex = {number};
        select.dispatchEvent(new Event('change', {{bubbles: true}}));
        return select.options.length;
    }})()"""
    assert browser.evaluate(found) > number


def _grid_cell(browser: Browser, column: int, row: int) -> tuple[float, float]:
    """Where a cell of the grid is on the screen."""
    return tuple(
        browser.evaluate(f"""(() => {{
            const figure = {GRID};
            figure.scrollIntoView({{block: 'center'}});
            const box = figure.querySelector('.nsewdrag').getBoundingClientRect();
            const {{xaxis, yaxis}} = figure._fullLayout;
            return [box.x + xaxis.l2p({column}), box.y + yaxis.l2p({row})];
        }})()""")
    )


@pytest.fixture(scope="module")
def browser(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    code = (
        "from interp.explorer import explore\nfrom training.runs.run import Run\n"
        f"explore(Run.load({str(tiny_run.folder)!r}))"
    )
    with notebook_in_browser(tmp_path_factory.mktemp("browser"), code) as browser:
        browser.wait(
            "document.querySelectorAll('.js-plotly-plot .main-svg').length >= 8", what="4 figures"
        )
        yield browser


def test_every_menu_and_figure_is_on_the_page(browser: Browser) -> None:
    labels = browser.evaluate(
        "[...document.querySelectorAll('.widget-dropdown label')].map(x => x.textContent)"
    )
    assert labels == ["seed", "stage", "step", "subset", "alias", "question", "other alias",
                      "attention of", "patching", "ablate to"]  # fmt: skip
    titles = browser.evaluate(
        "[...document.querySelectorAll('.js-plotly-plot .gtitle')].map(x => x.textContent)"
    )
    assert len(titles) == 4
    assert titles[0].startswith("What the model answers")
    assert titles[3].startswith("Patching: click a cell to ablate it")


def test_another_alias_changes_texts_and_figures(browser: Browser) -> None:
    question = "[...document.querySelectorAll('.widget-html tr')].at(-2).textContent"
    before, drawn = browser.evaluate(question), browser.evaluate(f"({GRID}).textContent")
    _choose(browser, "alias", 1)
    browser.wait(f"{question} != {json.dumps(before)}", what="another question")
    browser.wait(f"({GRID}).textContent != {json.dumps(drawn)}", what="another grid")
    alias = browser.evaluate(
        "[...document.querySelectorAll('.widget-dropdown')].find(box => box.querySelector('label')"
        ".textContent == 'alias').querySelector('select').selectedOptions[0].textContent"
    )
    assert f"ask {alias} " in browser.evaluate(question)
    assert f"ask {alias} " not in before


def test_another_seed_and_another_head_are_shown(browser: Browser) -> None:
    _choose(browser, "attention of", 1)
    panels = "document.querySelectorAll('.js-plotly-plot')[1].querySelectorAll('.heatmaplayer .hm')"
    browser.wait(f"{panels}.length == 1", what="one head")
    grid = browser.evaluate(f"({GRID}).textContent")
    _choose(browser, "seed", 1)
    browser.wait(f"({GRID}).textContent != {json.dumps(grid)}", what="another seed")
    _choose(browser, "attention of", 0)
    browser.wait(f"{panels}.length > 1", what="all heads")


def test_a_click_on_a_cell_ablates_it_and_a_second_click_takes_it_back(browser: Browser) -> None:
    answers = "document.querySelectorAll('.js-plotly-plot')[0]"
    ablated = f"({answers}).textContent.includes('after the ablation')"
    undo = "[...document.querySelectorAll('button')].find(b => b.textContent == 'undo ablations')"
    assert not browser.evaluate(ablated)
    browser.click(*_grid_cell(browser, 0, 0))
    browser.wait(ablated, what="bars after an ablation")
    browser.wait(f"({GRID}).querySelectorAll('.shapelayer path').length == 1", what="a frame")
    assert "stream before layer 0 at the last alias token" in browser.evaluate(
        f"({answers}).textContent"
    )
    browser.click(*_grid_cell(browser, 0, 0))
    browser.wait(f"!{ablated}", what="bars as before")
    browser.click(*_grid_cell(browser, 1, 3))
    browser.wait(ablated, what="another ablation")
    browser.wait(f"!{undo}.disabled", what="a button to undo")
    browser.evaluate(f"{undo}.click()")
    browser.wait(f"!{ablated}", what="undoing")


def test_nothing_was_asked_of_another_host_and_no_script_failed(browser: Browser) -> None:
    local = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:")
    assert len(browser.requested) > 10
    assert [url for url in browser.requested if not url.startswith(local)] == []
    assert browser.errors == []
