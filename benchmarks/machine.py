"""The machine that measures: what it is, how busy it is, and processes of their own to measure in."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
MOMENT = 0.25
"""Seconds."""
PINNED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "FEDSEC_WORKERS")
"""What would give a contestant another number of threads or workers than it has by itself."""

Row = dict[str, Any]


def describe() -> Row:
    """Say what machine this is, and when."""
    return {
        "when": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30), 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "fedsec": version("fedsec-core"),
    }


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def environment() -> dict[str, str]:
    """Return the environment of a process that is measured: with the machine's own number of threads."""
    return {name: value for name, value in os.environ.items() if name not in PINNED}


def answer(script: str, *arguments: str) -> Row:
    """Run a script of this folder in a process of its own and return the JSON that it prints.

    `others` is how busy the machine was just before, as `timed` has it.
    """
    found: Row = {}
    others = timed([sys.executable, str(HERE / script), *arguments], found)["others"]
    return {**found, "others": others}


def timed(command: Sequence[str], found: Row | None = None) -> Row:
    """Run a command; return its `seconds`, and `others`: the share of all cores in use just before.

    The JSON that it prints is put into `found`. Raises RuntimeError with what it wrote if it fails.
    """
    others = busy()
    began = time.perf_counter()
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    if found is not None:
        found.update(json.loads(done.stdout.splitlines()[-1]))
    return {"seconds": seconds, "others": others}


def busy() -> float:
    """Return the share of all cores that is in use during the next moment, in which this process sleeps."""
    before = _worked()
    time.sleep(MOMENT)
    return min(1.0, (_worked() - before) / MOMENT / (os.cpu_count() or 1))


def _worked() -> float:
    """Return the seconds that all cores together have worked since the machine started."""
    fields = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS
