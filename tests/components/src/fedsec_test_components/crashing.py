"""Runs in processes of their own, to be killed, looked at, and taken up again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from attrs import define, field

PATIENCE = 60.0
"""Seconds after which whatever is waited for does not come."""
SHARED = Path("/dev/shm")


class Moment(NamedTuple):
    """When to kill: so many seconds after a round was written down; -1: after the start."""

    round: int
    seconds: float

    @classmethod
    def draw(cls, random: Random, rounds: Sequence[int], start: float, pace: float) -> Moment:
        """Draw one of `rounds`, and a delay up to `start` or `pace` seconds."""
        number = random.choice(rounds)
        return cls(number, random.uniform(0, start if number < 0 else pace))


@define(eq=False)
class Crashing:
    """One command of fedsec on two workers, whose results are below `place`."""

    place: Path
    process: subprocess.Popen[bytes]
    temporary: Path
    _shared: set[str] = field(factory=set)

    @classmethod
    def start(cls, place: Path, *command: object) -> Crashing:
        """Start `fedsec COMMAND` in a session of its own; what it writes goes to `place/output.txt`."""
        temporary = place / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        shared = set(os.listdir(SHARED)) if SHARED.is_dir() else set()
        with (place / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "fedsec_core", *map(str, command), "--workers", "2", "--quiet"],
                stdout=output,
                stderr=output,
                env={**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
        return cls(place, process, temporary, shared)

    @classmethod
    def run(cls, place: Path, scenario: Path) -> Crashing:
        return cls.start(place, "run", scenario, "--out", place / "runs", "--no-report")

    @classmethod
    def resume(cls, place: Path) -> Crashing:
        """Go on with the run; from the beginning if it had no folder yet."""
        folder = run_folder(place)
        if folder is None:
            return cls.run(place, place / "scenario.toml")
        return cls.start(place, "resume", folder)

    @property
    def output(self) -> str:
        return (self.place / "output.txt").read_text()

    def wait(self) -> int:
        """Wait for the end; returns the exit code."""
        return self.process.wait(PATIENCE)

    def processes(self) -> dict[int, int]:
        """Return all living processes of the run: the parent of each, by its own number."""
        found = {}
        for file in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, parent, _, session = file.read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(session) == self.process.pid and state not in "ZX":
                found[int(file.parent.name)] = int(parent)
        return found

    def workers(self) -> list[int]:
        """Return the workers, by number of process."""
        there = self.processes()
        servers = [number for number, parent in there.items() if parent == self.process.pid]
        return sorted(number for number, parent in there.items() if parent in servers)

    def await_moment(self, moment: Moment) -> bool:
        """Wait; tells whether the run is still going on then."""
        until(lambda: self.process.poll() is not None or recorded(self.place) >= moment.round)
        time.sleep(moment.seconds)
        return self.process.poll() is None

    def kill(self) -> None:
        """Kill the command itself, and nothing else, as `kill -9` does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def kill_worker(self, random: Random) -> bool:
        """Kill one of the workers; tells whether the run was still going on."""
        until(lambda: self.process.poll() is not None or bool(self.workers()))
        workers = self.workers()
        if self.process.poll() is not None or not workers:
            return False
        os.kill(random.choice(workers), signal.SIGKILL)
        return True

    def seconds_until_gone(self) -> float:
        """Wait until no process of the run is left; returns how long that took, or fails."""
        began = time.monotonic()
        until(lambda: not self.processes())
        return time.monotonic() - began

    def left_behind(self) -> list[str]:
        """Return files in shared memory and the temporary folder that were not there before."""
        shared = set(os.listdir(SHARED)) - self._shared if SHARED.is_dir() else set()
        return sorted([*shared, *os.listdir(self.temporary)])


def until(true: Callable[[], bool]) -> None:
    """Wait until `true()`; raises TimeoutError if that takes too long."""
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("what was waited for did not come")
        time.sleep(0.01)


def run_folder(place: Path) -> Path | None:
    """Return the run folder below `place`; None if there is none that could be resumed yet."""
    return next((file.parent for file in place.glob("runs/*/plan.json")), None)


def federation(place: Path) -> Path | None:
    """Return the folder of the one federation below `place`; None if there is none yet."""
    return next((file.parent for file in place.glob("runs/*/main/*/metrics.jsonl")), None)


def events(place: Path) -> list[dict[str, Any]]:
    """Return the events that are written down, whole lines only."""
    folder = federation(place)
    if folder is None:
        return []
    lines = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def recorded(place: Path) -> int:
    """Return the last round that is written down; -1: none."""
    return max([event["round"] for event in events(place) if event["event"] == "round"], default=-1)


def checkpoint(place: Path) -> int:
    """Return the round of the last checkpoint; -1: none."""
    folder = federation(place)
    names = [] if folder is None else [file.name for file in (folder / "checkpoint").glob("*.pt")]
    return max(
        [int(found[1]) for each in names if (found := re.fullmatch(r"round-(\d+)\.pt", each))], default=-1
    )


def facts(place: Path) -> dict[str, Any]:
    """Return `run.json`."""
    folder = federation(place)
    assert folder is not None
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found
