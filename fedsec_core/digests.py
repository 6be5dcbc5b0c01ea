"""Receipts: one digest per round and quantity, chained into the digest of the run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def of_values(values: Any) -> str:
    """Return the digest of plain values; floats count bit by bit."""
    return _hash(json.dumps(_exact(values), sort_keys=True, separators=(",", ":")).encode())


def as_bytes(tensor: Tensor) -> Tensor:
    """Return the bytes of a tensor [its nbytes] uint8, in the order of its elements."""
    plain = tensor.detach().contiguous()
    # torch takes strides of 0 for contiguous where there is nothing to stride over, and then refuses the view
    return plain.as_strided((plain.numel(),), (1,)).view(torch.uint8)


def of_tensor(tensor: Tensor) -> str:
    """Return the digest of a tensor's bytes."""
    return _hash(tensor.detach().contiguous().numpy().tobytes())


def of_arrays(arrays: Sequence[np.ndarray]) -> str:
    """Return the digest of a list of arrays."""
    made = hashlib.blake2b(digest_size=16)
    for array in arrays:
        made.update(f"{array.dtype}{array.shape}".encode())
        made.update(np.ascontiguousarray(array).tobytes())
    return made.hexdigest()


def chain(before: str, digests: Mapping[str, str]) -> str:
    """Return the digest of everything up to and including `digests`."""
    return _hash(json.dumps([before, dict(sorted(digests.items()))]).encode())


def _exact(values: Any) -> Any:
    if isinstance(values, float):
        return values.hex()
    if isinstance(values, Mapping):
        return {str(key): _exact(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [_exact(value) for value in values]
    return values


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
