"""How far long work is: a bar with the time left on a terminal, plain lines elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

PLAIN_LINES = 10
"""So many lines over the whole work where nobody watches a bar."""


def is_spokesman() -> bool:
    """Whether this process is the one that says what all of `accelerate launch` have done."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def show_progress(label: str, *, unit: str = "step") -> Iterator[Callable[[int, int], None]]:
    """Yields a function to be told of units (steps, say) done and in all; writes to stderr."""
    if not is_spokesman():
        yield lambda done, total: None
        return
    if sys.stderr.isatty():
        with tqdm(desc=label, unit=unit, smoothing=0.05) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield show
        return
    start = time.monotonic()
    shown = 0

    def write(done: int, total: int) -> None:
        nonlocal shown
        tenth = done * PLAIN_LINES // max(total, 1)
        if tenth > shown:
            shown = tenth
            seconds = time.monotonic() - start
            left = seconds / done * (total - done)
            line = f"{label}: {done}/{total} {unit}s, {seconds:.0f} s, {left:.0f} s left"
            print(line, file=sys.stderr, flush=True)

    yield write
