"""The number of threads that a number is computed on, which its last bits depend on."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

THREADS = 1
"""Threads of each process unless a run says more: seeds side by side use cores better."""


@contextmanager
def on_threads(number: int) -> Iterator[None]:
    """Runs the block on so many threads and gives thread count and random state back."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.set_num_threads(number)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


@contextmanager
def one_thread() -> Iterator[None]:
    """Runs the block on one thread and gives thread count and random state back."""
    with on_threads(THREADS):
        yield
