"""Randomness: every call of a hook draws from a stream of its own, derived and never shared.

A stream is a function of `(seed, purpose, label, round, client)`. Adding or exchanging a
component therefore leaves every other component's draws as they were, and nothing needs to be
saved to resume.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import torch


class Stream:
    """The random generators of one call.

    `numpy` and `torch` are independent generators, made on first use; both move on as they are
    drawn from. `child(name)` is a stream of its own, whatever was drawn here before.
    """

    def __init__(self, *path: int | str | None) -> None:
        self.path = path
        # JSON tells None from "", 1 from "1", and where one step ends
        text = json.dumps(path).encode()
        self._entropy = hashlib.blake2b(text, digest_size=24, person=b"fedsec-stream").digest()

    def __repr__(self) -> str:
        return f"Stream({', '.join(map(repr, self.path))})"

    def __reduce__(self) -> tuple[type[Stream], tuple[int | str | None, ...]]:
        return Stream, self.path

    @cached_property
    def numpy(self) -> np.random.Generator:
        """A numpy generator."""
        return np.random.Generator(np.random.PCG64(int.from_bytes(self._entropy[:16], "big")))

    @cached_property
    def torch(self) -> torch.Generator:
        """A torch generator on the CPU."""
        return torch.Generator().manual_seed(int.from_bytes(self._entropy[16:24], "big") >> 1)

    @property
    def seed(self) -> int:
        """A whole number of 63 bits that belongs to this stream."""
        return int.from_bytes(self.child("seed")._entropy[:8], "big") >> 1

    def child(self, *path: int | str | None) -> Stream:
        """Return the stream called `path` below this one."""
        return Stream(*self.path, *path)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Seed the global generators of torch, numpy and Python from this stream, then restore them.

        Library code that draws from a global generator (dropout does) is thereby reproducible
        and leaves the caller's own generators alone.
        """
        saved = torch.get_rng_state(), np.random.get_state(), random.getstate()
        seed = self.child("globals").seed
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed & 0xFFFFFFFF)
        random.seed(seed)
        try:
            yield
        finally:
            torch.set_rng_state(saved[0])
            np.random.set_state(saved[1])
            random.setstate(saved[2])
