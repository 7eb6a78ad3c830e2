"""JupyterLab in a real browser, driven over Chromium's own protocol."""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

websocket = pytest.importorskip("websocket")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("jupyterlab")
CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome")
                 if (p := shutil.which(n))), None)  # fmt: skip
in_browser = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
ROOT = Path(__file__).parents[3]
PATIENCE = 120
"""Seconds; a loaded machine starts a kernel slowly."""
GRID = "document.querySelector('[data-figure=grid]')"
SLOW_START = "[anywidget] Failed to initialize model"
"""What anywidget says where a program takes two seconds to load, and then goes on."""


class Browser:
    """One page of a headless Chromium that can reach this machine only."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=PATIENCE, suppress_origin=True)
        self._number = 0
        self.errors: list[str] = []
        self.requested: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        # JupyterLab runs the notebook that has the focus; no window here has it.
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command, and its answer; what happens meanwhile is noted."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message.get("method"), message.get("params", {}))

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])
        elif event == "Network.webSocketCreated":
            self.requested.append(params["url"])
        elif event == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            shown = details.get("exception", {}).get("description", details["text"])
            self.errors.append(shown)
        elif event == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.errors.append(" ".join(str(a.get("value", a)) for a in params["args"]))

    def evaluate(self, script: str) -> Any:
        """The value of a script in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script: str, *, what: str) -> Any:
        """The value of a script as soon as it is true."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if value := self.evaluate(script):
                return value
            time.sleep(0.05)
        shown = self.evaluate("document.body.innerText.slice(0, 3000)")
        pytest.fail(f"{what} did not happen; errors: {self.errors}; the page says: {shown}")

    def click(self, x: float, y: float) -> None:
        """A click of the mouse, with the way there."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x - 3, y=y - 3)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        time.sleep(0.3)  # plotly looks what is below the mouse, but not at every move
        button = {"x": x, "y": y, "button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mousePressed", **button)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", **button)

    def screenshot(self, path: Path, clip: dict[str, float], *, scale: float = 1) -> None:
        """A picture of a part of the page."""
        answer = self.call(
            "Page.captureScreenshot", clip=clip | {"scale": scale}, captureBeyondViewport=True
        )
        path.write_bytes(base64.b64decode(answer["data"]))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _process(command: list[str], log: Path, **options: Any) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, **options
        )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _answer(url: str, log: Path) -> bytes:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return response.read()
        except OSError:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)


@contextmanager
def notebook_in_browser(folder: Path, code: str, *, width: int = 1480) -> Iterator[Browser]:
    """A notebook of one cell, run in JupyterLab, without other hosts."""
    cell = nbformat.v4.new_code_cell(code)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    (folder / "work").mkdir()
    nbformat.write(notebook, folder / "work" / "explorer.ipynb")
    port, debug, token = _free_port(), _free_port(), "a-token-for-this-test"
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
    chromium = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--hide-scrollbars", f"--window-size={width},1500", "--disable-dev-shm-usage",
                f"--remote-debugging-port={debug}", f"--user-data-dir={folder / 'profile'}",
                "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
                "about:blank"]  # fmt: skip
    logs = [folder / "lab.log", folder / "chromium.log"]
    with _process(lab, logs[0], env=environment), _process(chromium, logs[1]):
        site = f"http://127.0.0.1:{port}"
        _answer(f"{site}/api?token={token}", logs[0])
        pages = json.loads(_answer(f"http://127.0.0.1:{debug}/json", logs[1]))
        page = next(page for page in pages if page["type"] == "page")
        browser = Browser(page["webSocketDebuggerUrl"])
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
