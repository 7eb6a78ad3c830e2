"""The number of threads that a number is computed on, which its last bits depend on."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

THREADS = 1
"""Threads of each seed's process: more would change the last bits, and seeds use cores better."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Runs the block on one thread and gives thread count and random state back."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.set_num_threads(THREADS)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
