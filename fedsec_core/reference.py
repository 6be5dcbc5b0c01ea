"""Tensors that evaluation computes once and keeps between runs, under the output folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from fedsec_core import digests
from fedsec_core.data import Dataset
from fedsec_core.sources import code_of, installed, module_of, requirements, underneath, version_of


def cached(
    folder: Path | None, name: str, build: Callable[..., Mapping[str, Tensor]], inputs: Sequence[Any]
) -> dict[str, Tensor]:
    """Return `build(*inputs)`, from `folder` if it was computed before (None: never kept).

    The key holds the inputs, the code of `build`'s distribution and of editable ones that it
    requires, and the versions of all that it requires.
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


def _code(build: Callable[..., Any]) -> str:
    """Return the source of the module of `build`, which may belong to no distribution."""
    import inspect

    module = inspect.getmodule(build)
    return inspect.getsource(module) if module else ""


@cache
def _footing(module: str) -> tuple[str, ...]:
    """Return what tells the code of an installed top-level module, and what it rests on; else nothing."""
    if not installed(module):
        return ()
    code = [code_of(name, (module_of(name),)) for name in (module, *underneath(module))]
    versions = [f"{name} {version_of(name)}" for name in requirements(module) if installed(name)]
    return (*code, *versions)


def _key(build: Callable[..., Any], inputs: Sequence[Any]) -> str:
    made = hashlib.blake2b(digest_size=16)
    made.update(f"{build.__module__}:{build.__qualname__}".encode())
    for fact in (_code(build), *_footing(build.__module__.partition(".")[0])):
        made.update(fact.encode())
    for given in inputs:
        if isinstance(given, Dataset):
            made.update(given.digest().encode())
        elif isinstance(given, Tensor):
            made.update(digests.of_tensor(given).encode())
        else:
            made.update(digests.of_values(given).encode())
    return made.hexdigest()
