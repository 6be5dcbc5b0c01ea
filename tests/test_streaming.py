"""Rows that are summed as they arrive: nothing differs from keeping them, but the memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fedsec_core
from fedsec_core.execution.launching import Nursery
from fedsec_core.federation import Federation
from fedsec_core.runs.reading import FederationResult
from fedsec_core.scenario import load
from fedsec_test_components.comparing import fingerprint


@pytest.fixture
def crowd(remembering: dict[str, Any]) -> dict[str, Any]:
    """More clients than rows may wait for a slower one, of unequal size, nobody who needs single rows."""
    del remembering["detect"]
    remembering["attack"] = []
    remembering["scenario"]["rounds"] = 2
    remembering["data"]["train"] = 320
    remembering["partition"] = {"use": "quantity-skew", "clients": 24, "alpha": 2.0}
    # without BatchNorm in training mode, which refuses the single sample that a batch may end with
    remembering["model"] = {"use": "perceptron", "dropout": 0.2}
    remembering["evaluate"] = [{"use": "witness"}]
    remembering["aggregate"] = {"use": "sum"}
    return remembering


@pytest.fixture
def play(tmp_path: Path, nursery: Nursery) -> Callable[..., FederationResult]:
    def played(tables: dict[str, Any], workers: int = 1) -> FederationResult:
        return fedsec_core.run(tables, out=tmp_path, workers=workers, report=False, nursery=nursery).of()

    return played


def keeps_rows(tables: dict[str, Any]) -> bool:
    return Federation(load(tables).main, 1).keeps_rows


@pytest.mark.parametrize("weights", ["examples", "equal"])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_rows_that_are_streamed_give_the_bits_of_rows_that_are_kept(
    play: Callable[..., FederationResult], crowd: dict[str, Any], workers: int, weights: str
) -> None:
    crowd["aggregate"]["weights"] = weights
    crowd["train"]["dawdle"] = 0.005 if workers > 1 else 0.0
    kept = {**crowd, "aggregate": {**crowd["aggregate"], "single": True}}
    assert (keeps_rows(crowd), keeps_rows(kept)) == (False, True)
    assert fingerprint(play(crowd, workers)) == fingerprint(play(kept))


@pytest.mark.parametrize("workers", [1, 2])
def test_buffers_are_streamed_with_the_rows(
    play: Callable[..., FederationResult], crowd: dict[str, Any], workers: int
) -> None:
    crowd["model"]["norm"] = True
    crowd["data"]["train"] = 480
    crowd["partition"] = {"use": "iid", "clients": 24}
    kept = {**crowd, "aggregate": {"use": "sum", "single": True}}
    streamed = play(crowd, workers)
    assert fingerprint(streamed) == fingerprint(play(kept))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_update_that_is_not_finite_is_counted_and_ends_the_run_in_both_ways(
    play: Callable[..., FederationResult], crowd: dict[str, Any], workers: int
) -> None:
    crowd["train"]["lr"] = 1e38
    kept = {**crowd, "aggregate": {"use": "sum", "single": True}}
    one, other = play(crowd, workers), play(kept)
    assert one.status == other.status == "diverged"
    assert one.facts["why"] == other.facts["why"]
    assert one.rounds[-1]["non_finite"] == other.rounds[-1]["non_finite"] != []
    assert one.facts["digest"] == other.facts["digest"]


@pytest.mark.parametrize(
    ("tables", "kept"),
    [
        ({}, False),
        ({"aggregate": {"use": "median"}}, True),
        ({"aggregate": {"use": "sum", "linear": False}}, True),
        ({"detect": [{"use": "habit"}]}, True),
        ({"before": [{"use": "pairs"}]}, True),
        ({"after": [{"use": "scale-step", "factor": 0.5}]}, False),
        ({"protect": [{"use": "shield", "dim": 0.5}]}, False),
    ],
    ids=["mean", "median", "not-linear", "detector", "before", "after", "protection"],
)
def test_what_components_declare_decides_whether_rows_are_kept(
    crowd: dict[str, Any], tables: dict[str, Any], kept: bool
) -> None:
    assert keeps_rows({**crowd, **tables}) is kept
