"""How a process computes clients: one thread, and memory that is used again rather than given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

LARGE = 31 << 20
"""Bytes: just below the largest block that glibc would learn from (32 MiB, mallopt(3))."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread, and give the caller's number of threads back.

    More threads would add up in another order, and give other bits.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def keep_freed_memory() -> None:
    """Have the C library keep what a training step frees for the next one.

    glibc gives freed blocks of this size back to the system, and the next step pays for every page
    of them again: about a fifth of a step of a small network. It learns from the largest block that
    was freed to keep up to twice as much, so one block is freed that was never touched. Elsewhere
    this does nothing.
    """
    torch.empty(LARGE, dtype=torch.uint8)
