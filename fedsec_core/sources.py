"""Digests of the code that is installed, and of what it rests on, as a process first finds it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path


@cache
def code_of(distribution: str, modules: tuple[str, ...]) -> str:
    """Return the version of an installed distribution; of an editable one, a hash of its `modules`' files."""
    version = version_of(distribution)
    return _hash_sources(modules) if version is None or editable(distribution) else version


@cache
def requirements(distribution: str) -> tuple[str, ...]:
    """Return the names of what a distribution requires, extras apart; of one not installed, nothing."""
    if not installed(distribution):
        return ()
    lines = metadata.requires(distribution) or []
    needed = [line for line in lines if "extra ==" not in line]
    return tuple(found[0] for line in needed if (found := re.match(r"[A-Za-z0-9._-]+", line)))


@cache
def underneath(distribution: str) -> tuple[str, ...]:
    """Return the editable distributions that one requires, directly or not: their versions say nothing."""
    found: dict[str, None] = {}
    left = [*requirements(distribution)]
    while left:
        name = left.pop()
        if name not in found and editable(name):
            found[name] = None
            left += requirements(name)
    return tuple(sorted(found))


def installed(distribution: str) -> bool:
    """Tell whether there is such a distribution."""
    return version_of(distribution) is not None


@cache
def version_of(distribution: str) -> str | None:
    """Return the version that is installed; None if there is no such distribution."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


@cache
def editable(distribution: str) -> bool:
    """Tell whether a distribution is installed where it is being worked on."""
    if not installed(distribution):
        return False
    text = metadata.distribution(distribution).read_text("direct_url.json")
    return bool(json.loads(text or "{}").get("dir_info", {}).get("editable"))


def module_of(distribution: str) -> str:
    """Return the module that a distribution is expected to hold: `fedsec_robust` of `fedsec-robust`."""
    return re.sub(r"[-.]+", "_", distribution)


def _hash_sources(modules: Iterable[str]) -> str:
    made = hashlib.blake2b(digest_size=16)
    for module in modules:
        spec = find_spec(module)
        folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
        files = [file for folder in folders for file in sorted(folder.rglob("*")) if file.suffix != ".pyc"]
        if spec is not None and not folders and spec.origin:
            files = [Path(spec.origin)]
        for file in files:
            if file.is_file():
                made.update(f"{module}/{file.name}".encode())
                made.update(file.read_bytes())
    return made.hexdigest()
