"""JupyterLab in a real browser, driven over Chromium's own protocol."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interp.browser import Browser, answer_of, chromium, free_port, process
from tests.interp.drawn_pages import needs_chromium

pytest.importorskip("websocket")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("jupyterlab")
in_browser = [pytest.mark.slow, needs_chromium]
ROOT = Path(__file__).parents[3]
GRID = "document.querySelector('[data-figure=grid]')"
SLOW_START = "[anywidget] Failed to initialize model"
"""What anywidget says where a program takes two seconds to load, and then goes on."""
MISPLACED = """(() => {
    const output = document.querySelector('.jp-OutputArea-output'), wrong = [];
    const edges = output.getBoundingClientRect();
    if (output.scrollWidth > output.clientWidth + 1) wrong.push(['too wide', output.scrollWidth]);
    const controls = [...output.querySelectorAll('.widget-dropdown, .widget-text, button')]
        .filter(each => each.getBoundingClientRect().width);  // those of the tab that is open
    controls.forEach((one, i) => {
        const a = one.getBoundingClientRect(), name = one.textContent.slice(0, 30);
        if (a.right > edges.right + 1 || a.left < edges.left - 1) wrong.push(['cut control', name]);
        for (const other of controls.slice(i + 1)) {
            const b = other.getBoundingClientRect();
            if (a.left < b.right - 1 && b.left < a.right - 1 &&
                a.top < b.bottom - 1 && b.top < a.bottom - 1) wrong.push(['overlap', name]);
        }
    });
    for (const label of output.querySelectorAll('.widget-label')) {
        if (label.scrollWidth > label.clientWidth + 1) wrong.push(['cut label', label.textContent]);
    }
    for (const figure of output.querySelectorAll('[data-figure]')) {
        const box = figure.getBoundingClientRect();
        if (box.right > edges.right + 1) wrong.push(['wide figure', figure.dataset.figure]);
        for (const text of figure.querySelectorAll('.main-svg text')) {
            const t = text.getBoundingClientRect();
            if (t.width && (t.left < box.left - 2 || t.right > box.right + 2 ||
                t.top < box.top - 2 || t.bottom > box.bottom + 2)) {
                wrong.push(['cut text', figure.dataset.figure, text.textContent]);
            }
        }
    }
    return JSON.stringify(wrong);
})()"""
"""What is too wide, cut or on another thing, as a list in JSON."""


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


def choose(browser: Browser, menu: str, number: int) -> None:
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


def grid_cell(browser: Browser, column: int, row: int) -> tuple[float, float]:
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


def wait_for_figures(browser: Browser) -> None:
    """Until all five are drawn."""
    browser.wait(
        "[...document.querySelectorAll('[data-figure]')].filter(x => x.data).length == 5",
        what="5 figures",
    )


def failures(browser: Browser) -> list[str]:
    """What scripts complained of."""
    return [error for error in browser.errors if SLOW_START not in error]
