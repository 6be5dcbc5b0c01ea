"""Part 5: how the time of a round grows with clients, workers and parameters."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import machine
import memory
from machine import Row

SCENARIO = str(machine.HERE / "fedavg.toml")
WIDTHS = {10**4: ((4, 8), 24), 10**5: ((16, 32), 62), 10**6: ((16, 32), 631), 10**7: ((16, 32), 6360)}
"""Channels and hidden units of `small-cnn` that give about so many parameters."""


def clients(cohorts: Sequence[int]) -> Iterator[Row]:
    """Yield seconds and memory of a round in which each of so many clients takes one step on one image."""
    for cohort in cohorts:
        found = memory.measure("mean", cohort, hidden=64)
        yield {**found, "per_client": found["rounds"][-1]["train"] / cohort}


def workers(counts: Sequence[int], repetitions: int) -> Iterator[Row]:
    """Yield the seconds of the job of the comparison on so many workers, a row per repetition and count."""
    for _ in range(repetitions):
        for count in counts:
            found = machine.answer("federated.py", SCENARIO, f"workers={count}")
            yield {"workers": count, "seconds": found["seconds"], "others": found["others"]}


def sizes(parameters: Sequence[int]) -> Iterator[Row]:
    """Yield the seconds of a round of 20 clients, one step on 32 images each, for networks of such sizes."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data.npz")
        memory.images(data)
        for d in parameters:
            (first, second), hidden = WIDTHS[d]
            scenario = memory.scenario(str(data), "mean", 20, hidden)
            scenario["scenario"]["rounds"] = 3
            scenario["model"]["channels"] = [first, second]
            scenario["train"]["batch"] = 32
            found = machine.answer("memory.py", json.dumps(scenario), str(Path(folder, f"runs-{d}")))
            rounds = [{"record": 0.0, **each} for each in found["rounds"][1:]]
            yield {"d": found["d"], "rounds": rounds, "others": found["others"]}
