"""The index of the installed medmnist package, read from its `info.py` without importing the package.

Importing medmnist costs torch, pandas and scikit-learn, prints, and makes a folder in the user's
home. The index is one literal in one file, so the file is parsed and never executed.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from attrs import frozen

from fedsec_core.suggest import did_you_mean

SIZES = (28, 64, 128, 224)
"""Sides of the images, in pixels, that the package offers for 2-D sets."""


class NoIndex(ValueError):
    """The medmnist package, or its index, cannot be found; the message says so in one line."""


@frozen
class OfficialFile:
    """A file as MedMNIST publishes it."""

    name: str
    url: str
    md5: str


@frozen
class Entry:
    """What the index says of one data set."""

    name: str
    title: str
    """As its authors write it: `PneumoniaMNIST`."""
    task: str
    classes: tuple[str, ...]
    files: Mapping[int, OfficialFile]
    """By the side of the images."""

    @property
    def refusal(self) -> str | None:
        """Why a federation of 2-D single-label images cannot use it; None if it can."""
        if self.name.endswith("3d"):
            return "holds volumes; only 2-D images can be used"
        if self.task.startswith("multi-label"):
            return "has several labels per image; only sets with one label per image can be used"
        return None


def entries() -> Mapping[str, Entry]:
    """Return every data set of the installed package by name, usable or not; raises NoIndex."""
    spec = importlib.util.find_spec("medmnist")
    folders = (spec.submodule_search_locations if spec else None) or ()
    for folder in folders:
        path = Path(folder) / "info.py"
        if path.is_file():
            return _read(path)
    raise NoIndex("the medmnist package is not installed; pip install medmnist")


def wrong_name(name: str) -> str | None:
    """Return what is wrong with `name` as a data set, or None."""
    try:
        known = entries()
    except NoIndex as error:
        return str(error)
    if name in known:
        refusal = known[name].refusal
        return refusal and f"{name!r} {refusal}"
    usable = [entry.name for entry in known.values() if entry.refusal is None]
    hint = did_you_mean(name.lower(), usable) or f"; known: {', '.join(usable)}"
    return f"MedMNIST has no set {name!r}{hint}"


@cache
def _read(path: Path) -> Mapping[str, Entry]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        (info,) = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "INFO"
        ]
        return {name: _entry(name, facts) for name, facts in info.items()}
    except (OSError, SyntaxError, ValueError, KeyError) as error:
        raise NoIndex(
            f"the index of the medmnist package cannot be read from {path} ({error!r}); "
            "pip install --force-reinstall 'medmnist>=3.0.2'"
        ) from error


def _entry(name: str, facts: Mapping[str, Any]) -> Entry:
    labels = facts["label"]
    suffixes = {size: "" if size == 28 else f"_{size}" for size in SIZES}
    return Entry(
        name=name,
        title=facts["python_class"],
        task=facts["task"],
        classes=tuple(labels[number] for number in sorted(labels, key=int)),
        files={
            size: OfficialFile(f"{name}{suffix}.npz", facts[f"url{suffix}"], facts[f"MD5{suffix}"])
            for size, suffix in suffixes.items()
            if f"MD5{suffix}" in facts
        },
    )
