"""Stopping a run where a test wants it, and telling whether two runs are the same."""

from __future__ import annotations

from typing import Any

import torch

from fedsec_core.records import RoundRecord
from fedsec_core.runs.plan import Plan, Silent
from fedsec_core.runs.reading import FederationResult

COMPARED = ("round", "cohort", "attacking", "metrics", "weights", "verdicts", "tables", "pictures", "digests")


class Stopping(Silent):
    """Interrupts as soon as a round of the federation `place` is written down, before its checkpoint.

    Notes which rounds were played, and with how many threads.
    """

    def __init__(self, after: int | None = None, place: str = "main/1") -> None:
        self.after, self.place = after, place
        self.begun = ""
        self.played: list[int] = []
        self.threads: set[int] = set()

    def begin(self, plan: Plan, index: int, count: int) -> None:
        self.begun = plan.place

    def round(self, record: RoundRecord) -> None:
        self.played.append(record.number)
        self.threads.add(torch.get_num_threads())
        if (self.begun, record.number) == (self.place, self.after):
            raise KeyboardInterrupt


def fingerprint(run: FederationResult) -> tuple[Any, ...]:
    """Return all that is the same if two runs are: digests, figures, pictures and final weights."""
    events = [{key: event[key] for key in COMPARED} for event in run.rounds]
    pictures = {file.name: file.read_bytes() for file in (run.folder / "images").glob("*")}
    weights = (run.folder / "final.safetensors").read_bytes()
    return run.facts["digest"], events, run.end, pictures, weights
