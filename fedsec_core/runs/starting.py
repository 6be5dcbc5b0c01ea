"""Weights to start from: a safetensors file, or what an earlier run ended with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fedsec_core.errors import DataError, FedsecError, one_line
from fedsec_core.runs.names import FACTS, WEIGHTS

if TYPE_CHECKING:
    from torch import Tensor

    from fedsec_core.state import Layout

SUFFIX = ".safetensors"


def weights_file(start: Path, seed: int) -> Path:
    """Return the file that a federation with this seed starts from.

    `start` is a `.safetensors` file, the folder of one federation, or a run folder, of which
    `main/<seed>` is taken. Raises FedsecError, naming what is wrong, if that leads to no weights.
    """
    if not start.exists():
        raise FedsecError(f"{start}: no such file or folder")
    if start.is_file():
        if start.suffix != SUFFIX:
            raise FedsecError(f"{start}: expected a {SUFFIX} file, or the folder of a run")
        return start
    folder = start if (start / FACTS).is_file() else start / "main" / str(seed)
    if not (folder / FACTS).is_file():
        there = sorted(str(file.parent.relative_to(start)) for file in start.glob(f"*/*/{FACTS}"))
        if not there:
            raise FedsecError(f"{start}: is not the folder of a run")
        raise FedsecError(f"{start}: has no main/{seed} to start seed {seed} from; it has {', '.join(there)}")
    if not (folder / WEIGHTS).is_file():
        raise FedsecError(f"{folder}: the run left no weights ({_status(folder)})")
    return folder / WEIGHTS


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file, by name; nothing is unpickled.

    Raises DataError, naming the file, if it cannot be read or is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{file}: cannot be read as safetensors: {one_line(error)}") from error


def initial_state(layout: Layout, start: Path, seed: int) -> Tensor:
    """Return the state [layout.size] that a federation with this seed starts from.

    Raises FedsecError, naming the file, if the weights cannot be read or are another network's.
    """
    file = weights_file(start, seed)
    tensors = read_weights(file)
    try:
        return layout.pack(tensors)
    except FedsecError as error:
        raise FedsecError(f"{file}: {error}") from error


def weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the digest of tensors by name, type, shape and bytes, whatever file they came from."""
    from fedsec_core.digests import as_bytes

    made = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(tensors.items()):
        made.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        made.update(as_bytes(tensor).numpy().data)
    return made.hexdigest()


def _status(folder: Path) -> str:
    try:
        return str(json.loads((folder / FACTS).read_text(encoding="utf-8"))["status"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"{FACTS} is damaged"
