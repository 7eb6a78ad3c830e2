"""Where a person's computer keeps what can be made again."""

import os
from pathlib import Path


def default_cache() -> Path:
    """The user's cache folder: below `$XDG_CACHE_HOME`, or `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "iml-workbench"
