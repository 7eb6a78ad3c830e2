"""A page in a real browser, driven over Chromium's own protocol."""

import base64
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.interp.drawn_pages import CHROMIUM

PATIENCE = 120
"""Seconds; a loaded machine starts a kernel slowly."""


class Browser:
    """One page of a headless Chromium that can reach this machine only.

    Args:
        address: Of its socket for commands.
        downloads: The folder that it saves files in.
    """

    def __init__(self, address: str, downloads: Path) -> None:
        websocket = pytest.importorskip("websocket")
        self._socket = websocket.create_connection(address, timeout=PATIENCE, suppress_origin=True)
        self._number = 0
        self.downloads = downloads
        self.errors: list[str] = []
        self.requested: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def process(command: list[str], log: Path, **options: Any) -> Iterator[None]:
    with log.open("wb") as output:
        running = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, **options
        )  # fmt: skip
        try:
            yield
        finally:
            running.terminate()
            running.wait(PATIENCE)


def answer_of(url: str, log: Path) -> bytes:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return response.read()
        except OSError:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)


@contextmanager
def chromium(folder: Path, *, width: int = 1480, height: int = 1500) -> Iterator[Browser]:
    """A page of a browser that reaches this machine only.

    Args:
        folder: Where the browser may write.
        width: Of the window, in pixels.
        height: Likewise.
    """
    port, log = free_port(), folder / "chromium.log"
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
               "--hide-scrollbars", f"--window-size={width},{height}", "--disable-dev-shm-usage",
               f"--remote-debugging-port={port}", f"--user-data-dir={folder / 'profile'}",
               "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
               "about:blank"]  # fmt: skip
    with process(command, log):
        pages = json.loads(answer_of(f"http://127.0.0.1:{port}/json", log))
        page = next(page for page in pages if page["type"] == "page")
        yield Browser(page["webSocketDebuggerUrl"], folder)
