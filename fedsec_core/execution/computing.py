"""How a process computes clients: one thread, and memory that is used again rather than given back."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from attrs import define, field
from threadpoolctl import threadpool_limits

LARGE = 31 << 20
"""Bytes: just below the largest block that glibc would learn from (32 MiB, mallopt(3))."""

HOLES = 1 << 28
"""Bytes of updates after which holes are given back: seldom enough to cost nothing."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread, torch and numpy alike, and give the caller's numbers of threads back.

    More threads would add up in another order, and give other bits.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
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


@define(eq=False)
class Heap:
    """Gives memory back that clients leave in pieces.

    Between the rows of many clients lie small things that stay, so freed rows become holes that no
    later row fits into; left alone they grow with the number of clients.
    """

    left: int = field(default=HOLES, init=False)
    """Bytes of updates until holes are given back."""

    def used(self, size: int) -> None:
        """Note that an update of `size` bytes came and went."""
        self.left -= size
        if self.left <= 0:
            self.left = HOLES
            if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
                trim(0)
