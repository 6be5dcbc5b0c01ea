"""Part 6: memory of a run above that of its idle processes, summed over all of them (PSS)."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import machine
import numpy as np
import pss
from machine import Row
from safetensors.torch import load_file

import fedsec_core
from fedsec_core.records import RoundRecord
from fedsec_core.runs.plan import Silent

MIB = 1 << 20
IMAGES, TEST, SIDE = 10_000, 256, 28
"""Training samples, those of val and of test (a whole shard), and pixels of an edge."""
HIDDEN = 631
"""Units of the hidden layer that give `small-cnn` about 10^6 parameters."""


def streamed(cohorts: tuple[int, ...]) -> Iterator[Row]:
    """Yield the memory of a round of 10^6 parameters under the mean, a row per number of clients."""
    for clients in cohorts:
        yield measure("mean", clients)


def kept(cohorts: tuple[int, ...]) -> Iterator[Row]:
    """Yield the memory of a round of 10^6 parameters under rules that need single rows."""
    for clients in cohorts:
        for rule in ("krum", "median"):
            yield measure(rule, clients)


def measure(rule: str, clients: int, hidden: int = HIDDEN) -> Row:
    """Run a federation in which each client takes one step on one image, and watch its processes.

    Idle is the last sample before the folder of the run says that the first round begins: data
    loaded, workers set up. Above it are all samples from then on.
    """
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder, "data.npz"), Path(folder, "runs")
        images(data)
        found = json.dumps(scenario(str(data), rule, clients, hidden))
        command = [sys.executable, str(machine.HERE / "memory.py"), found, str(out)]
        others = machine.busy()
        environment, pipe = machine.environment(), subprocess.PIPE
        with subprocess.Popen(command, env=environment, stdout=pipe, text=True) as process:
            samples = pss.watch(process.pid, lambda: process.poll() is None)
            assert process.stdout is not None
            told = process.stdout.read()
        if process.returncode:
            raise RuntimeError(f"{rule} with {clients} clients failed")
    row: Row = json.loads(told.splitlines()[-1])
    began = row.pop("began")
    idle = [size for when, size in samples if when < began][-1]
    peak = max(size for when, size in samples if when >= began)
    matrix = 4 * clients * row["d"] if rule != "mean" else 0  # bytes; the mean is streamed
    return {
        "rule": rule,
        "clients": clients,
        **row,
        "matrix_mib": matrix / MIB,
        "idle_mib": idle / MIB,
        "peak_mib": peak / MIB,
        "above_mib": (peak - idle) / MIB,
        "others": others,
    }


def images(file: Path) -> None:
    """Write random images in MedMNIST's layout; what they show plays no part."""
    rng = np.random.default_rng(1)
    arrays: dict[str, Any] = {}
    for split, count in (("train", IMAGES), ("val", TEST), ("test", TEST)):
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.arange(count) % 2
    np.savez(file, **arrays)


def scenario(data: str, rule: str, clients: int, hidden: int) -> Row:
    """Return a scenario in which everybody takes part and does next to nothing."""
    aggregate: Row = {"use": rule}
    if rule == "krum":
        aggregate["f"] = clients // 5
    return {
        "scenario": {"name": f"bench-{rule}-{clients}", "rounds": 1},
        "data": {"use": "npz", "path": data},
        "model": {"use": "small-cnn", "hidden": hidden},
        "partition": {"use": "iid", "clients": clients, "min_samples": 1},
        "train": {"use": "sgd", "steps": 1, "batch": 1},
        "aggregate": aggregate,
        "evaluate": [{"use": "classification"}],
    }


class Start(Silent):
    """Notes when round 0, the first, began."""

    began = 0.0

    def round(self, record: RoundRecord) -> None:
        if record.number == 0:
            self.began = time.time() - record.seconds


def play(asked: Row, out: str) -> None:
    """Play the scenario in this process; print when its first round began, d, and seconds by phase."""
    start = Start()
    result = fedsec_core.run(asked, out=out, report=False, watcher=start).of()
    rounds = [{"seconds": event["seconds"], **event["phases"]} for event in result.rounds]
    sizes = [weight.numel() for weight in load_file(result.folder / "final.safetensors").values()]
    print(json.dumps({"began": start.began, "d": sum(sizes), "rounds": rounds}))


if __name__ == "__main__":
    play(json.loads(sys.argv[1]), sys.argv[2])
