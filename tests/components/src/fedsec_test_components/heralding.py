"""What the component that acts everywhere does; its two sides speak by announcement and extra."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from attrs import define, evolve
from torch import Tensor

from fedsec_core.evaluation import View
from fedsec_core.findings import Findings
from fedsec_core.markers import hookimpl
from fedsec_core.rounds import Round
from fedsec_core.updates import Update, Verdict
from fedsec_core.views import Broadcast, Client


@define(eq=False)
class Telling:
    client: Client
    heard: Tensor

    def batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        self.client.state["batches"] = self.client.state.get("batches", 0) + 1
        return x, y

    def update(self, update: Update) -> Update:
        told = {"heard": self.heard, "batches": torch.tensor(float(self.client.state["batches"]))}
        return evolve(update, extra=told)


@define(eq=False)
class Heralding:
    observed: int = 0
    steps: float = 0.0
    heard: tuple[float, ...] = ()
    batches: tuple[float, ...] = ()

    @hookimpl
    def announce(self, round: Round) -> Mapping[str, Tensor]:
        return {"number": torch.tensor(float(round.number))}

    @hookimpl
    def training_steps(self, client: Client, broadcast: Broadcast) -> object:
        return Telling(client, broadcast.extra["herald.number"])

    @hookimpl
    def detect_anomalies(self, round: Round) -> Verdict:
        self.heard = tuple(float(extra["heard"]) for extra in round.extra)
        self.batches = tuple(float(extra["batches"]) for extra in round.extra)
        n = len(round.clients)
        return Verdict(np.ones(n), np.zeros(n, bool), np.zeros(n))

    @hookimpl
    def observe_round(self, round: Round) -> None:
        self.observed += 1
        self.steps += 0.0 if round.step is None else float(round.step.norm())

    @hookimpl
    def evaluate_model(self, view: View) -> Findings:
        apart = view.train(view.val, epochs=3)
        kept = view.cached("mean-image", mean_image, view.test)
        with torch.no_grad():
            right = (apart.eval()(view.test.x).argmax(1) == view.test.y).double().mean()
        return Findings(
            {
                "heard": self.heard[0] if self.heard else None,
                "batches": sum(self.batches),
                "observed": float(self.observed),
                "accuracy_apart": float(right),
                "mean_pixel": float(kept["mean"].mean()),
            }
        )

    def state(self) -> dict[str, Any]:
        return {"observed": self.observed, "steps": self.steps}

    def restore(self, state: dict[str, Any]) -> None:
        self.observed, self.steps = state["observed"], state["steps"]


def mean_image(data: Any) -> dict[str, Tensor]:
    """Return the mean image of a data set."""
    return {"mean": data.x.mean(dim=0)}
