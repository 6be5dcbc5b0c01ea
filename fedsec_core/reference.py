"""Tensors that evaluation computes once and keeps between runs, under the output folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from fedsec_core import digests
from fedsec_core.data import Dataset


def cached(
    folder: Path | None, name: str, build: Callable[..., Mapping[str, Tensor]], inputs: Sequence[Any]
) -> dict[str, Tensor]:
    """Return `build(*inputs)`, from `folder` if it was computed before (None: never kept).

    The key holds the inputs and the source of the module of `build`.
    """
    if folder is None:
        return dict(build(*inputs))
    from safetensors.torch import load_file, save_file

    file = folder / f"{name}-{_key(build, inputs)}.safetensors"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(f".{os.getpid()}.unfinished")
        save_file({key: tensor.contiguous() for key, tensor in build(*inputs).items()}, unfinished)
        unfinished.replace(file)
    return load_file(file)


def _key(build: Callable[..., Any], inputs: Sequence[Any]) -> str:
    import inspect

    made = hashlib.blake2b(digest_size=16)
    module = inspect.getmodule(build)
    made.update(f"{build.__module__}:{build.__qualname__}".encode())
    made.update(inspect.getsource(module).encode() if module else b"")
    for given in inputs:
        if isinstance(given, Dataset):
            made.update(given.digest().encode())
        elif isinstance(given, Tensor):
            made.update(digests.of_tensor(given).encode())
        else:
            made.update(digests.of_values(given).encode())
    return made.hexdigest()
