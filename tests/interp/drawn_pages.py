"""What a real browser makes of a page, for tests of how figures look there."""

import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome")
                 if (p := shutil.which(n))), None)  # fmt: skip
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


def drawn(page: str, folder: Path, *, width: int = 1100) -> str:
    """The page's elements after its scripts ran, without network.

    Args:
        page: The HTML.
        folder: Where the browser may write.
        width: Of the window, in pixels.
    """
    path = folder / "page.html"
    path.write_text(page)
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}",
        f"--window-size={width},900", "--host-resolver-rules=MAP * ~NOTFOUND",
        "--virtual-time-budget=10000", "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
