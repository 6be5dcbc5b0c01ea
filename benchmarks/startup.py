"""Part 3: a whole process that plays one round, beside one that imports torch and ends."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import machine
from machine import Row

SCENARIO = """
scenario = { name = "bench-start", rounds = 1 }
data = { use = "phantom", train = 600, val = 60, test = 60 }
model = { use = "small-cnn" }
partition = { use = "iid", clients = 4 }
train = { use = "sgd" }
aggregate = { use = "mean" }
evaluate = [{ use = "classification" }]
"""
TORCH = (sys.executable, "-c", "import torch")


def measure(repetitions: int) -> Iterator[Row]:
    """Yield the seconds of both processes, a row per pair after a first one that warms up the disk cache."""
    with tempfile.TemporaryDirectory() as folder:
        scenario = Path(folder, "start.toml")
        scenario.write_text(SCENARIO, encoding="utf-8")
        fedsec = str(Path(sys.executable).with_name("fedsec"))
        for repetition in range(repetitions + 1):
            out = str(Path(folder, f"runs-{repetition}"))
            play = (fedsec, "run", str(scenario), "--workers", "2", "--no-report", "--quiet", "--out", out)
            torch, fedsec_run = machine.timed(TORCH), machine.timed(play)
            if repetition:
                yield {
                    "import torch": torch["seconds"],
                    "fedsec run": fedsec_run["seconds"],
                    "more": fedsec_run["seconds"] - torch["seconds"],
                    "others": {"import torch": torch["others"], "fedsec run": fedsec_run["others"]},
                }
