"""Components that remember: clients with momentum, a detector with habits, an attack with a grudge."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import define, evolve
from torch import Tensor

from fedsec_basics.sgd import SgdTrainer
from fedsec_core.errors import DataError, TooFewRows
from fedsec_core.markers import hookimpl
from fedsec_core.rounds import AttackView, Round
from fedsec_core.steps import Steps
from fedsec_core.streams import Stream
from fedsec_core.updates import Update, Verdict
from fedsec_core.views import Broadcast, Client

if TYPE_CHECKING:
    from fedsec_test_components.plugin import Grudge, Keeper


def die_if_told(deaths: Path | None, name: str) -> None:
    """Kill this process if the folder `deaths` has a file called `name`."""
    if deaths is None or not (deaths / name).exists():
        return
    if "always" not in (deaths / name).read_text():
        (deaths / name).unlink()
    os.kill(os.getpid(), signal.SIGKILL)


@define(eq=False)
class Keeping:
    asked: Keeper
    sgd: SgdTrainer

    @classmethod
    def of(cls, asked: Keeper) -> Keeping:
        return cls(asked, SgdTrainer(asked))

    @hookimpl
    def train_client(self, client: Client, broadcast: Broadcast, steps: Steps, stream: Stream) -> Update:
        die_if_told(self.asked.deaths, f"{client.id}-{broadcast.round}")
        if broadcast.round == 2 and client.id == 3:
            self._fail()
        update = self.sgd.train_client(client, broadcast, steps, stream)
        row: Tensor = update.row
        if (velocity := client.state.get("velocity")) is not None:
            row = row + self.asked.keep * velocity
        client.state["velocity"] = row.clone()
        if self.asked.dawdle:
            time.sleep(self.asked.dawdle * float(stream.child("dawdle").numpy.random()))
        return evolve(update, row=row)

    def _fail(self) -> None:
        match self.asked.awry:
            case "raises":
                raise RuntimeError("no power")
            case "few":
                raise TooFewRows("keeper", 1, 2, "it is a test")
            case "data":
                raise DataError("scan-7.png: cannot be read")


@define(eq=False)
class Habitual:
    total: float = 0.0
    seen: int = 0

    @hookimpl
    def detect_anomalies(self, round: Round) -> Verdict:
        norms = round.rows.norms.numpy()
        self.total += float(norms.sum())
        self.seen += len(norms)
        usual = self.total / self.seen
        trust = np.minimum(1.0, usual / np.maximum(norms, 1e-12)).clip(0.1)
        return Verdict(trust=trust, flagged=norms > 1.2 * usual, score=norms / usual)

    def state(self) -> dict[str, Any]:
        return {"total": self.total, "seen": self.seen}

    def restore(self, state: dict[str, Any]) -> None:
        self.total, self.seen = state["total"], state["seen"]


@define(eq=False)
class Grudging:
    asked: Grudge
    mean: Tensor | None = None
    """Of what was sent so far [d], halved with every round."""

    @hookimpl
    def attack_client(
        self, client: Client, broadcast: Broadcast, train: Callable[..., Update]
    ) -> Update | None:
        client.state["calls"] = client.state.get("calls", 0) + 1
        honest = train()
        return evolve(honest, row=honest.row * (1 + 0.1 * client.state["calls"]))

    @hookimpl
    def attack_updates(self, view: AttackView) -> Sequence[Update]:
        rows = view.rows
        sent = -rows.mean(dim=0) if self.mean is None else self.mean / 2 - rows.mean(dim=0)
        if self.asked.past:
            states = view.past_states
            sent = sent + 0.1 * (states[-1] - states[0])[: sent.numel()]
        self.mean = sent
        return [
            Update(sent.clone(), buffers, examples, metrics)
            for buffers, examples, metrics in zip(view.buffers, view.examples, view.metrics, strict=True)
        ]

    def state(self) -> dict[str, Any]:
        return {"mean": None if self.mean is None else torch.clone(self.mean)}

    def restore(self, state: dict[str, Any]) -> None:
        self.mean = state["mean"]
