"""A small federation of GANs as tables, and what plays it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fedsec_core
from fedsec_core.execution.launching import Nursery
from fedsec_core.runs.reading import FederationResult

Play = Callable[..., FederationResult]


@pytest.fixture
def tables() -> dict[str, Any]:
    """Return a federation of four clients with small GANs on drawn radiographs."""
    return {
        "scenario": {"name": "small", "rounds": 3, "seed": 5},
        "data": {"use": "phantom", "train": 96, "val": 16, "test": 24, "classes": ["clear", "effusion"]},
        "model": {"use": "cdcgan", "width": 4, "latent": 6},
        "partition": {"use": "iid", "clients": 4},
        "train": {"use": "fedgan", "steps": 3, "batch": 8, "lr": 0.002},
        "aggregate": {"use": "mean", "weights": "equal"},
        "evaluate": [{"use": "generation", "samples": 32}],
    }


@pytest.fixture
def play(tmp_path: Path, nursery: Nursery) -> Play:
    """Run tables and return the one federation; more than one worker come from the shared nursery."""

    def played(tables: dict[str, Any], workers: int = 1, **options: Any) -> FederationResult:
        return fedsec_core.run(
            tables, out=tmp_path, workers=workers, report=False, nursery=nursery, **options
        ).of()

    return played
