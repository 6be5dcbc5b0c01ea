"""Checkpoints: all that a federation needs to go on as if nothing had happened.

Streams are derived, so there is no position of a generator to save. A checkpoint is there once its
main file has its name; whatever else it speaks of was written before.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import asdict, define, field, fields, frozen
from torch import Tensor

from fedsec_core import stored
from fedsec_core.errors import FedsecError
from fedsec_core.execution.executor import Executor

CLIENTS = "clients"
PAST = "past"


@frozen(eq=False)
class Checkpoint:
    """A federation after a round; 0 is the built model, -1 the moment before it was measured."""

    number: int
    digest: str
    state: Tensor
    last_selected: Mapping[int, int]
    members: dict[str, dict[str, Any]]
    """The memory of the server's components, by label."""
    measured: Mapping[str, Any]
    """What evaluation remembers."""
    clients: Mapping[int, str] = field(factory=dict)
    """The file of each client that has memory."""
    past: int = 0
    """How many earlier states are kept beside it."""


@define(eq=False)
class Checkpoints:
    """The checkpoints of one federation in a folder of their own; only the last one is kept."""

    folder: Path
    every: int = 1
    _clients: dict[int, str] = field(factory=dict, init=False)
    _past: int = field(default=0, init=False)

    def due(self, number: int, rounds: int) -> bool:
        """Tell whether there is to be one after round `number`."""
        return number % self.every == 0 or number == rounds

    def write(self, checkpoint: Checkpoint, past: list[Tensor], executor: Executor) -> None:
        """Write a checkpoint, its clients' memory and states that are not there yet; drop the one before.

        Raises FedsecError where that is not possible; the one before is still there then.
        """
        try:
            for name in (CLIENTS, PAST):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FedsecError(f"{self.folder}: cannot write: {error.strerror}") from error
        clients = dict(self._clients)
        for client, file in executor.save(self.folder / CLIENTS, checkpoint.number).items():
            clients.pop(client, None)
            if file is not None:
                clients[client] = file
        for place in range(self._past, len(past)):
            stored.write(self.folder / PAST / f"{place}.pt", {"state": past[place]}, "a state")
        content = {**asdict(checkpoint, recurse=False), "clients": clients, "past": len(past)}
        stored.write(self._main(checkpoint.number), content, "memory")
        self._clients, self._past = clients, len(past)
        self._tidy(checkpoint.number)

    def latest(self) -> Checkpoint | None:
        """Read the last checkpoint, if there is one; raises FedsecError if it is damaged."""
        numbers = self._numbers()
        if not numbers:
            return None
        file = self._main(max(numbers))
        content = stored.read(file)
        if content.keys() != {each.name for each in fields(Checkpoint)}:
            raise FedsecError(f"{file}: cannot be read: it is no checkpoint")
        checkpoint = Checkpoint(**content)
        self._clients, self._past = dict(checkpoint.clients), checkpoint.past
        return checkpoint

    def past(self, checkpoint: Checkpoint) -> list[Tensor]:
        """Read the earlier states that belong to a checkpoint, oldest first."""
        files = [self.folder / PAST / f"{place}.pt" for place in range(checkpoint.past)]
        return [stored.read(file)["state"] for file in files]

    def clients(self, checkpoint: Checkpoint) -> dict[int, Path]:
        """Return where the memory of each client is that has any."""
        return {client: self.folder / CLIENTS / file for client, file in checkpoint.clients.items()}

    def remove(self) -> None:
        """Remove all of it: the federation is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _main(self, number: int) -> Path:
        return self.folder / f"round-{number}.pt"

    def _numbers(self) -> list[int]:
        names = [file.name for file in self.folder.glob("round-*.pt")]
        return [int(found[1]) for name in names if (found := re.fullmatch(r"round-(\d+)\.pt", name))]

    def _tidy(self, number: int) -> None:
        for other in self._numbers():
            if other != number:
                self._main(other).unlink(missing_ok=True)
        used = set(self._clients.values())
        for file in (self.folder / CLIENTS).iterdir():
            if file.name not in used:
                file.unlink(missing_ok=True)
