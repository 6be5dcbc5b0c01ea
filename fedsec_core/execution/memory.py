"""Memory that several processes see. It has no name, so nothing is left behind when they are killed."""

from __future__ import annotations

import mmap
import os
import tempfile
from itertools import count

import numpy as np

_numbers = count()


class Segment:
    """A growing piece of shared memory, known by `id` to the processes that share it.

    Its pages are there from the first touch on, and given back when no process maps it any more.
    """

    def __init__(self, fd: int, id: int) -> None:
        self.fd, self.id = fd, id
        self._map: mmap.mmap | None = None

    @classmethod
    def make(cls) -> Segment:
        """Make an empty segment; raises OSError where the system refuses."""
        return cls(_unnamed(), next(_numbers))

    def __del__(self) -> None:
        self.close()

    @property
    def size(self) -> int:
        """Bytes, as the segment is now."""
        return os.fstat(self.fd).st_size

    def reserve(self, size: int) -> None:
        """Grow to at least `size` bytes; raises OSError where there is no room."""
        if size > self.size:
            # a little more than asked for, so that what grows slowly is not mapped anew every time
            os.ftruncate(self.fd, -(-size * 5 // 4 // mmap.PAGESIZE) * mmap.PAGESIZE)

    def bytes(self) -> np.ndarray:
        """Return all bytes [size] uint8, shared: what one process writes the others read."""
        if self._map is None or len(self._map) < self.size:
            self._map = mmap.mmap(self.fd, self.size)
        return np.frombuffer(self._map, dtype=np.uint8)

    def copy_on_write(self) -> np.ndarray:
        """Return all bytes [size] uint8; what is written to them stays with this process."""
        return np.frombuffer(mmap.mmap(self.fd, self.size, access=mmap.ACCESS_COPY), dtype=np.uint8)

    def released(self) -> bool:
        """Let go of the mapping, unless an array still looks into it; tells whether none does."""
        if self._map is None:
            return True
        try:
            self._map.close()
        except BufferError:
            return False
        self._map = None
        return True

    def close(self) -> None:
        """Give up this process's hold; arrays that still look into it stay valid."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self.released()
        self._map = None


def _unnamed() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("fedsec")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
