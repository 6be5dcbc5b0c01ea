"""What the test components do on the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import define, field
from torch import Tensor

from fedsec_core.errors import TooFewRows
from fedsec_core.markers import hookimpl
from fedsec_core.rounds import Round
from fedsec_core.updates import Rows, Verdict, weighted_mean

if TYPE_CHECKING:
    from fedsec_test_components.plugin import Distrust, Sum


@define(eq=False)
class Distrusting:
    asked: Distrust

    @hookimpl
    def detect_anomalies(self, round: Round) -> Verdict:
        match self.asked.awry:
            case "raises":
                raise KeyError("no such client")
            case "true-f":
                assert round.true_f >= 0
        flagged = np.isin(round.clients, self.asked.ids)
        trust = np.where(flagged, self.asked.trust, 1.0)
        if self.asked.awry == "nan-trust":
            trust[0] = np.nan
        if self.asked.awry == "short":
            trust = trust[1:]
        return Verdict(trust=trust, flagged=flagged, score=1 - trust)


@define(eq=False)
class Scaling:
    factor: float

    @hookimpl
    def transform_step(self, step: Tensor) -> Tensor:
        return step * self.factor


@define(eq=False)
class Pairing:
    @hookimpl
    def transform_updates(self, rows: Rows, weights: Tensor) -> tuple[Rows, Tensor]:
        pairs = torch.split(torch.arange(len(rows)), 2)
        mixed = torch.stack([rows.matrix[pair].mean(dim=0) for pair in pairs])
        return Rows(mixed), torch.stack([weights[pair].sum() for pair in pairs])


@define(eq=False)
class Summing:
    asked: Sum
    seen: int = 0
    steps: list[float] = field(factory=list)

    @hookimpl
    def aggregate_updates(self, rows: Rows, weights: Tensor, round: Round) -> Tensor | None:
        self.seen += 1
        step = weighted_mean(rows, weights)
        if round.number < self.asked.since:
            return step
        match self.asked.awry:
            case "shape":
                return step[:-1]
            case "none":
                return None
            case "raises":
                raise RuntimeError("singular matrix")
            case "explodes":
                return step * torch.inf
            case "few":
                raise TooFewRows("sum", len(rows), len(rows) + 1, "it is a test")
        return step

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def restore(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]
