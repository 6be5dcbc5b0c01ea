"""Federations in processes of their own, one on each core, so that none waits for another's evaluation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Lock
from typing import TypeVar

from attrs import define, field

from fedsec_core.errors import FedsecError
from fedsec_core.runs.reading import FederationResult, read_federation

Task = TypeVar("Task")
CHILD = Path(__file__).parent / "child.py"


@define(eq=False)
class Children:
    """The processes that play federations at this moment."""

    out: Path
    """Where run folders are made."""
    running: set[subprocess.Popen[str]] = field(factory=set, init=False)
    ended: bool = field(default=False, init=False)
    lock: Lock = field(factory=Lock, init=False)

    def play(self, scenario: str, variant: str, seed: int, start: Path | None = None) -> FederationResult:
        """Play a variant of a scenario, return what its folder tells; raises FedsecError if it cannot.

        It begins with the weights `start`, or as built.
        """
        options = ["--variant", variant, "--seed", str(seed), "--out", str(self.out), "--workers", "1"]
        if start is not None:
            options += ["--set", f"model.start={start}"]
        told, complaint = self._ask("run", scenario, *options, "--no-report", "--quiet", "--json")
        runs = [
            run
            for experiment in (json.loads(told)["experiments"] if told.strip() else ())
            for run in experiment["runs"]
            if run["variant"] == variant and not run["twin"]
        ]
        if len(runs) != 1:
            raise FedsecError(f"{scenario}, {variant}, seed {seed}: was not played\n{complaint.strip()}")
        return read_federation(Path(runs[0]["folder"]))

    def _ask(self, *arguments: str) -> tuple[str, str]:
        """Run the command `fedsec` in a process, and return what it says and what it complains of."""
        # nothing is ever written to it: the system closes it when this process ends, however that is
        held, holder = os.pipe()
        try:
            with self.lock:
                if self.ended:
                    raise FedsecError("stopped")
                child = subprocess.Popen(
                    [sys.executable, "-P", str(CHILD), *arguments],
                    stdin=held,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                )
                self.running.add(child)
            said = child.communicate()
            with self.lock:
                self.running.discard(child)
            return said
        finally:
            os.close(held)
            os.close(holder)

    def end(self) -> None:
        """End them all, and let no other begin."""
        with self.lock:
            self.ended = True
            for child in self.running:
                child.terminate()


def side_by_side(count: int, tasks: Sequence[Task], act: Callable[[Task], None], children: Children) -> None:
    """Call `act` on each of `tasks`, `count` at a time and in their order; the first error ends them all."""
    with ThreadPoolExecutor(count) as pool:
        try:
            for done in as_completed([pool.submit(act, task) for task in tasks]):
                done.result()
        except BaseException:
            children.end()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
