"""Memory on disk: tensors, plain values and bytes, read back without unpickling anything else."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fedsec_core.errors import KEPT, FedsecError, one_line

HOLDS = "memory holds tensors, plain values and bytes"
DAMAGED = "it is damaged, or was not written by fedsec"
PLAIN = (type(None), bool, int, float, str, bytes)


def write(file: Path, value: Any, what: str) -> None:
    """Write `value` so that `file` appears whole or not at all; `what` names it in faults.

    Raises FedsecError for anything but tensors, plain values and bytes in dicts, lists and tuples,
    and where the file cannot be written.
    """
    unfinished = file.with_name(file.name + ".unfinished")
    compact = _compact(value, what)
    try:
        torch.save(compact, unfinished)
        os.replace(unfinished, file)
    except (OSError, RuntimeError) as error:
        # torch's own writer reports a full disk as a RuntimeError
        unfinished.unlink(missing_ok=True)
        why = error.strerror if isinstance(error, OSError) else _full(file) or one_line(error)
        raise FedsecError(f"{file}: cannot write: {why}; {KEPT}") from error


def read(file: Path) -> dict[Any, Any]:
    """Read the dict that `write` wrote; raises FedsecError for a file that is missing or damaged."""
    try:
        with zipfile.ZipFile(file) as archive:
            # torch writes checksums and does not look at them
            whole = archive.testzip() is None
        # the empty bytes are written as a call of their type
        with torch.serialization.safe_globals([bytes]):
            value = torch.load(file, weights_only=True) if whole else None
    except FileNotFoundError as error:
        raise FedsecError(f"{file}: cannot be read: no such file") from error
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        raise FedsecError(f"{file}: cannot be read: {DAMAGED}") from error
    if not isinstance(value, dict):
        raise FedsecError(f"{file}: cannot be read: {DAMAGED}")
    return value


def _compact(value: Any, what: str) -> Any:
    """Copy containers, and tensors that look into something larger than themselves."""
    if isinstance(value, Tensor):
        plain = value.detach()
        return plain.clone() if plain.untyped_storage().nbytes() > plain.nbytes else plain
    if isinstance(value, Mapping):
        return {_key(key, what): _compact(each, f"{what}.{key}") for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        kind = tuple if isinstance(value, tuple) else list
        return kind(_compact(each, f"{what}[{place}]") for place, each in enumerate(value))
    if type(value) in PLAIN:
        return value
    raise FedsecError(f"{what} is a {type(value).__name__}: {HOLDS}")


def _key(key: Any, what: str) -> Any:
    if type(key) in PLAIN or (isinstance(key, tuple) and all(type(each) in PLAIN for each in key)):
        return key
    raise FedsecError(f"a key of {what} is a {type(key).__name__}: {HOLDS}")


def _full(file: Path) -> str:
    room = os.statvfs(file.parent)
    return "No space left on device" if not room.f_bavail else ""
