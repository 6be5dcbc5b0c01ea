"""Runs FedDetect, and remembers how far each client has faded."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import define, field

from fedsec_core.errors import FedsecError
from fedsec_core.markers import hookimpl
from fedsec_core.rounds import Round
from fedsec_core.streams import Stream
from fedsec_core.updates import Verdict
from fedsec_feddetect import forest
from fedsec_feddetect.runtime.judge import Judge

if TYPE_CHECKING:
    from fedsec_feddetect.plugin.detect import CalibratedFedDetect, FedDetect


def reported(round: Round, metric: str) -> np.ndarray:
    """Return the losses [n] that the clients of a round report as `metric`, NaN where one does not.

    Raises FedsecError if nobody does.
    """
    found = np.array([each.get(metric, math.nan) for each in round.metrics])
    if round.metrics and not any(metric in each for each in round.metrics):
        known = ", ".join(sorted({name for each in round.metrics for name in each})) or "nothing"
        raise FedsecError(f"no client reports metric = {metric!r}; they report {known}")
    return found


@define(eq=False)
class FedDetectDetector:
    """Runtime of `feddetect`."""

    asked: FedDetect | CalibratedFedDetect
    weights: dict[int, float] = field(factory=dict, init=False)
    """Of each client ever seen; the largest is 1."""
    counts: dict[int, int] = field(factory=dict, init=False)
    """Flags of each client."""
    judge: Judge | None = field(default=None, init=False)

    @hookimpl
    def detect_anomalies(self, round: Round, stream: Stream) -> Verdict:
        """Flag who stands out, and give everybody the trust that its flags have left.

        Whose loss is not a finite number is flagged and left out, in any round.
        """
        losses = self._losses(round, stream)
        there = np.isfinite(losses)
        clients = [client for client, known in zip(round.clients, there, strict=True) if known]
        for client in clients:
            self.weights.setdefault(client, 1.0)
            self.counts.setdefault(client, 0)
        flags, scores = self._suspects(clients, losses[there])
        if round.number <= self.asked.warm_up or not forest.acts(flags):
            flags = np.zeros_like(flags)
        accused = {client for client, flag in zip(clients, flags, strict=True) if flag}
        self._fade(clients, accused)
        flagged, score, trust = ~there, np.where(there, 0.0, math.inf), np.zeros(len(losses))
        flagged[there], score[there] = flags, scores
        trust[there] = [self.weights[client] for client in clients]
        return Verdict(trust, flagged, score)

    def _losses(self, round: Round, stream: Stream) -> np.ndarray:
        if self.asked.loss_source == "reported":
            return reported(round, self.asked.metric)
        if self.judge is None:
            self.judge = Judge(self.asked.server_steps)
        return self.judge.losses(round, stream)

    def _suspects(self, clients: Sequence[int], losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return who stands out [n] and scores [n], of the losses [n] of `clients`."""
        return forest.isolated(losses, self.asked.seed)

    def _fade(self, clients: Sequence[int], accused: Collection[int]) -> None:
        """Let the accused of `clients` fade."""
        self.weights, self.counts = forest.fade(self.weights, self.counts, accused, self.asked.decay)

    def state(self) -> dict[str, Any]:
        """Return what is remembered."""
        judge = None if self.judge is None else self.judge.state()
        return {"weights": dict(self.weights), "counts": dict(self.counts), "judge": judge}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        self.weights, self.counts = dict(state["weights"]), dict(state["counts"])
        self.judge = None
        if state["judge"] is not None:
            self.judge = Judge(self.asked.server_steps)
            self.judge.restore(state["judge"])


@define(eq=False)
class CalibratedDetector(FedDetectDetector):
    """Runtime of `feddetect-calibrated`."""

    asked: CalibratedFedDetect
    smoothed: dict[int, float] = field(factory=dict, init=False)
    """The loss of each client, smoothed over its rounds."""
    quiet: dict[int, int] = field(factory=dict, init=False)
    """How many rounds in a row a client has not been flagged."""

    def _suspects(self, clients: Sequence[int], losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        share = self.asked.smoothing
        for client, loss in zip(clients, np.abs(losses).tolist(), strict=True):
            self.smoothed[client] = share * loss + (1 - share) * self.smoothed.get(client, loss)
        smooth = np.array([self.smoothed[client] for client in clients])
        flags, _ = forest.isolated(smooth, self.asked.seed)
        deviations = forest.deviations(smooth, self.asked.floor)
        return flags & (deviations > self.asked.margin), deviations

    def _fade(self, clients: Sequence[int], accused: Collection[int]) -> None:
        for client in clients:
            self.quiet[client] = 0 if client in accused else self.quiet.get(client, 0) + 1
            if self.quiet[client] >= self.asked.forgive:
                self.counts[client], self.weights[client] = 0, 1.0
        super()._fade(clients, accused)

    def state(self) -> dict[str, Any]:
        """Return what is remembered."""
        return {**super().state(), "smoothed": dict(self.smoothed), "quiet": dict(self.quiet)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        super().restore(state)
        self.smoothed, self.quiet = dict(state["smoothed"]), dict(state["quiet"])
