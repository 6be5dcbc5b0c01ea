"""The component keeps the promises of all components, on a small file that a made-up index calls official."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest

from fedsec_core.testing import Case, Check, contract

SPLITS = {"train": 40, "val": 8, "test": 12}


@pytest.fixture(autouse=True)
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a medmnist package in front of the installed one, and the file that it names where data are."""
    file = tmp_path / "tiny.npz"
    generator = np.random.default_rng(0)
    arrays = {}
    for split, count in SPLITS.items():
        arrays[f"{split}_images"] = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count, dtype=np.uint8) % 3)[:, None]
    np.savez(file, **arrays)
    facts = {
        "python_class": "TinyMNIST",
        "task": "multi-class",
        "label": {"0": "none", "1": "mild", "2": "severe"},
        "url": "http://127.0.0.1:9/tiny.npz",
        "MD5": hashlib.md5(file.read_bytes()).hexdigest(),
    }
    package = tmp_path / "packages" / "medmnist"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "info.py").write_text(f"INFO = {{'tiny': {facts!r}}}\n")
    monkeypatch.delitem(sys.modules, "medmnist", raising=False)
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("FEDSEC_DATA", str(tmp_path))


@contract("fedsec-medmnist", Case("medmnist", {"dataset": "tiny"}, beside={"partition": {"clients": 4}}))
def test_contract(check: Check) -> None:
    check()
