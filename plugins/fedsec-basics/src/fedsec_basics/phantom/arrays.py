"""What the drawing of the phantom shares: records of arrays, and how they meet a grid of pixels."""

from __future__ import annotations

from typing import Any, TypeVar

import attrs
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Record = TypeVar("Record", bound=attrs.AttrsInstance)


def take(record: Record, index: Array | slice) -> Record:
    """Return the rows at `index` of a record whose fields are arrays."""
    names = [each.name for each in attrs.fields(type(record))]
    return type(record)(**{name: getattr(record, name)[index] for name in names})


def column(values: Array) -> Array:
    """Return values [n] as float32 [n, 1, 1], to stand beside images."""
    return values.astype(np.float32)[:, None, None]


def soft(inside: Array, sharpness: float) -> Array:
    """Return a smooth step: 0 where `inside` is negative, 1 where it is positive."""
    return 0.5 + 0.5 * np.tanh(0.5 * sharpness * inside)
